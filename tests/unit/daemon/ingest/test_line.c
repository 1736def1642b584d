/*
 * Lines of plain and acknowledged streams: the result, the reply, and the numbers of the session.
 */
#include "daemon/ingest/line.h"
#include "tests/unit/daemon/ingest/ingest_fixture.h"
#include "tests/unit/failing_alloc.h"

#define PROFILE "\"profile\": {\"total_tt\": 1, \"func_profiles\": {\"f\": {\"cumtime\": 1.0}}}"
#define MESSAGE "{\"timestamp\": 1, " PROFILE "}"
#define HELLO "{\"hello\": {\"protocol\": 1, \"client\": \"c1\", \"labels\": {\"a\": \"b\"}}}"

struct stream {
    struct fixture *f;
    struct tsd_session session;
    uint64_t line;
    struct tsd_line_result result;
};

static enum tsd_line_next process(struct stream *s, enum tsd_frame frame, const char *line)
{
    static const struct tsd_peer nobody = {.kind = "test", .fd = -1};
    struct tsd_line_context context = {.ingest = &s->f->ingest,
                                       .session = &s->session,
                                       .clients = &s->f->clients,
                                       .connection = s,
                                       .peer = &nobody,
                                       .max_message = 1000};
    memset(&s->result, 0xff, sizeof(s->result));
    tsd_line_process(&context, frame, line, strlen(line), ++s->line, &s->result);
    return s->result.next;
}

static enum tsd_line_next send_line(struct stream *s, const char *line)
{
    return process(s, TSD_FRAME_LINE, line);
}

static enum tsd_line_next send_seq(struct stream *s, unsigned long long seq)
{
    char line[256];
    snprintf(line, sizeof(line), "{\"seq\": %llu, \"timestamp\": 1, " PROFILE "}", seq);
    return send_line(s, line);
}

/* A stream after its hello: the connection owns the client. */
static void open_stream(struct stream *s, struct fixture *f)
{
    uint64_t last_seq;
    *s = (struct stream){.f = f};
    assert_int_equal(send_line(s, HELLO), TSD_LINE_HELLO);
    assert_null(s->result.code);
    assert_int_equal(tsd_clients_claim(&f->clients, s->session.client, s, &last_seq), TSD_CLAIM_OWNED);
    tsd_session_open(&s->session, last_seq);
}

/* Hands over and commits everything, as the writer does. */
static void commit(struct fixture *f)
{
    struct tsd_batch batch;
    tsd_batch_init(&batch);
    assert_int_equal(tsd_batch_fill(&batch, &f->ingest), 0);
    for (size_t i = 0; i < batch.n_marks; i++)
        tsd_clients_committed(&f->clients, &batch.marks[i], 1);
    tsd_batch_deinit(&batch);
}

static void close_stream(struct stream *s)
{
    if (s->session.client)
        tsd_session_leave(&s->session, &s->f->ingest, &s->f->clients, s);
    tsd_session_deinit(&s->session);
    commit(s->f);
}

static void expect_reply(struct stream *s, const char *expected)
{
    struct ts_buf out;
    ts_buf_init(&out);
    tsd_line_reply(&out, &s->result, s->line);
    ts_buf_append(&out, "", 1);
    assert_string_equal(out.data, expected);
    ts_buf_deinit(&out);
}

static uint64_t count(struct fixture *f, int code)
{
    return tsd_get(&f->ingest.stats.rejected[code]);
}

/* ---- Plain streams ---- */

static void a_plain_stream_continues_after_a_rejected_line(void **state)
{
    struct stream s = {.f = *state};
    assert_int_equal(send_line(&s, MESSAGE), TSD_LINE_CONTINUE);
    assert_null(s.result.code);
    assert_int_equal(send_line(&s, "{\"timestamp\": 1}"), TSD_LINE_CONTINUE);
    assert_string_equal(s.result.code, "bad_shape");
    assert_false(s.result.numbered);
    expect_reply(
        &s,
        "{\"error\": {\"code\": \"bad_shape\", \"message\": \"profile is missing (byte 0)\", \"line\": 2, \"offset\":"
        " 0}}\n");
    assert_int_equal(send_line(&s, MESSAGE), TSD_LINE_CONTINUE);
    assert_int_equal(tsd_get(&s.f->ingest.stats.accepted), 2);
    assert_int_equal(count(s.f, TS_BAD_SHAPE), 1);
}

static void some_lines_end_the_stream(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum tsd_frame frame;
        const char *line;
        const char *code;
    } rows[] = {
        {TSD_FRAME_TOO_LARGE, "{\"timestamp\"", "too_large"},
        {TSD_FRAME_NO_MEMORY, "", "unavailable"},
        {TSD_FRAME_LINE, "GET / HTTP/1.1", "bad_json"},
        {TSD_FRAME_LINE, "CONNECT x:80", "bad_json"},
        {TSD_FRAME_LINE, "{\"hello\": {\"protocol\": 1}}", "bad_shape"},
        {TSD_FRAME_LINE, "{\"hello\": {\"protocol\": 1, \"client\": \"c\", \"labels\": {\"1\": \"b\"}}}", "bad_labels"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stream s = {.f = f};
        assert_int_equal(process(&s, rows[i].frame, rows[i].line), TSD_LINE_END);
        assert_string_equal(s.result.code, rows[i].code);
        assert_null(s.session.client);
    }
    struct stream s = {.f = f};
    assert_int_equal(send_line(&s, MESSAGE), TSD_LINE_CONTINUE);
    assert_int_equal(send_line(&s, HELLO), TSD_LINE_END); /* only the first line may be a hello */
    assert_string_equal(s.result.code, "bad_shape");
    assert_int_equal(send_line(&s, "GETTING"), TSD_LINE_CONTINUE); /* just bad JSON */
    assert_string_equal(s.result.code, "bad_json");
}

static void without_memory_a_line_is_not_counted(void **state)
{
    struct stream s = {.f = *state};
    alloc_fail_at = 0;
    assert_int_equal(send_line(&s, MESSAGE), TSD_LINE_END);
    alloc_fail_at = -1;
    assert_string_equal(s.result.code, "unavailable");
    assert_int_equal(tsd_get(&s.f->ingest.stats.received), 0);
}

/* ---- Acknowledged streams ---- */

static void numbers_are_processed_once_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct stream s;
    open_stream(&s, f);
    assert_int_equal(send_seq(&s, 1), TSD_LINE_CONTINUE);
    assert_int_equal(send_seq(&s, 2), TSD_LINE_CONTINUE);
    assert_null(s.result.code);
    assert_int_equal(s.session.processed, 2);
    assert_int_equal(send_seq(&s, 1), TSD_LINE_CONTINUE); /* a duplicate */
    assert_null(s.result.code);
    assert_int_equal(s.session.processed, 2);
    assert_int_equal(tsd_get(&f->ingest.stats.accepted), 2);
    assert_int_equal(tsd_get(&f->ingest.stats.duplicates), 1);
    assert_int_equal(send_line(&s, MESSAGE), TSD_LINE_CONTINUE); /* without a number: the one after the previous line */
    assert_int_equal(tsd_get(&f->ingest.stats.duplicates), 2);
    assert_int_equal(send_line(&s, MESSAGE), TSD_LINE_CONTINUE);
    assert_int_equal(s.session.processed, 3);
    assert_int_equal(send_seq(&s, 5), TSD_LINE_END); /* 4 is missing */
    assert_string_equal(s.result.code, "sequence");
    expect_reply(&s,
                 "{\"reject\": {\"seq\": 5, \"expected\": 4, \"code\": \"sequence\", \"message\": \"seq is 5, expected"
                 " 4: messages in between are missing\", \"line\": 7, \"offset\": 0}}\n");
    assert_int_equal(s.session.processed, 3);
    assert_int_equal(f->ingest.n_marks, 1);
    assert_int_equal(f->ingest.marks[0].seq, 3);
    close_stream(&s);
}

static void a_rejected_message_uses_its_number(void **state)
{
    struct fixture *f = *state;
    struct stream s;
    open_stream(&s, f);
    assert_int_equal(send_line(&s, "{\"seq\": 1, \"timestamp\": 1}"), TSD_LINE_CONTINUE);
    assert_string_equal(s.result.code, "bad_shape");
    expect_reply(
        &s,
        "{\"reject\": {\"seq\": 1, \"code\": \"bad_shape\", \"message\": \"profile is missing (byte 0)\", \"line\": 2,"
        " \"offset\": 0}}\n");
    assert_int_equal(s.session.processed, 1);
    assert_int_equal(send_line(&s, "no JSON"), TSD_LINE_CONTINUE); /* its number cannot be read: 2 */
    assert_int_equal(s.result.seq, 2);
    assert_int_equal(process(&s, TSD_FRAME_TOO_LARGE, "{"), TSD_LINE_END_ACKED);
    assert_string_equal(s.result.code, "too_large");
    assert_int_equal(s.result.seq, 3);
    assert_int_equal(s.session.processed, 3);
    close_stream(&s);
}

static void without_memory_the_number_stays_free(void **state)
{
    struct fixture *f = *state;
    struct stream s;
    open_stream(&s, f);
    int failed = 0;
    for (int n = 0; !s.session.processed; n++) {
        alloc_fail_at = n;
        enum tsd_line_next next = send_seq(&s, 1);
        alloc_fail_at = -1;
        if (s.session.processed)
            break;
        assert_int_equal(next, TSD_LINE_END);
        assert_string_equal(s.result.code, "unavailable");
        assert_false(s.result.numbered);
        assert_int_equal(tsd_get(&f->ingest.stats.accepted), 0);
        assert_int_equal(f->ingest.n_marks, 0);
        failed++;
    }
    assert_true(failed >= 3);
    assert_int_equal(tsd_get(&f->ingest.stats.accepted), 1);
    close_stream(&s);
}

static void labels_of_the_hello_are_those_of_messages_without(void **state)
{
    struct fixture *f = *state;
    struct stream s;
    open_stream(&s, f);
    send_seq(&s, 1);
    send_line(&s, "{\"seq\": 2, \"timestamp\": 1, \"labels\": {\"x\": \"y\"}, " PROFILE "}");
    const struct ts_intern *sets = &f->ingest.label_sets.table;
    assert_int_equal(sets->n, 2);
    assert_memory_equal(sets->items[0].raw_name.data, "{\"a\": \"b\"}", 10);
    assert_memory_equal(sets->items[1].raw_name.data, "{\"x\": \"y\"}", 10);
    close_stream(&s);
}

static void a_bye_ends_the_stream_once_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct stream s;
    open_stream(&s, f);
    send_seq(&s, 1);
    assert_int_equal(send_line(&s, "{\"bye\": true}"), TSD_LINE_END_ACKED);
    assert_true(s.session.bye);
    assert_false(tsd_session_done(&s.session));
    assert_int_equal(atomic_load(&f->clients.n), 1);
    commit(f);
    assert_int_equal(tsd_session_due(&s.session), 1);
    tsd_session_acked(&s.session, 1);
    assert_true(tsd_session_done(&s.session));
    close_stream(&s);
    assert_int_equal(atomic_load(&f->clients.n), 0); /* forgotten */
}

static void too_many_clients_are_refused(void **state)
{
    struct fixture *f = *state;
    struct stream s = {.f = f};
    atomic_store(&f->clients.n, TSD_CLIENTS_MAX);
    assert_int_equal(send_line(&s, HELLO), TSD_LINE_END);
    assert_string_equal(s.result.code, "too_many_clients");
    assert_null(s.session.client);
    tsd_session_deinit(&s.session);
    atomic_store(&f->clients.n, 0);
}

/* ---- Acknowledgements ---- */

static void what_is_committed_is_due_once(void **state)
{
    struct fixture *f = *state;
    struct stream s;
    open_stream(&s, f);
    assert_int_equal(tsd_session_due(&s.session), 0);
    send_seq(&s, 1);
    send_seq(&s, 2);
    assert_int_equal(tsd_session_due(&s.session), 0); /* not committed yet */
    commit(f);
    send_seq(&s, 3);
    assert_int_equal(tsd_session_due(&s.session), 2);
    tsd_session_acked(&s.session, 2);
    assert_int_equal(tsd_session_due(&s.session), 0);
    send_seq(&s, 3); /* a duplicate that is not acknowledged yet: its ack follows anyway */
    assert_int_equal(tsd_session_due(&s.session), 0);
    send_seq(&s, 1); /* the sender missed an ack */
    assert_int_equal(tsd_session_due(&s.session), 2);
    tsd_session_acked(&s.session, 2);
    assert_int_equal(tsd_session_due(&s.session), 0);
    commit(f);
    assert_int_equal(tsd_session_due(&s.session), 3);
    tsd_session_acked(&s.session, 3);
    assert_true(tsd_session_done(&s.session));
    close_stream(&s);
}

static void the_next_connection_continues_after_the_last_number(void **state)
{
    struct fixture *f = *state;
    struct stream first;
    struct stream second = {.f = f};
    uint64_t last_seq;
    open_stream(&first, f);
    send_seq(&first, 1);
    send_seq(&first, 2);
    assert_int_equal(send_line(&second, HELLO), TSD_LINE_HELLO);
    struct tsd_client *client = second.session.client;
    assert_ptr_equal(client, first.session.client);
    assert_true(atomic_load(&client->contested));
    tsd_session_leave(&first.session, &f->ingest, &f->clients, &first);
    assert_int_equal(tsd_clients_claim(&f->clients, client, &second, &last_seq), TSD_CLAIM_WAIT); /* not committed */
    commit(f);
    assert_int_equal(tsd_clients_claim(&f->clients, client, &second, &last_seq), TSD_CLAIM_OWNED);
    assert_int_equal(last_seq, 2);
    tsd_session_open(&second.session, last_seq);
    assert_int_equal(tsd_session_due(&second.session), 0); /* the reply to the hello has acknowledged it */
    assert_int_equal(send_seq(&second, 3), TSD_LINE_CONTINUE);
    assert_int_equal(second.session.processed, 3);
    tsd_session_deinit(&first.session);
    close_stream(&second);
}

static void replies_are_lines_of_json(void **state)
{
    (void)state;
    static const char expected[] = "{\"hello\": {\"protocol\": 1, \"last_seq\": 7, \"max_message\": 1000}}\n"
                                   "{\"ack\": 18446744073709551615}\n";
    struct ts_buf out;
    ts_buf_init(&out);
    tsd_line_reply_hello(&out, 7, 1000);
    tsd_line_reply_ack(&out, UINT64_MAX);
    assert_int_equal(out.len, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.len);
    ts_buf_deinit(&out);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_plain_stream_continues_after_a_rejected_line),
        T(some_lines_end_the_stream),
        T(without_memory_a_line_is_not_counted),
        T(numbers_are_processed_once_and_in_order),
        T(a_rejected_message_uses_its_number),
        T(without_memory_the_number_stays_free),
        T(labels_of_the_hello_are_those_of_messages_without),
        T(a_bye_ends_the_stream_once_acknowledged),
        T(too_many_clients_are_refused),
        T(what_is_committed_is_due_once),
        T(the_next_connection_continues_after_the_last_number),
        T(replies_are_lines_of_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
