#include "daemon/ingest/outbox.h"

#include <stdlib.h>
#include <string.h>

struct queued {
    uv_write_t request;
    char bytes[];
};

void tsd_outbox_init(struct tsd_outbox *outbox, uv_stream_t *stream)
{
    *outbox = (struct tsd_outbox){.stream = stream};
    ts_buf_init(&outbox->replies);
}

void tsd_outbox_deinit(struct tsd_outbox *outbox)
{
    ts_buf_deinit(&outbox->replies);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status; /* the next read reports a broken connection */
    free(request->data);
}

/* False: no memory. */
static bool queue(struct tsd_outbox *outbox, const char *bytes, size_t len)
{
    struct queued *queued = malloc(sizeof(*queued) + len);
    if (!queued)
        return false;
    memcpy(queued->bytes, bytes, len);
    queued->request.data = queued;
    uv_buf_t buf = uv_buf_init(queued->bytes, (unsigned)len);
    if (uv_write(&queued->request, outbox->stream, &buf, 1, on_written) == 0)
        return true;
    free(queued);
    return false;
}

void tsd_outbox_send(struct tsd_outbox *outbox)
{
    struct ts_buf *replies = &outbox->replies;
    size_t sent = 0;
    if (ts_buf_failed(replies)) {
        outbox->lost = true;
        ts_buf_reset(replies);
        return;
    }
    if (!replies->len)
        return;
    if (uv_stream_get_write_queue_size(outbox->stream) == 0) {
        uv_buf_t buf = uv_buf_init(replies->data, (unsigned)replies->len);
        int n = uv_try_write(outbox->stream, &buf, 1);
        sent = n > 0 ? (size_t)n : 0;
    }
    if (sent < replies->len && !queue(outbox, replies->data + sent, replies->len - sent)) {
        outbox->lost = true;
        outbox->torn |= sent > 0;
    }
    ts_buf_reset(replies);
}

bool tsd_outbox_has_room(struct tsd_outbox *outbox)
{
    if (outbox->replies.len + uv_stream_get_write_queue_size(outbox->stream) < TSD_OUTBOX_MAX)
        return true;
    tsd_outbox_send(outbox);
    return uv_stream_get_write_queue_size(outbox->stream) < TSD_OUTBOX_MAX;
}
