#include "daemon/control/reply.h"

#include "lib/base/text.h"

#include <string.h>

void tsd_reply_take(struct ts_buf *buf, unsigned status, const char *type, struct tsd_reply *ret_reply)
{
    *ret_reply = (struct tsd_reply){.status = status, .type = type};
    ret_reply->body = ts_buf_steal(buf, &ret_reply->len);
    if (!ret_reply->body)
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
    tsd_reply_take(&out, status, TSD_TYPE_JSON, ret_reply);
}
