/* See watch.h. One timer does both: it feeds, then tells the status where that has changed. */
#include "daemon/watchdog.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/systemd.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define STATUS_NS (5 * TS_NS_PER_S)
#define LIMIT_MIN_NS (2 * TS_NS_PER_S) /* an ingest thread that is well comes by once a second */
#define MS INT64_C(1000000)

#define SUM(state, member) tsd_state_sum(state, offsetof(struct tsd_stats, member))

/* ---- The watchdog ---- */

/* Which thread stands still, NULL where none does. */
static const char *stands_still(const struct tsd_watch *watch, int64_t now)
{
    for (size_t i = 0; i < watch->n_threads; i++) {
        if (now - tsd_thread_pulse(watch->threads[i]) > watch->limit)
            return "an ingest thread";
    }
    return now - tsd_writer_pulse(watch->writer) > watch->limit ? "the writer" : NULL;
}

static void feed(struct tsd_watch *watch, int64_t now)
{
    const char *who = stands_still(watch, now);
    if (!who)
        tsd_sd_feed();
    if (who && !watch->starving)
        tsd_log_error("%s has not got on for over %lld s: the watchdog is not fed until it does", who,
                      (long long)(watch->limit / TS_NS_PER_S));
    if (!who && watch->starving)
        tsd_log_info("all threads get on again");
    watch->starving = who != NULL;
}

/* ---- The status ---- */

static uint64_t rejected(const struct tsd_state *state)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < TS_REJECT_COUNT; i++)
        sum += tsd_state_sum(state, offsetof(struct tsd_stats, rejected) + i * sizeof(tsd_count));
    return sum;
}

static void tell(struct tsd_watch *watch, int64_t now)
{
    char line[sizeof(watch->told)];
    char trouble[512];
    uint64_t accepted = SUM(watch->state, accepted);
    int64_t passed = now - watch->looked;
    double rate = passed > 0 ? (double)(accepted - watch->accepted) * 1e9 / (double)passed : 0;
    const char *separator = *watch->note ? "; " : "";
    tsd_state_store_error(watch->state, trouble, sizeof(trouble));
    if (*trouble)
        snprintf(line, sizeof(line), "%s%s%s; %llu messages wait in memory", watch->note, separator, trouble,
                 (unsigned long long)tsd_state_pending(watch->state));
    else
        snprintf(line, sizeof(line),
                 "%s%s%llu messages accepted (%.0f/s), %llu rejected, %llu datagrams dropped; %llu functions",
                 watch->note, separator, (unsigned long long)accepted, rate, (unsigned long long)rejected(watch->state),
                 (unsigned long long)(SUM(watch->state, datagrams_dropped) + SUM(watch->state, datagrams_over_memory)),
                 (unsigned long long)tsd_get(&watch->state->writer.functions));
    for (char *c = line; *c; c++) {
        if (*c == '\n') /* a line feed would begin another assignment */
            *c = ' ';
    }
    if (strcmp(line, watch->told) != 0)
        tsd_sd_status(line);
    memcpy(watch->told, line, sizeof(line));
    watch->looked = now;
    watch->accepted = accepted;
}

static void on_timer(uv_timer_t *timer)
{
    struct tsd_watch *watch = timer->data;
    int64_t now = tsd_clock_mono();
    if (watch->limit)
        feed(watch, now);
    if (!watch->quiet && now - watch->looked >= STATUS_NS / 2)
        tell(watch, now);
}

void tsd_watch_start(struct tsd_watch *watch, uv_loop_t *loop, struct tsd_state *state,
                     struct tsd_thread *const *threads, size_t n_threads, const struct tsd_writer *writer)
{
    int64_t watchdog = tsd_sd_watchdog();
    *watch = (struct tsd_watch){
        .state = state, .threads = threads, .n_threads = n_threads, .writer = writer, .looked = tsd_clock_mono()};
    if (watchdog)
        watch->limit = watchdog / 2 > LIMIT_MIN_NS ? watchdog / 2 : LIMIT_MIN_NS;
    int64_t period = watchdog && watchdog / 4 < STATUS_NS ? watchdog / 4 : STATUS_NS;
    uv_timer_init(loop, &watch->timer);
    watch->timer.data = watch;
    uv_timer_start(&watch->timer, on_timer, (uint64_t)(period / MS), (uint64_t)(period / MS));
    uv_unref((uv_handle_t *)&watch->timer);
}

void tsd_watch_note(struct tsd_watch *watch, const char *note)
{
    watch->note[0] = '\0';
    if (note)
        snprintf(watch->note, sizeof(watch->note), "the configuration was not reloaded: %s", note);
    tell(watch, tsd_clock_mono());
}

void tsd_watch_quiet(struct tsd_watch *watch)
{
    watch->quiet = true;
}
