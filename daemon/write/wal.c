/*
 * A query that takes longer than the wait, or another process that reads, prevents an attempt. The next one waits twice
 * as long, but comes after a pause that is twice as long, so that commits and other queries are not held up more often.
 */
#include "daemon/write/wal.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"

#define MS INT64_C(1000000)
#define WAIT_MIN_NS (100 * MS) /* for readers to finish */
#define PAUSE_MIN_NS (1000 * MS)
#define PAUSE_MAX_NS (8000 * MS)
enum { PAGES_MAX = 2048 /* 8 MiB; a checkpoint at every 1000 pages usually restarts the log before that */ };

void tsd_wal_init(struct tsd_wal *wal, struct ts_store *store, struct tsd_state *state)
{
    *wal = (struct tsd_wal){.store = store, .state = state, .wait = WAIT_MIN_NS, .pause = PAUSE_MIN_NS};
}

int tsd_wal_limit(struct tsd_wal *wal)
{
    struct ts_store_error error;
    bool emptied = false;
    int rc = 0;
    if (ts_store_log_pages(wal->store) <= PAGES_MAX || tsd_clock_mono() < wal->due)
        return 0;
    if (tsd_gate_close(&wal->state->readers, wal->wait))
        rc = ts_store_truncate_log(wal->store, &emptied, &error);
    tsd_gate_open(&wal->state->readers);
    if (rc)
        tsd_log_error("%s", error.message);
    if (emptied)
        tsd_add(&wal->state->writer.log_truncations, 1);
    wal->due = tsd_clock_mono() + wal->pause;
    if (emptied) {
        wal->wait = WAIT_MIN_NS;
        wal->pause = PAUSE_MIN_NS;
    } else if (wal->pause < PAUSE_MAX_NS) {
        wal->wait *= 2;
        wal->pause *= 2;
    }
    return rc;
}
