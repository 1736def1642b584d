/*
 * A response: the result of a query, and how much of its text has been written.
 *
 * The text is generated piece by piece, when the caller asks for more, from a result that is complete in memory. So the
 * length of the text costs no memory, and a slow client does not keep a read transaction open.
 */
#include "lib/query/internal.h"

#include <assert.h>
#include <stdlib.h>

struct ts_response {
    const struct ts_query *query;
    struct ts_cursor cursor;
    bool ended;
    struct ts_query_result result; /* of buckets and top */
    struct ts_diff diff;
    struct ts_query_list list; /* of functions and labels */
};

static int collect(struct ts_response *response, struct ts_reader *reader, struct ts_query_error *error)
{
    const struct ts_query *query = response->query;
    switch (query->kind) {
    case TS_QUERY_BUCKETS:
    case TS_QUERY_TOP:
        return ts_query_collect(query, reader, &response->result, error);
    case TS_QUERY_DIFF:
        return ts_diff_collect(query, reader, &response->diff, error);
    default:
        assert(query->kind == TS_QUERY_FUNCTIONS || query->kind == TS_QUERY_LABELS);
        return ts_query_list_collect(query, reader, &response->list, error);
    }
}

int ts_query_run(const struct ts_query *query, struct ts_reader *reader, struct ts_response **ret_response,
                 struct ts_query_error *ret_error)
{
    struct ts_response *response = calloc(1, sizeof(*response));
    int r = response ? ts_reader_begin(reader) : TS_ENOMEM;
    if (!r) {
        response->query = query;
        r = collect(response, reader, ret_error);
        ts_reader_end(reader);
    }
    if (r) {
        ts_response_free(response);
        return ts_query_explain(ret_error, r);
    }
    *ret_response = response;
    return 0;
}

static bool write_piece(struct ts_response *response, struct ts_buf *out)
{
    const struct ts_query *query = response->query;
    struct ts_cursor *cursor = &response->cursor;
    switch (query->kind) {
    case TS_QUERY_BUCKETS:
    case TS_QUERY_TOP:
        return query->csv ? ts_query_csv_piece(&response->result, cursor, out)
                          : ts_query_json_piece(&response->result, cursor, out);
    case TS_QUERY_DIFF:
        return query->csv ? ts_diff_csv_piece(&response->diff, cursor, out)
                          : ts_diff_json_piece(&response->diff, cursor, out);
    default:
        return ts_query_list_piece(&response->list, cursor, out);
    }
}

bool ts_response_write(struct ts_response *response, struct ts_buf *out, size_t min_len)
{
    size_t until = out->len + min_len;
    while (!response->ended && out->len < until && !ts_buf_failed(out))
        response->ended = !write_piece(response, out);
    return !response->ended;
}

static size_t memory_of(const struct ts_query_result *result)
{
    size_t n = result->names.groups.n;
    return result->names.groups.memory + result->n_columns * sizeof(*result->columns) +
           n * (result->n_totals * sizeof(*result->totals) + 2 * sizeof(uint32_t)) +
           (result->cells ? ((size_t)result->other_row + 1) * result->n_columns * sizeof(*result->cells) : 0);
}

size_t ts_response_memory(const struct ts_response *response)
{
    const struct ts_query_list *list = &response->list;
    size_t n_list = list->names.groups.n + list->sets.n;
    return sizeof(*response) + memory_of(&response->result) + memory_of(&response->diff.sides[0]) +
           memory_of(&response->diff.sides[1]) + response->diff.n * sizeof(*response->diff.rows) +
           list->names.groups.memory + list->sets.memory +
           n_list * (sizeof(*list->seen) + sizeof(*list->profiles) + sizeof(*list->order));
}

struct ts_response *ts_response_free(struct ts_response *response)
{
    if (!response)
        return NULL;
    ts_query_result_deinit(&response->result);
    ts_diff_deinit(&response->diff);
    ts_query_list_deinit(&response->list);
    free(response);
    return NULL;
}
