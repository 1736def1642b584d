#include "daemon/ingest/clients.h"

#include "daemon/base/clock.h"
#include "lib/base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 32 * 1024 }; /* chains of three where the table of clients is full */

int tsd_clients_init(struct tsd_clients *clients)
{
    *clients = (struct tsd_clients){.n_slots = SLOTS, .started = tsd_clock_mono()};
    clients->seed = ts_hash_seed(clients);
    clients->slots = calloc(SLOTS, sizeof(*clients->slots));
    if (!clients->slots)
        return TS_ENOMEM;
    if (uv_mutex_init(&clients->lock)) {
        free(clients->slots);
        return TS_ENOMEM;
    }
    return 0;
}

void tsd_clients_deinit(struct tsd_clients *clients)
{
    for (size_t i = 0; i < clients->n_slots; i++) {
        while (clients->slots[i]) {
            struct tsd_client *client = clients->slots[i];
            clients->slots[i] = client->next;
            free(client);
        }
    }
    free(clients->slots);
    uv_mutex_destroy(&clients->lock);
}

int64_t tsd_clients_uptime(const struct tsd_clients *clients)
{
    return clients->uptime_before + tsd_clock_mono() - clients->started;
}

static struct tsd_client **slot_of(struct tsd_clients *clients, struct ts_str id)
{
    return &clients->slots[ts_hash_bytes(id.data, id.len, clients->seed) % clients->n_slots];
}

static struct tsd_client *find(struct tsd_clients *clients, struct ts_str id)
{
    struct tsd_client *client = *slot_of(clients, id);
    while (client && (strlen(client->id) != id.len || memcmp(client->id, id.data, id.len) != 0))
        client = client->next;
    return client;
}

static struct tsd_client *add(struct tsd_clients *clients, struct ts_str id)
{
    struct tsd_client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    memcpy(client->id, id.data, id.len);
    struct tsd_client **slot = slot_of(clients, id);
    client->next = *slot;
    *slot = client;
    atomic_fetch_add(&clients->n, 1);
    return client;
}

static void drop(struct tsd_clients *clients, struct tsd_client *client)
{
    struct tsd_client **at = slot_of(clients, (struct ts_str){client->id, strlen(client->id)});
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    atomic_fetch_sub(&clients->n, 1);
    free(client);
}

static int on_client(void *data, struct ts_str id, uint64_t last_seq, int64_t used)
{
    struct tsd_clients *clients = data;
    if (id.len == 0 || id.len > TS_CLIENT_MAX)
        return TS_ESTORE; /* not ours: the file was changed by somebody */
    struct tsd_client *client = add(clients, id);
    if (!client)
        return TS_ENOMEM;
    atomic_store(&client->committed, last_seq);
    client->taken = last_seq;
    client->used = used;
    return 0;
}

int tsd_clients_load(struct tsd_clients *clients, struct ts_store *store)
{
    int rc = ts_store_load_uptime(store, &clients->uptime_before);
    return rc ? rc : ts_store_load_clients(store, on_client, clients);
}

/* Nothing of it is anywhere but here, and it has nothing to be remembered by. Under the lock. */
static bool is_nothing(const struct tsd_client *client)
{
    return !client->holders && atomic_load(&client->marks) == 0 && client->taken == 0 &&
           atomic_load(&client->committed) == 0;
}

int tsd_clients_hello(struct tsd_clients *clients, struct ts_str id, unsigned thread, const void *connection,
                      struct tsd_client **ret_client)
{
    int rc = 0;
    bool elsewhere = false;
    bool superseded = false;
    unsigned owner_thread = 0;
    unsigned waiter_thread = 0;
    uv_mutex_lock(&clients->lock);
    struct tsd_client *client = find(clients, id);
    if (!client && atomic_load(&clients->n) >= TSD_CLIENTS_MAX)
        rc = TSD_TOO_MANY_CLIENTS;
    else if (!client && !(client = add(clients, id)))
        rc = TS_ENOMEM;
    if (!rc) {
        superseded = client->waiter != NULL;
        waiter_thread = client->waiter_thread;
        elsewhere = client->owner != NULL || atomic_load(&client->marks) > 0;
        owner_thread = client->owner_thread;
        client->holders++;
        client->waiter = connection;
        client->waiter_thread = thread;
        if (client->owner)
            atomic_store(&client->contested, true);
        *ret_client = client;
    }
    uv_mutex_unlock(&clients->lock);
    if (superseded)
        clients->wake(clients->data, waiter_thread);
    if (elsewhere) /* to go, or to have its marks committed soon */
        clients->wake(clients->data, owner_thread);
    return rc;
}

enum tsd_claim tsd_clients_claim(struct tsd_clients *clients, struct tsd_client *client, const void *connection,
                                 uint64_t *ret_last_seq)
{
    enum tsd_claim claim = TSD_CLAIM_WAIT;
    uv_mutex_lock(&clients->lock);
    if (client->waiter != connection) {
        claim = TSD_CLAIM_LOST;
    } else if (!client->owner && !client->leaving && atomic_load(&client->marks) == 0 &&
               atomic_load(&client->committed) == client->taken) {
        claim = TSD_CLAIM_OWNED;
        client->owner = connection;
        client->owner_thread = client->waiter_thread;
        client->waiter = NULL;
        client->used = tsd_clients_uptime(clients);
        *ret_last_seq = client->taken;
    }
    uv_mutex_unlock(&clients->lock);
    return claim;
}

void tsd_clients_leave(struct tsd_clients *clients, struct tsd_client *client, const void *connection, uint64_t taken,
                       bool forgotten)
{
    bool wanted = false;
    unsigned thread = 0;
    uv_mutex_lock(&clients->lock);
    client->holders--;
    if (client->waiter == connection)
        client->waiter = NULL;
    if (client->owner == connection) {
        client->owner = NULL;
        client->taken = taken;
        client->leaving = forgotten;
        client->used = tsd_clients_uptime(clients);
        atomic_store(&client->contested, false);
        wanted = client->waiter != NULL;
        thread = client->waiter_thread;
    }
    if (is_nothing(client))
        drop(clients, client);
    uv_mutex_unlock(&clients->lock);
    if (wanted)
        clients->wake(clients->data, thread);
}

void tsd_clients_committed(struct tsd_clients *clients, const struct tsd_mark *mark, int64_t uptime)
{
    struct tsd_client *client = mark->client;
    uv_mutex_lock(&clients->lock);
    atomic_fetch_sub(&client->marks, 1);
    client->used = uptime;
    if (mark->forget) {
        /* Whoever waits for it finds a client that has sent nothing yet. */
        atomic_store(&client->committed, 0);
        client->taken = 0;
        client->leaving = false;
    } else {
        atomic_store(&client->committed, mark->seq);
    }
    if (is_nothing(client))
        drop(clients, client);
    uv_mutex_unlock(&clients->lock);
}

size_t tsd_clients_expire(struct tsd_clients *clients, int64_t expiry, struct tsd_mark *marks, size_t max)
{
    size_t n = 0;
    uv_mutex_lock(&clients->lock);
    int64_t before = tsd_clients_uptime(clients) - expiry;
    for (size_t i = 0; i < clients->n_slots && n < max; i++) {
        for (struct tsd_client *client = clients->slots[i]; client && n < max; client = client->next) {
            if (client->holders || client->leaving || atomic_load(&client->marks) || client->used >= before)
                continue;
            client->leaving = true;
            atomic_store(&client->marks, 1);
            marks[n++] = (struct tsd_mark){.client = client, .seq = client->taken, .forget = true};
        }
    }
    uv_mutex_unlock(&clients->lock);
    return n;
}
