#include "daemon/write/check.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "lib/store/reader.h"

#include <stdlib.h>

struct tsd_check {
    struct tsd_state *state;
    struct ts_reader *reader;
    uv_thread_t thread;
};

static void run(void *data)
{
    struct tsd_check *check = data;
    struct ts_store_error error;
    int64_t began = tsd_clock_mono();
    int rc = ts_reader_check(check->reader, &error);
    if (!rc) {
        tsd_log_info("unclean shutdown; integrity check passed in %.1f s", (double)(tsd_clock_mono() - began) / 1e9);
    } else if (rc == TS_EREFUSED) {
        tsd_log_error("%s", error.message);
        tsd_state_set_damage(check->state, error.message);
    } else if (rc != TS_ECANCELED) {
        tsd_log_warning("unclean shutdown; the integrity check of the database failed to run: %s", error.message);
    }
}

struct tsd_check *tsd_check_start(struct tsd_state *state)
{
    struct ts_store_error error = {"out of memory"};
    struct tsd_check *check = calloc(1, sizeof(*check));
    if (check) {
        check->state = state;
        if (!ts_reader_open(state->store_path, &check->reader, &error) && !uv_thread_create(&check->thread, run, check))
            return check;
        ts_reader_close(check->reader);
        free(check);
    }
    tsd_log_warning("unclean shutdown; cannot start an integrity check of the database: %s", error.message);
    return NULL;
}

struct tsd_check *tsd_check_stop(struct tsd_check *check)
{
    if (check) {
        ts_reader_interrupt(check->reader);
        uv_thread_join(&check->thread);
        ts_reader_close(check->reader);
        free(check);
    }
    return NULL;
}
