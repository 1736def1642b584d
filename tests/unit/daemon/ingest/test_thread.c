/*
 * An ingest thread with its sockets: hand-over, acknowledged streams, short memory, draining, ends.
 */
#include "tests/unit/daemon/daemon_fixture.h"

#define HELLO "{\"hello\": {\"protocol\": 1, \"client\": \"c1\"}}\n"

static int start(void **state)
{
    if (setup(state))
        return -1;
    start_thread(*state, 0);
    return 0;
}

/* What the thread has collected since the last time is stored. Returns the number of messages. */
static uint64_t store_all(struct fixture *f, bool prompt)
{
    struct tsd_batch batch;
    tsd_batch_init(&batch);
    collect(f, 0, &batch, prompt);
    uint64_t messages = batch.messages;
    for (size_t i = 0; i < batch.n_marks; i++)
        tsd_clients_committed(&f->clients, &batch.marks[i], 1);
    tsd_batch_deinit(&batch);
    tsd_thread_update_streams(f->threads[0]);
    return messages;
}

static void write_seq(int fd, int seq)
{
    char more[32];
    char line[256];
    snprintf(more, sizeof(more), "\"seq\": %d, ", seq);
    profile_text(line, sizeof(line) - 1, "f", 1, more);
    write_text(fd, strcat(line, "\n"));
}

static void a_hand_over_includes_what_was_sent_before_it(void **state)
{
    struct fixture *f = *state;
    for (int round = 1; round <= 20; round++) {
        for (int i = 0; i < round; i++)
            assert_true(send_profile(f, 0, "f", 1));
        assert_int_equal(store_all(f, false), round);
    }
}

static void a_prompt_hand_over_loses_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t sum = 0;
    for (int i = 0; i < 50; i++) {
        assert_true(send_profile(f, 0, "f", 1));
        sum += store_all(f, true);
    }
    sum += store_all(f, false);
    assert_int_equal(sum, 50);
}

static void several_requests_are_served_in_order(void **state)
{
    struct fixture *f = *state;
    enum { N = 5 };
    struct tsd_batch batches[N];
    struct request requests[N];
    assert_true(send_profile(f, 0, "f", 1));
    for (int i = 0; i < N; i++) {
        tsd_batch_init(&batches[i]);
        requests[i] = (struct request){.collect = {.batch = &batches[i], .cb = on_collected}};
        requests[i].collect.data = &requests[i];
        assert_int_equal(uv_sem_init(&requests[i].done, 0), 0);
        tsd_thread_collect(f->threads[0], &requests[i].collect);
    }
    for (int i = 0; i < N; i++) {
        uv_sem_wait(&requests[i].done);
        uv_sem_destroy(&requests[i].done);
        assert_int_equal(batches[i].messages, i == 0);
        tsd_batch_deinit(&batches[i]);
    }
}

static void a_stream_gets_replies_and_is_counted(void **state)
{
    struct fixture *f = *state;
    char line[256];
    int fd = connect_stream(f, 0);
    profile_text(line, sizeof(line) - 1, "f", 1, "");
    write_text(fd, strcat(line, "\n"));
    write_text(fd, "[]\n");
    expect_line(fd,
                "{\"error\": {\"code\": \"bad_shape\", \"message\": \"the list has 0 elements, [timestamp, profile] is"
                " needed (byte 0)\", \"line\": 2, \"offset\": 0}}");
    assert_int_equal(store_all(f, false), 1);
    assert_int_equal(tsd_get(&f->state.threads[0]->connections_open), 1);
    shutdown(fd, SHUT_WR);
    expect_line(fd, NULL);
    close(fd);
    WAIT_UNTIL(tsd_get(&f->state.threads[0]->connections_open) == 0);
    assert_int_equal(f->shared.connections, 0);
}

static void an_ack_follows_the_commit(void **state)
{
    struct fixture *f = *state;
    int fd = connect_stream(f, 0);
    write_text(fd, HELLO);
    expect_line(fd, "{\"hello\": {\"protocol\": 1, \"last_seq\": 0, \"max_message\": 100000}}");
    for (int seq = 1; seq <= 3; seq++)
        write_seq(fd, seq);
    WAIT_UNTIL(atomic_load(&f->marks) > 0); /* the writer is asked to commit soon */
    assert_int_equal(store_all(f, false), 3);
    expect_line(fd, "{\"ack\": 3}");
    write_text(fd, "{\"bye\": true}\n");
    expect_line(fd, NULL);
    close(fd);
    store_all(f, false);
    assert_int_equal(atomic_load(&f->clients.n), 0); /* forgotten */
}

static void a_second_connection_takes_the_client_over(void **state)
{
    struct fixture *f = *state;
    int first = connect_stream(f, 0);
    write_text(first, HELLO);
    expect_line(first, "{\"hello\": {\"protocol\": 1, \"last_seq\": 0, \"max_message\": 100000}}");
    write_seq(first, 1);
    int second = connect_stream(f, 0);
    write_text(second, HELLO);
    expect_line(first, NULL); /* closed */
    assert_int_equal(store_all(f, false), 1);
    expect_line(second, "{\"hello\": {\"protocol\": 1, \"last_seq\": 1, \"max_message\": 100000}}");
    write_seq(second, 2);
    assert_int_equal(store_all(f, false), 1);
    expect_line(second, "{\"ack\": 2}");
    close(first);
    close(second);
    WAIT_UNTIL(f->shared.connections == 0);
    store_all(f, false);
}

static void too_many_connections_are_closed_at_once(void **state)
{
    struct fixture *f = *state;
    f->shared.max_connections = 1;
    int first = connect_stream(f, 0);
    WAIT_UNTIL(tsd_get(&f->state.threads[0]->connections_open) == 1);
    int second = connect_stream(f, 0);
    expect_line(second, NULL);
    WAIT_UNTIL(tsd_get(&f->state.threads[0]->connections_refused) == 1);
    close(first);
    close(second);
}

/* ---- Memory ---- */

static void what_waits_is_published_and_released(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->shared.waiting_bytes, 0);
    assert_true(send_profile(f, 0, "f", 1));
    WAIT_UNTIL(f->shared.waiting_bytes > 0);
    assert_int_equal(store_all(f, false), 1);
    assert_int_equal(f->shared.waiting_bytes, 0);
    int fd = connect_stream(f, 0);
    write_text(fd, "{\"timestamp\"");
    WAIT_UNTIL(f->shared.partial_bytes == 12);
    assert_int_equal(f->shared.waiting_bytes, 12);
    close(fd); /* the unfinished line is rejected as bad JSON */
    WAIT_UNTIL(f->shared.partial_bytes == 0);
    WAIT_UNTIL(f->shared.waiting_bytes == 0);
}

static void over_the_limit_streams_wait_and_datagrams_are_dropped(void **state)
{
    struct fixture *f = *state;
    char line[256];
    profile_text(line, sizeof(line) - 1, "f", 1, "");
    strcat(line, "\n");
    int fd = connect_stream(f, 0);
    write_text(fd, line);
    WAIT_UNTIL(f->shared.waiting_bytes > 0);
    f->shared.memory_limit = 10;
    write_text(fd, line); /* read once more, then paused */
    WAIT_UNTIL(atomic_load(&f->pressure) > 0);
    uint64_t accepted = tsd_get(&f->state.threads[0]->accepted);
    write_text(fd, line);
    assert_true(send_profile(f, 0, "f", 1));
    WAIT_UNTIL(tsd_get(&f->state.threads[0]->datagrams_over_memory) == 1);
    assert_int_equal(tsd_get(&f->state.threads[0]->accepted), accepted); /* the third line waits */
    store_all(f, true);                                                  /* memory is free */
    WAIT_UNTIL(tsd_get(&f->state.threads[0]->accepted) == 3);
    close(fd);
}

static void over_the_commit_budget_streams_wait(void **state)
{
    struct fixture *f = *state;
    char line[256];
    profile_text(line, sizeof(line) - 1, "f", 1, "");
    strcat(line, "\n");
    f->shared.commit_budget = 100; /* less than one message needs */
    int fd = connect_stream(f, 0);
    write_text(fd, line);
    WAIT_UNTIL(atomic_load(&f->pressure) > 0);
    write_text(fd, line);
    assert_true(send_profile(f, 0, "f", 1)); /* datagrams are still accepted */
    WAIT_UNTIL(tsd_get(&f->state.threads[0]->accepted) == 2);
    store_all(f, true);
    WAIT_UNTIL(tsd_get(&f->state.threads[0]->accepted) == 3);
    close(fd);
}

/* ---- Ends ---- */

static void on_drained(void *data)
{
    uv_sem_post(data);
}

static void draining_reads_everything_and_closes(void **state)
{
    struct fixture *f = *state;
    uv_sem_t drained;
    int fd = connect_stream(f, 0);
    write_text(fd, HELLO);
    expect_line(fd, "{\"hello\": {\"protocol\": 1, \"last_seq\": 0, \"max_message\": 100000}}");
    write_seq(fd, 1);
    for (int i = 0; i < 5; i++)
        assert_true(send_profile(f, 0, "f", 1));
    assert_int_equal(uv_sem_init(&drained, 0), 0);
    tsd_thread_drain(f->threads[0], on_drained, &drained);
    uv_sem_wait(&drained);
    uv_sem_destroy(&drained);
    expect_line(fd, NULL);
    close(fd);
    struct sockaddr_un address = stream_address(f, 0);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    close(fd);
    assert_int_equal(store_all(f, false), 6); /* the thread still hands over */
}

static void freeing_closes_what_is_open(void **state)
{
    struct fixture *f = *state;
    int fd = connect_stream(f, 0);
    write_text(fd, HELLO);
    expect_line(fd, "{\"hello\": {\"protocol\": 1, \"last_seq\": 0, \"max_message\": 100000}}");
    stop_thread(f, 0);
    expect_line(fd, NULL);
    close(fd);
    assert_int_equal(f->shared.connections, 0);
    assert_int_equal(f->shared.waiting_bytes, 0);
}

static void a_start_that_fails_closes_its_sockets(void **state)
{
    struct fixture *f = *state;
    int pair[2];
    stop_thread(f, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
    int file = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct tsd_thread_config config = {
        .shared = &f->shared, .sockets = {.udp = -1, .tcp = -1, .unix_stream = file, .unix_datagram = pair[0]}};
    assert_int_not_equal(tsd_thread_start(&config, &f->threads[0]), 0);
    assert_null(f->threads[0]);
    assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    close(pair[1]);
    close(file);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, teardown)
    const struct CMUnitTest tests[] = {
        T(a_hand_over_includes_what_was_sent_before_it),
        T(a_prompt_hand_over_loses_nothing),
        T(several_requests_are_served_in_order),
        T(a_stream_gets_replies_and_is_counted),
        T(an_ack_follows_the_commit),
        T(a_second_connection_takes_the_client_over),
        T(too_many_connections_are_closed_at_once),
        T(what_waits_is_published_and_released),
        T(over_the_limit_streams_wait_and_datagrams_are_dropped),
        T(over_the_commit_budget_streams_wait),
        T(draining_reads_everything_and_closes),
        T(freeing_closes_what_is_open),
        T(a_start_that_fails_closes_its_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
