#include "daemon/control/response.h"

#include <stdlib.h>
#include <string.h>

static const char no_memory[] = "{\"error\": {\"code\": \"internal\", \"message\": \"out of memory\"}}\n";

/* A body on its way: the piece that is being sent. */
struct sending {
    struct tsd_body body;
    struct ts_buf piece;
    size_t at; /* sent of the piece */
    uint64_t *sent;
};

static ssize_t read_body(void *data, uint64_t position, char *bytes, size_t room)
{
    struct sending *sending = data;
    (void)position;
    if (sending->at == sending->piece.len) {
        ts_buf_reset(&sending->piece);
        sending->at = 0;
        int rc = sending->body.next(sending->body.data, &sending->piece);
        if (rc == TSD_BODY_END)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (rc < 0 || ts_buf_failed(&sending->piece) || !sending->piece.len)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = sending->piece.len - sending->at;
    n = n < room ? n : room;
    memcpy(bytes, sending->piece.data + sending->at, n);
    sending->at += n;
    *sending->sent += n;
    return (ssize_t)n;
}

static void free_sending(void *data)
{
    struct sending *sending = data;
    tsd_body_deinit(&sending->body);
    ts_buf_deinit(&sending->piece);
    free(sending);
}

static struct MHD_Response *from_body(struct tsd_reply *reply, uint64_t *sent)
{
    struct sending *sending = calloc(1, sizeof(*sending));
    if (!sending)
        return NULL;
    *sending = (struct sending){.body = reply->body, .sent = sent};
    reply->body = (struct tsd_body){0};
    ts_buf_init(&sending->piece);
    uint64_t len = sending->body.len < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)sending->body.len;
    struct MHD_Response *response = MHD_create_response_from_callback(len, TSD_PIECE, read_body, sending, free_sending);
    if (!response)
        free_sending(sending);
    return response;
}

static struct MHD_Response *from_text(struct tsd_reply *reply)
{
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(reply->len, reply->text, free);
    if (response)
        reply->text = NULL;
    return response;
}

/* Of a reply for which there was no memory. */
static struct MHD_Response *from_constant(void)
{
    union {
        const char *constant;
        void *as_declared; /* libmicrohttpd does not write to it */
    } text = {no_memory};
    return MHD_create_response_from_buffer(sizeof(no_memory) - 1, text.as_declared, MHD_RESPMEM_PERSISTENT);
}

static bool add_headers(struct MHD_Response *response, unsigned status, const char *type, const char *allow)
{
    bool busy = status == MHD_HTTP_SERVICE_UNAVAILABLE;
    return MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) &&
           MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
           MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") &&
           (!allow || MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow)) &&
           (!busy || MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1"));
}

struct MHD_Response *tsd_response_new(struct tsd_reply *reply, uint64_t *sent, unsigned *ret_status)
{
    bool complete = reply->text || tsd_body_exists(&reply->body);
    unsigned status = complete ? reply->status : MHD_HTTP_INTERNAL_SERVER_ERROR;
    const char *type = complete ? reply->type : TSD_TYPE_JSON;
    struct MHD_Response *response = tsd_body_exists(&reply->body) ? from_body(reply, sent)
                                    : reply->text                 ? from_text(reply)
                                                                  : from_constant();
    tsd_reply_deinit(reply); /* what the response did not take */
    if (response && add_headers(response, status, type, reply->allow)) {
        *ret_status = status;
        return response;
    }
    if (response)
        MHD_destroy_response(response);
    return NULL;
}
