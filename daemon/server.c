/*
 * Start: store (a database that must not be used ends it before anything else is touched) -> sockets -> ingest threads
 * -> writer -> control -> ready. Whatever is missing ends it with a line in the log; what was made so far is undone.
 *
 * Stop, on the main loop, each step once the one before has called back:
 *
 *     RUNNING --signal--> DRAINING   the ingest threads read their sockets out, at most a second, and close them
 *                         COMMITTING the writer commits what was received; the ingest threads still hand over
 *                         CLOSING    control answers who waits, and closes
 *                         (loop ends) threads are joined, the store is closed
 *
 * Reload (SIGHUP): the configuration is read again from where it came from. A bad one changes nothing. Of a good one
 * the keys that can change do, the others are named in the log.
 */
#include "daemon/server.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/config/load.h"
#include "daemon/config/reload.h"
#include "daemon/control/control.h"
#include "daemon/ingest/shared.h"
#include "daemon/ingest/thread.h"
#include "daemon/listen.h"
#include "daemon/systemd.h"
#include "daemon/watchdog.h"
#include "daemon/write/check.h"
#include "daemon/write/writer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A commit waits that long for an operator's lock. A query that came just after such a commit began still gets its
   answer within 2 s. */
enum { BUSY_MS = 500, SPARE_DESCRIPTORS = 192 };

enum stage { RUNNING, DRAINING, COMMITTING, CLOSING };
enum { N_SIGNALS = 3 };

struct tsd_server {
    struct tsd_config *config;
    const struct tsd_origin *origin;
    struct tsd_passed passed;
    struct tsd_sockets sockets;
    struct tsd_state state;
    struct tsd_rejects rejects;
    struct tsd_shared shared;
    struct tsd_clients clients;
    bool has_clients;
    uint32_t connections_room; /* that the limit of open files leaves */
    bool unclean;              /* the last stop was */
    struct tsd_check *check;
    struct tsd_thread *threads[TSD_THREADS_MAX];
    size_t n_threads;
    struct ts_store *store;              /* until the writer has it */
    _Atomic(struct tsd_writer *) writer; /* the ingest threads look for it as soon as they run */
    struct tsd_control *control;
    struct tsd_watch watch;
    uv_loop_t loop;
    uv_signal_t signals[N_SIGNALS];
    uv_async_t event; /* something below has changed */
    atomic_uint drained;
    atomic_bool writer_stopped;
    enum stage stage;
};

/* ---- Stop ---- */

static void close_handle(uv_handle_t *handle, void *data)
{
    (void)data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_control_closed(void *data)
{
    struct tsd_server *server = data;
    /* Closed only at the very end: from then on one more signal would kill the process. */
    for (int i = 0; i < N_SIGNALS; i++)
        uv_unref((uv_handle_t *)&server->signals[i]);
    close_handle((uv_handle_t *)&server->event, NULL);
}

static void on_thread_drained(void *data)
{
    struct tsd_server *server = data;
    atomic_fetch_add(&server->drained, 1);
    uv_async_send(&server->event);
}

static void on_writer_stopped(void *data)
{
    struct tsd_server *server = data;
    atomic_store(&server->writer_stopped, true);
    uv_async_send(&server->event);
}

static void on_writer_fatal(void *data)
{
    (void)data;
    /* Nothing in memory can be trusted to reach the disk, so there is nothing to stop gracefully for. */
    _exit(EXIT_FAILURE);
}

/* An ingest thread's: the pointer is set before the thread that it is of begins. */
static void wake_thread(void *data, unsigned thread)
{
    struct tsd_server *server = data;
    tsd_thread_update_streams(server->threads[thread]);
}

/* On an ingest thread. Without a writer yet, its first cycle, right at its start, takes the mark along. */
static void on_mark(void *data)
{
    struct tsd_server *server = data;
    struct tsd_writer *writer = atomic_load(&server->writer);
    if (writer)
        tsd_writer_ack(writer);
}

static void on_pressure(void *data)
{
    struct tsd_server *server = data;
    struct tsd_writer *writer = atomic_load(&server->writer);
    if (writer) /* not yet: pressure is asked for again and again */
        tsd_writer_hurry(writer);
}

static void on_event(uv_async_t *async)
{
    struct tsd_server *server = async->data;
    if (server->stage == DRAINING && atomic_load(&server->drained) == server->n_threads) {
        server->stage = COMMITTING;
        tsd_writer_stop(server->writer);
    }
    if (server->stage == COMMITTING && atomic_load(&server->writer_stopped)) {
        server->stage = CLOSING;
        tsd_listen_unlink_control(&server->sockets);
        tsd_control_close(server->control, on_control_closed, server);
    }
}

static void stop(struct tsd_server *server, int number)
{
    if (server->stage != RUNNING)
        return;
    server->stage = DRAINING;
    tsd_log_info("%s: reading the sockets out and committing what was received",
                 number == SIGINT ? "SIGINT" : "SIGTERM");
    tsd_watch_quiet(&server->watch);
    tsd_sd_stopping();
    tsd_listen_unlink_ingest(&server->sockets);
    for (size_t i = 0; i < server->n_threads; i++)
        tsd_thread_drain(server->threads[i], on_thread_drained, server);
}

/* ---- Limits, reload ---- */

/* What a reload may change, to those who go by it. */
static void apply(struct tsd_server *server)
{
    const struct tsd_config *config = server->config;
    struct tsd_shared *shared = &server->shared;
    atomic_store(&shared->limits.max_future, config->aggregation.max_future);
    atomic_store(&shared->limits.max_locations, config->aggregation.max_locations);
    atomic_store(&shared->limits.max_label_sets, config->aggregation.max_label_sets);
    atomic_store(&shared->max_message, config->ingest.max_message);
    uint32_t connections = config->ingest.max_connections;
    atomic_store(&shared->max_connections,
                 connections < server->connections_room ? connections : server->connections_room);
    atomic_store(&shared->memory_limit, config->ingest.memory_limit);
    tsd_log_set_level((enum tsd_log_level)config->log.level);
}

static void note_change(void *data, const char *key, bool reloadable)
{
    (void)data;
    if (reloadable)
        tsd_log_info("reload: %s has changed", key);
    else
        tsd_log_warning("reload: %s cannot change while the daemon runs; restart it", key);
}

static void reload(struct tsd_server *server)
{
    struct tsd_config next;
    struct tsd_config_error error;
    const struct tsd_origin *origin = server->origin;
    tsd_sd_reloading();
    int rc = tsd_config_load(origin->file, origin->sets, origin->n_sets, tsd_clock_wall(), &next, &error);
    if (rc) {
        tsd_log_error("reload: %s; the old configuration stays", error.message);
    } else {
        if (tsd_config_reload(server->config, &next, note_change, NULL) ||
            tsd_control_set_allowed_hosts(server->control, server->config->control.allowed_hosts)) {
            tsd_log_error("reload: out of memory; some of the configuration is still the old one");
        } else {
            tsd_log_info("reload: done");
        }
        tsd_config_deinit(&next);
        apply(server);
        tsd_writer_reconfigure(server->writer, server->config->aggregation.max_locations,
                               server->config->aggregation.max_label_sets, server->config->store.flush_interval,
                               server->config->store.ack_interval, server->config->store.client_expiry);
    }
    tsd_sd_reloaded();
    tsd_watch_note(&server->watch, rc ? error.message : NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct tsd_server *server = handle->data;
    if (number != SIGHUP)
        stop(server, number);
    else if (server->stage == RUNNING)
        reload(server);
}

/* ---- Start ---- */

static void on_store_log(void *data, const char *words)
{
    (void)data;
    tsd_log_info("%s", words);
}

static int open_store(struct tsd_server *server)
{
    const struct tsd_config *config = server->config;
    struct ts_store_error error;
    struct ts_store_config how = {
        .path = config->store.path,
        .grid = {.start_time = config->aggregation.start_time, .time_slice = config->aggregation.time_slice},
        .start_time_is_now = config->aggregation.start_time_is_now,
        .sync_each_commit = config->store.durability_power,
        .busy_ms = BUSY_MS,
        .retention = config->aggregation.retention,
        .n_retention = config->aggregation.n_retention,
        .now = tsd_clock_wall(),
        .on_log = on_store_log,
    };
    int rc = ts_store_open(&how, &server->store, &server->state.grid, &error);
    if (!rc) {
        server->unclean = ts_store_was_unclean(server->store);
        return 0;
    }
    tsd_log_error("%s", error.message);
    return rc == TS_EREFUSED ? TSD_EX_CONFIG : EXIT_FAILURE;
}

static void fill_state(struct tsd_server *server)
{
    struct tsd_state *state = &server->state;
    const struct tsd_config *config = server->config;
    state->n_retention = config->aggregation.n_retention;
    memcpy(state->retention, config->aggregation.retention, sizeof(state->retention));
    state->n_levels = state->n_retention;
    for (size_t i = 0; i < state->n_levels; i++) {
        state->levels[i].width = state->retention[i].width;
        state->levels[i].keep = state->retention[i].keep;
        tsd_set(&state->levels[i].oldest, (uint64_t)INT64_MIN);
    }
    snprintf(state->store_path, sizeof(state->store_path), "%s", config->store.path);
    state->started_mono = tsd_clock_mono();
    state->started_wall = tsd_clock_wall();

    struct tsd_limits *limits = &server->shared.limits;
    limits->grid = state->grid;
    tsd_clock_init(&limits->clock);
    limits->clock.horizon_at_start = ts_store_horizon(server->store);
    for (size_t i = 0; i < state->n_retention; i++) {
        if (state->retention[i].keep > limits->longest_keep)
            limits->longest_keep = state->retention[i].keep;
    }
    server->shared.rejects = &server->rejects;
    server->shared.writer_waiting_bytes = &state->writer.waiting_bytes;
    server->shared.clients = &server->clients;
    server->shared.on_mark = on_mark;
    server->shared.on_pressure = on_pressure;
    server->shared.data = server;
    apply(server);
}

/* Running out of descriptors is worse than refusing a connection: raise the limit, or say that it is low. */
static void raise_descriptors(struct tsd_server *server)
{
    const struct tsd_config *config = server->config;
    struct rlimit limit;
    server->connections_room = UINT32_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    rlim_t room = limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? limit.rlim_cur - SPARE_DESCRIPTORS : limit.rlim_cur / 2;
    server->connections_room = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
    if (server->connections_room < config->ingest.max_connections)
        tsd_log_warning("ingest.max_connections is %u, but only %llu files may be open: it is %u for now; raise"
                        " LimitNOFILE",
                        config->ingest.max_connections, (unsigned long long)limit.rlim_cur, server->connections_room);
}

/* What is read of the database at the start. The exit code. */
static int cannot_read(const struct tsd_server *server, int rc, const char *what)
{
    const char *path = server->config->store.path;
    if (rc == TS_EREFUSED) {
        tsd_log_error("the database %s is damaged: %s; restore it from a backup, or choose another store.path", path,
                      what);
        return TSD_EX_CONFIG;
    }
    tsd_log_error("cannot start on the database %s: %s (%s)", path, what, ts_strerror(rc));
    return EXIT_FAILURE;
}

/* Before any thread can ask it. */
static int load_clients(struct tsd_server *server)
{
    int rc = tsd_clients_init(&server->clients);
    server->has_clients = !rc;
    server->clients.wake = wake_thread;
    server->clients.data = server;
    if (!rc)
        rc = ts_store_load_uptime(server->store, &server->clients.previous_uptime);
    if (!rc)
        rc = ts_store_load_clients(server->store, tsd_clients_load, &server->clients);
    return rc ? cannot_read(server, rc, "its clients cannot be read") : 0;
}

static int open_sockets(struct tsd_server *server)
{
    struct tsd_listen_error error;
    int rc = tsd_sd_sockets(&server->passed, error.message, sizeof(error.message));
    if (!rc)
        rc = tsd_listen_open(server->config, &server->passed, &server->state, &server->sockets, &error);
    if (!rc)
        tsd_sd_compare(server->config, &server->passed, &server->state);
    if (rc)
        tsd_log_error("%s", error.message);
    return rc ? EXIT_FAILURE : 0;
}

static int start_threads(struct tsd_server *server)
{
    for (unsigned i = 0; i < server->sockets.n_threads; i++) {
        struct tsd_thread_config how = {.shared = &server->shared, .sockets = server->sockets.threads[i], .number = i};
        int rc = tsd_thread_start(&how, &server->threads[i]);
        server->sockets.threads[i] = (struct tsd_thread_sockets){-1, -1, -1, -1};
        if (rc) {
            tsd_log_error("ingest thread %u cannot be started: out of memory, threads or descriptors", i);
            return EXIT_FAILURE;
        }
        server->state.threads[i] = tsd_thread_stats(server->threads[i]);
        server->state.n_threads = ++server->n_threads;
    }
    return 0;
}

static int start_writer(struct tsd_server *server)
{
    struct ts_store_error error;
    struct tsd_writer_config how = {
        .store = server->store,
        .state = &server->state,
        .threads = server->threads,
        .n_threads = server->n_threads,
        .max_locations = server->config->aggregation.max_locations,
        .max_label_sets = server->config->aggregation.max_label_sets,
        .commit_budget = &server->shared.commit_budget,
        .clients = &server->clients,
        .clock = &server->shared.limits.clock,
        .flush_interval = server->config->store.flush_interval,
        .ack_interval = server->config->store.ack_interval,
        .client_expiry = server->config->store.client_expiry,
        .on_fatal = on_writer_fatal,
        .on_stopped = on_writer_stopped,
        .data = server,
    };
    struct tsd_writer *writer = NULL;
    int rc = tsd_writer_start(&how, &writer, &error);
    if (rc)
        return cannot_read(server, rc, error.message);
    server->store = NULL;
    atomic_store(&server->writer, writer);
    tsd_writer_ack(writer); /* the ingest threads have been running: one may have asked before there was a writer */
    return 0;
}

static int start_control(struct tsd_server *server)
{
    struct tsd_control_config how = {
        .loop = &server->loop,
        .unix_fd = server->sockets.control,
        .http_fd = server->sockets.http,
        .allowed_hosts = server->config->control.allowed_hosts,
        .state = &server->state,
        .writer = server->writer,
        .rejects = &server->rejects,
    };
    if (tsd_control_start(&how, &server->control)) {
        tsd_log_error("the control side cannot be started");
        return EXIT_FAILURE;
    }
    server->sockets.control = server->sockets.http = -1;
    return 0;
}

static void say_ready(struct tsd_server *server)
{
    struct ts_buf text;
    ts_buf_init(&text);
    for (size_t i = 0; i < server->state.n_listeners; i++)
        ts_buf_printf(&text, "%s%s %s", i ? ", " : "", server->state.listeners[i].name,
                      server->state.listeners[i].address);
    ts_buf_putc(&text, '\0');
    const char *words = ts_buf_failed(&text) ? "running" : text.data;
    tsd_log_info("timesliced " TSD_VERSION " is ready: %s", words);
    tsd_sd_ready(words);
    ts_buf_deinit(&text);
}

static const int numbers[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

/* libuv gives a signal that nobody waits for its default action, which is death; nobody needs to hear of it now. */
static void ignore_signals(struct tsd_server *server)
{
    sigset_t blocked; /* one that comes between the two steps waits, and is ignored then */
    sigset_t before;
    sigemptyset(&blocked);
    for (int i = 0; i < N_SIGNALS; i++)
        sigaddset(&blocked, numbers[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    for (int i = 0; i < N_SIGNALS; i++) {
        uv_signal_stop(&server->signals[i]);
        signal(numbers[i], SIG_IGN);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int start(struct tsd_server *server)
{
    signal(SIGPIPE, SIG_IGN);
    server->event.data = server;
    uv_async_init(&server->loop, &server->event, on_event);
    for (int i = 0; i < N_SIGNALS; i++) {
        uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
        uv_signal_start(&server->signals[i], on_signal, numbers[i]);
    }
    int code = open_store(server);
    if (!code)
        code = load_clients(server);
    if (code)
        return code;
    raise_descriptors(server);
    fill_state(server);
    code = open_sockets(server);
    if (!code)
        code = start_threads(server);
    if (!code)
        code = start_writer(server);
    if (!code)
        code = start_control(server);
    if (!code)
        tsd_watch_start(&server->watch, &server->loop, &server->state, server->threads, server->n_threads,
                        server->writer);
    if (!code && server->unclean)
        server->check = tsd_check_start(&server->state);
    return code;
}

/* Joins threads, frees, closes: whatever of it is there. True where nothing received was lost. */
static bool release(struct tsd_server *server)
{
    bool whole = true;
    server->check = tsd_check_stop(server->check); /* its connection goes before the writer's, which cleans up */
    struct tsd_writer *writer = atomic_load(&server->writer);
    if (writer) {
        tsd_writer_stop(writer);
        whole = tsd_writer_join(writer);
    }
    for (size_t i = 0; i < server->n_threads; i++)
        tsd_thread_free(server->threads[i]);
    tsd_writer_free(writer);
    if (server->has_clients)
        tsd_clients_deinit(&server->clients);
    tsd_control_free(server->control);
    ts_store_close(server->store);
    tsd_listen_close(&server->sockets);
    return whole;
}

int tsd_server_run(struct tsd_config *config, const struct tsd_origin *origin)
{
    struct tsd_server *server = calloc(1, sizeof(*server));
    if (!server || tsd_state_init(&server->state) || tsd_rejects_init(&server->rejects) ||
        uv_loop_init(&server->loop)) {
        tsd_log_error("out of memory");
        return EXIT_FAILURE; /* the process ends; what was taken goes with it */
    }
    server->config = config;
    server->origin = origin;
    server->passed = (struct tsd_passed){-1, -1, -1, -1, -1, -1};
    server->sockets.control = server->sockets.http = -1;

    int code = start(server);
    if (!code) {
        say_ready(server);
        uv_run(&server->loop, UV_RUN_DEFAULT);
    }
    if (!release(server) && !code)
        code = EXIT_FAILURE;
    ignore_signals(server);
    uv_walk(&server->loop, close_handle, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    tsd_rejects_deinit(&server->rejects);
    tsd_state_deinit(&server->state);
    free(server);
    if (!code)
        tsd_log_info("stopped; everything received is committed");
    return code;
}
