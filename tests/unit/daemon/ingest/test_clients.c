/*
 * The table of clients in every interleaving of the writer and two connections of one client, on one ingest thread or
 * two: at most one connection owns the client, none owns it before its earlier messages are committed, and no wake-up
 * is missing.
 */
#include "daemon/ingest/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned woken; /* a bit for each thread */

static void wake(void *data, unsigned thread)
{
    (void)data;
    woken |= 1u << thread;
}

static int setup(void **state)
{
    static struct tsd_clients clients;
    if (tsd_clients_init(&clients))
        return -1;
    clients.wake = wake;
    woken = 0;
    *state = &clients;
    return 0;
}

static int teardown(void **state)
{
    tsd_clients_deinit(*state);
    return 0;
}

static struct ts_str name(const char *text)
{
    return (struct ts_str){text, strlen(text)};
}

/* A connection and its state. */
struct side {
    unsigned thread;
    struct tsd_client *client;
    bool waits;
    bool owns;
    uint64_t processed;
    struct tsd_mark mark; /* client NULL: none on this thread */
};

static void mark(struct side *side, bool forget)
{
    if (!side->mark.client)
        atomic_fetch_add(&side->client->marks, 1);
    side->mark = (struct tsd_mark){side->client, side->processed, forget};
}

static void look(struct tsd_clients *clients, struct side *side, uint64_t stored, const struct side *other)
{
    uint64_t last_seq;
    if (side->owns && atomic_load(&side->client->contested)) {
        mark(side, false);
        tsd_clients_leave(clients, side->client, side, side->processed, false);
        side->client = NULL;
        side->owns = false;
    }
    if (!side->waits)
        return;
    switch (tsd_clients_claim(clients, side->client, side, &last_seq)) {
    case TSD_CLAIM_WAIT:
        break;
    case TSD_CLAIM_LOST:
        tsd_clients_leave(clients, side->client, side, 0, false);
        side->client = NULL;
        side->waits = false;
        break;
    case TSD_CLAIM_OWNED:
        assert_false(other->owns);
        assert_null(other->mark.client);
        assert_int_equal(last_seq, stored);
        side->waits = false;
        side->owns = true;
        side->processed = last_seq;
        break;
    }
}

/* The writer collects a thread's mark and commits it. */
static void commit(struct tsd_clients *clients, struct side *side, uint64_t *stored)
{
    if (!side->mark.client)
        return;
    assert_true(side->mark.seq >= *stored);
    *stored = side->mark.seq;
    tsd_clients_committed(clients, &side->mark, 1);
    side->mark.client = NULL;
}

static void every_interleaving_of_two_connections_and_the_writer(void **state)
{
    struct tsd_clients *clients = *state;
    for (unsigned run = 0; run < 4096 * 8; run++) {
        struct side sides[2] = {{.thread = 0}, {.thread = run & 1}};
        uint64_t stored = 0;
        unsigned choices = run >> 1;
        srand(run);
        for (int step = 0; step < 24; step++, choices = choices ? choices >> 3 : (unsigned)rand()) {
            struct side *side = &sides[choices & 1];
            struct side *other = &sides[!(choices & 1)];
            switch (choices >> 1 & 3) {
            case 0:
                if (!side->client) {
                    assert_int_equal(tsd_clients_hello(clients, name("c"), side->thread, side, &side->client), 0);
                    side->waits = true;
                }
                look(clients, side, stored, other);
                break;
            case 1:
                if (side->owns) {
                    side->processed++;
                    mark(side, false);
                }
                break;
            case 2:
                commit(clients, side, &stored);
                break;
            default:
                look(clients, side, stored, other);
                break;
            }
        }
        /* A connection that waits gets the client, only by the wake-ups it receives. */
        for (int turn = 0; turn < 4; turn++) {
            for (int i = 0; i < 2; i++) {
                look(clients, &sides[i], stored, &sides[!i]);
                commit(clients, &sides[i], &stored);
            }
        }
        assert_false(sides[0].waits || sides[1].waits);
        for (int i = 0; i < 2; i++) {
            if (!sides[i].client)
                continue;
            assert_int_equal(sides[i].processed, stored);
            mark(&sides[i], true);
            tsd_clients_leave(clients, sides[i].client, &sides[i], stored, true);
            commit(clients, &sides[i], &stored);
        }
        /* The last owner forgot the client, or no connection ever sent a hello. */
        if (atomic_load(&clients->n)) {
            struct tsd_mark all[4];
            clients->previous_uptime += 1000;
            assert_int_equal(tsd_clients_expire(clients, 0, all, 4), 1);
            tsd_clients_committed(clients, &all[0], 1);
        }
        assert_int_equal(atomic_load(&clients->n), 0);
    }
}

static void the_owner_is_woken_and_then_the_waiter(void **state)
{
    struct tsd_clients *clients = *state;
    struct tsd_client *client;
    struct tsd_client *again;
    uint64_t last_seq = 99;
    int a = 0, b = 0, c = 0;
    assert_int_equal(tsd_clients_hello(clients, name("x"), 1, &a, &client), 0);
    assert_int_equal(woken, 0);
    assert_int_equal(tsd_clients_claim(clients, client, &a, &last_seq), TSD_CLAIM_OWNED);
    assert_int_equal(last_seq, 0);

    assert_int_equal(tsd_clients_hello(clients, name("x"), 2, &b, &again), 0);
    assert_ptr_equal(client, again);
    assert_int_equal(woken, 1u << 1);
    assert_true(atomic_load(&client->contested));
    assert_int_equal(tsd_clients_claim(clients, client, &b, &last_seq), TSD_CLAIM_WAIT);

    woken = 0;
    assert_int_equal(tsd_clients_hello(clients, name("x"), 3, &c, &again), 0);
    assert_int_equal(woken, 1u << 1 | 1u << 2);
    assert_int_equal(tsd_clients_claim(clients, client, &b, &last_seq), TSD_CLAIM_LOST);
    tsd_clients_leave(clients, client, &b, 0, false);

    struct tsd_mark outstanding = {client, 5, false};
    atomic_fetch_add(&client->marks, 1);
    woken = 0;
    tsd_clients_leave(clients, client, &a, 5, false);
    assert_int_equal(woken, 1u << 3);
    assert_int_equal(tsd_clients_claim(clients, client, &c, &last_seq), TSD_CLAIM_WAIT);
    tsd_clients_committed(clients, &outstanding, 1);
    assert_int_equal(tsd_clients_claim(clients, client, &c, &last_seq), TSD_CLAIM_OWNED);
    assert_int_equal(last_seq, 5);
    tsd_clients_leave(clients, client, &c, 5, false);
    assert_int_equal(atomic_load(&clients->n), 1);
}

static void a_client_that_sent_nothing_is_removed(void **state)
{
    struct tsd_clients *clients = *state;
    struct tsd_client *client;
    uint64_t last_seq;
    int a = 0;
    assert_int_equal(tsd_clients_hello(clients, name("x"), 0, &a, &client), 0);
    assert_int_equal(tsd_clients_claim(clients, client, &a, &last_seq), TSD_CLAIM_OWNED);
    assert_int_equal(atomic_load(&clients->n), 1);
    tsd_clients_leave(clients, client, &a, 0, false);
    assert_int_equal(atomic_load(&clients->n), 0);
}

static void one_client_too_many_is_rejected(void **state)
{
    struct tsd_clients *clients = *state;
    struct tsd_client *client;
    char id[16];
    int a = 0;
    for (int i = 0; i < TSD_CLIENTS_MAX; i++) {
        snprintf(id, sizeof(id), "c%d", i);
        assert_int_equal(tsd_clients_hello(clients, name(id), 0, &a, &client), 0);
    }
    assert_int_equal(tsd_clients_hello(clients, name("one-more"), 0, &a, &client), TSD_TOO_MANY_CLIENTS);
    assert_int_equal(tsd_clients_hello(clients, name("c7"), 0, &a, &client), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_interleaving_of_two_connections_and_the_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(the_owner_is_woken_and_then_the_waiter, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_sent_nothing_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(one_client_too_many_is_rejected, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
