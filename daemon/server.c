/*
 * Stop, on the main loop; a stage begins when the previous one has called back:
 *
 *     RUNNING --signal--> DRAINING   the ingest threads read their sockets until they would block, for at most a
 *                                    second, and close them
 *                         COMMITTING the writer commits what was received; the ingest threads still hand over
 *                         CLOSING    control responds to waiting requests, and closes
 *                         (the loop ends) threads are joined, the store is closed
 *
 * Reload (SIGHUP): reads the configuration again. An invalid one changes nothing. Of a valid one, reloadable keys are
 * applied, and the others are named in the log.
 */
#include "daemon/server.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/components.h"
#include "daemon/config/load.h"
#include "daemon/config/reload.h"
#include "daemon/notify.h"
#include "daemon/watchdog.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

/* Threads of libuv's pool: for each query that may run at once, and for a background task. */
#define WORKERS "5"

enum stage { RUNNING, DRAINING, COMMITTING, CLOSING };

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP};
enum { N_SIGNALS = sizeof(signal_numbers) / sizeof(*signal_numbers) };

struct tsd_server {
    struct tsd_config *config;
    const struct tsd_origin *origin;
    struct tsd_components components;
    struct tsd_watchdog watchdog;
    uv_loop_t loop;
    uv_signal_t signals[N_SIGNALS];
    uv_async_t event; /* other threads changed the following two */
    atomic_uint drained;
    atomic_bool writer_stopped;
    enum stage stage;
};

static void begin_stage(struct tsd_server *server, enum stage stage)
{
    assert((int)stage == (int)server->stage + 1);
    server->stage = stage;
}

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
    assert(server->stage == CLOSING);
    /* Closed later: without its handle, a signal would kill the process. */
    for (int i = 0; i < N_SIGNALS; i++)
        uv_unref((uv_handle_t *)&server->signals[i]);
    close_handle((uv_handle_t *)&server->event, NULL);
}

/* On an ingest thread. */
static void on_thread_drained(void *data)
{
    struct tsd_server *server = data;
    atomic_fetch_add(&server->drained, 1);
    uv_async_send(&server->event);
}

/* On the writer's thread. */
static void on_writer_stopped(void *data)
{
    struct tsd_server *server = data;
    atomic_store(&server->writer_stopped, true);
    uv_async_send(&server->event);
}

static void on_event(uv_async_t *async)
{
    struct tsd_server *server = async->data;
    struct tsd_components *components = &server->components;
    assert(atomic_load(&server->drained) <= components->n_threads);
    if (server->stage == DRAINING && atomic_load(&server->drained) == components->n_threads) {
        begin_stage(server, COMMITTING);
        tsd_writer_stop(components->writer);
    }
    if (server->stage == COMMITTING && atomic_load(&server->writer_stopped)) {
        begin_stage(server, CLOSING);
        tsd_listen_unlink_control(&components->sockets);
        tsd_control_close(components->control, on_control_closed, server);
    }
}

static void stop(struct tsd_server *server, int number)
{
    struct tsd_components *components = &server->components;
    if (server->stage != RUNNING)
        return;
    begin_stage(server, DRAINING);
    tsd_log_info("%s: reading the sockets and committing what was received", number == SIGINT ? "SIGINT" : "SIGTERM");
    tsd_watchdog_end_status(&server->watchdog);
    tsd_notify_stopping();
    tsd_listen_unlink_ingest(&components->sockets);
    for (size_t i = 0; i < components->n_threads; i++)
        tsd_thread_drain(components->threads[i], on_thread_drained, server);
}

/* ---- Reload ---- */

static void log_change(void *data, const char *key, bool reloadable)
{
    (void)data;
    if (reloadable)
        tsd_log_info("reload: %s changed", key);
    else
        tsd_log_warning("reload: %s cannot change while the daemon runs; restart it", key);
}

static void apply(struct tsd_server *server, const struct tsd_config *next)
{
    const struct tsd_config *config = server->config;
    if (tsd_config_reload(server->config, next, log_change, NULL) ||
        tsd_control_set_allowed_hosts(server->components.control, config->control.allowed_hosts))
        tsd_log_error("reload: out of memory; some keys keep their previous values");
    else
        tsd_log_info("reload: done");
    tsd_components_apply_limits(&server->components);
    tsd_writer_reconfigure(server->components.writer, config->aggregation.max_locations,
                           config->aggregation.max_label_sets, config->store.flush_interval, config->store.ack_interval,
                           config->store.client_expiry);
}

static void reload(struct tsd_server *server)
{
    struct tsd_config next;
    struct tsd_config_error error;
    const struct tsd_origin *origin = server->origin;
    assert(server->stage == RUNNING);
    tsd_notify_reloading();
    int rc = tsd_config_load(origin->file, origin->sets, origin->n_sets, tsd_clock_wall(), &next, &error);
    if (rc) {
        tsd_log_error("reload: %s; keeping the previous configuration", error.message);
    } else {
        apply(server, &next);
        tsd_config_deinit(&next);
    }
    tsd_notify_reloaded();
    tsd_watchdog_set_reload_error(&server->watchdog, rc ? error.message : NULL);
}

/* ---- Signals ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    struct tsd_server *server = handle->data;
    if (number != SIGHUP)
        stop(server, number);
    else if (server->stage == RUNNING)
        reload(server);
}

static void handle_signals(struct tsd_server *server)
{
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < N_SIGNALS; i++) {
        uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
        uv_signal_start(&server->signals[i], on_signal, signal_numbers[i]);
    }
}

/* When a handle stops, libuv restores the default action of its signal, which would kill the process. */
static void ignore_signals(struct tsd_server *server)
{
    sigset_t blocked; /* a signal between the two steps stays pending, and is then ignored */
    sigset_t previous;
    sigemptyset(&blocked);
    for (int i = 0; i < N_SIGNALS; i++)
        sigaddset(&blocked, signal_numbers[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &previous);
    for (int i = 0; i < N_SIGNALS; i++) {
        uv_signal_stop(&server->signals[i]);
        signal(signal_numbers[i], SIG_IGN);
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
}

/* ---- Start and end ---- */

static void report_ready(const struct tsd_state *state)
{
    struct ts_buf text;
    ts_buf_init(&text);
    for (size_t i = 0; i < state->n_listeners; i++)
        ts_buf_printf(&text, "%s%s %s", i ? ", " : "", state->listeners[i].name, state->listeners[i].address);
    ts_buf_putc(&text, '\0');
    const char *listeners = ts_buf_failed(&text) ? "running" : text.data;
    tsd_log_info("timesliced " TSD_VERSION " is ready: %s", listeners);
    tsd_notify_ready(listeners);
    ts_buf_deinit(&text);
}

static int start(struct tsd_server *server)
{
    struct tsd_components *components = &server->components;
    server->event.data = server;
    uv_async_init(&server->loop, &server->event, on_event);
    handle_signals(server);
    int code = tsd_components_start(components, &server->loop, on_writer_stopped, server);
    if (!code)
        tsd_watchdog_start(&server->watchdog, &server->loop, &components->state, components->threads,
                           components->n_threads, components->writer);
    return code;
}

int tsd_server_run(struct tsd_config *config, const struct tsd_origin *origin)
{
    struct tsd_server *server = calloc(1, sizeof(*server));
    if (!server || tsd_components_init(&server->components, config) || uv_loop_init(&server->loop)) {
        tsd_log_error("out of memory");
        return EXIT_FAILURE; /* the process ends, which frees everything */
    }
    server->config = config;
    server->origin = origin;
    setenv("UV_THREADPOOL_SIZE", WORKERS, 0);
    int code = start(server);
    if (!code) {
        report_ready(&server->components.state);
        uv_run(&server->loop, UV_RUN_DEFAULT);
        assert(server->stage == CLOSING);
    }
    if (!tsd_components_release(&server->components) && !code)
        code = EXIT_FAILURE;
    ignore_signals(server);
    uv_walk(&server->loop, close_handle, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    tsd_components_deinit(&server->components);
    free(server);
    if (!code)
        tsd_log_info("stopped; everything received is committed");
    return code;
}
