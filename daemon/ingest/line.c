#include "daemon/ingest/line.h"

#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Browsers and tools can be made by a web page to post to a local port: such a line begins like this. */
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

static void set_fault(struct tsd_line_result *result, const char *code, size_t offset, const char *message)
{
    result->code = code;
    result->fault.offset = offset;
    snprintf(result->fault.message, sizeof(result->fault.message), "%s", message);
}

static void no_memory(struct tsd_line_result *result)
{
    result->next = TSD_LINE_END;
    set_fault(result, "unavailable", 0, "out of memory; the line was not processed");
}

static void misplaced_hello(struct tsd_line_result *result)
{
    result->next = TSD_LINE_END;
    set_fault(result, "bad_shape", 0, "a hello must be the first line of a stream");
}

static void process_hello(const struct tsd_line_context *context, struct tsd_line_result *result)
{
    struct tsd_session *session = context->session;
    struct ts_hello hello;
    struct tsd_client *client = NULL;
    int rc = ts_decode_hello(context->ingest->decoder, &hello, &result->fault);
    result->next = TSD_LINE_END;
    if (rc > 0) {
        result->code = ts_reject_name(rc);
        return;
    }
    if (!rc)
        rc = tsd_session_keep_labels(session, &hello);
    if (!rc)
        rc = tsd_clients_hello(context->clients, hello.client, context->thread, context->connection, &client);
    if (rc == TSD_TOO_MANY_CLIENTS) {
        result->code = "too_many_clients";
        result->fault.offset = 0;
        snprintf(result->fault.message, sizeof(result->fault.message),
                 "too many clients (%d); a client is removed when it sends {\"bye\": true} or is idle for"
                 " store.client_expiry",
                 TSD_CLIENTS_MAX);
        return;
    }
    if (rc) {
        no_memory(result);
        return;
    }
    session->client = client;
    result->next = TSD_LINE_HELLO;
}

static void too_large(const struct tsd_line_context *context, struct tsd_line_result *result)
{
    result->fault.offset = context->max_message;
    snprintf(result->fault.message, sizeof(result->fault.message),
             "the line is longer than ingest.max_message (%zu bytes)", context->max_message);
}

/* A line of a plain stream, or the hello that makes it an acknowledged one. */
static void process_plain(const struct tsd_line_context *context, enum tsd_frame frame, const char *line, size_t len,
                          uint64_t number, struct tsd_line_result *result)
{
    if (frame == TSD_FRAME_TOO_LARGE) {
        too_large(context, result);
        tsd_ingest_reject(context->ingest, TS_TOO_LARGE, line, len, context->peer, &result->fault);
        result->code = ts_reject_name(TS_TOO_LARGE);
        result->next = TSD_LINE_END;
        return;
    }
    int rc = tsd_ingest_message(context->ingest, line, len, context->peer, &result->fault);
    if (rc == TS_HELLO && number == 1)
        process_hello(context, result);
    else if (rc == TS_HELLO)
        misplaced_hello(result);
    else if (rc < 0)
        no_memory(result);
    else if (rc)
        result->code = ts_reject_name(rc);
}

/* rc: the result of tsd_ingest_read(), or TS_TOO_LARGE. */
static void process_numbered(const struct tsd_line_context *context, int rc, const struct ts_profile *profile,
                             uint64_t seq, const char *line, size_t len, struct tsd_line_result *result)
{
    struct tsd_session *session = context->session;
    result->numbered = true;
    result->seq = seq;
    session->number = seq;
    if (seq <= session->processed) {
        tsd_ingest_duplicate(context->ingest, len);
        session->ack_again = session->ack_again || seq <= session->acked;
        return;
    }
    if (seq > session->processed + 1) {
        result->expected = session->processed + 1;
        snprintf(result->fault.message, sizeof(result->fault.message),
                 "seq is %" PRIu64 ", expected %" PRIu64 ": messages in between are missing", seq, result->expected);
        result->fault.offset = 0;
        tsd_ingest_reject(context->ingest, TS_SEQUENCE, line, len, context->peer, &result->fault);
        result->code = ts_reject_name(TS_SEQUENCE);
        result->next = TSD_LINE_END;
        return;
    }
    int failed = tsd_ingest_reserve_mark(context->ingest);
    if (!failed && !rc)
        failed = tsd_ingest_add(context->ingest, profile, &session->labels, len);
    if (failed) {
        result->numbered = false;
        no_memory(result);
        return;
    }
    if (rc) {
        tsd_ingest_reject(context->ingest, rc, line, len, context->peer, &result->fault);
        result->code = ts_reject_name(rc);
    }
    tsd_session_advance(session, context->ingest, seq);
}

static void process_acknowledged(const struct tsd_line_context *context, enum tsd_frame frame, const char *line,
                                 size_t len, struct tsd_line_result *result)
{
    struct tsd_session *session = context->session;
    const struct ts_profile *profile = NULL;
    uint64_t seq = session->number + 1;
    if (frame == TSD_FRAME_TOO_LARGE) {
        too_large(context, result);
        result->next = TSD_LINE_END_ACKED;
        process_numbered(context, TS_TOO_LARGE, NULL, seq, line, len, result);
        return;
    }
    if (ts_is_bye(line, len)) {
        session->bye = true;
        result->next = TSD_LINE_END_ACKED;
        return;
    }
    int rc = tsd_ingest_read(context->ingest, line, len, &profile, &result->fault);
    if (rc < 0) {
        no_memory(result);
        return;
    }
    if (rc == TS_HELLO) {
        misplaced_hello(result);
        return;
    }
    ts_decoder_seq(context->ingest->decoder, &seq);
    process_numbered(context, rc, profile, seq, line, len, result);
}

void tsd_line_process(const struct tsd_line_context *context, enum tsd_frame frame, const char *line, size_t len,
                      uint64_t number, struct tsd_line_result *ret_result)
{
    struct ts_fault *fault = &ret_result->fault;
    *ret_result = (struct tsd_line_result){.code = NULL};
    if (frame == TSD_FRAME_NO_MEMORY) {
        no_memory(ret_result);
    } else if (frame == TSD_FRAME_LINE && is_http(line, len)) {
        set_fault(ret_result, ts_reject_name(TS_BAD_JSON), 0,
                  "this is an HTTP request; send profiles as lines of JSON, and HTTP requests to the control socket");
        ret_result->next = TSD_LINE_END;
        tsd_ingest_reject(context->ingest, TS_BAD_JSON, line, len, context->peer, fault);
    } else if (context->session->client) {
        process_acknowledged(context, frame, line, len, ret_result);
    } else {
        process_plain(context, frame, line, len, number, ret_result);
    }
}

void tsd_line_reply(struct ts_buf *out, const struct tsd_line_result *result, uint64_t number)
{
    const char *message = result->fault.message;
    ts_buf_puts(out, result->numbered ? "{\"reject\": {" : "{\"error\": {");
    if (result->expected)
        ts_buf_printf(out, "\"seq\": %" PRIu64 ", \"expected\": %" PRIu64 ", ", result->seq, result->expected);
    else if (result->numbered)
        ts_buf_printf(out, "\"seq\": %" PRIu64 ", ", result->seq);
    ts_buf_printf(out, "\"code\": \"%s\", \"message\": ", result->code);
    ts_put_json_string(out, message, strlen(message));
    ts_buf_printf(out, ", \"line\": %" PRIu64 ", \"offset\": %zu}}\n", number, result->fault.offset);
}

void tsd_line_reply_hello(struct ts_buf *out, uint64_t last_seq, uint64_t max_message)
{
    ts_buf_printf(out, "{\"hello\": {\"protocol\": 1, \"last_seq\": %" PRIu64 ", \"max_message\": %" PRIu64 "}}\n",
                  last_seq, max_message);
}

void tsd_line_reply_ack(struct ts_buf *out, uint64_t seq)
{
    ts_buf_printf(out, "{\"ack\": %" PRIu64 "}\n", seq);
}
