/*
 * A table that fits the width of the terminal. Cells and titles are escaped here (ctl_clean), so that no caller can
 * forget it. If the columns do not fit, flexible ones are cut with …, down to `least`; then columns are dropped, the
 * highest `drop` first, and a line below the table names them.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "ctl/base/display.h"
#include "ctl/base/text.h"

enum { CTL_COLUMNS_MAX = 64 };

struct ctl_screen {
    int width;
    bool color;
};

struct ctl_column {
    const char *title;
    const char *subtitle; /* a second line of the title, or NULL */
    bool right;           /* aligned to the right, for numbers */
    bool flexible;        /* may be cut */
    enum ctl_cut cut;
    int least; /* minimum width of a flexible column before others are dropped */
    int drop;  /* 0: never */
};

enum ctl_tint { CTL_TINT_NONE, CTL_TINT_WORSE, CTL_TINT_BETTER };

struct ctl_cell {
    char *text; /* owned, clean */
    enum ctl_tint tint;
};

struct ctl_table {
    struct ctl_column columns[CTL_COLUMNS_MAX]; /* titles owned */
    int n_columns;
    struct ctl_cell *cells; /* row by row */
    size_t n_cells, cap;
    bool dim_last; /* draw the last row dim, for a remainder or total */
    bool failed;
};

void ctl_table_deinit(struct ctl_table *table);
void ctl_table_column(struct ctl_table *table, const struct ctl_column *column);
void ctl_table_cell(struct ctl_table *table, const char *text);
/* The same, red or green if the screen has colour. */
void ctl_table_tinted(struct ctl_table *table, const char *text, enum ctl_tint tint);
void ctl_table_print(struct ctl_table *table, const struct ctl_screen *screen, struct ctl_text *out);

#endif
