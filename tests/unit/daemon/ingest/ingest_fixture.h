/*
 * Shared by the tests of daemon/ingest: what an ingest thread has, without the thread.
 */
#ifndef INGEST_FIXTURE_H
#define INGEST_FIXTURE_H

#include "daemon/ingest/batch.h"
#include "daemon/ingest/ingest.h"
#include "daemon/ingest/shared.h"
#include "tests/unit/daemon/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S TS_NS_PER_S

struct fixture {
    struct tsd_rejects rejects;
    struct tsd_clients clients;
    tsd_count writer_waiting;
    struct tsd_shared shared;
    struct tsd_ingest ingest;
};

static inline void ignore_wake(void *data, unsigned thread)
{
    (void)data;
    (void)thread;
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f || tsd_rejects_init(&f->rejects) || tsd_clients_init(&f->clients))
        return -1;
    f->clients.wake = ignore_wake;
    f->shared.rejects = &f->rejects;
    f->shared.clients = &f->clients;
    f->shared.writer_waiting_bytes = &f->writer_waiting;
    f->shared.memory_limit = 1000 * 1000;
    init_limits(&f->shared.limits);
    *state = f;
    return tsd_ingest_init(&f->ingest, &f->shared.limits, &f->rejects);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    tsd_ingest_deinit(&f->ingest);
    tsd_clients_deinit(&f->clients);
    tsd_rejects_deinit(&f->rejects);
    free(f);
    return 0;
}

static inline int feed(struct fixture *f, const char *message)
{
    static const struct tsd_peer nobody = {.kind = "test", .fd = -1};
    struct ts_fault fault;
    return tsd_ingest_message(&f->ingest, message, strlen(message), &nobody, &fault);
}

/* A profile in bucket 0 with one function, of one second. */
static inline int feed_function(struct fixture *f, const char *name)
{
    char message[256];
    snprintf(message, sizeof(message),
             "{\"timestamp\": 1, \"profile\": {\"total_tt\": 1, \"func_profiles\": {\"%s\": {\"cumtime\": 1.0}}}}",
             name);
    return feed(f, message);
}

static inline struct ts_str str(const char *text)
{
    return (struct ts_str){text, strlen(text)};
}

#endif
