/*
 * Connections on a loop of the test, with clocks that the test sets: time-outs, partial lines beyond the memory limit,
 * pauses.
 */
#include "daemon/ingest/connections.h"

#include "tests/unit/daemon/ingest/ingest_fixture.h"

#include <signal.h>
#include <sys/un.h>
#include <unistd.h>

enum { SENDERS = 3 };

struct set {
    struct fixture *f;
    uv_loop_t loop;
    uv_pipe_t listener;
    struct tsd_connections connections;
    char path[64];
    int senders[SENDERS];
};

static void on_read(void *data)
{
    (void)data;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct set *s = listener->data;
    assert_int_equal(status, 0);
    assert_true(tsd_connection_accept(&s->connections, listener, "unix_stream"));
}

static void turn(struct set *s)
{
    for (int i = 0; i < 10; i++)
        uv_run(&s->loop, UV_RUN_NOWAIT);
}

static int start(void **state)
{
    struct set *s = calloc(1, sizeof(*s));
    void *fixture;
    if (!s || setup(&fixture) || uv_loop_init(&s->loop) || uv_pipe_init(&s->loop, &s->listener, 0))
        return -1;
    s->f = fixture;
    s->f->shared.max_connections = SENDERS;
    s->f->shared.max_message = 1000 * 1000;
    s->listener.data = s;
    s->connections = (struct tsd_connections){
        .loop = &s->loop, .ingest = &s->f->ingest, .shared = &s->f->shared, .on_read = on_read};
    snprintf(s->path, sizeof(s->path), "/tmp/connections-test-%d", (int)getpid());
    unlink(s->path);
    signal(SIGPIPE, SIG_IGN);
    if (tsd_connections_init(&s->connections) || uv_pipe_bind(&s->listener, s->path) ||
        uv_listen((uv_stream_t *)&s->listener, 8, on_connection))
        return -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, s->path);
    for (int i = 0; i < SENDERS; i++) {
        s->senders[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(s->senders[i], (struct sockaddr *)&address, sizeof(address)))
            return -1;
    }
    turn(s);
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct set *s = *state;
    void *fixture = s->f;
    tsd_connections_close(&s->connections);
    uv_close((uv_handle_t *)&s->listener, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    tsd_connections_deinit(&s->connections);
    int rc = uv_loop_close(&s->loop);
    for (int i = 0; i < SENDERS; i++)
        close(s->senders[i]);
    free(s);
    return rc ? rc : teardown(&fixture);
}

/* The connection of a sender: the latest one is the first of the list. */
static struct tsd_connection *connection_of(struct set *s, int sender)
{
    struct tsd_connection *connection = LIST_FIRST(&s->connections.list);
    for (int i = SENDERS - 1; i > sender; i--)
        connection = LIST_NEXT(connection, entry);
    return connection;
}

static void write_text(struct set *s, int sender, const char *text)
{
    assert_int_equal(write(s->senders[sender], text, strlen(text)), strlen(text));
    turn(s);
}

static uint32_t open_connections(struct set *s)
{
    turn(s);
    return atomic_load(&s->f->shared.connections);
}

static uint64_t cut(struct set *s)
{
    return tsd_get(&s->f->ingest.stats.connections_cut);
}

/* ---- Time-outs ---- */

static void an_unfinished_line_without_progress_is_cut(void **state)
{
    struct set *s = *state;
    write_text(s, 0, "{\"timestamp\"");
    connection_of(s, 0)->last_progress -= 29 * S;
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), SENDERS);
    connection_of(s, 0)->last_progress -= 2 * S;
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), SENDERS - 1);
    assert_int_equal(cut(s), 1);
}

static void an_idle_connection_stays_open(void **state)
{
    struct set *s = *state;
    for (int i = 0; i < SENDERS; i++)
        connection_of(s, i)->last_progress -= 3600 * S;
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), SENDERS);
}

static void a_line_that_arrives_too_slowly_is_cut(void **state)
{
    struct set *s = *state;
    static char text[120 * 1024];
    memset(text, ' ', sizeof(text) - 1);
    text[0] = '{';
    write_text(s, 0, "{");  /* 1 byte in 100 s */
    write_text(s, 1, text); /* 120 KiB in 100 s: fast enough */
    write_text(s, 2, "{");
    connection_of(s, 0)->line_began -= 100 * S;
    connection_of(s, 1)->line_began -= 100 * S;
    connection_of(s, 2)->line_began -= 80 * S; /* slow connections are cut after 90 s */
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), SENDERS - 1);
    assert_int_equal(cut(s), 1);
}

static void a_pause_is_not_the_senders_fault(void **state)
{
    struct set *s = *state;
    write_text(s, 0, "{");
    tsd_connections_pause(&s->connections, true);
    connection_of(s, 0)->last_progress -= 3600 * S;
    connection_of(s, 0)->line_began -= 3600 * S;
    tsd_connections_tick(&s->connections);
    tsd_connections_pause(&s->connections, false); /* the time begins again */
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), SENDERS);
}

static void input_is_discarded_for_a_second_after_the_last_reply(void **state)
{
    struct set *s = *state;
    char reply[512];
    write_text(s, 0, "GET / HTTP/1.1\n");
    assert_true(read(s->senders[0], reply, sizeof(reply)) > 0);
    assert_int_equal(read(s->senders[0], reply, sizeof(reply)), 0); /* half-closed */
    assert_int_equal(connection_of(s, 0)->state, TSD_DISCARDING);
    write_text(s, 0, "Host: x\r\n");
    assert_int_equal(tsd_get(&s->f->ingest.stats.received), 1);
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), SENDERS);
    connection_of(s, 0)->last_progress -= 2 * S;
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), SENDERS - 1);
    assert_int_equal(cut(s), 0); /* this is no fault of the sender */
}

/* ---- Memory ---- */

static void beyond_half_of_the_limit_the_stillest_unfinished_line_is_cut(void **state)
{
    struct set *s = *state;
    for (int i = 0; i < SENDERS; i++) {
        write_text(s, i, "0123456789");
        connection_of(s, i)->last_progress -= (i == 1 ? 20 : 10 - i) * S;
    }
    assert_int_equal(atomic_load(&s->f->shared.partial_bytes), 30);
    s->f->shared.memory_limit = 60;
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), 3);
    s->f->shared.memory_limit = 40; /* two lines are half of it */
    tsd_connections_tick(&s->connections);
    assert_int_equal(open_connections(s), 2);
    assert_int_equal(atomic_load(&s->f->shared.partial_bytes), 20);
    char byte;
    assert_int_equal(read(s->senders[1], &byte, 1), 0);
    assert_int_equal(cut(s), 1);
}

static void a_paused_connection_is_not_read(void **state)
{
    struct set *s = *state;
    tsd_connections_pause(&s->connections, true);
    write_text(s, 0, "{\"bad\": 1}\n");
    assert_int_equal(tsd_get(&s->f->ingest.stats.received), 0);
    tsd_connections_pause(&s->connections, false);
    turn(s);
    assert_int_equal(tsd_get(&s->f->ingest.stats.received), 1);
}

static void beyond_the_limit_a_connection_is_not_accepted(void **state)
{
    struct set *s = *state;
    assert_int_equal(open_connections(s), SENDERS);
    assert_false(tsd_connection_accept(&s->connections, (uv_stream_t *)&s->listener, "unix_stream"));
    assert_int_equal(open_connections(s), SENDERS);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, end)
    const struct CMUnitTest tests[] = {
        T(an_unfinished_line_without_progress_is_cut),
        T(an_idle_connection_stays_open),
        T(a_line_that_arrives_too_slowly_is_cut),
        T(a_pause_is_not_the_senders_fault),
        T(input_is_discarded_for_a_second_after_the_last_reply),
        T(beyond_half_of_the_limit_the_stillest_unfinished_line_is_cut),
        T(a_paused_connection_is_not_read),
        T(beyond_the_limit_a_connection_is_not_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
