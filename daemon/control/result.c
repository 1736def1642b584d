#include "daemon/control/result.h"

#include <assert.h>
#include <stdlib.h>

void tsd_result_init(struct tsd_result *result)
{
    *result = (struct tsd_result){.response = NULL};
    ts_buf_init(&result->text);
}

void tsd_result_deinit(struct tsd_result *result)
{
    result->response = ts_response_free(result->response);
    ts_buf_deinit(&result->text);
}

/* Appends the next piece of text. */
static void format_piece(struct ts_response **response, const struct ts_query *query, struct ts_buf *out)
{
    if (ts_response_write(*response, out, TSD_PIECE))
        return;
    *response = ts_response_free(*response);
    if (!ts_query_csv(query))
        ts_buf_putc(out, '\n'); /* as every other JSON reply ends */
}

int tsd_result_run(struct tsd_result *result, struct ts_query *query, struct ts_reader *reader,
                   struct ts_query_error *ret_error)
{
    int rc = ts_query_run(query, reader, &result->response, ret_error);
    if (!rc)
        format_piece(&result->response, query, &result->text);
    return rc;
}

/* ---- In pieces ---- */

struct pieces {
    struct ts_query *query;
    struct ts_response *response; /* NULL: its text has ended */
    struct ts_buf first;
    size_t *held;
    size_t size; /* counted in *held */
};

static int next_piece(void *data, struct ts_buf *out)
{
    struct pieces *pieces = data;
    if (pieces->first.len) {
        ts_buf_append(out, pieces->first.data, pieces->first.len);
        ts_buf_deinit(&pieces->first);
        return TSD_BODY_MORE;
    }
    if (!pieces->response)
        return TSD_BODY_END;
    format_piece(&pieces->response, pieces->query, out);
    return out->len || ts_buf_failed(out) ? TSD_BODY_MORE : TSD_BODY_END;
}

static void free_pieces(void *data)
{
    struct pieces *pieces = data;
    assert(*pieces->held >= pieces->size);
    *pieces->held -= pieces->size;
    ts_response_free(pieces->response);
    ts_query_free(pieces->query);
    ts_buf_deinit(&pieces->first);
    free(pieces);
}

static bool reply_in_pieces(struct tsd_result *result, struct ts_query *query, size_t *held, const char *type,
                            struct tsd_reply *ret_reply)
{
    struct pieces *pieces = malloc(sizeof(*pieces));
    if (!pieces)
        return false;
    *pieces = (struct pieces){.query = query,
                              .response = result->response,
                              .first = result->text,
                              .held = held,
                              .size = ts_response_memory(result->response) + result->text.cap};
    *held += pieces->size;
    tsd_result_init(result);
    *ret_reply =
        (struct tsd_reply){.status = 200, .type = type, .body = {.next = next_piece, .free = free_pieces, .len = -1}};
    ret_reply->body.data = pieces;
    return true;
}

void tsd_result_reply(struct tsd_result *result, struct ts_query *query, size_t *held, struct tsd_reply *ret_reply)
{
    const char *type = ts_query_csv(query) ? TSD_TYPE_CSV : TSD_TYPE_JSON;
    if (result->response && reply_in_pieces(result, query, held, type, ret_reply))
        return;
    if (result->response)
        tsd_reply_no_memory(ret_reply);
    else
        tsd_reply_from_buf(&result->text, 200, type, ret_reply);
    ts_query_free(query);
}
