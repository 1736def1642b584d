/*
 * Shared by the tests of daemon/ingest and daemon/write that need threads or a database: a folder with a database, and
 * ingest threads that receive datagrams on a socket pair and streams on a Unix socket.
 */
#ifndef DAEMON_FIXTURE_H
#define DAEMON_FIXTURE_H

#include "daemon/base/log.h"
#include "daemon/base/state.h"
#include "daemon/ingest/thread.h"
#include "lib/store/store.h"
#include "tests/unit/daemon/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define S TS_NS_PER_S

enum { THREADS = 2, PATIENCE_MS = 5000 };

struct fixture {
    char folder[64];
    char path[96];
    struct ts_retention retention[2];
    struct ts_store *store;
    struct tsd_state state;
    struct tsd_rejects rejects;
    struct tsd_clients clients;
    struct tsd_shared shared;
    struct tsd_thread *threads[THREADS];
    int senders[THREADS]; /* of datagrams */
    atomic_int marks;     /* calls of on_mark */
    atomic_int pressure;  /* calls of on_pressure */
};

/* ---- Threads ---- */

static inline void wake_thread(void *data, unsigned thread)
{
    struct fixture *f = data;
    tsd_thread_update_streams(f->threads[thread]);
}

static inline void count_mark(void *data)
{
    struct fixture *f = data;
    atomic_fetch_add(&f->marks, 1);
}

static inline void count_pressure(void *data)
{
    struct fixture *f = data;
    atomic_fetch_add(&f->pressure, 1);
}

static inline struct sockaddr_un stream_address(const struct fixture *f, int thread)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%d", f->folder, thread);
    return address;
}

static inline int listen_stream(const struct fixture *f, int thread)
{
    struct sockaddr_un address = stream_address(f, thread);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void start_thread(struct fixture *f, unsigned i)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    f->senders[i] = pair[1];
    const struct tsd_thread_config config = {
        .shared = &f->shared,
        .sockets = {.udp = -1, .tcp = -1, .unix_stream = listen_stream(f, (int)i), .unix_datagram = pair[0]},
        .number = i,
    };
    assert_int_equal(tsd_thread_start(&config, &f->threads[i]), 0);
    f->state.threads[i] = tsd_thread_stats(f->threads[i]);
}

static inline void stop_thread(struct fixture *f, unsigned i)
{
    if (!f->threads[i])
        return;
    f->threads[i] = tsd_thread_free(f->threads[i]);
    close(f->senders[i]);
}

/* ---- Senders ---- */

static inline void profile_text(char *text, size_t size, const char *name, int64_t seconds, const char *more)
{
    snprintf(text, size,
             "{\"timestamp\": %lld, %s\"profile\": {\"total_tt\": 1, \"func_profiles\": {\"%s\": {\"cumtime\": 1.0}}}}",
             (long long)seconds, more, name);
}

/* A datagram with one function of one second. Returns false if the thread's queue is full. */
static inline bool send_profile(struct fixture *f, unsigned thread, const char *name, int64_t seconds)
{
    char text[256];
    profile_text(text, sizeof(text), name, seconds, "");
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (send(f->senders[thread], text, strlen(text), 0) >= 0)
            return true;
        uv_sleep(1); /* the queue of a Unix socket is short: the thread reads it */
    }
    return false;
}

static inline int connect_stream(struct fixture *f, int thread)
{
    struct sockaddr_un address = stream_address(f, thread);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void write_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Compares the next line that arrives, without its newline; expected NULL: the end of the stream. */
static inline void expect_line(int fd, const char *expected)
{
    char line[512];
    size_t len = 0;
    struct pollfd one = {.fd = fd, .events = POLLIN};
    while (len < sizeof(line) - 1) {
        assert_int_equal(poll(&one, 1, PATIENCE_MS), 1);
        ssize_t n = recv(fd, line + len, 1, 0);
        if (n <= 0 || line[len] == '\n')
            break;
        len++;
    }
    line[len] = '\0';
    assert_string_equal(line, expected ? expected : "");
}

/* ---- Hand-over ---- */

struct request {
    struct tsd_collect collect;
    uv_sem_t done;
    int status;
};

static inline void on_collected(struct tsd_collect *collect, int status)
{
    struct request *request = collect->data;
    request->status = status;
    uv_sem_post(&request->done);
}

/* The thread fills the batch, which is cleared. */
static inline void collect(struct fixture *f, unsigned thread, struct tsd_batch *batch, bool prompt)
{
    struct request request = {.collect = {.batch = batch, .prompt = prompt, .cb = on_collected}};
    request.collect.data = &request;
    assert_int_equal(uv_sem_init(&request.done, 0), 0);
    tsd_thread_collect(f->threads[thread], &request.collect);
    uv_sem_wait(&request.done);
    uv_sem_destroy(&request.done);
    assert_int_equal(request.status, 0);
}

/* Waits until an expression is true. */
#define WAIT_UNTIL(condition) \
    do { \
        int waited = 0; \
        while (!(condition) && waited++ < PATIENCE_MS) \
            uv_sleep(1); \
        assert_true(condition); \
    } while (0)

/* ---- The database ---- */

static inline void open_store(struct fixture *f)
{
    struct ts_store_error error = {""};
    struct ts_store_config config = {.path = f->path,
                                     .grid = {.start_time = 0, .time_slice = 10 * S},
                                     .busy_ms = 20,
                                     .retention = f->retention,
                                     .n_retention = f->retention[1].width ? 2 : 1,
                                     .now = 100000 * S};
    int rc = ts_store_open(&config, &f->store, &f->state.grid, &error);
    if (rc)
        print_error("%s\n", error.message);
    assert_int_equal(rc, 0);
    strcpy(f->state.store_path, f->path);
    f->state.n_retention = config.n_retention;
    memcpy(f->state.retention, f->retention, sizeof(f->retention));
}

static inline int64_t query_integer(const struct fixture *f, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

/* Another process that holds the lock for writing. */
static inline sqlite3 *lock_database(const struct fixture *f)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

/* ---- Set-up ---- */

/* The folder and what threads share; no thread, no database. */
static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f || tsd_state_init(&f->state) || tsd_rejects_init(&f->rejects) || tsd_clients_init(&f->clients))
        return -1;
    strcpy(f->folder, "/tmp/daemon-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/t.db", f->folder);
    f->retention[0] = (struct ts_retention){10 * S, 100000 * S};
    f->clients.wake = wake_thread;
    f->clients.data = f;
    f->shared.rejects = &f->rejects;
    f->shared.clients = &f->clients;
    f->shared.writer_waiting_bytes = &f->state.writer.waiting_bytes;
    f->shared.memory_limit = 100 * 1000 * 1000;
    f->shared.max_message = 100 * 1000;
    f->shared.max_connections = 10;
    f->shared.on_mark = count_mark;
    f->shared.on_pressure = count_pressure;
    f->shared.data = f;
    init_limits(&f->shared.limits);
    f->shared.limits.clock.horizon_at_start = 100000 * S;
    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    tsd_log_set_level(TSD_LOG_ERROR);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    for (unsigned i = 0; i < THREADS; i++)
        stop_thread(f, i);
    f->store = ts_store_close(f->store);
    tsd_clients_deinit(&f->clients);
    tsd_rejects_deinit(&f->rejects);
    tsd_state_deinit(&f->state);
    snprintf(command, sizeof(command), "rm -rf %s", f->folder);
    int rc = system(command);
    free(f);
    return rc;
}

#endif
