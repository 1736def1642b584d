/* See diff.h. */
#include "ctl/show/diff.h"

#include "ctl/base/display.h"
#include "ctl/base/format.h"
#include "ctl/show/response.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 5, NAME_WIDTH = 60 };

/* The values of a row; NAN if null or absent. */
static void load_change(struct ctl_change *change, const cJSON *row)
{
    const cJSON *each = cJSON_GetObjectItemCaseSensitive(row, "per_profile");
    change->before = ctl_number(each, "before", NAN);
    change->after = ctl_number(each, "after", NAN);
    change->change = ctl_number(each, "change", NAN);
    change->ratio = ctl_number(each, "ratio", NAN);
    change->more = ctl_number(row, "called_more", NAN);
    change->slower = ctl_number(row, "slower_per_call", NAN);
}

/* NAN in a part makes the sum NAN. */
static void add_change(struct ctl_change *sum, const struct ctl_change *change)
{
    sum->before += change->before;
    sum->after += change->after;
    sum->change += change->change;
    sum->more += change->more;
    sum->slower += change->slower;
    sum->ratio = sum->before > 0 || sum->before < 0 ? sum->after / sum->before : NAN;
}

int ctl_diff_load(struct ctl_diff *diff, const cJSON *root, size_t keep, struct ctl_text *problem)
{
    *diff = (struct ctl_diff){0};
    const cJSON *functions = ctl_list(root, "functions", problem), *row;
    if (!functions)
        return -1;
    const cJSON *before = cJSON_GetObjectItemCaseSensitive(root, "before");
    const cJSON *after = cJSON_GetObjectItemCaseSensitive(root, "after");
    diff->profiles_before = ctl_number(before, "profiles", NAN);
    diff->profiles_after = ctl_number(after, "profiles", NAN);
    if (isnan(diff->profiles_before) || isnan(diff->profiles_after)) {
        ctl_text_puts(problem, "the response does not state the number of profiles of each range");
        return -1;
    }
    ctl_text_puts(&diff->metric, ctl_string(root, "metric", "value"));
    diff->seconds = !strcmp(ctl_string(root, "unit", ""), "seconds");
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(root, "other");
    diff->other_functions = ctl_number(other, "functions", 0);
    if (diff->other_functions > 0)
        load_change(&diff->other, other);

    size_t n = (size_t)cJSON_GetArraySize(functions);
    keep = keep && keep < n ? keep : n;
    diff->rows = calloc(keep ? keep : 1, sizeof(*diff->rows));
    if (!diff->rows) {
        problem->failed = true;
        return -1;
    }
    cJSON_ArrayForEach (row, functions) {
        struct ctl_change change = {{0}, {0}, 0, 0, 0, 0, 0, 0};
        load_change(&change, row);
        if (diff->n == keep) {
            add_change(&diff->other, &change);
            diff->other_functions++;
            continue;
        }
        ctl_row_name(row, &change.name, &change.location);
        problem->failed = problem->failed || change.name.failed || change.location.failed;
        diff->rows[diff->n++] = change;
    }
    problem->failed = problem->failed || diff->metric.failed;
    return problem->failed ? -1 : 0;
}

static void change_deinit(struct ctl_change *change)
{
    ctl_text_deinit(&change->name);
    ctl_text_deinit(&change->location);
}

void ctl_diff_deinit(struct ctl_diff *diff)
{
    for (size_t i = 0; i < diff->n; i++)
        change_deinit(&diff->rows[i]);
    free(diff->rows);
    ctl_text_deinit(&diff->metric);
    *diff = (struct ctl_diff){0};
}

bool ctl_diff_is_one_sided(const struct ctl_diff *diff, struct ctl_text *text)
{
    bool before = diff->profiles_before > 0, after = diff->profiles_after > 0;
    if (before && after)
        return false;
    ctl_text_printf(text, "there are no profiles %s, so nothing can be compared",
                    before  ? "after"
                    : after ? "before"
                            : "on either side");
    return true;
}

static bool grew_too_much(const struct ctl_change *row, double percent, double ignore_below)
{
    if (!(row->change > 0) || row->change < ignore_below)
        return false;
    /* The factor tolerates rounding in the last digit. */
    return row->before <= 0 || row->change * 100 > row->before * percent * (1 + 1e-12);
}

static void name_growth(const struct ctl_diff *diff, const struct ctl_change *row, struct ctl_text *text)
{
    struct ctl_text name = {0}, clean = {0};
    ctl_text_puts(&name, ctl_text_str(&row->name));
    if (row->location.len) {
        const char *base = strrchr(ctl_text_str(&row->location), '/');
        ctl_text_printf(&name, " (%s)", base ? base + 1 : ctl_text_str(&row->location));
    }
    ctl_clean(&clean, ctl_text_str(&name));
    ctl_fit(text, ctl_text_str(&clean), NAME_WIDTH, CTL_CUT_MIDDLE);
    struct ctl_formatted before = diff->seconds ? ctl_duration(row->before) : ctl_mean(row->before);
    struct ctl_formatted after = diff->seconds ? ctl_duration(row->after) : ctl_mean(row->after);
    if (row->before > 0)
        ctl_text_printf(text, " %s (%s to %s)", ctl_percent(row->change / row->before).text, before.text, after.text);
    else if (row->before < 0) /* possible with a clock that jumps */
        ctl_text_printf(text, " up (%s to %s)", before.text, after.text);
    else
        ctl_text_printf(text, " new (%s)", after.text);
    text->failed = text->failed || name.failed || clean.failed;
    ctl_text_deinit(&name);
    ctl_text_deinit(&clean);
}

int ctl_diff_check(const struct ctl_diff *diff, double percent, double ignore_below, struct ctl_text *text)
{
    const struct ctl_change *worst[NAMED_MAX];
    size_t n = 0, all = 0;
    for (size_t i = 0; i < diff->n; i++) {
        const struct ctl_change *row = &diff->rows[i];
        if (!grew_too_much(row, percent, ignore_below))
            continue;
        all++;
        size_t at = n < NAMED_MAX ? n++ : NAMED_MAX; /* insertion into the largest NAMED_MAX, in descending order */
        for (; at > 0 && row->change > worst[at - 1]->change; at--)
            if (at < NAMED_MAX)
                worst[at] = worst[at - 1];
        if (at < NAMED_MAX)
            worst[at] = row;
    }
    assert(n == (all < NAMED_MAX ? all : NAMED_MAX));
    if (!all)
        return 0;
    ctl_text_printf(text, "%zu function%s grew by over %g%% in %s per profile: ", all, all == 1 ? "" : "s", percent,
                    ctl_text_str(&diff->metric));
    for (size_t i = 0; i < n; i++) {
        ctl_text_puts(text, i ? ", " : "");
        name_growth(diff, worst[i], text);
    }
    if (all > n)
        ctl_text_printf(text, " and %zu more", all - n);
    return -1;
}
