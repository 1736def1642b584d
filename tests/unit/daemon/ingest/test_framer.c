/* Cutting a stream into lines: the same lines for any division into pieces, and no more memory than allowed. */
#include "daemon/ingest/framer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tsd_framer_pool pool;

enum { MAX = 64, LINES = 32 };

struct seen {
    char text[LINES][MAX + 1];
    uint64_t number[LINES];
    size_t n;
    bool too_large;
};

static void add_line(struct seen *seen, struct tsd_framer *framer, const char *line, size_t len)
{
    assert_true(seen->n < LINES);
    assert_true(len <= MAX);
    memcpy(seen->text[seen->n], line, len);
    seen->text[seen->n][len] = '\0';
    seen->number[seen->n++] = framer->line;
}

/* Feeds one piece from memory that is freed afterwards, so that the sanitizer detects a view that is kept too long. */
static bool feed(struct seen *seen, struct tsd_framer *framer, const char *bytes, size_t len)
{
    char *piece = malloc(len ? len : 1);
    const char *line;
    size_t line_len;
    enum tsd_frame frame;
    assert_non_null(piece);
    memcpy(piece, bytes, len);
    tsd_framer_feed(framer, piece, len);
    while ((frame = tsd_framer_next(framer, MAX, &line, &line_len)) == TSD_FRAME_LINE)
        add_line(seen, framer, line, line_len);
    if (frame == TSD_FRAME_TOO_LARGE) {
        seen->too_large = true;
        assert_true(line_len > 0);
        assert_memory_equal(line, "x", 1); /* its beginning is returned */
    }
    free(piece);
    return frame == TSD_FRAME_MORE;
}

static void end(struct seen *seen, struct tsd_framer *framer)
{
    const char *line;
    size_t len;
    if (tsd_framer_end(framer, &line, &len) == TSD_FRAME_LINE)
        add_line(seen, framer, line, len);
    tsd_framer_deinit(framer);
    tsd_framer_deinit(framer);
}

static const char text[] = "{\"a\": 1}\r\n\n  \t\r\n[2]\nlonger than the others, so that it crosses\n{\"last\": true}";

static void check_lines(const struct seen *seen)
{
    assert_int_equal(seen->n, 4);
    assert_false(seen->too_large);
    assert_string_equal(seen->text[0], "{\"a\": 1}\r");
    assert_string_equal(seen->text[1], "[2]");
    assert_string_equal(seen->text[2], "longer than the others, so that it crosses");
    assert_string_equal(seen->text[3], "{\"last\": true}");
    assert_int_equal(seen->number[0], 1);
    assert_int_equal(seen->number[1], 4); /* blank lines are counted */
    assert_int_equal(seen->number[2], 5);
    assert_int_equal(seen->number[3], 6);
}

static void the_same_lines_for_every_cut_into_two_pieces(void **state)
{
    (void)state;
    size_t len = sizeof(text) - 1;
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            struct tsd_framer framer;
            struct seen seen = {.n = 0};
            tsd_framer_init(&framer, &pool);
            assert_true(feed(&seen, &framer, text, a));
            assert_true(feed(&seen, &framer, text + a, b - a));
            assert_true(feed(&seen, &framer, text + b, len - b));
            end(&seen, &framer);
            check_lines(&seen);
        }
    }
}

static void the_same_lines_byte_by_byte(void **state)
{
    (void)state;
    struct tsd_framer framer;
    struct seen seen = {.n = 0};
    size_t held = 0;
    tsd_framer_init(&framer, &pool);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        assert_true(feed(&seen, &framer, text + i, 1));
        held = text[i] == '\n' ? 0 : held + 1;
        assert_int_equal(tsd_framer_held(&framer), held);
    }
    end(&seen, &framer);
    check_lines(&seen);
}

/* n bytes of x, with or without a newline, cut after `cut`. */
static bool line_of(size_t n, bool newline, size_t cut, struct seen *seen)
{
    char bytes[MAX + 4];
    struct tsd_framer framer;
    memset(bytes, 'x', sizeof(bytes));
    size_t len = n;
    if (newline)
        bytes[len++] = '\n';
    cut = cut < len ? cut : len;
    tsd_framer_init(&framer, &pool);
    bool more = feed(seen, &framer, bytes, cut) && feed(seen, &framer, bytes + cut, len - cut);
    assert_true(tsd_framer_held(&framer) <= MAX);
    end(seen, &framer);
    return more;
}

static void a_line_that_is_too_large_is_not_held(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= MAX + 2; cut++) {
        struct seen seen = {.n = 0};
        assert_true(line_of(MAX, true, cut, &seen));
        assert_int_equal(seen.n, 1);
        assert_int_equal(strlen(seen.text[0]), MAX);
        seen = (struct seen){.n = 0};
        assert_true(line_of(MAX, false, cut, &seen));
        assert_int_equal(seen.n, 1);
        seen = (struct seen){.n = 0};
        assert_false(line_of(MAX + 1, true, cut, &seen));
        assert_true(seen.too_large);
        seen = (struct seen){.n = 0};
        assert_false(line_of(MAX + 1, false, cut, &seen));
        assert_true(seen.too_large);
    }
}

static void an_empty_stream_has_no_line(void **state)
{
    (void)state;
    struct tsd_framer framer;
    struct seen seen = {.n = 0};
    tsd_framer_init(&framer, &pool);
    assert_true(feed(&seen, &framer, "\n\r\n \n", 5));
    assert_true(feed(&seen, &framer, " \t", 2));
    end(&seen, &framer);
    assert_int_equal(seen.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_lines_for_every_cut_into_two_pieces),
        cmocka_unit_test(the_same_lines_byte_by_byte),
        cmocka_unit_test(a_line_that_is_too_large_is_not_held),
        cmocka_unit_test(an_empty_stream_has_no_line),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tsd_framer_pool_deinit(&pool);
    return failed;
}
