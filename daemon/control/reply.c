#include "daemon/control/reply.h"

#include "lib/base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void tsd_reply_from_buf(struct ts_buf *buf, unsigned status, const char *type, struct tsd_reply *ret_reply)
{
    *ret_reply = (struct tsd_reply){.status = status, .type = type};
    ret_reply->text = ts_buf_steal(buf, &ret_reply->len);
    if (!ret_reply->text)
        *ret_reply = (struct tsd_reply){.status = 500, .type = TSD_TYPE_JSON};
}

static void member(struct ts_buf *out, const char *name, const char *value)
{
    ts_buf_printf(out, "\"%s\": ", name);
    ts_put_json_string(out, value, strlen(value));
}

void tsd_reply_error(unsigned status, const char *code, const char *parameter, const char *message,
                     struct tsd_reply *ret_reply)
{
    struct ts_buf out;
    ts_buf_init(&out);
    ts_buf_puts(&out, "{\"error\": {");
    member(&out, "code", code);
    if (parameter && *parameter) {
        ts_buf_puts(&out, ", ");
        member(&out, "parameter", parameter);
    }
    ts_buf_puts(&out, ", ");
    member(&out, "message", message);
    ts_buf_puts(&out, "}}\n");
    tsd_reply_from_buf(&out, status, TSD_TYPE_JSON, ret_reply);
}

void tsd_reply_query_error(const struct ts_query_error *error, struct tsd_reply *ret_reply)
{
    static const unsigned statuses[TS_QUERY_ERROR_KINDS] = {
        [TS_QUERY_BAD_PARAMETER] = 400,     [TS_QUERY_TOO_LARGE] = 400, [TS_QUERY_NOT_KEPT] = 400,
        [TS_QUERY_STORE_UNAVAILABLE] = 503, [TS_QUERY_INTERNAL] = 500,
    };
    assert(error->kind > TS_QUERY_NO_ERROR && error->kind < TS_QUERY_ERROR_KINDS && statuses[error->kind]);
    tsd_reply_error(statuses[error->kind], ts_query_error_code(error->kind), error->parameter, error->message,
                    ret_reply);
}

void tsd_reply_stopping(struct tsd_reply *ret_reply)
{
    tsd_reply_error(503, "stopping", NULL, "the daemon is stopping", ret_reply);
}

void tsd_reply_no_memory(struct tsd_reply *ret_reply)
{
    tsd_reply_error(500, "internal", NULL, "out of memory", ret_reply);
}

void tsd_reply_deinit(struct tsd_reply *reply)
{
    free(reply->text);
    reply->text = NULL;
    tsd_body_deinit(&reply->body);
}
