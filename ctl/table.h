/*
 * Columns that line up in the width of the terminal. Whatever is put into a cell or a title is cleaned here, so no
 * caller can forget it. Where the columns do not fit, the flexible ones are cut with …, down to `least`; then columns
 * are dropped, the highest `drop` first, and a line under the table names them.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "ctl/format.h"
#include "ctl/text.h"

enum { CTL_COLUMNS_MAX = 64 };

struct ctl_screen {
    int width;
    bool color;
};

struct ctl_column {
    const char *title;
    const char *subtitle; /* a second line of the title, or NULL */
    bool right;           /* figures stand to the right */
    bool flexible;        /* may be cut */
    enum ctl_cut cut;
    int least; /* columns left to a flexible one before others are dropped */
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
    bool dim_last; /* the last row is a remainder */
    bool failed;
};

void ctl_table_deinit(struct ctl_table *table);
void ctl_table_column(struct ctl_table *table, const struct ctl_column *column);
void ctl_table_cell(struct ctl_table *table, const char *text);
/* The same, red or green on a colour screen. */
void ctl_table_tinted(struct ctl_table *table, const char *text, enum ctl_tint tint);
/* That cumtimes of several functions, once added up, are no time that has passed. */
void ctl_nested_note(const struct ctl_screen *screen, struct ctl_text *out);
void ctl_table_print(struct ctl_table *table, const struct ctl_screen *screen, struct ctl_text *out);

#endif
