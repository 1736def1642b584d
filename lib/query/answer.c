/*
 * An answer: what was read, and how far its text has been written. The text is made as it is asked for, so that neither
 * its length nor the speed of who reads it holds memory or the store.
 */
#include "lib/query/internal.h"

#include <stdlib.h>

struct ts_answer {
    const struct ts_query *query;
    struct ts_cursor cursor;
    bool ended;
    struct ts_query_result result;
    struct ts_diff diff;
    struct ts_query_list list;
};

static int collect(const struct ts_query *query, struct ts_reader *reader, struct ts_answer *answer,
                   struct ts_query_error *error)
{
    switch (query->kind) {
    case TS_QUERY_BUCKETS:
    case TS_QUERY_TOP:
        return ts_query_collect(query, reader, &answer->result, error);
    case TS_QUERY_DIFF:
        return ts_diff_collect(query, reader, &answer->diff, error);
    case TS_QUERY_FUNCTIONS:
    case TS_QUERY_LABELS:
        return ts_query_list_collect(query, reader, &answer->list, error);
    default:
        return ts_query_fail(error, TS_QUERY_INTERNAL, "", "this is no query");
    }
}

int ts_query_start(const struct ts_query *query, struct ts_reader *reader, struct ts_answer **ret_answer,
                   struct ts_query_error *ret_error)
{
    struct ts_answer *answer = calloc(1, sizeof(*answer));
    int r = answer ? ts_reader_begin(reader) : TS_ENOMEM;
    if (!r) {
        answer->query = query;
        r = collect(query, reader, answer, ret_error);
        ts_reader_end(reader);
    }
    if (r) {
        ts_answer_free(answer);
        return ts_query_explain(ret_error, r);
    }
    *ret_answer = answer;
    return 0;
}

static bool write_piece(struct ts_answer *answer, struct ts_buf *out)
{
    const struct ts_query *query = answer->query;
    if (query->kind == TS_QUERY_DIFF)
        return query->csv ? ts_diff_csv_piece(&answer->diff, &answer->cursor, out)
                          : ts_diff_json_piece(&answer->diff, &answer->cursor, out);
    if (query->kind == TS_QUERY_BUCKETS || query->kind == TS_QUERY_TOP)
        return query->csv ? ts_query_csv_piece(&answer->result, &answer->cursor, out)
                          : ts_query_json_piece(&answer->result, &answer->cursor, out);
    return ts_query_list_piece(&answer->list, &answer->cursor, out);
}

bool ts_answer_write(struct ts_answer *answer, struct ts_buf *out, size_t enough)
{
    size_t until = out->len + enough;
    while (!answer->ended && out->len < until && !ts_buf_failed(out))
        answer->ended = !write_piece(answer, out);
    return !answer->ended;
}

static size_t memory_of(const struct ts_query_result *result)
{
    size_t n = result->names.groups.n;
    return result->names.groups.memory + result->n_columns * sizeof(*result->columns) +
           n * (result->n_totals * sizeof(*result->totals) + 2 * sizeof(uint32_t)) +
           (result->cells ? ((size_t)result->other_row + 1) * result->n_columns * sizeof(*result->cells) : 0);
}

size_t ts_answer_memory(const struct ts_answer *answer)
{
    const struct ts_query_list *list = &answer->list;
    size_t n_list = list->names.groups.n + list->sets.n;
    return sizeof(*answer) + memory_of(&answer->result) + memory_of(&answer->diff.sides[0]) +
           memory_of(&answer->diff.sides[1]) + answer->diff.n * sizeof(*answer->diff.rows) + list->names.groups.memory +
           list->sets.memory + n_list * (sizeof(*list->seen) + sizeof(*list->profiles) + sizeof(*list->order));
}

struct ts_answer *ts_answer_free(struct ts_answer *answer)
{
    if (!answer)
        return NULL;
    ts_query_result_deinit(&answer->result);
    ts_diff_deinit(&answer->diff);
    ts_query_list_deinit(&answer->list);
    free(answer);
    return NULL;
}

int ts_query_run(const struct ts_query *query, struct ts_reader *reader, struct ts_buf *out,
                 struct ts_query_error *ret_error)
{
    size_t before = out->len;
    struct ts_answer *answer = NULL;
    int r = ts_query_start(query, reader, &answer, ret_error);
    if (r)
        return r;
    while (ts_answer_write(answer, out, SIZE_MAX / 2) && !ts_buf_failed(out)) {
    }
    ts_answer_free(answer);
    if (ts_buf_failed(out)) {
        out->len = before;
        return ts_query_explain(ret_error, TS_ENOMEM);
    }
    return 0;
}
