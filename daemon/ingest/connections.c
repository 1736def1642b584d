/*
 * The connections of a thread: time-outs, and what concerns all of them. One connection is in connection.c.
 */
#include "daemon/ingest/connections.h"

#include "daemon/base/clock.h"

#include <assert.h>
#include <stdlib.h>

#define STILL_NS (30 * TS_NS_PER_S) /* without progress of an unfinished line or of the last replies */
#define SLOW_NS (90 * TS_NS_PER_S)  /* an unfinished line arriving at less than SLOW_RATE */
#define DISCARD_NS TS_NS_PER_S      /* discarding input after the last reply */
enum { SLOW_RATE = 1024 /* bytes per second */ };

int tsd_connections_init(struct tsd_connections *set)
{
    LIST_INIT(&set->list);
    set->memory = malloc(TSD_READ_SIZE);
    return set->memory ? 0 : TS_ENOMEM;
}

void tsd_connections_deinit(struct tsd_connections *set)
{
    assert(LIST_EMPTY(&set->list) && set->open_handles == 0 && set->partial_bytes == 0);
    tsd_framer_pool_deinit(&set->pool);
    free(set->memory);
    set->memory = NULL;
}

void tsd_connections_update(struct tsd_connections *set)
{
    struct tsd_connection *next;
    for (struct tsd_connection *connection = LIST_FIRST(&set->list); connection; connection = next) {
        next = LIST_NEXT(connection, entry);
        if (connection->session.client)
            tsd_connection_update(connection);
    }
    tsd_connections_limit_partial_lines(set);
    tsd_connections_request_ack(set); /* another connection may wait for a mark of one that has left */
    set->on_read(set->data);          /* lines that had waited may have been processed */
}

static bool has_timed_out(const struct tsd_connection *connection, int64_t now)
{
    bool partial = connection->state == TSD_READING && connection->held && !connection->set->paused;
    int64_t age = now - connection->line_began;
    if (partial && age > SLOW_NS && connection->held < (uint64_t)(age / TS_NS_PER_S) * SLOW_RATE)
        return true;
    bool waits = partial || connection->state == TSD_ENDING || connection->state == TSD_WAITING ||
                 connection->state == TSD_ACKING;
    return waits && now - connection->last_progress > STILL_NS;
}

void tsd_connections_tick(struct tsd_connections *set)
{
    tsd_connections_update(set);
    tsd_connections_limit_partial_lines(set); /* the limit may have been lowered */
    int64_t now = tsd_clock_mono();
    struct tsd_connection *next;
    for (struct tsd_connection *connection = LIST_FIRST(&set->list); connection; connection = next) {
        next = LIST_NEXT(connection, entry);
        if (has_timed_out(connection, now)) {
            tsd_add(&set->ingest->stats.connections_cut, 1);
            tsd_connection_close(connection);
        } else if (connection->state == TSD_DISCARDING && now - connection->last_progress > DISCARD_NS) {
            tsd_connection_close(connection);
        }
    }
}

void tsd_connections_pause(struct tsd_connections *set, bool paused)
{
    set->paused = paused;
    struct tsd_connection *connection;
    LIST_FOREACH (connection, &set->list, entry)
        tsd_connection_pause(connection, paused);
}

void tsd_connections_close(struct tsd_connections *set)
{
    while (!LIST_EMPTY(&set->list))
        tsd_connection_close(LIST_FIRST(&set->list));
}
