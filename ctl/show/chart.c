/* See chart.h. Segment i of a bar is series[i]; segment n_series is `other`. */
#include "ctl/show/chart.h"

#include "ctl/show/view.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const int palette[] = {33, 208, 40, 197, 141, 226, 45, 213, 130, 28, 99, 216};
enum { PALETTE = sizeof(palette) / sizeof(palette[0]), GREY = 244, BAR_MIN = 10 };

static int color_of(const struct ctl_matrix *m, size_t i)
{
    return i < m->n_series ? palette[i % PALETTE] : GREY;
}

static const char *pattern_of(const struct ctl_matrix *m, size_t i)
{
    static const char *const patterns[] = {"█", "▓", "▒"};
    return i < m->n_series ? patterns[i % 3] : "░";
}

static char letter_of(const struct ctl_matrix *m, size_t i)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return i < m->n_series && i < sizeof(letters) - 1 ? letters[i] : ' ';
}

static const struct ctl_series *segment(const struct ctl_matrix *m, size_t i)
{
    return i < m->n_series ? &m->series[i] : &m->other;
}

/* The part of a value that is drawn. The bound keeps the sum of a bar finite; the daemon's sums are below it. */
static double shown(double value)
{
    return value > 0 && value < 1e30 ? value : 0;
}

static double bar_sum(const struct ctl_matrix *m, size_t bucket)
{
    double sum = 0;
    for (size_t i = 0; i <= m->n_series; i++)
        sum += shown(segment(m, i)->values[bucket]);
    return sum;
}

/* The segment at a position (in eighths of a column) and its end; n_series + 1 after the end of the bar. Scans from
 * segment i, before which the values add up to *sum. */
static size_t segment_at(const struct ctl_matrix *m, size_t bucket, double scale, long position, size_t i, double *sum,
                         long *ret_end)
{
    for (; i <= m->n_series; i++) {
        double after = *sum + shown(segment(m, i)->values[bucket]);
        *ret_end = lround(after * scale);
        if (position < *ret_end)
            return i;
        *sum = after;
    }
    return i;
}

/* Drawn in eighths of a column: if two segments share a column, the first is its foreground, the second its background.
 */
static void color_bar(const struct ctl_matrix *m, size_t bucket, int width, double max, struct ctl_text *out)
{
    double sum = 0, scale = 8.0 * width / max;
    size_t i = 0;
    int ink = -1;
    for (long at = 0; at < 8L * width; at += 8) {
        long end;
        i = segment_at(m, bucket, scale, at, i, &sum, &end);
        if (i > m->n_series)
            break;
        if (ink != color_of(m, i))
            ctl_text_printf(out, "\033[38;5;%dm", ink = color_of(m, i));
        if (end >= at + 8) {
            ctl_text_puts(out, "█");
            continue;
        }
        long past;
        double ahead = sum;
        size_t next = segment_at(m, bucket, scale, at + 7, i, &ahead, &past);
        char block[] = {'\xE2', '\x96', (char)(0x90 - (end - at)), '\0'};
        if (next <= m->n_series)
            ctl_text_printf(out, "\033[48;5;%dm%s\033[49m", color_of(m, next), block);
        else
            ctl_text_puts(out, block);
    }
    ctl_text_puts(out, "\033[0m");
}

static void plain_bar(const struct ctl_matrix *m, size_t bucket, int width, double max, struct ctl_text *out)
{
    double sum = 0;
    long start = 0;
    for (size_t i = 0; i <= m->n_series; i++) {
        sum += shown(segment(m, i)->values[bucket]);
        long end = lround(sum * width / max), len = end - start;
        for (long at = 0; at < len; at++)
            if (len >= 4 && at == len / 2 && letter_of(m, i) != ' ')
                ctl_text_putc(out, letter_of(m, i));
            else
                ctl_text_puts(out, pattern_of(m, i));
        start = end;
    }
}

static void legend(const struct ctl_matrix *m, const struct ctl_screen *screen, struct ctl_text *out)
{
    double all = 0;
    int total_width = 0, name_width = 0;
    size_t n = m->n_series + (m->other_functions > 0 || shown(m->other.total) > 0);
    struct ctl_text name = {0}, clean = {0}, cut = {0};
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n; i++) {
            const struct ctl_series *s = segment(m, i);
            ctl_text_clear(&name);
            ctl_text_clear(&clean);
            ctl_text_clear(&cut);
            if (i == m->n_series)
                ctl_text_printf(&name, "other (%s)", ctl_count(m->other_functions).text);
            else if (s->location.len)
                ctl_text_printf(&name, "%s  %s", ctl_text_str(&s->name), ctl_text_str(&s->location));
            else
                ctl_text_puts(&name, ctl_text_str(&s->name));
            ctl_clean(&clean, ctl_text_str(&name));
            struct ctl_formatted total = ctl_value(m->seconds, s->total);
            int wide = ctl_width(total.text), room = screen->width - 16 - total_width;
            if (pass == 0) {
                all += shown(s->total);
                total_width = wide > total_width ? wide : total_width;
                wide = ctl_width(ctl_text_str(&clean));
                name_width = wide > name_width ? wide : name_width;
                continue;
            }
            room = name_width < room ? name_width : room > 8 ? room : 8;
            if (screen->color)
                ctl_text_printf(out, "  \033[38;5;%dm██\033[0m  ", color_of(m, i));
            else
                ctl_text_printf(out, "  %c %s  ", letter_of(m, i), pattern_of(m, i));
            int used = ctl_fit(&cut, ctl_text_str(&clean), room, CTL_CUT_MIDDLE);
            ctl_text_puts(out, ctl_text_str(&cut));
            ctl_text_spaces(out, room - used + 2 + total_width - wide);
            ctl_text_printf(out, "%s  %3.0f%%\n", total.text, all > 0 ? 100 * shown(s->total) / all : 0.0);
        }
    out->failed = out->failed || name.failed || clean.failed || cut.failed;
    ctl_text_deinit(&name);
    ctl_text_deinit(&clean);
    ctl_text_deinit(&cut);
}

/* The columns of a line are: the time, a mark, the bar, the total. */
struct scale {
    double max; /* of the sums of bars */
    struct ctl_clock clock;
    int time_width, bar_width, total_width;
};

static double bucket_total(const struct ctl_matrix *m, size_t bucket)
{
    double total = 0;
    for (size_t i = 0; i <= m->n_series; i++)
        total += segment(m, i)->values[bucket];
    return total;
}

static struct scale scale_for(const struct ctl_matrix *m, int width)
{
    struct scale scale = {.clock = ctl_clock_for(m->times, m->n_buckets), .time_width = 1, .total_width = 1};
    for (size_t b = 0; b < m->n_buckets; b++) {
        double sum = bar_sum(m, b);
        int total = ctl_width(ctl_value(m->seconds, bucket_total(m, b)).text);
        int time = ctl_width(ctl_clock_time(&scale.clock, m->times[b]).text);
        scale.max = sum > scale.max ? sum : scale.max;
        scale.total_width = total > scale.total_width ? total : scale.total_width;
        scale.time_width = time > scale.time_width ? time : scale.time_width;
    }
    scale.bar_width = width - scale.time_width - scale.total_width - 4;
    scale.bar_width = scale.bar_width > BAR_MIN ? scale.bar_width : BAR_MIN;
    return scale;
}

/* Draws the bar and returns its columns. */
static int bar(const struct ctl_matrix *m, size_t bucket, const struct scale *scale, bool color, struct ctl_text *out)
{
    double sum = bar_sum(m, bucket);
    int width = scale->bar_width, drawn = 0;
    assert(sum <= scale->max);
    if (scale->max > 0 && color) {
        color_bar(m, bucket, width, scale->max, out);
        drawn = (int)(lround(sum * 8 * width / scale->max) + 7) / 8;
    } else if (scale->max > 0) {
        plain_bar(m, bucket, width, scale->max, out);
        drawn = (int)lround(sum * width / scale->max);
    }
    if (sum > 0 && !drawn) { /* not zero, but too small for the scale */
        ctl_text_puts(out, "▏");
        drawn = 1;
    }
    assert(drawn <= width);
    return drawn;
}

void ctl_chart(const struct ctl_matrix *m, const struct ctl_screen *screen, struct ctl_text *out)
{
    const char *dim = screen->color ? "\033[2m" : "", *normal = screen->color ? "\033[0m" : "";
    struct scale scale = scale_for(m, screen->width);
    double missing = 0;
    for (size_t b = 0; b < m->n_buckets; b++) {
        double parts = m->missing ? m->missing[b] : 0;
        double skipped = b && m->time_slice > 0 ? round((m->times[b] - m->times[b - 1]) / m->time_slice) - 1 : 0;
        if (skipped >= 1)
            ctl_text_printf(out, "%s%*s  %s bucket%s without data%s\n", dim, scale.time_width + 2, "⋮", /* 3 bytes */
                            ctl_count(skipped).text, skipped < 2 ? "" : "s", normal);
        struct ctl_formatted time = ctl_clock_time(&scale.clock, m->times[b]);
        struct ctl_formatted total = ctl_value(m->seconds, bucket_total(m, b));
        ctl_text_spaces(out, scale.time_width - ctl_width(time.text));
        ctl_text_printf(out, "%s%s ", time.text, parts > 0 ? "!" : " ");
        int drawn = bar(m, b, &scale, screen->color, out);
        ctl_text_spaces(out, scale.bar_width - drawn + 2 + scale.total_width - ctl_width(total.text));
        ctl_text_printf(out, "%s\n", total.text);
        missing += parts;
    }
    ctl_text_putc(out, '\n');
    legend(m, screen, out);
    if (missing > 0)
        ctl_missing_note(screen, out);
    if (!strcmp(m->metric, "cumtime"))
        ctl_nested_note(screen, out);
}
