/*
 * A response: the result of a query, and how much of its text has been written.
 *
 * The text is generated piece by piece, when the caller asks for more, from a result that is complete in memory. So the
 * length of the text costs no memory, and a slow client does not keep a read transaction open.
 */
#include "lib/query/csv.h"
#include "lib/query/diff_write.h"
#include "lib/query/error.h"
#include "lib/query/json.h"
#include "lib/query/list_functions.h"
#include "lib/query/list_labels.h"

#include <assert.h>
#include <stdlib.h>

struct ts_response {
    const struct ts_query *query;
    struct ts_cursor cursor;
    bool ended;
    /* The one for the kind of the query; the others are empty. */
    struct ts_query_result result; /* of buckets and top */
    struct ts_diff diff;
    struct ts_function_list functions;
    struct ts_label_list labels;
};

static int collect(struct ts_response *response, struct ts_reader *reader, struct ts_query_error *error)
{
    const struct ts_query *query = response->query;
    switch (query->kind) {
    case TS_QUERY_BUCKETS:
    case TS_QUERY_TOP:
        return ts_query_result_collect(query, reader, &response->result, error);
    case TS_QUERY_DIFF:
        return ts_diff_collect(query, reader, &response->diff, error);
    case TS_QUERY_FUNCTIONS:
        return ts_function_list_collect(query, reader, &response->functions, error);
    default:
        assert(query->kind == TS_QUERY_LABELS);
        return ts_label_list_collect(query, reader, &response->labels, error);
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
        return ts_query_fail_with(ret_error, r);
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
    case TS_QUERY_FUNCTIONS:
        return ts_function_list_piece(&response->functions, cursor, out);
    default:
        return ts_label_list_piece(&response->labels, cursor, out);
    }
}

bool ts_response_write(struct ts_response *response, struct ts_buf *out, size_t min_len)
{
    size_t until = out->len + min_len;
    while (!response->ended && out->len < until && !ts_buf_failed(out))
        response->ended = !write_piece(response, out);
    return !response->ended;
}

size_t ts_response_memory(const struct ts_response *response)
{
    return sizeof(*response) + ts_query_result_memory(&response->result) + ts_diff_memory(&response->diff) +
           ts_function_list_memory(&response->functions) + ts_label_list_memory(&response->labels);
}

struct ts_response *ts_response_free(struct ts_response *response)
{
    if (!response)
        return NULL;
    ts_query_result_deinit(&response->result);
    ts_diff_deinit(&response->diff);
    ts_function_list_deinit(&response->functions);
    ts_label_list_deinit(&response->labels);
    free(response);
    return NULL;
}
