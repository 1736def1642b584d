#include "daemon/base/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define MS INT64_C(1000000)
const int64_t tsd_commit_bounds[TSD_COMMIT_BOUNDS] = {
    MS,       5 * MS / 2, 5 * MS,    10 * MS,   25 * MS,   50 * MS,    100 * MS,
    250 * MS, 500 * MS,   1000 * MS, 2500 * MS, 5000 * MS, 10000 * MS,
};

void tsd_stats_add_commit(struct tsd_writer_stats *stats, int64_t nanoseconds)
{
    size_t i = 0;
    while (i < TSD_COMMIT_BOUNDS && nanoseconds > tsd_commit_bounds[i])
        i++;
    tsd_add(&stats->commit_took[i], 1);
    tsd_add(&stats->commit_ns, (uint64_t)nanoseconds);
}

int tsd_state_init(struct tsd_state *state)
{
    memset(state, 0, sizeof(*state));
    if (uv_mutex_init(&state->lock))
        return TS_ENOMEM;
    int rc = tsd_gate_init(&state->readers);
    if (rc)
        uv_mutex_destroy(&state->lock);
    return rc;
}

void tsd_state_deinit(struct tsd_state *state)
{
    tsd_gate_deinit(&state->readers);
    uv_mutex_destroy(&state->lock);
}

uint64_t tsd_state_sum(const struct tsd_state *state, size_t offset)
{
    uint64_t sum = 0;
    assert(offset % sizeof(tsd_count) == 0 && offset < sizeof(struct tsd_stats));
    for (size_t i = 0; i < state->n_threads; i++)
        sum += tsd_get((const tsd_count *)(const void *)((const char *)state->threads[i] + offset));
    return sum;
}

uint64_t tsd_state_pending(const struct tsd_state *state)
{
    /* Committed first: messages accepted between the two loads make the result larger, never negative. */
    uint64_t committed = tsd_get(&state->writer.committed);
    uint64_t accepted = tsd_state_sum(state, offsetof(struct tsd_stats, accepted));
    return accepted > committed ? accepted - committed : 0; /* relaxed loads may be reordered */
}

/* Cuts the text between characters: it must remain UTF-8, for JSON. */
static size_t cut(const char *text, size_t len)
{
    while (len && ((unsigned char)text[len] & 0xC0) == 0x80)
        len--;
    return len;
}

static void set_text(struct tsd_state *state, char *text, size_t size, const char *message)
{
    size_t len = message ? strlen(message) : 0;
    if (len >= size)
        len = cut(message, size - 1);
    uv_mutex_lock(&state->lock);
    if (len)
        memcpy(text, message, len);
    text[len] = '\0';
    uv_mutex_unlock(&state->lock);
}

void tsd_state_set_store_error(struct tsd_state *state, const char *message)
{
    set_text(state, state->store_error, sizeof(state->store_error), message);
}

void tsd_state_set_damage(struct tsd_state *state, const char *message)
{
    set_text(state, state->damage, sizeof(state->damage), message);
}

void tsd_state_store_error(struct tsd_state *state, char *ret_message, size_t size)
{
    uv_mutex_lock(&state->lock);
    snprintf(ret_message, size, "%s", *state->store_error ? state->store_error : state->damage);
    uv_mutex_unlock(&state->lock);
}
