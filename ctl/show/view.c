/* See view.h. */
#include "ctl/show/view.h"

#include "ctl/show/response.h"

#include <math.h>

struct ctl_formatted ctl_value(bool seconds, double value)
{
    return seconds ? ctl_duration(value) : ctl_count(value);
}

void ctl_profiles(struct ctl_text *out, double profiles)
{
    ctl_text_printf(out, "%s profile%s", ctl_count(profiles).text, profiles > 0 && profiles < 2 ? "" : "s");
}

void ctl_range(struct ctl_text *out, const cJSON *object)
{
    double from = ctl_number(object, "from", NAN), to = ctl_number(object, "to", NAN);
    if (isnan(from) && isnan(to))
        ctl_text_puts(out, "all time");
    else if (isnan(to))
        ctl_text_printf(out, "from %s", ctl_time(from).text);
    else if (isnan(from))
        ctl_text_printf(out, "until %s", ctl_time(to).text);
    else
        ctl_text_printf(out, "%s to %s", ctl_time(from).text, ctl_time(to).text);
}

void ctl_resolution_note(const struct ctl_view *view, const char *subject, const cJSON *range, struct ctl_text *out)
{
    double from = ctl_number(range, "from_resolution", NAN), to = ctl_number(range, "to_resolution", NAN);
    double finest = fmin(view->finest, fmin(from, to)); /* fmin ignores NAN */
    bool coarse_from = from > finest, coarse_to = to > finest;
    if (!coarse_from && !coarse_to)
        return;
    struct ctl_text line = {0};
    ctl_text_printf(&line, "%s kept in buckets of ", subject);
    if (coarse_from && coarse_to && !(from < to || from > to))
        ctl_text_printf(&line, "%s", ctl_span(from).text);
    else if (coarse_from && coarse_to)
        ctl_text_printf(&line, "%s at its beginning, of %s at its end", ctl_span(from).text, ctl_span(to).text);
    else
        ctl_text_printf(&line, "%s at its %s", ctl_span(coarse_from ? from : to).text,
                        coarse_from ? "beginning" : "end");
    ctl_text_putc(&line, '.');
    ctl_wrap(out, ctl_text_str(&line), view->screen.width, 0);
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
}

void ctl_head_line(const struct ctl_view *view, const cJSON *root, double profiles, double total_tt, const char *more,
                   struct ctl_text *out)
{
    struct ctl_text line = {0};
    ctl_range(&line, root);
    ctl_text_puts(&line, ", ");
    ctl_profiles(&line, profiles);
    ctl_text_printf(&line, ", total_tt %s", ctl_duration(total_tt).text);
    ctl_clean(&line, more);
    ctl_wrap(out, ctl_text_str(&line), view->screen.width, 0);
    ctl_resolution_note(view, "This range is", root, out);
    ctl_text_putc(out, '\n');
    out->failed = out->failed || line.failed;
    ctl_text_deinit(&line);
}

void ctl_nested_note(const struct ctl_screen *screen, struct ctl_text *out)
{
    ctl_text_puts(out, screen->color ? "\033[2m" : "");
    ctl_wrap(out, "Cumtimes of callers include their callees; tottime is what adds up.", screen->width, 0);
    ctl_text_puts(out, screen->color ? "\033[0m" : "");
}

void ctl_missing_note(const struct ctl_screen *screen, struct ctl_text *out)
{
    ctl_wrap(out, "! parts of profiles are missing; the sums of these buckets are too small", screen->width, 0);
}
