#include "daemon/ingest/rejects.h"

#include "daemon/base/clock.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>

int tsd_rejects_init(struct tsd_rejects *rejects)
{
    rejects->next = 0;
    rejects->n = 0;
    return uv_mutex_init(&rejects->lock) ? TS_ENOMEM : 0;
}

void tsd_rejects_deinit(struct tsd_rejects *rejects)
{
    uv_mutex_destroy(&rejects->lock);
}

void tsd_rejects_add(struct tsd_rejects *rejects, int code, const char *peer, const char *message, const char *text,
                     size_t len)
{
    int64_t now = tsd_clock_wall();
    uv_mutex_lock(&rejects->lock);
    struct tsd_reject *item = &rejects->items[rejects->next];
    rejects->next = (rejects->next + 1) % TSD_REJECTS_KEPT;
    if (rejects->n < TSD_REJECTS_KEPT)
        rejects->n++;
    item->time = now;
    item->code = code;
    snprintf(item->peer, sizeof(item->peer), "%s", peer);
    snprintf(item->message, sizeof(item->message), "%s", message);
    item->text_len = len < TSD_REJECT_TEXT ? len : TSD_REJECT_TEXT;
    if (item->text_len)
        memcpy(item->text, text, item->text_len);
    uv_mutex_unlock(&rejects->lock);
}

void tsd_rejects_write(struct tsd_rejects *rejects, struct ts_buf *out)
{
    ts_buf_puts(out, "{\"rejects\": [");
    uv_mutex_lock(&rejects->lock);
    for (size_t i = 0; i < rejects->n; i++) {
        size_t at = (rejects->next + TSD_REJECTS_KEPT - 1 - i) % TSD_REJECTS_KEPT;
        const struct tsd_reject *item = &rejects->items[at];
        ts_buf_puts(out, i ? ",\n {\"time\": " : "\n {\"time\": ");
        ts_put_seconds(out, item->time);
        ts_buf_puts(out, ", \"peer\": ");
        ts_put_json_string(out, item->peer, strlen(item->peer));
        ts_buf_printf(out, ", \"code\": \"%s\", \"message\": ", ts_reject_name(item->code));
        ts_put_json_string(out, item->message, strlen(item->message));
        ts_buf_puts(out, ", \"text\": ");
        ts_put_json_string(out, item->text, item->text_len);
        ts_buf_putc(out, '}');
    }
    uv_mutex_unlock(&rejects->lock);
    ts_buf_puts(out, "]}\n");
}
