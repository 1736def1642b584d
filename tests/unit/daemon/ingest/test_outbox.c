/*
 * Replies to a sender that reads them, does not read them, or when there is no memory to queue them.
 */
#include "daemon/ingest/outbox.h"

#include "tests/unit/failing_alloc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    uv_pipe_t pipe;
    int sender; /* the other end */
    struct tsd_outbox outbox;
};

static int setup(void **state)
{
    static struct fixture f;
    int fds[2];
    int small = 4096;
    memset(&f, 0, sizeof(f));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) || uv_loop_init(&f.loop) || uv_pipe_init(&f.loop, &f.pipe, 0))
        return -1;
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    f.sender = fds[1];
    if (uv_pipe_open(&f.pipe, fds[0]))
        return -1;
    tsd_outbox_init(&f.outbox, (uv_stream_t *)&f.pipe);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tsd_outbox_deinit(&f->outbox);
    uv_close((uv_handle_t *)&f->pipe, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    close(f->sender);
    return uv_loop_close(&f->loop);
}

/* Runs the loop until everything is sent, and reads it as the sender. */
static size_t receive(struct fixture *f, char *bytes, size_t size)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = read(f->sender, bytes + len, size - len);
        if (n > 0)
            len += (size_t)n;
        else if (uv_stream_get_write_queue_size(f->outbox.stream) == 0)
            return len;
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static void replies_are_sent_together_and_at_once(void **state)
{
    struct fixture *f = *state;
    char bytes[64];
    size_t before = alloc_calls;
    ts_buf_puts(&f->outbox.replies, "one\n");
    ts_buf_puts(&f->outbox.replies, "two\n");
    before = alloc_calls;
    tsd_outbox_send(&f->outbox);
    assert_int_equal(alloc_calls, before); /* a sender that reads costs no memory */
    assert_int_equal(f->outbox.replies.len, 0);
    assert_int_equal(read(f->sender, bytes, sizeof(bytes)), 8);
    assert_memory_equal(bytes, "one\ntwo\n", 8);
    tsd_outbox_send(&f->outbox); /* nothing */
    assert_false(f->outbox.lost);
}

static void replies_that_the_kernel_does_not_accept_are_queued(void **state)
{
    struct fixture *f = *state;
    static char received[256 * 1024];
    char line[32];
    unsigned n = 0;
    while (tsd_outbox_has_room(&f->outbox)) {
        snprintf(line, sizeof(line), "%08u\n", n++);
        ts_buf_puts(&f->outbox.replies, line);
        if (n % 100 == 0)
            tsd_outbox_send(&f->outbox);
        assert_true(n < 100000);
    }
    tsd_outbox_send(&f->outbox);
    size_t queued = uv_stream_get_write_queue_size(f->outbox.stream);
    assert_in_range(queued, TSD_OUTBOX_MAX - 1000, TSD_OUTBOX_MAX + 1000);
    assert_false(f->outbox.lost);
    assert_int_equal(receive(f, received, sizeof(received)), n * 9);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(strtoul(received + i * 9, NULL, 10), i);
    assert_true(tsd_outbox_has_room(&f->outbox)); /* the sender has read them */
}

static void replies_without_memory_are_lost(void **state)
{
    struct fixture *f = *state;
    char bytes[64];
    alloc_fail_at = 0;
    ts_buf_puts(&f->outbox.replies, "a reply\n");
    alloc_fail_at = -1;
    assert_true(ts_buf_failed(&f->outbox.replies));
    tsd_outbox_send(&f->outbox);
    assert_true(f->outbox.lost);
    assert_false(f->outbox.torn); /* nothing of them was sent: the stream can continue */
    ts_buf_puts(&f->outbox.replies, "next\n");
    tsd_outbox_send(&f->outbox);
    assert_int_equal(read(f->sender, bytes, sizeof(bytes)), 5);
}

static void a_reply_that_was_sent_in_part_tears_the_stream(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5000; i++)
        ts_buf_puts(&f->outbox.replies, "0123456789012345678\n");
    alloc_fail_at = 0; /* the kernel accepts the beginning; the rest cannot be queued */
    tsd_outbox_send(&f->outbox);
    alloc_fail_at = -1;
    assert_true(f->outbox.lost);
    assert_true(f->outbox.torn);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(replies_are_sent_together_and_at_once),
        T(replies_that_the_kernel_does_not_accept_are_queued),
        T(replies_without_memory_are_lost),
        T(a_reply_that_was_sent_in_part_tears_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
