#include "daemon/ingest/peer.h"

#include "daemon/base/address.h"

#include <stdio.h>
#include <sys/un.h>

static void describe_unix_datagram(const struct tsd_peer *peer, char *text, size_t size)
{
    const struct sockaddr_un *address = (const struct sockaddr_un *)(const void *)peer->address;
    size_t len =
        peer->len > offsetof(struct sockaddr_un, sun_path) ? peer->len - offsetof(struct sockaddr_un, sun_path) : 0;
    if (!len) /* the sender is not bound to an address */
        snprintf(text, size, "%s", peer->kind);
    else if (!address->sun_path[0])
        snprintf(text, size, "%s @%.*s", peer->kind, (int)len - 1, address->sun_path + 1);
    else
        snprintf(text, size, "%s %.*s", peer->kind, (int)len, address->sun_path);
}

static void describe_stream(const struct tsd_peer *peer, char *text, size_t size)
{
    struct sockaddr_storage address;
    struct sockaddr *generic = (struct sockaddr *)&address;
    socklen_t len = sizeof(address);
    struct ucred credentials;
    socklen_t credentials_len = sizeof(credentials);
    char address_text[TSD_ADDRESS_MAX];
    if (getpeername(peer->fd, generic, &len)) {
        snprintf(text, size, "%s", peer->kind);
    } else if (generic->sa_family != AF_UNIX) {
        snprintf(text, size, "%s %s", peer->kind, tsd_address_text(generic, address_text));
    } else if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_len) == 0) {
        snprintf(text, size, "%s pid %ld uid %ld", peer->kind, (long)credentials.pid, (long)credentials.uid);
    } else {
        snprintf(text, size, "%s", peer->kind);
    }
}

void tsd_peer_describe(const struct tsd_peer *peer, char *text, size_t size)
{
    char address_text[TSD_ADDRESS_MAX];
    if (!peer->address)
        describe_stream(peer, text, size);
    else if (peer->len >= sizeof(sa_family_t) && peer->address->sa_family != AF_UNIX)
        snprintf(text, size, "%s %s", peer->kind, tsd_address_text(peer->address, address_text));
    else
        describe_unix_datagram(peer, text, size);
}
