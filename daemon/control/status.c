/*
 * Keys that end in _at are times, those that end in "bytes" are sizes; "uptime", "width" and "keep" are durations.
 * timeslicectl formats the response by these names and knows no others. `rejected` has every code, also those with 0.
 *
 * Written with lib/base/buf.h rather than cJSON, whose numbers are doubles: counters can exceed 2^53.
 */
#include "daemon/control/status.h"

#include "daemon/base/clock.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef TSD_VERSION
#error "TSD_VERSION is the project's version as a string; daemon/meson.build gives it"
#endif

static void key(struct ts_buf *out, const char *name)
{
    char last = out->len ? out->data[out->len - 1] : '{';
    ts_buf_puts(out, last == '{' ? "" : ", ");
    ts_buf_printf(out, "\"%s\": ", name);
}

static void count(struct ts_buf *out, const char *name, uint64_t value)
{
    key(out, name);
    ts_buf_printf(out, "%" PRIu64, value);
}

static void seconds(struct ts_buf *out, const char *name, int64_t nanoseconds)
{
    key(out, name);
    ts_put_seconds(out, nanoseconds);
}

static void text(struct ts_buf *out, const char *name, const char *value)
{
    key(out, name);
    ts_put_json_string(out, value, strlen(value));
}

static void sum(struct ts_buf *out, const char *name, const struct tsd_state *state, size_t offset)
{
    count(out, name, tsd_state_sum(state, offset));
}
#define SUM(out, state, field) sum(out, #field, state, offsetof(struct tsd_stats, field))

static uint64_t file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

uint64_t tsd_status_log_bytes(const struct tsd_state *state)
{
    char wal[sizeof(state->store_path) + 8];
    snprintf(wal, sizeof(wal), "%s-wal", state->store_path);
    return file_bytes(wal);
}

uint64_t tsd_status_store_bytes(const struct tsd_state *state)
{
    return file_bytes(state->store_path) + tsd_status_log_bytes(state);
}

static void write_grid(const struct tsd_state *state, struct ts_buf *out)
{
    seconds(out, "time_slice", state->grid.time_slice);
    seconds(out, "start_time", state->grid.start_time);
    key(out, "retention");
    ts_buf_putc(out, '[');
    for (size_t i = 0; i < state->n_retention; i++) {
        ts_buf_puts(out, i ? ", {" : "{");
        seconds(out, "width", state->retention[i].width);
        seconds(out, "keep", state->retention[i].keep);
        ts_buf_putc(out, '}');
    }
    ts_buf_putc(out, ']');
    key(out, "listeners");
    ts_buf_putc(out, '{');
    for (size_t i = 0; i < state->n_listeners; i++)
        text(out, state->listeners[i].name, state->listeners[i].address);
    ts_buf_putc(out, '}');
}

static void write_messages(const struct tsd_state *state, struct ts_buf *out)
{
    SUM(out, state, received);
    SUM(out, state, accepted);
    SUM(out, state, duplicates);
    key(out, "rejected");
    ts_buf_putc(out, '{');
    for (int code = 1; code < TS_REJECT_COUNT; code++)
        sum(out, ts_reject_name(code), state, offsetof(struct tsd_stats, rejected) + (size_t)code * sizeof(tsd_count));
    ts_buf_putc(out, '}');
    SUM(out, state, datagrams_dropped);
    SUM(out, state, datagrams_over_memory);
    SUM(out, state, entries);
    SUM(out, state, bytes);
    count(out, "pending", tsd_state_pending(state));
    count(out, "waiting_bytes",
          tsd_state_sum(state, offsetof(struct tsd_stats, waiting_bytes)) + tsd_get(&state->writer.waiting_bytes));
    key(out, "connections");
    ts_buf_putc(out, '{');
    sum(out, "open", state, offsetof(struct tsd_stats, connections_open));
    sum(out, "total", state, offsetof(struct tsd_stats, connections));
    sum(out, "refused", state, offsetof(struct tsd_stats, connections_refused));
    ts_buf_putc(out, '}');
    SUM(out, state, answers_dropped);
    key(out, "control");
    ts_buf_putc(out, '{');
    count(out, "connections_evicted", tsd_get(&state->control.connections_evicted));
    count(out, "requests_over_share", tsd_get(&state->control.requests_over_share));
    count(out, "responses_cut", tsd_get(&state->control.responses_cut));
    ts_buf_putc(out, '}');
    count(out, "threads", state->n_threads);
}

static void write_store(struct tsd_state *state, struct ts_buf *out)
{
    const struct tsd_writer_stats *writer = &state->writer;
    char error[sizeof(state->store_error)];
    tsd_state_store_error(state, error, sizeof(error));

    count(out, "functions", tsd_get(&writer->functions));
    count(out, "locations", tsd_get(&writer->locations));
    count(out, "label_sets", tsd_get(&writer->label_sets));
    count(out, "clients", tsd_get(&writer->clients));
    count(out, "commits", tsd_get(&writer->commits));
    count(out, "saturated", tsd_get(&writer->saturated) + tsd_state_sum(state, offsetof(struct tsd_stats, saturated)));
    if (*error) {
        text(out, "store_error", error);
    } else {
        key(out, "store_error");
        ts_buf_puts(out, "null");
    }
    key(out, "store");
    ts_buf_putc(out, '{');
    text(out, "path", state->store_path);
    count(out, "bytes", tsd_status_store_bytes(state));
    count(out, "log_bytes", tsd_status_log_bytes(state));
    count(out, "rows", tsd_get(&writer->rows));
    count(out, "messages", tsd_get(&writer->committed));
    count(out, "commits_failed", tsd_get(&writer->commits_failed));
    seconds(out, "commit_seconds", (int64_t)tsd_get(&writer->commit_ns));
    int64_t last = (int64_t)tsd_get(&writer->last_commit);
    if (last) {
        seconds(out, "last_commit_at", last);
    } else {
        key(out, "last_commit_at");
        ts_buf_puts(out, "null");
    }
    ts_buf_putc(out, '}');
}

void tsd_status_write(struct tsd_state *state, struct ts_buf *out)
{
    ts_buf_putc(out, '{');
    text(out, "version", TSD_VERSION);
    count(out, "pid", (uint64_t)getpid());
    seconds(out, "uptime", tsd_clock_mono() - state->started_mono);
    seconds(out, "started_at", state->started_wall);
    write_grid(state, out);
    write_messages(state, out);
    write_store(state, out);
    ts_buf_puts(out, "}\n");
}
