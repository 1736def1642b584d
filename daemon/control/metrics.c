/*
 * Names: counters end in _total, units are seconds and bytes. Plain metrics are rows of two tables, of the ingest
 * threads' and of the writer's counters; metrics with labels and derived ones have functions.
 *
 * Counters are read one by one while their threads run. Values that must agree within a response are derived from one
 * read: the histogram's _count is the sum of its buckets, not the counter of commits.
 */
#include "daemon/control/metrics.h"

#include "daemon/control/status.h"
#include "lib/base/text.h"
#include "lib/base/units.h"

#include <inttypes.h>
#include <string.h>

#ifndef TSD_VERSION
#error "TSD_VERSION is the project's version as a string; daemon/meson.build gives it"
#endif

struct metric {
    const char *name; /* without timesliced_ */
    const char *type;
    const char *help;
    size_t offset;
};

#define OF_STATS(field) offsetof(struct tsd_stats, field)
static const struct metric of_threads[] = {
    {"messages_received_total", "counter", "Messages read from the sockets.", OF_STATS(received)},
    {"messages_accepted_total", "counter", "Messages counted into buckets.", OF_STATS(accepted)},
    {"messages_duplicate_total", "counter", "Messages dropped because their seq was accepted before.",
     OF_STATS(duplicates)},
    {"entries_total", "counter", "Function entries of accepted messages.", OF_STATS(entries)},
    {"message_bytes_total", "counter", "Bytes of messages.", OF_STATS(bytes)},
    {"datagrams_dropped_total", "counter", "Datagrams that the kernel dropped before they were read.",
     OF_STATS(datagrams_dropped)},
    {"datagrams_over_memory_total", "counter", "Datagrams dropped because of ingest.memory_limit.",
     OF_STATS(datagrams_over_memory)},
    {"connections_total", "counter", "Stream connections accepted.", OF_STATS(connections)},
    {"connections_refused_total", "counter", "Stream connections refused because of ingest.max_connections.",
     OF_STATS(connections_refused)},
    {"connections_cut_total", "counter",
     "Stream connections closed because a line was not completed, or to free memory.", OF_STATS(connections_cut)},
    {"connections_open", "gauge", "Stream connections open now.", OF_STATS(connections_open)},
    {"answers_dropped_total", "counter", "Responses dropped because the sender does not read them.",
     OF_STATS(answers_dropped)},
};

#define OF_WRITER(field) offsetof(struct tsd_writer_stats, field)
static const struct metric of_writer[] = {
    {"messages_committed_total", "counter", "Messages on stable storage.", OF_WRITER(committed)},
    {"commits_total", "counter", "Transactions that stored something.", OF_WRITER(commits)},
    {"commits_failed_total", "counter", "Failed commits; they are retried.", OF_WRITER(commits_failed)},
    {"rows_written_total", "counter", "Sums written to the store.", OF_WRITER(rows)},
    {"rows_built_total", "counter", "Rows read to build wider buckets.", OF_WRITER(rows_built)},
    {"rows_pruned_total", "counter", "Rows deleted because of their age.", OF_WRITER(rows_pruned)},
    {"log_truncations_total", "counter", "Times that queries waited while the write-ahead log was emptied.",
     OF_WRITER(log_truncations)},
    {"functions", "gauge", "Functions known.", OF_WRITER(functions)},
    {"locations", "gauge", "Locations known.", OF_WRITER(locations)},
    {"label_sets", "gauge", "Label sets known.", OF_WRITER(label_sets)},
    {"clients", "gauge", "Clients of acknowledged streams known.", OF_WRITER(clients)},
};

static void head(struct ts_buf *out, const char *name, const char *type, const char *help)
{
    ts_buf_printf(out, "# HELP timesliced_%s %s\n# TYPE timesliced_%s %s\n", name, help, name, type);
}

static void number(struct ts_buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    ts_buf_printf(out, "timesliced_%s %" PRIu64 "\n", name, value);
}

static void time_gauge(struct ts_buf *out, const char *name, const char *help, int64_t nanoseconds)
{
    head(out, name, "gauge", help);
    ts_buf_printf(out, "timesliced_%s ", name);
    ts_put_seconds(out, nanoseconds);
    ts_buf_putc(out, '\n');
}

static void label_value(struct ts_buf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            ts_buf_putc(out, '\\');
        /* A path can have any bytes; invalid UTF-8 would make the scrape fail. */
        ts_buf_putc(out, *value >= 0x20 && *value < 0x7F ? *value : '?');
    }
}

static void write_process(const struct tsd_state *state, struct ts_buf *out)
{
    head(out, "build_info", "gauge", "Always 1; the version is in the label.");
    ts_buf_puts(out, "timesliced_build_info{version=\"" TSD_VERSION "\"} 1\n");
    time_gauge(out, "start_time_seconds", "Start of the process, since the epoch.", state->started_wall);
    number(out, "ingest_threads", "gauge", "Threads that read from the ingest sockets.", state->n_threads);
    head(out, "listener_info", "gauge", "Always 1; one series for each listening socket.");
    for (size_t i = 0; i < state->n_listeners; i++) {
        ts_buf_printf(out, "timesliced_listener_info{listener=\"%s\",address=\"", state->listeners[i].name);
        label_value(out, state->listeners[i].address);
        ts_buf_puts(out, "\"} 1\n");
    }
}

static void write_ingest(const struct tsd_state *state, struct ts_buf *out)
{
    for (size_t i = 0; i < sizeof(of_threads) / sizeof(of_threads[0]); i++) {
        const struct metric *m = &of_threads[i];
        number(out, m->name, m->type, m->help, tsd_state_sum(state, m->offset));
    }
    head(out, "messages_rejected_total", "counter", "Messages rejected, by code.");
    for (int code = 1; code < TS_REJECT_COUNT; code++)
        ts_buf_printf(out, "timesliced_messages_rejected_total{code=\"%s\"} %" PRIu64 "\n", ts_reject_name(code),
                      tsd_state_sum(state, OF_STATS(rejected) + (size_t)code * sizeof(tsd_count)));
    number(out, "messages_pending", "gauge", "Messages accepted, but not yet on stable storage.",
           tsd_state_pending(state));
    number(out, "waiting_bytes", "gauge", "Memory of data that is not committed yet.",
           tsd_state_sum(state, OF_STATS(waiting_bytes)) + tsd_get(&state->writer.waiting_bytes));
    number(out, "saturated_total", "counter", "Sums that reached their bound of 64 bits.",
           tsd_state_sum(state, OF_STATS(saturated)) + tsd_get(&state->writer.saturated));
}

static void write_commit_durations(const struct tsd_writer_stats *writer, struct ts_buf *out)
{
    uint64_t n = 0;
    head(out, "commit_duration_seconds", "histogram", "Duration of commits.");
    for (size_t i = 0; i <= TSD_COMMIT_BOUNDS; i++) {
        n += tsd_get(&writer->commit_took[i]);
        ts_buf_puts(out, "timesliced_commit_duration_seconds_bucket{le=\"");
        if (i < TSD_COMMIT_BOUNDS)
            ts_put_seconds(out, tsd_commit_bounds[i]);
        else
            ts_buf_puts(out, "+Inf");
        ts_buf_printf(out, "\"} %" PRIu64 "\n", n);
    }
    ts_buf_puts(out, "timesliced_commit_duration_seconds_sum ");
    ts_put_seconds(out, (ts_i128)tsd_get(&writer->commit_ns));
    ts_buf_printf(out, "\ntimesliced_commit_duration_seconds_count %" PRIu64 "\n", n);
}

static void level_sample(struct ts_buf *out, const char *name, const struct tsd_level_stats *level, int64_t nanoseconds)
{
    char width[32];
    ts_buf_printf(out, "timesliced_%s{level=\"%s\"} ", name, ts_format_duration(level->width, width));
    ts_put_seconds(out, nanoseconds);
    ts_buf_putc(out, '\n');
}

/* A level without buckets has no sample of the oldest one: 0 would be a valid time. */
static void write_levels(const struct tsd_state *state, struct ts_buf *out)
{
    if (!state->n_levels)
        return;
    head(out, "level_width_seconds", "gauge", "Width of the level's buckets.");
    for (size_t i = 0; i < state->n_levels; i++)
        level_sample(out, "level_width_seconds", &state->levels[i], state->levels[i].width);
    head(out, "level_keep_seconds", "gauge", "How long the level keeps its buckets.");
    for (size_t i = 0; i < state->n_levels; i++)
        level_sample(out, "level_keep_seconds", &state->levels[i], state->levels[i].keep);
    bool begun = false;
    for (size_t i = 0; i < state->n_levels; i++) {
        uint64_t oldest = tsd_get(&state->levels[i].oldest);
        if (oldest == TSD_NO_BUCKET)
            continue;
        if (!begun)
            head(out, "level_oldest_bucket_timestamp_seconds", "gauge",
                 "Begin of the oldest bucket that the level keeps, since the epoch.");
        begun = true;
        level_sample(out, "level_oldest_bucket_timestamp_seconds", &state->levels[i], (int64_t)oldest);
    }
}

static void write_store(struct tsd_state *state, struct ts_buf *out)
{
    const struct tsd_writer_stats *writer = &state->writer;
    for (size_t i = 0; i < sizeof(of_writer) / sizeof(of_writer[0]); i++) {
        const struct metric *m = &of_writer[i];
        const char *base = (const char *)writer;
        number(out, m->name, m->type, m->help, tsd_get((const tsd_count *)(const void *)(base + m->offset)));
    }
    write_commit_durations(writer, out);
    time_gauge(out, "last_commit_timestamp_seconds", "Time of the last commit, since the epoch; 0: none yet.",
               (int64_t)tsd_get(&writer->last_commit));
    char error[sizeof(state->store_error)];
    tsd_state_store_error(state, error, sizeof(error));
    number(out, "store_up", "gauge", "1 while commits succeed, 0 while the store rejects them.", !*error);
    number(out, "store_size_bytes", "gauge", "Size of the database and its write-ahead log.",
           tsd_status_store_bytes(state));
    number(out, "store_log_size_bytes", "gauge", "Size of the write-ahead log.", tsd_status_log_bytes(state));
}

static void write_control(const struct tsd_state *state, struct ts_buf *out)
{
    const struct tsd_control_stats *control = &state->control;
    number(out, "control_connections_evicted_total", "counter",
           "Connections to the control socket or control.http closed to make room for new ones.",
           tsd_get(&control->connections_evicted));
    number(out, "control_requests_over_share_total", "counter",
           "Requests rejected because their address had too many in progress.", tsd_get(&control->requests_over_share));
    number(out, "control_responses_cut_total", "counter", "Responses given up because the client did not read them.",
           tsd_get(&control->responses_cut));
}

void tsd_metrics_write(struct tsd_state *state, struct ts_buf *out)
{
    write_process(state, out);
    write_ingest(state, out);
    write_store(state, out);
    write_levels(state, out);
    write_control(state, out);
}
