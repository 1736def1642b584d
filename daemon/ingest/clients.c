#include "daemon/ingest/clients.h"

#include "daemon/base/clock.h"
#include "lib/base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 32 * 1024 }; /* chains of three if the table is full */

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
        while (!SLIST_EMPTY(&clients->slots[i])) {
            struct tsd_client *client = SLIST_FIRST(&clients->slots[i]);
            SLIST_REMOVE_HEAD(&clients->slots[i], entry);
            free(client);
        }
    }
    free(clients->slots);
    uv_mutex_destroy(&clients->lock);
}

int64_t tsd_clients_uptime(const struct tsd_clients *clients)
{
    return clients->previous_uptime + tsd_clock_mono() - clients->started;
}

/* ---- The hash table; under the lock ---- */

static struct tsd_clients_slot *slot_of(struct tsd_clients *clients, struct ts_str id)
{
    return &clients->slots[ts_hash_bytes(id.data, id.len, clients->seed) % clients->n_slots];
}

static struct tsd_client *find(struct tsd_clients *clients, struct ts_str id)
{
    struct tsd_client *client;
    SLIST_FOREACH (client, slot_of(clients, id), entry) {
        if (strlen(client->id) == id.len && memcmp(client->id, id.data, id.len) == 0)
            return client;
    }
    return NULL;
}

static struct tsd_client *add(struct tsd_clients *clients, struct ts_str id)
{
    assert(id.len > 0 && id.len <= TS_CLIENT_MAX);
    struct tsd_client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    memcpy(client->id, id.data, id.len);
    SLIST_INSERT_HEAD(slot_of(clients, id), client, entry);
    atomic_fetch_add(&clients->n, 1);
    return client;
}

/* Frees the client if nobody holds it and there is no number to remember. */
static void remove_if_unused(struct tsd_clients *clients, struct tsd_client *client)
{
    if (client->holders || atomic_load(&client->marks) || client->processed || atomic_load(&client->committed))
        return;
    assert(!client->owner && !client->waiter && !client->pending_mark);
    struct tsd_clients_slot *slot = slot_of(clients, (struct ts_str){client->id, strlen(client->id)});
    SLIST_REMOVE(slot, client, tsd_client, entry);
    atomic_fetch_sub(&clients->n, 1);
    free(client);
}

int tsd_clients_load(void *data, struct ts_str id, uint64_t last_seq, int64_t used)
{
    struct tsd_clients *clients = data;
    if (id.len == 0 || id.len > TS_CLIENT_MAX)
        return TS_ESTORE; /* the file was changed by another program */
    struct tsd_client *client = add(clients, id);
    if (!client)
        return TS_ENOMEM;
    atomic_store(&client->committed, last_seq);
    client->processed = last_seq;
    client->used = used;
    return 0;
}

/* ---- For ingest threads ---- */

int tsd_clients_hello(struct tsd_clients *clients, struct ts_str id, unsigned thread, const void *connection,
                      struct tsd_client **ret_client)
{
    int rc = 0;
    bool busy = false;
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
        assert(client->owner != connection);
        superseded = client->waiter != NULL;
        waiter_thread = client->waiter_thread;
        busy = client->owner != NULL || atomic_load(&client->marks) > 0;
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
    if (busy) /* to leave, or to have its marks committed soon */
        clients->wake(clients->data, owner_thread);
    return rc;
}

enum tsd_claim tsd_clients_claim(struct tsd_clients *clients, struct tsd_client *client, const void *connection,
                                 uint64_t *ret_last_seq)
{
    enum tsd_claim claim = TSD_CLAIM_WAIT;
    uv_mutex_lock(&clients->lock);
    assert(client->holders > 0);
    if (client->waiter != connection) {
        claim = TSD_CLAIM_LOST;
    } else if (!client->owner && !client->forgetting && atomic_load(&client->marks) == 0 &&
               atomic_load(&client->committed) == client->processed) {
        claim = TSD_CLAIM_OWNED;
        client->owner = connection;
        client->owner_thread = client->waiter_thread;
        client->waiter = NULL;
        client->used = tsd_clients_uptime(clients);
        *ret_last_seq = client->processed;
    }
    uv_mutex_unlock(&clients->lock);
    return claim;
}

void tsd_clients_leave(struct tsd_clients *clients, struct tsd_client *client, const void *connection,
                       uint64_t processed, bool forgotten)
{
    bool wake = false;
    unsigned thread = 0;
    uv_mutex_lock(&clients->lock);
    assert(client->holders > 0);
    client->holders--;
    if (client->waiter == connection)
        client->waiter = NULL;
    if (client->owner == connection) {
        assert(processed >= client->processed && atomic_load(&client->committed) <= processed);
        assert(!forgotten || atomic_load(&client->marks) > 0);
        client->owner = NULL;
        client->processed = processed;
        client->forgetting = forgotten;
        client->used = tsd_clients_uptime(clients);
        atomic_store(&client->contested, false);
        wake = client->waiter != NULL;
        thread = client->waiter_thread;
    }
    remove_if_unused(clients, client);
    uv_mutex_unlock(&clients->lock);
    if (wake)
        clients->wake(clients->data, thread);
}

/* ---- For the writer ---- */

void tsd_clients_committed(struct tsd_clients *clients, const struct tsd_mark *mark, int64_t uptime)
{
    struct tsd_client *client = mark->client;
    uv_mutex_lock(&clients->lock);
    unsigned marks = atomic_fetch_sub(&client->marks, 1);
    assert(marks > 0);
    (void)marks;
    client->used = uptime;
    if (mark->forget) {
        assert(!client->owner);
        /* A connection that waits for it finds a client that has not sent anything. */
        atomic_store(&client->committed, 0);
        client->processed = 0;
        client->forgetting = false;
    } else {
        assert(mark->seq >= atomic_load(&client->committed));
        assert(client->owner || mark->seq <= client->processed);
        atomic_store(&client->committed, mark->seq);
    }
    remove_if_unused(clients, client);
    uv_mutex_unlock(&clients->lock);
}

size_t tsd_clients_expire(struct tsd_clients *clients, int64_t expiry, struct tsd_mark *marks, size_t max)
{
    size_t n = 0;
    uv_mutex_lock(&clients->lock);
    int64_t limit = tsd_clients_uptime(clients) - expiry;
    for (size_t i = 0; i < clients->n_slots && n < max; i++) {
        struct tsd_client *client;
        SLIST_FOREACH (client, &clients->slots[i], entry) {
            if (n == max)
                break;
            if (client->holders || client->forgetting || atomic_load(&client->marks) || client->used >= limit)
                continue;
            client->forgetting = true;
            atomic_store(&client->marks, 1);
            marks[n++] = (struct tsd_mark){.client = client, .seq = client->processed, .forget = true};
        }
    }
    uv_mutex_unlock(&clients->lock);
    return n;
}
