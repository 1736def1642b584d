/*
 * The last rejected messages: a ring, and its JSON.
 */
#include "daemon/ingest/rejects.h"

#include "lib/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct tsd_rejects *rejects = calloc(1, sizeof(*rejects));
    *state = rejects;
    return rejects ? tsd_rejects_init(rejects) : -1;
}

static int teardown(void **state)
{
    tsd_rejects_deinit(*state);
    free(*state);
    return 0;
}

/* The JSON, for the caller to free. */
static char *written(struct tsd_rejects *rejects)
{
    struct ts_buf out;
    size_t len;
    ts_buf_init(&out);
    tsd_rejects_write(rejects, &out);
    char *text = ts_buf_steal(&out, &len);
    assert_non_null(text);
    return text;
}

static void expect_order(const char *text, const char *first, const char *second)
{
    const char *a = strstr(text, first);
    const char *b = strstr(text, second);
    assert_non_null(a);
    assert_non_null(b);
    assert_true(a < b);
}

static void none_is_an_empty_list(void **state)
{
    char *text = written(*state);
    assert_non_null(strstr(text, "\"rejects\": []"));
    free(text);
}

static void the_latest_one_is_first(void **state)
{
    struct tsd_rejects *rejects = *state;
    tsd_rejects_add(rejects, TS_BAD_JSON, "udp 127.0.0.1:1", "the first", "{", 1);
    tsd_rejects_add(rejects, TS_TOO_OLD, "tcp [::1]:2", "the second", "x", 1);
    char *text = written(rejects);
    expect_order(text, "the second", "the first");
    expect_order(text, "\"too_old\"", "\"bad_json\"");
    expect_order(text, "tcp [::1]:2", "udp 127.0.0.1:1");
    free(text);
}

static void only_the_last_ones_are_kept(void **state)
{
    struct tsd_rejects *rejects = *state;
    char message[32];
    for (int i = 0; i < TSD_REJECTS_KEPT + 5; i++) {
        snprintf(message, sizeof(message), "message %03d", i);
        tsd_rejects_add(rejects, TS_BAD_JSON, "test", message, "", 0);
    }
    char *text = written(rejects);
    assert_null(strstr(text, "message 004"));
    expect_order(text, "message 006", "message 005");
    expect_order(text, "message 104", "message 103");
    free(text);
}

/* Bytes of a sender: any of them may be missing their end, be no UTF-8 or be a control character. */
static void the_beginning_of_the_message_is_kept_as_received(void **state)
{
    struct tsd_rejects *rejects = *state;
    char bytes[2 * TSD_REJECT_TEXT];
    memset(bytes, 'a', sizeof(bytes));
    bytes[0] = '\0';
    bytes[1] = '"';
    bytes[2] = (char)0xff;
    tsd_rejects_add(rejects, TS_BAD_UTF8, "test", "reason", bytes, sizeof(bytes));
    assert_int_equal(rejects->items[0].text_len, TSD_REJECT_TEXT);
    assert_memory_equal(rejects->items[0].text, bytes, TSD_REJECT_TEXT);
    char *text = written(rejects);
    assert_non_null(strstr(text, "\\u0000\\\"\xef\xbf\xbd"
                                 "aaa"));
    free(text);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(none_is_an_empty_list),
        T(the_latest_one_is_first),
        T(only_the_last_ones_are_kept),
        T(the_beginning_of_the_message_is_kept_as_received),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
