/*
 * Shared by tests of queries that read several levels: a store with a history, of which older parts are kept
 * in wider buckets only, and the model that has all of it.
 */
#ifndef HISTORY_FIXTURE_H
#define HISTORY_FIXTURE_H

#include "tests/unit/lib/store/store_model.h"

/* Buckets of 10 s for 5 min, of 1 min for an hour, of 10 min for a day. */
static const int history_retention[] = {10, 300, 60, 3600, 600, 86400, 0};
/* Another one, whose levels must be built from those. */
static const int changed_retention[] = {10, 300, 30, 1800, 600, 7200, 3600, 200000, 0};

/* Adds data until the horizon has advanced by about a quarter of a day; leaves maintenance unfinished now and then. */
static inline void add_history(struct model *m, int n)
{
    for (int i = 0; i < n; i++) {
        for (uint64_t j = model_random(m, 4); j; j--) {
            int64_t late = (int64_t)model_random(m, model_random(m, 3) ? 10 : 400);
            model_add(m, m->horizon / (10 * S) - late, 1 + (uint32_t)model_random(m, MODEL_LABEL_SETS),
                      1 + (uint32_t)model_random(m, MODEL_LOCATIONS), (int64_t)model_random(m, 1000) * S / 100);
        }
        model_commit(m);
        m->horizon += (int64_t)model_random(m, 200) * S;
        for (uint64_t j = model_random(m, 6); j && model_maintain(m, 5).more; j--) {
        }
    }
    model_forget_pruned(m);
}

/* A reader within a transaction. Close it by history_close_reader(). */
static inline struct ts_reader *history_reader(struct model *m)
{
    struct ts_reader *reader = NULL;
    assert_int_equal(ts_reader_open(m->f->path, &reader, &m->f->error), 0);
    assert_int_equal(ts_reader_begin(reader), 0);
    return reader;
}

static inline void history_close_reader(struct ts_reader *reader)
{
    ts_reader_end(reader);
    ts_reader_close(reader);
}

static inline int64_t floor_to(int64_t position, int64_t unit)
{
    return ts_floor_div(position, unit) * unit;
}

#endif
