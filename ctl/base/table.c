/* See table.h. */
#include "ctl/base/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2 };

static char *clean_copy(struct ctl_table *table, const char *text)
{
    struct ctl_text clean = {0};
    ctl_clean(&clean, text);
    if (!clean.data) /* an empty text has allocated nothing */
        ctl_text_append(&clean, "", 0);
    table->failed = table->failed || clean.failed;
    return clean.data;
}

void ctl_table_deinit(struct ctl_table *table)
{
    for (int i = 0; i < table->n_columns; i++) {
        free((char *)(uintptr_t)table->columns[i].title);
        free((char *)(uintptr_t)table->columns[i].subtitle);
    }
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i].text);
    free(table->cells);
    *table = (struct ctl_table){0};
}

void ctl_table_column(struct ctl_table *table, const struct ctl_column *column)
{
    if (table->n_columns == CTL_COLUMNS_MAX) {
        table->failed = true;
        return;
    }
    struct ctl_column *c = &table->columns[table->n_columns++];
    *c = *column;
    c->title = clean_copy(table, column->title);
    c->subtitle = column->subtitle ? clean_copy(table, column->subtitle) : NULL;
}

void ctl_table_tinted(struct ctl_table *table, const char *text, enum ctl_tint tint)
{
    if (table->n_cells == table->cap) {
        size_t cap = table->cap ? table->cap * 2 : 64;
        struct ctl_cell *cells = realloc(table->cells, cap * sizeof(*cells));
        if (!cells) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->cap = cap;
    }
    table->cells[table->n_cells++] = (struct ctl_cell){.text = clean_copy(table, text), .tint = tint};
}

void ctl_table_cell(struct ctl_table *table, const char *text)
{
    ctl_table_tinted(table, text, CTL_TINT_NONE);
}

struct layout {
    int width[CTL_COLUMNS_MAX]; /* 0: dropped */
};

static int sum(const struct ctl_table *table, const struct layout *layout)
{
    int total = -GAP;
    for (int i = 0; i < table->n_columns; i++)
        total += layout->width[i] ? layout->width[i] + GAP : 0;
    return total;
}

/* Narrows the widest flexible column, one step at a time, until all fit; false if `least` prevents it. */
static bool shrink(const struct ctl_table *table, struct layout *layout, int width, bool below_least)
{
    while (sum(table, layout) > width) {
        int widest = -1;
        for (int i = 0; i < table->n_columns; i++) {
            const struct ctl_column *c = &table->columns[i];
            int least = below_least ? 3 : c->least;
            if (c->flexible && layout->width[i] > least && (widest < 0 || layout->width[i] > layout->width[widest]))
                widest = i;
        }
        if (widest < 0)
            return false;
        layout->width[widest]--;
    }
    return true;
}

static void arrange(const struct ctl_table *table, int width, struct layout *ret_layout)
{
    struct layout natural = {{0}};
    for (int i = 0; i < table->n_columns; i++) {
        const struct ctl_column *c = &table->columns[i];
        int title = ctl_width(c->title), subtitle = c->subtitle ? ctl_width(c->subtitle) : 0;
        natural.width[i] = title > subtitle ? title : subtitle;
        if (c->flexible && c->right && natural.width[i] > c->least)
            natural.width[i] = c->least; /* the long title of a column of numbers is cut first */
        if (natural.width[i] < 1)
            natural.width[i] = 1;
    }
    for (size_t i = 0; i < table->n_cells; i++) {
        int *wide = &natural.width[i % (size_t)table->n_columns], cell = ctl_width(table->cells[i].text);
        *wide = cell > *wide ? cell : *wide;
    }
    for (;;) {
        *ret_layout = natural;
        if (shrink(table, ret_layout, width, false))
            return;
        int victim = -1;
        for (int i = 0; i < table->n_columns; i++) {
            int drop = table->columns[i].drop;
            if (natural.width[i] && drop && (victim < 0 || drop > table->columns[victim].drop))
                victim = i;
        }
        if (victim < 0)
            break;
        natural.width[victim] = 0;
    }
    shrink(table, ret_layout, width, true); /* a very narrow terminal: narrow below `least` */
}

static void put_cell(struct ctl_text *line, const struct ctl_column *c, int width, const struct ctl_cell *content,
                     bool color, bool last)
{
    static const char *const tints[] = {"", "\033[31m", "\033[32m"};
    struct ctl_text cell = {0};
    const char *tint = color ? tints[content->tint] : "";
    int used = ctl_fit(&cell, content->text, width, c->cut);
    if (c->right)
        ctl_text_spaces(line, width - used);
    ctl_text_printf(line, "%s%s%s", tint, ctl_text_str(&cell), *tint ? "\033[0m" : "");
    if (!c->right && !last)
        ctl_text_spaces(line, width - used);
    line->failed = line->failed || cell.failed;
    ctl_text_deinit(&cell);
}

/* style applies to the entire line; its cells then have no tint. */
static void put_line(const struct ctl_table *table, const struct layout *layout, const struct ctl_cell *cells,
                     const char *style, bool color, struct ctl_text *out)
{
    int last = table->n_columns - 1;
    while (last > 0 && (!layout->width[last] || !*cells[last].text)) /* no spaces at the end of a line */
        last--;
    ctl_text_puts(out, style);
    bool first = true;
    for (int i = 0; i <= last; i++) {
        if (!layout->width[i])
            continue;
        ctl_text_spaces(out, first ? 0 : GAP);
        put_cell(out, &table->columns[i], layout->width[i], &cells[i], color && !*style, i == last);
        first = false;
    }
    ctl_text_puts(out, *style ? "\033[0m\n" : "\n");
}

void ctl_table_print(struct ctl_table *table, const struct ctl_screen *screen, struct ctl_text *out)
{
    if (table->failed || !table->n_columns) {
        out->failed = out->failed || table->failed;
        return;
    }
    assert(table->n_cells % (size_t)table->n_columns == 0); /* only complete rows */
    struct layout layout;
    arrange(table, screen->width, &layout);

    struct ctl_cell titles[CTL_COLUMNS_MAX] = {{0}}, subtitles[CTL_COLUMNS_MAX] = {{0}};
    char empty[] = "";
    bool has_subtitles = false, color = screen->color;
    for (int i = 0; i < table->n_columns; i++) {
        titles[i].text = (char *)(uintptr_t)table->columns[i].title;
        subtitles[i].text = table->columns[i].subtitle ? (char *)(uintptr_t)table->columns[i].subtitle : empty;
        has_subtitles = has_subtitles || *subtitles[i].text;
    }
    put_line(table, &layout, titles, color ? "\033[1m" : "", color, out);
    if (has_subtitles)
        put_line(table, &layout, subtitles, color ? "\033[2m" : "", color, out);

    size_t columns = (size_t)table->n_columns;
    for (size_t row = 0; row + columns <= table->n_cells; row += columns) {
        bool dim = table->dim_last && row + 2 * columns > table->n_cells;
        put_line(table, &layout, table->cells + row, dim && color ? "\033[2m" : "", color, out);
    }

    struct ctl_text dropped = {0};
    for (int i = 0; i < table->n_columns; i++)
        if (!layout.width[i])
            ctl_text_printf(&dropped, "%s%s",
                            dropped.len ? ", " : "Not shown, the terminal is too narrow: ", titles[i].text);
    ctl_wrap(out, ctl_text_str(&dropped), screen->width, 0);
    out->failed = out->failed || dropped.failed;
    ctl_text_deinit(&dropped);
}
