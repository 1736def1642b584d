#include "daemon/stream_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A line that begins so is a browser's or a tool's, made to post to a local port by some web page. */
static bool is_http(const char *line, size_t len)
{
    static const char *const methods[] = {"GET ",     "POST ",  "PUT ",   "HEAD ",    "DELETE ",
                                          "OPTIONS ", "PATCH ", "TRACE ", "CONNECT ", "PRI "};
    if (!len || line[0] < 'A' || line[0] > 'Z')
        return false;
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        size_t n = strlen(methods[i]);
        if (len >= n && memcmp(line, methods[i], n) == 0)
            return true;
    }
    return false;
}

static void reject(struct tsd_ingest *ingest, enum ts_reject code, const char *line, size_t len,
                   const struct tsd_peer *peer, struct tsd_line_result *result)
{
    tsd_ingest_reject(ingest, code, line, len, peer, &result->fault);
    result->code = ts_reject_name(code);
    result->ends = true;
}

static void take_hello(uint64_t number, struct tsd_line_result *result)
{
    result->ends = true;
    result->fault.offset = 0;
    if (number > 1) {
        result->code = "bad_shape";
        snprintf(result->fault.message, sizeof(result->fault.message),
                 "a hello is the first line of a stream, or none");
        return;
    }
    result->code = "not_supported";
    snprintf(result->fault.message, sizeof(result->fault.message),
             "this version has no acknowledged streams: send the messages without a hello");
}

void tsd_line_take(struct tsd_ingest *ingest, enum tsd_frame frame, const char *line, size_t len, uint64_t number,
                   size_t max_message, const struct tsd_peer *peer, struct tsd_line_result *ret_result)
{
    struct ts_fault *fault = &ret_result->fault;
    *ret_result = (struct tsd_line_result){.code = NULL};
    int rc = frame == TSD_FRAME_NO_MEMORY ? TS_ENOMEM : 0;
    if (frame == TSD_FRAME_TOO_LARGE) {
        fault->offset = max_message;
        snprintf(fault->message, sizeof(fault->message), "the line passes ingest.max_message (%zu bytes)", max_message);
        reject(ingest, TS_TOO_LARGE, line, len, peer, ret_result);
        return;
    }
    if (!rc && is_http(line, len)) {
        snprintf(fault->message, sizeof(fault->message),
                 "this is an HTTP request; profiles are sent as lines of JSON, HTTP is for the control socket");
        reject(ingest, TS_BAD_JSON, line, len, peer, ret_result);
        return;
    }
    if (!rc)
        rc = tsd_ingest_message(ingest, line, len, peer, fault);
    if (rc == TS_HELLO) {
        take_hello(number, ret_result);
    } else if (rc < 0) {
        ret_result->code = "unavailable";
        ret_result->ends = true;
        fault->offset = 0;
        snprintf(fault->message, sizeof(fault->message), "no memory is left for this line; it was not taken");
    } else if (rc) {
        ret_result->code = ts_reject_name(rc);
    }
}

void tsd_line_answer(struct ts_buf *out, const struct tsd_line_result *result, uint64_t number)
{
    const char *message = result->fault.message;
    ts_buf_printf(out, "{\"error\": {\"code\": \"%s\", \"message\": ", result->code);
    ts_buf_json_string(out, message, strlen(message));
    ts_buf_printf(out, ", \"line\": %" PRIu64 ", \"offset\": %zu}}\n", number, result->fault.offset);
}
