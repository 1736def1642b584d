#include "daemon/components.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/exit_code.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * A commit waits this long for a lock that another process holds. A query that arrives just after such a commit began
 * must still get its response within 2 s.
 */
enum { BUSY_MS = 500 };
enum { OTHER_DESCRIPTORS = 192 }; /* those that are not connections */

int tsd_components_init(struct tsd_components *components, const struct tsd_config *config)
{
    memset(components, 0, sizeof(*components));
    components->config = config;
    components->passed = (struct tsd_passed){-1, -1, -1, -1, -1, -1};
    tsd_listen_init(&components->sockets);
    if (tsd_state_init(&components->state))
        return TS_ENOMEM;
    if (tsd_rejects_init(&components->rejects)) {
        tsd_state_deinit(&components->state);
        return TS_ENOMEM;
    }
    return 0;
}

void tsd_components_deinit(struct tsd_components *components)
{
    assert(!components->store && !atomic_load(&components->writer) && !components->n_threads);
    tsd_rejects_deinit(&components->rejects);
    tsd_state_deinit(&components->state);
}

/* ---- Calls between components ---- */

/* On an ingest thread. Threads only wake those that have a client, which have started. */
static void wake_thread(void *data, unsigned thread)
{
    struct tsd_components *components = data;
    assert(components->threads[thread]);
    tsd_thread_update_streams(components->threads[thread]);
}

/* On an ingest thread. */
static void on_mark(void *data)
{
    struct tsd_components *components = data;
    atomic_store(&components->mark_waits, true); /* before the load: start_writer() stores and loads in reverse order */
    struct tsd_writer *writer = atomic_load(&components->writer);
    if (writer)
        tsd_writer_ack(writer);
}

/* On an ingest thread, which repeats the call while memory is short. */
static void on_pressure(void *data)
{
    struct tsd_components *components = data;
    struct tsd_writer *writer = atomic_load(&components->writer);
    if (writer)
        tsd_writer_hurry(writer);
}

/* On the writer's thread. After a failed sync the state of the file is unknown: no commit may follow. */
static void on_writer_fatal(void *data)
{
    (void)data;
    _exit(EXIT_FAILURE);
}

static void on_writer_stopped(void *data)
{
    struct tsd_components *components = data;
    components->on_writer_stopped(components->data);
}

static void on_store_log(void *data, const char *message)
{
    (void)data;
    tsd_log_info("%s", message);
}

/* ---- The database ---- */

static int open_store(struct tsd_components *components)
{
    const struct tsd_config *config = components->config;
    struct ts_store_error error;
    struct ts_store_config store_config = {
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
    int rc = ts_store_open(&store_config, &components->store, &components->state.grid, &error);
    if (!rc)
        return 0;
    tsd_log_error("%s", error.message);
    return rc == TS_EREFUSED ? TSD_EX_CONFIG : EXIT_FAILURE;
}

/* Logs that reading the database failed at the start. Returns the exit code. */
static int log_unreadable(const struct tsd_components *components, int rc, const char *reason)
{
    const char *path = components->config->store.path;
    if (rc == TS_EREFUSED) {
        tsd_log_error("the database %s is damaged: %s; restore it from a backup, or choose another store.path", path,
                      reason);
        return TSD_EX_CONFIG;
    }
    tsd_log_error("cannot start with the database %s: %s (%s)", path, reason, ts_strerror(rc));
    return EXIT_FAILURE;
}

static int load_clients(struct tsd_components *components)
{
    int rc = tsd_clients_init(&components->clients);
    components->has_clients = !rc;
    components->clients.wake = wake_thread;
    components->clients.data = components;
    if (!rc)
        rc = ts_store_load_uptime(components->store, &components->clients.previous_uptime);
    if (!rc)
        rc = ts_store_load_clients(components->store, tsd_clients_load, &components->clients);
    return rc ? log_unreadable(components, rc, "its clients cannot be read") : 0;
}

/* ---- State and limits ---- */

/* Running out of descriptors is worse than refusing a connection. */
static uint32_t raise_descriptor_limit(unsigned connections)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return UINT32_MAX;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    rlim_t room = limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS : limit.rlim_cur / 2;
    if (room < connections)
        tsd_log_warning("ingest.max_connections is %u, but only %llu files may be open: using %llu connections; raise"
                        " LimitNOFILE",
                        connections, (unsigned long long)limit.rlim_cur, (unsigned long long)room);
    return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

void tsd_components_apply_limits(struct tsd_components *components)
{
    const struct tsd_config *config = components->config;
    struct tsd_shared *shared = &components->shared;
    uint32_t connections = config->ingest.max_connections;
    if (connections > components->connections_max)
        connections = components->connections_max;
    atomic_store(&shared->limits.max_future, config->aggregation.max_future);
    atomic_store(&shared->limits.max_locations, config->aggregation.max_locations);
    atomic_store(&shared->limits.max_label_sets, config->aggregation.max_label_sets);
    atomic_store(&shared->max_message, config->ingest.max_message);
    atomic_store(&shared->max_connections, connections);
    atomic_store(&shared->memory_limit, config->ingest.memory_limit);
    tsd_log_set_level((enum tsd_log_level)config->log.level);
}

static void fill_state(struct tsd_components *components)
{
    struct tsd_state *state = &components->state;
    const struct tsd_config *config = components->config;
    state->n_retention = config->aggregation.n_retention;
    memcpy(state->retention, config->aggregation.retention, sizeof(state->retention));
    state->n_levels = state->n_retention;
    assert(state->n_levels > 0 && state->n_levels <= TSD_LEVELS_MAX);
    for (size_t i = 0; i < state->n_levels; i++) {
        state->levels[i].width = state->retention[i].width;
        state->levels[i].keep = state->retention[i].keep;
        tsd_set(&state->levels[i].oldest, TSD_NO_BUCKET);
    }
    snprintf(state->store_path, sizeof(state->store_path), "%s", config->store.path);
    state->started_mono = tsd_clock_mono();
    state->started_wall = tsd_clock_wall();
}

static void fill_shared(struct tsd_components *components)
{
    struct tsd_shared *shared = &components->shared;
    const struct tsd_state *state = &components->state;
    struct tsd_limits *limits = &shared->limits;
    limits->grid = state->grid;
    tsd_clock_init(&limits->clock);
    limits->clock.horizon_at_start = ts_store_horizon(components->store);
    for (size_t i = 0; i < state->n_retention; i++) {
        if (state->retention[i].keep > limits->longest_keep)
            limits->longest_keep = state->retention[i].keep;
    }
    shared->rejects = &components->rejects;
    shared->writer_waiting_bytes = &components->state.writer.waiting_bytes;
    shared->clients = &components->clients;
    shared->on_mark = on_mark;
    shared->on_pressure = on_pressure;
    shared->data = components;
}

/* ---- Sockets and threads ---- */

static int open_sockets(struct tsd_components *components)
{
    const struct tsd_config *config = components->config;
    struct tsd_socket_error error;
    int rc = tsd_activation_sockets(&components->passed, &error);
    if (!rc)
        rc = tsd_listen_open(config, &components->passed, &components->state, &components->sockets, &error);
    if (rc) {
        tsd_log_error("%s", error.message);
        return rc == TS_EINVAL ? TSD_EX_CONFIG : EXIT_FAILURE;
    }
    tsd_activation_compare(config, &components->passed, &components->state);
    return 0;
}

static int start_threads(struct tsd_components *components)
{
    struct tsd_sockets *sockets = &components->sockets;
    assert(sockets->n_threads <= TSD_THREADS_MAX);
    for (unsigned i = 0; i < sockets->n_threads; i++) {
        struct tsd_thread_config config = {.shared = &components->shared, .sockets = sockets->threads[i], .number = i};
        int rc = tsd_thread_start(&config, &components->threads[i]);
        sockets->threads[i] = (struct tsd_thread_sockets){-1, -1, -1, -1};
        if (rc) {
            tsd_log_error("cannot start ingest thread %u: out of memory, threads or descriptors", i);
            return EXIT_FAILURE;
        }
        components->state.threads[i] = tsd_thread_stats(components->threads[i]);
        components->state.n_threads = ++components->n_threads;
    }
    return 0;
}

static int start_writer(struct tsd_components *components)
{
    const struct tsd_config *config = components->config;
    struct ts_store_error error;
    struct tsd_writer_config writer_config = {
        .store = components->store,
        .state = &components->state,
        .threads = components->threads,
        .n_threads = components->n_threads,
        .max_locations = config->aggregation.max_locations,
        .max_label_sets = config->aggregation.max_label_sets,
        .commit_budget = &components->shared.commit_budget,
        .clients = &components->clients,
        .clock = &components->shared.limits.clock,
        .flush_interval = config->store.flush_interval,
        .ack_interval = config->store.ack_interval,
        .client_expiry = config->store.client_expiry,
        .on_fatal = on_writer_fatal,
        .on_stopped = on_writer_stopped,
        .data = components,
    };
    struct tsd_writer *writer = NULL;
    assert(components->store && components->n_threads == components->sockets.n_threads);
    int rc = tsd_writer_start(&writer_config, &writer, &error);
    if (rc)
        return log_unreadable(components, rc, error.message);
    components->store = NULL;
    atomic_store(&components->writer, writer);
    if (atomic_load(&components->mark_waits))
        tsd_writer_ack(writer);
    return 0;
}

static int start_control(struct tsd_components *components, uv_loop_t *loop)
{
    struct tsd_control_config config = {
        .loop = loop,
        .unix_fd = components->sockets.control,
        .http_fd = components->sockets.http,
        .allowed_hosts = components->config->control.allowed_hosts,
        .state = &components->state,
        .writer = components->writer,
        .rejects = &components->rejects,
    };
    if (tsd_control_start(&config, &components->control)) {
        tsd_log_error("cannot start the control server");
        return EXIT_FAILURE;
    }
    components->sockets.control = components->sockets.http = -1;
    return 0;
}

/* ---- Everything ---- */

int tsd_components_start(struct tsd_components *components, uv_loop_t *loop, void (*on_stopped)(void *data), void *data)
{
    components->on_writer_stopped = on_stopped;
    components->data = data;
    int code = open_store(components);
    if (code)
        return code;
    bool unclean = ts_store_was_unclean(components->store);
    code = load_clients(components);
    if (code)
        return code;
    components->connections_max = raise_descriptor_limit(components->config->ingest.max_connections);
    fill_state(components);
    fill_shared(components);
    tsd_components_apply_limits(components);
    code = open_sockets(components);
    if (!code)
        code = start_threads(components);
    if (!code)
        code = start_writer(components);
    if (!code)
        code = start_control(components, loop);
    if (!code && unclean)
        components->check = tsd_check_start(&components->state);
    return code;
}

bool tsd_components_release(struct tsd_components *components)
{
    bool complete = true;
    struct tsd_writer *writer = atomic_load(&components->writer);
    assert(!writer || !components->store);
    components->check = tsd_check_stop(components->check); /* the writer's connection must be the last to close */
    if (writer) {
        tsd_writer_stop(writer);
        complete = tsd_writer_join(writer);
    }
    for (size_t i = 0; i < components->n_threads; i++)
        components->threads[i] = tsd_thread_free(components->threads[i]);
    components->n_threads = 0;
    atomic_store(&components->writer, tsd_writer_free(writer));
    if (components->has_clients)
        tsd_clients_deinit(&components->clients);
    components->has_clients = false;
    components->control = tsd_control_free(components->control);
    ts_store_close(components->store);
    components->store = NULL;
    tsd_listen_close(&components->sockets);
    return complete;
}
