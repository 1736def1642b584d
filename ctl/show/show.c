/* See show.h. */
#include "ctl/show/show.h"

#include "ctl/show/bucket_table.h"
#include "ctl/show/deletion.h"
#include "ctl/show/diff_table.h"
#include "ctl/show/lists.h"
#include "ctl/show/response.h"
#include "ctl/show/status.h"
#include "ctl/show/top.h"

#include <math.h>
#include <string.h>

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
    int answer = cJSON_IsTrue(dry) ? 1 : cJSON_IsFalse(dry) ? 0 : -1;
    cJSON_Delete(root);
    return answer;
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
        ctl_wrap(out, "flushed: everything received is on stable storage", screen->width, 0);
        return 0;
    default:
        ctl_show_status(screen, root, out);
        return 0;
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
        ctl_text_puts(problem, "the response is not a JSON object: is this timesliced?");
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
        ctl_clean(out, message ? message : "the daemon rejected the request");
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
        ctl_text_printf(out, "the daemon responded with HTTP status %ld%s", status, clean.len ? ": " : "");
        ctl_fit(out, ctl_text_str(&clean), 200, CTL_CUT_END);
        out->failed = out->failed || clean.failed;
        ctl_text_deinit(&clean);
    }
    cJSON_Delete(root);
}
