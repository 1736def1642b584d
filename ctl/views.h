/* The renderers that show.c chooses from, and what they share. Each: 0, or -1 with the problem in words. */
#ifndef CTL_VIEWS_H
#define CTL_VIEWS_H

#include "ctl/answer.h"
#include "ctl/args.h"
#include "ctl/show.h"
#include "ctl/table.h"

int ctl_show_buckets(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                     struct ctl_text *problem);
int ctl_show_top(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                 struct ctl_text *problem);
int ctl_show_diff(const struct ctl_args *args, const struct ctl_view *view, const cJSON *root, struct ctl_text *out,
                  struct ctl_text *problem);
int ctl_show_functions(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                       struct ctl_text *problem);
int ctl_show_labels(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out, struct ctl_text *problem);
int ctl_show_rejects(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                     struct ctl_text *problem);
int ctl_show_status(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out);
int ctl_show_deletion(const struct ctl_screen *screen, const cJSON *root, struct ctl_text *out,
                      struct ctl_text *problem);

/* "1 profile", "7 profiles". */
void ctl_profiles(struct ctl_text *out, double profiles);
/* "2026-01-31 10:00:00Z to 2026-01-31 11:00:00Z"; "all time", "from", "until" where ends are open (null). */
void ctl_range(struct ctl_text *out, const cJSON *object);
/* A line where an end of the range is kept in wider buckets than the finest: subject "This range is". */
void ctl_resolution_note(const struct ctl_view *view, const char *subject, const cJSON *range, struct ctl_text *out);
/* "2026-01-31 10:00:00Z to 2026-01-31 11:00:00Z, 7 profiles, total_tt 3.30 s" and more, wrapped; that note; a blank. */
void ctl_head_line(const struct ctl_view *view, const cJSON *root, double profiles, double total_tt, const char *more,
                   struct ctl_text *out);
/* Figures of a metric: durations, else counts. */
struct ctl_figure ctl_value(bool seconds, double value);

#endif
