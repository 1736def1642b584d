/* See show.h. What the renderers share, and the choice among them. */
#include "ctl/show.h"

#include "ctl/views.h"

#include <math.h>
#include <string.h>

struct ctl_figure ctl_value(bool seconds, double value)
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
    double finest = fmin(view->finest, fmin(from, to)); /* fmin passes over what is not known */
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

bool ctl_show_wants_finest(const struct ctl_text *body)
{
    return strstr(ctl_text_str(body), "_resolution\":") != NULL;
}

double ctl_show_finest(const struct ctl_text *status)
{
    cJSON *root = cJSON_ParseWithLength(ctl_text_str(status), status->len);
    double finest = ctl_number(root, "time_slice", NAN);
    cJSON_Delete(root);
    return finest;
}

int ctl_show_is_dry_run(const struct ctl_text *body)
{
    cJSON *root = cJSON_ParseWithLength(ctl_text_str(body), body->len);
    const cJSON *dry = cJSON_GetObjectItemCaseSensitive(root, "dry_run");
    int said = cJSON_IsTrue(dry) ? 1 : cJSON_IsFalse(dry) ? 0 : -1;
    cJSON_Delete(root);
    return said;
}

static int show(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                struct ctl_text *problem)
{
    const struct ctl_screen *screen = &view->screen;
    switch (args->command) {
    case CTL_BUCKETS:
        return ctl_show_buckets(args, view, root, out, problem);
    case CTL_TOP:
        return ctl_show_top(args, view, root, out, problem);
    case CTL_DIFF:
        return ctl_show_diff(args, view, root, out, problem);
    case CTL_FUNCTIONS:
        return ctl_show_functions(screen, root, out, problem);
    case CTL_LABELS:
        return ctl_show_labels(screen, root, out, problem);
    case CTL_REJECTS:
        return ctl_show_rejects(screen, root, out, problem);
    case CTL_DELETE:
        return ctl_show_deletion(screen, root, out, problem);
    case CTL_FLUSH:
        ctl_wrap(out, "flushed: what was received is on stable storage", screen->width, 0);
        return 0;
    default:
        return ctl_show_status(screen, root, out);
    }
}

int ctl_show(const struct ctl_args *args, const struct ctl_view *view, const struct ctl_text *body,
             struct ctl_text *out, struct ctl_text *problem)
{
    cJSON *root = cJSON_ParseWithLength(ctl_text_str(body), body->len);
    int rc = -1;
    if (cJSON_IsObject(root))
        rc = show(args, view, root, out, problem);
    else
        ctl_text_puts(problem, "the answer is not a JSON object: is this timesliced?");
    cJSON_Delete(root);
    return rc;
}

void ctl_show_error(long status, const struct ctl_text *body, struct ctl_text *out)
{
    cJSON *root = cJSON_ParseWithLength(ctl_text_str(body), body->len);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(root, "error");
    const char *message = ctl_string(error, "message", NULL), *code = ctl_string(error, "code", NULL);
    const char *parameter = ctl_string(error, "parameter", NULL);
    if (message || code) {
        ctl_clean(out, message ? message : "the daemon refused");
        ctl_text_puts(out, " (");
        ctl_clean(out, code ? code : "error");
        if (parameter) {
            ctl_text_puts(out, ", parameter ");
            ctl_clean(out, parameter);
        }
        ctl_text_puts(out, ")");
    } else {
        struct ctl_text clean = {0};
        ctl_clean(&clean, ctl_text_str(body));
        ctl_text_printf(out, "the answer is HTTP status %ld%s", status, clean.len ? ": " : "");
        ctl_fit(out, ctl_text_str(&clean), 200, CTL_CUT_END);
        ctl_text_deinit(&clean);
    }
    cJSON_Delete(root);
}
