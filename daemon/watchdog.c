/* One timer does both: it notifies the watchdog, and sends the status if it changed. */
#include "daemon/watchdog.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/notify.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define STATUS_NS (5 * TS_NS_PER_S)
#define LIMIT_MIN_NS (2 * TS_NS_PER_S) /* an ingest thread's pulse is up to a second old */
#define MS INT64_C(1000000)

#define SUM(state, member) tsd_state_sum(state, offsetof(struct tsd_stats, member))

/* ---- The watchdog ---- */

/* The name of a thread that makes no progress, or NULL. */
static const char *find_hanging(const struct tsd_watchdog *watchdog, int64_t now)
{
    for (size_t i = 0; i < watchdog->n_threads; i++) {
        if (now - tsd_thread_pulse(watchdog->threads[i]) > watchdog->limit)
            return "an ingest thread";
    }
    return now - tsd_writer_pulse(watchdog->writer) > watchdog->limit ? "the writer" : NULL;
}

static void check_threads(struct tsd_watchdog *watchdog, int64_t now)
{
    const char *thread = find_hanging(watchdog, now);
    if (!thread)
        tsd_notify_watchdog();
    if (thread && !watchdog->hanging)
        tsd_log_error("%s has made no progress for over %lld s; not notifying the watchdog until it does", thread,
                      (long long)(watchdog->limit / TS_NS_PER_S));
    if (!thread && watchdog->hanging)
        tsd_log_info("all threads make progress again");
    watchdog->hanging = thread != NULL;
}

/* ---- The status ---- */

static uint64_t rejected(const struct tsd_state *state)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < TS_REJECT_COUNT; i++)
        sum += tsd_state_sum(state, offsetof(struct tsd_stats, rejected) + i * sizeof(tsd_count));
    return sum;
}

static void send_status(struct tsd_watchdog *watchdog, int64_t now)
{
    const struct tsd_state *state = watchdog->state;
    char status[TSD_WATCHDOG_STATUS_MAX];
    char trouble[512];
    uint64_t accepted = SUM(state, accepted);
    int64_t elapsed = now - watchdog->status_time;
    double rate = elapsed > 0 ? (double)(accepted - watchdog->last_accepted) * 1e9 / (double)elapsed : 0;
    const char *separator = *watchdog->note ? "; " : "";
    assert(accepted >= watchdog->last_accepted);
    tsd_state_store_error(watchdog->state, trouble, sizeof(trouble));
    if (*trouble)
        snprintf(status, sizeof(status), "%s%s%s; %llu messages are waiting in memory", watchdog->note, separator,
                 trouble, (unsigned long long)tsd_state_pending(state));
    else
        snprintf(status, sizeof(status),
                 "%s%s%llu messages accepted (%.0f/s), %llu rejected, %llu datagrams dropped; %llu functions",
                 watchdog->note, separator, (unsigned long long)accepted, rate, (unsigned long long)rejected(state),
                 (unsigned long long)(SUM(state, datagrams_dropped) + SUM(state, datagrams_over_memory)),
                 (unsigned long long)tsd_get(&state->writer.functions));
    for (char *c = status; *c; c++) {
        if (*c == '\n') /* begins another assignment in a notification */
            *c = ' ';
    }
    if (strcmp(status, watchdog->status) != 0)
        tsd_notify_status(status);
    memcpy(watchdog->status, status, sizeof(status));
    watchdog->status_time = now;
    watchdog->last_accepted = accepted;
}

/* ---- The timer ---- */

static void on_timer(uv_timer_t *timer)
{
    struct tsd_watchdog *watchdog = timer->data;
    int64_t now = tsd_clock_mono();
    if (watchdog->limit)
        check_threads(watchdog, now);
    if (!watchdog->no_status && now - watchdog->status_time >= STATUS_NS / 2)
        send_status(watchdog, now);
}

void tsd_watchdog_start(struct tsd_watchdog *watchdog, uv_loop_t *loop, struct tsd_state *state,
                        struct tsd_thread *const *threads, size_t n_threads, const struct tsd_writer *writer)
{
    int64_t systemd_limit = tsd_notify_watchdog_limit();
    assert(writer && n_threads > 0);
    *watchdog = (struct tsd_watchdog){
        .state = state, .threads = threads, .n_threads = n_threads, .writer = writer, .status_time = tsd_clock_mono()};
    if (systemd_limit)
        watchdog->limit = systemd_limit / 2 > LIMIT_MIN_NS ? systemd_limit / 2 : LIMIT_MIN_NS;
    int64_t period = systemd_limit && systemd_limit / 4 < STATUS_NS ? systemd_limit / 4 : STATUS_NS;
    uv_timer_init(loop, &watchdog->timer);
    watchdog->timer.data = watchdog;
    uv_timer_start(&watchdog->timer, on_timer, (uint64_t)(period / MS), (uint64_t)(period / MS));
    uv_unref((uv_handle_t *)&watchdog->timer);
}

void tsd_watchdog_set_reload_error(struct tsd_watchdog *watchdog, const char *reason)
{
    watchdog->note[0] = '\0';
    if (reason)
        snprintf(watchdog->note, sizeof(watchdog->note), "the configuration was not reloaded: %s", reason);
    send_status(watchdog, tsd_clock_mono());
}

void tsd_watchdog_end_status(struct tsd_watchdog *watchdog)
{
    watchdog->no_status = true;
}
