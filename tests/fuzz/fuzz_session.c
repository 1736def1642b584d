/*
 * libFuzzer target: acknowledged streams: the hello message, sequence numbers and acknowledgements.
 *
 * Input: a byte with the number of lines between commits, then the stream. Any lines keep these invariants:
 *
 *     a line advances the sequence by at most one, and is counted or rejected once
 *     received = accepted + duplicates + rejected, except rejected for a gap in the sequence
 *     a batch has the last processed number, and after its commit exactly that is due to be acknowledged
 *     every reply is JSON on one line
 */
#include "daemon/ingest/batch.h"
#include "daemon/ingest/framer.h"
#include "daemon/ingest/line.h"
#include "lib/base/json.h"
#include "tests/fuzz/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGE = 2000 };

struct stream {
    struct tsd_limits limits;
    struct tsd_rejects rejects;
    struct tsd_clients clients;
    struct tsd_ingest ingest;
    struct tsd_session session;
    struct tsd_batch batch;
    struct ts_buf replies;
    uint64_t stored; /* of the model: the last number committed for the client */
};

static void wake(void *data, unsigned thread)
{
    (void)data;
    (void)thread;
}

static void check_counts(const struct tsd_stats *stats)
{
    uint64_t rejected = 0;
    for (int i = 0; i < TS_REJECT_COUNT; i++)
        rejected += i == TS_SEQUENCE ? 0 : tsd_get(&stats->rejected[i]);
    CHECK(tsd_get(&stats->received) == tsd_get(&stats->accepted) + tsd_get(&stats->duplicates) + rejected);
}

static void check_replies(struct ts_buf *replies)
{
    CHECK(!ts_buf_failed(replies));
    for (size_t at = 0; at < replies->len;) {
        const char *line = replies->data + at;
        const char *end = memchr(line, '\n', replies->len - at);
        struct ts_json json;
        CHECK(end);
        ts_json_init(&json, line, (size_t)(end - line), 16);
        CHECK(ts_json_next(&json) == TS_JSON_OBJECT && ts_json_skip(&json) && ts_json_end(&json));
        at += (size_t)(end - line) + 1;
    }
    ts_buf_reset(replies);
}

/* Does what the writer does in a commit, and sends the acknowledgement that is due then. */
static void commit(struct stream *s)
{
    CHECK(tsd_batch_fill(&s->batch, &s->ingest) == 0);
    for (size_t i = 0; i < s->batch.n_marks; i++) {
        const struct tsd_mark *mark = &s->batch.marks[i];
        if (mark->client == s->session.client) {
            CHECK(mark->seq == s->session.processed && mark->seq >= s->stored);
            s->stored = mark->seq;
        }
        tsd_clients_committed(&s->clients, mark, 1);
    }
    tsd_batch_clear(&s->batch);
    uint64_t due = tsd_session_due(&s->session);
    if (due) {
        CHECK(due == s->session.processed);
        tsd_session_acked(&s->session, due);
        tsd_line_reply_ack(&s->replies, due);
    }
    CHECK(!s->session.owned || tsd_session_done(&s->session));
}

/* False if the stream ends with this line. */
static bool process(struct stream *s, enum tsd_frame frame, const char *line, size_t len, uint64_t number)
{
    static const struct tsd_peer peer = {.kind = "fuzz", .fd = -1};
    struct tsd_line_context context = {.ingest = &s->ingest,
                                       .session = &s->session,
                                       .clients = &s->clients,
                                       .connection = s,
                                       .peer = &peer,
                                       .max_message = MAX_MESSAGE};
    struct tsd_line_result result;
    uint64_t processed = s->session.processed;
    uint64_t before = tsd_get(&s->ingest.stats.received);
    tsd_line_process(&context, frame, line, len, number, &result);
    uint64_t received = tsd_get(&s->ingest.stats.received) - before;
    CHECK(received <= 1);
    CHECK(s->session.processed == processed || (s->session.processed == processed + 1 && received == 1));
    if (result.code)
        tsd_line_reply(&s->replies, &result, number);
    if (result.next == TSD_LINE_HELLO) {
        uint64_t last_seq = 99;
        CHECK(number == 1 && s->session.client && strlen(s->session.client->id) > 0);
        CHECK(tsd_clients_claim(&s->clients, s->session.client, s, &last_seq) == TSD_CLAIM_OWNED && last_seq == 0);
        tsd_session_open(&s->session, last_seq);
        tsd_line_reply_hello(&s->replies, last_seq, MAX_MESSAGE);
    }
    check_counts(&s->ingest.stats);
    check_replies(&s->replies);
    return result.next == TSD_LINE_CONTINUE || result.next == TSD_LINE_HELLO;
}

static void start(struct stream *s)
{
    memset(s, 0, sizeof(*s));
    s->limits.grid = (struct ts_grid){.time_slice = 10 * TS_NS_PER_S};
    s->limits.longest_keep = INT64_MAX;
    s->limits.max_future = -1;
    s->limits.max_locations = 100;
    s->limits.max_label_sets = 10;
    tsd_clock_init(&s->limits.clock);
    if (tsd_rejects_init(&s->rejects) || tsd_clients_init(&s->clients) ||
        tsd_ingest_init(&s->ingest, &s->limits, &s->rejects))
        abort();
    s->clients.wake = wake;
    tsd_batch_init(&s->batch);
    ts_buf_init(&s->replies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stream s;
    struct tsd_framer_pool pool = {.n = 0};
    struct tsd_framer framer;
    const char *line;
    size_t len;
    enum tsd_frame frame;
    if (!size)
        return 0;
    unsigned interval = data[0] % 8; /* lines between commits; 0: only one commit, at the end */
    char *stream = malloc(size);     /* of the same length, so that reads beyond the end are detected */
    if (!stream)
        abort();
    memcpy(stream, data + 1, size - 1);
    start(&s);
    tsd_framer_init(&framer, &pool);
    tsd_framer_feed(&framer, stream, size - 1);
    bool open = true;
    while (open && (frame = tsd_framer_next(&framer, MAX_MESSAGE, &line, &len)) != TSD_FRAME_MORE) {
        open = process(&s, frame, line, len, framer.line);
        if (interval && framer.line % interval == 0)
            commit(&s);
    }
    if (open && tsd_framer_end(&framer, &line, &len) == TSD_FRAME_LINE)
        process(&s, TSD_FRAME_LINE, line, len, framer.line);
    commit(&s);
    if (s.session.client) {
        struct tsd_client *client = s.session.client;
        uint64_t processed = s.session.processed;
        bool bye = s.session.bye;
        CHECK(atomic_load(&client->committed) == processed && s.stored == processed);
        tsd_session_leave(&s.session, &s.ingest, &s.clients, &s);
        commit(&s);
        CHECK(atomic_load(&s.clients.n) == (processed && !bye));
    }
    CHECK(!s.session.owned);
    tsd_session_deinit(&s.session);
    tsd_framer_deinit(&framer);
    tsd_framer_pool_deinit(&pool);
    free(stream);
    tsd_ingest_deinit(&s.ingest);
    tsd_batch_deinit(&s.batch);
    tsd_clients_deinit(&s.clients);
    tsd_rejects_deinit(&s.rejects);
    ts_buf_deinit(&s.replies);
    return 0;
}
