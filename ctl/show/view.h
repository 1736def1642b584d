/* What the renderers of this folder share: the screen they draw on, and lines that several of them print. */
#ifndef CTL_VIEW_H
#define CTL_VIEW_H

#include "ctl/base/format.h"
#include "ctl/base/table.h"

#include <cjson/cJSON.h>

struct ctl_view {
    struct ctl_screen screen;
    double finest; /* the stored width of buckets in seconds; NAN: unknown */
};

/* "1 profile", "7 profiles". */
void ctl_profiles(struct ctl_text *out, double profiles);
/* "2026-01-31 10:00:00Z to 2026-01-31 11:00:00Z"; "from ...", "until ..." or "all time" if ends are open (null). */
void ctl_range(struct ctl_text *out, const cJSON *object);
/* A line if an end of the range is kept in wider buckets than the finest. subject is for example "This range is". */
void ctl_resolution_note(const struct ctl_view *view, const char *subject, const cJSON *range, struct ctl_text *out);
/* "2026-01-31 10:00:00Z to 2026-01-31 11:00:00Z, 7 profiles, total_tt 3.30 s" and more, wrapped; the resolution note;
 * an empty line. */
void ctl_head_line(const struct ctl_view *view, const cJSON *root, double profiles, double total_tt, const char *more,
                   struct ctl_text *out);
/* Cumtimes of several functions overlap: their sum is not elapsed time. */
void ctl_nested_note(const struct ctl_screen *screen, struct ctl_text *out);
/* The meaning of the "!" beside a bucket. */
void ctl_missing_note(const struct ctl_screen *screen, struct ctl_text *out);
/* A value of a metric: a duration, or else a count. */
struct ctl_formatted ctl_value(bool seconds, double value);

#endif
