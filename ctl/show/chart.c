/* See chart.h. Segment i of a bar is series[i]; segment n_series is `other`. */
#include "ctl/show/chart.h"

#include "ctl/show/view.h"

#include <math.h>
#include <string.h>

static const int palette[] = {33, 208, 40, 197, 141, 226, 45, 213, 130, 28, 99, 216};
enum { PALETTE = sizeof(palette) / sizeof(palette[0]), GREY = 244 };

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

static double shown(double value)
{
    return value > 0 && isfinite(value) ? value : 0;
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
            else if (s->where.len)
                ctl_text_printf(&name, "%s  %s", ctl_text_str(&s->name), ctl_text_str(&s->where));
            else
                ctl_text_puts(&name, ctl_text_str(&s->name));
            ctl_clean(&clean, ctl_text_str(&name));
            struct ctl_figure total = ctl_value(m->seconds, s->total);
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

void ctl_chart(const struct ctl_matrix *m, const struct ctl_screen *screen, struct ctl_text *out)
{
    const char *dim = screen->color ? "\033[2m" : "", *normal = screen->color ? "\033[0m" : "";
    struct ctl_clock clock = ctl_clock_for(m->times, m->n_buckets);
    double max = 0;
    int total_width = 1, time_width = 1;
    for (size_t b = 0; b < m->n_buckets; b++) {
        double total = 0, sum = bar_sum(m, b);
        for (size_t i = 0; i <= m->n_series; i++)
            total += segment(m, i)->values[b];
        int wide = ctl_width(ctl_value(m->seconds, total).text),
            time = ctl_width(ctl_clock_time(&clock, m->times[b]).text);
        max = sum > max ? sum : max;
        total_width = wide > total_width ? wide : total_width;
        time_width = time > time_width ? time : time_width;
    }
    int width = screen->width - time_width - total_width - 4;
    width = width > 10 ? width : 10;

    double missing = 0;
    for (size_t b = 0; b < m->n_buckets; b++) {
        double total = 0, sum = bar_sum(m, b), parts = m->missing ? m->missing[b] : 0;
        for (size_t i = 0; i <= m->n_series; i++)
            total += segment(m, i)->values[b];
        double skipped = b && m->time_slice > 0 ? round((m->times[b] - m->times[b - 1]) / m->time_slice) - 1 : 0;
        if (skipped >= 1)
            ctl_text_printf(out, "%s%*s  %s bucket%s without data%s\n", dim, time_width + 2, "⋮", /* 3 bytes wide */
                            ctl_count(skipped).text, skipped < 2 ? "" : "s", normal);
        struct ctl_figure time = ctl_clock_time(&clock, m->times[b]), figure = ctl_value(m->seconds, total);
        ctl_text_spaces(out, time_width - ctl_width(time.text));
        ctl_text_printf(out, "%s%s ", time.text, parts > 0 ? "!" : " ");
        if (max > 0 && screen->color)
            color_bar(m, b, width, max, out);
        else if (max > 0)
            plain_bar(m, b, width, max, out);
        int drawn =
            max > 0 ? (int)(screen->color ? (lround(sum * 8 * width / max) + 7) / 8 : lround(sum * width / max)) : 0;
        if (sum > 0 && !drawn) { /* not zero, but too small for the scale */
            ctl_text_puts(out, "▏");
            drawn = 1;
        }
        ctl_text_spaces(out, width - drawn + 2 + total_width - ctl_width(figure.text));
        ctl_text_printf(out, "%s\n", figure.text);
        missing += parts;
    }
    ctl_text_putc(out, '\n');
    legend(m, screen, out);
    if (missing > 0)
        ctl_missing_note(screen, out);
    if (!strcmp(m->metric, "cumtime"))
        ctl_nested_note(screen, out);
}
