/*
 * The decoder: values, completeness, memory. The long table of rejected texts is in tests/support/texts.py.
 *
 * Linked with --wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free: allocations are counted, the n-th can be made to
 * fail, and leaks are detected.
 */
#include "lib/base/number.h"
#include "lib/profile/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static long allocations; /* so far */
static long fail_at;     /* the number of the one that fails; 0: none */
static long live;        /* not freed */

static bool fails(void)
{
    return ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
    void *memory = fails() ? NULL : __real_malloc(size);
    live += memory != NULL;
    return memory;
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *memory = fails() ? NULL : __real_calloc(n, size);
    live += memory != NULL;
    return memory;
}

void *__wrap_realloc(void *old, size_t size)
{
    void *memory = fails() ? NULL : __real_realloc(old, size);
    live += memory != NULL && !old;
    return memory;
}

void __wrap_free(void *memory)
{
    live -= memory != NULL;
    __real_free(memory);
}

struct fixture {
    struct ts_decoder *decoder;
    const struct ts_profile *profile;
    struct ts_fault fault;
};

static int setup(void **state)
{
    struct fixture *f = __real_calloc(1, sizeof(*f));
    if (!f)
        return -1;
    fail_at = 0;
    live = 0;
    f->decoder = ts_decoder_new();
    *state = f;
    return f->decoder ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fail_at = 0;
    f->decoder = ts_decoder_free(f->decoder);
    __real_free(f);
    if (live)
        print_error("%ld allocations were not given back\n", live);
    return live != 0;
}

static int decode(struct fixture *f, const char *text)
{
    f->profile = NULL;
    f->fault = (struct ts_fault){.offset = 12345678};
    int rc = ts_decode(f->decoder, text, strlen(text), &f->profile, &f->fault);
    assert_int_equal(!f->profile, rc != 0);
    assert_int_equal(f->fault.offset == 12345678, rc <= 0); /* unchanged unless the message is rejected */
    return rc;
}

static void decode_ok(struct fixture *f, const char *text)
{
    int rc = decode(f, text);
    if (rc)
        fail_msg("%s: %d %s", text, rc, f->fault.message);
}

static void assert_str(struct ts_str string, const char *text)
{
    assert_non_null(string.data);
    assert_int_equal(string.len, strlen(text));
    assert_memory_equal(string.data, text, string.len);
}

static bool lies_in(struct ts_str string, const char *text)
{
    return string.data >= text && string.data + string.len <= text + strlen(text);
}

static void a_message_as_an_object(void **state)
{
    struct fixture *f = *state;
    const char *text =
        "{\"timestamp\": 1732272009.25, \"exact\": true, \"part\": [1, 3], \"seq\": 42,"
        " \"labels\": {\"service\": \"web\", \"host\": \"a\", \"hos\": \"b\", \"hosts\": \"c\", \"_\": \"\"},"
        " \"profile\": {\"total_tt\": 0.5, \"func_profiles\": {"
        "\"_send\": {\"ncalls\": \"15003/11003\", \"tottime\": 0.004, \"percall_tottime\": 0.0,"
        " \"cumtime\": 0.007, \"percall_cumtime\": 0.0, \"file_name\": \"/app/net.py\","
        " \"line_number\": 278}, \"_send\": {\"cumtime\": -1e-9}}}}";
    decode_ok(f, text);
    const struct ts_profile *p = f->profile;
    assert_int_equal(p->timestamp, 1732272009 * S + 250000000);
    assert_int_equal(p->total_tt, S / 2);
    assert_true(p->exact);
    assert_int_equal(p->part_index, 1);
    assert_int_equal(p->part_count, 3);
    assert_true(p->has_seq);
    assert_int_equal(p->seq, 42);
    assert_int_equal(p->n_labels, 5);
    assert_str(p->labels[0].key, "_");
    assert_str(p->labels[0].value, "");
    assert_str(p->labels[1].key, "hos");
    assert_str(p->labels[1].value, "b");
    assert_str(p->labels[2].key, "host");
    assert_str(p->labels[3].key, "hosts");
    assert_str(p->labels[4].key, "service");
    assert_str(p->labels[4].value, "web");
    assert_int_equal(p->n_entries, 2);
    const struct ts_entry *e = p->entries;
    assert_str(e[0].raw_name, "_send");
    assert_str(e[0].file_name, "/app/net.py");
    assert_true(lies_in(e[0].raw_name, text) && lies_in(e[0].file_name, text)); /* views, no copies */
    assert_int_equal(e[0].line_number, 278);
    assert_int_equal(e[0].ncalls, 15003);
    assert_int_equal(e[0].pcalls, 11003);
    assert_int_equal(e[0].tottime, 4000000);
    assert_int_equal(e[0].cumtime, 7000000);
    assert_str(e[1].raw_name, "_send");
    assert_null(e[1].file_name.data);
    assert_int_equal(e[1].line_number, -1);
    assert_int_equal(e[1].ncalls, 0);
    assert_int_equal(e[1].pcalls, 0);
    assert_int_equal(e[1].tottime, 0);
    assert_int_equal(e[1].cumtime, -1);
}

/* Values of one message do not appear in the next. */
static void a_message_as_a_list_has_nothing_of_the_previous_one(void **state)
{
    struct fixture *f = *state;
    a_message_as_an_object(state);
    decode_ok(f, "[-1.5, {\"func_profiles\": [{\"ncalls\": 7, \"cumtime\": 2, \"file_name\": null,"
                 " \"func_name\": \"\"}]}]");
    const struct ts_profile *p = f->profile;
    assert_int_equal(p->timestamp, -1500000000);
    assert_int_equal(p->total_tt, 0);
    assert_false(p->exact);
    assert_false(p->has_seq);
    assert_int_equal(p->seq, 0);
    assert_int_equal(p->part_index, 0);
    assert_int_equal(p->part_count, 0);
    assert_int_equal(p->n_labels, 0);
    assert_int_equal(p->n_entries, 1);
    assert_str(p->entries[0].raw_name, "");
    assert_null(p->entries[0].file_name.data);
    assert_int_equal(p->entries[0].line_number, -1);
    assert_int_equal(p->entries[0].ncalls, 7);
    assert_int_equal(p->entries[0].pcalls, 7);
}

static void escapes_in_strings(void **state)
{
    struct fixture *f = *state;
    const char *text =
        "{\"t\\u0069mestamp\": 1, \"labels\": {\"\\u006b\": \"\\ud800\\n\"}, \"profile\": {\"func_profiles\":"
        " {\"a\\u00e9\": {\"cumt\\u0069me\": 1, \"file_name\": \"\\udc80\", \"ncalls\": \"\\u0037\\/3\"},"
        " \"b\\ud83d\\ude00\": {\"cumtime\": 2}, \"plain\": {\"cumtime\": 3}}}}";
    decode_ok(f, text);
    const struct ts_profile *p = f->profile;
    assert_int_equal(p->timestamp, S);
    assert_str(p->labels[0].key, "k");
    assert_str(p->labels[0].value, "\xEF\xBF\xBD\n");
    assert_str(p->entries[0].raw_name, "a\xC3\xA9");
    assert_str(p->entries[0].file_name, "\xEF\xBF\xBD");
    assert_int_equal(p->entries[0].cumtime, S);
    assert_int_equal(p->entries[0].ncalls, 7);
    assert_int_equal(p->entries[0].pcalls, 3);
    assert_str(p->entries[1].raw_name, "b\xF0\x9F\x98\x80");
    assert_str(p->entries[2].raw_name, "plain");
    assert_false(lies_in(p->entries[0].raw_name, text));
    assert_true(lies_in(p->entries[2].raw_name, text));
}

static int64_t ns_of(const char *text, enum ts_rounding rounding)
{
    int64_t ns = 0;
    if (ts_number_ns(text, strlen(text), rounding, INT64_C(9200000000) * S, &ns))
        fail_msg("%s is out of range", text);
    return ns;
}

static void seconds_are_rounded_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t nearest;
        int64_t floor;
    } rows[] = {
        {"0", 0, 0},
        {"-0.0", 0, 0},
        {"1", S, S},
        {"-1", -S, -S},
        {"0.123456789", 123456789, 123456789},
        {"123456789e-9", 123456789, 123456789},
        {"0.0000000005", 0, 0},
        {"-0.0000000005", 0, -1},
        {"0.0000000015", 2, 1},
        {"-0.0000000015", -2, -2},
        {"0.0000000025", 2, 2},
        {"-0.0000000025", -2, -3},
        {"0.00000000050000000000000000000000001", 1, 0},
        {"-0.00000000050000000000000000000000001", -1, -1},
        {"0.0000000004999999999999999999999999", 0, 0},
        {"-0.0000000000000000000000000000000001", 0, -1},
        {"0.00000000095", 1, 0},
        {"5e-10", 0, 0},
        {"15e-10", 2, 1},
        {"25E-10", 2, 2},
        {"0.5e-9", 0, 0},
        {"51e-11", 1, 0},
        {"0.0000000001e9", S / 10, S / 10},
        {"0.00000000000000000000000000001e29", S, S},
        {"100000000000000000000000000000e-29", S, S},
        {"1e-400", 0, 0},
        {"-1e-400", 0, -1},
        {"0e999999999999999999999999", 0, 0},
        {"-0e-999999999999999999999999", 0, 0},
        {"1e-999999999999999999999999", 0, 0},
        {"9.2e9", 9200000000 * S, 9200000000 * S},
        {"9199999999.9999999999", 9200000000 * S, 9200000000 * S - 1},
        {"-9199999999.9999999999", -9200000000 * S, -9200000000 * S},
        {"1732272009.999999999999", 1732272010 * S, 1732272010 * S - 1},
        {"1732272009.123456789", 1732272009 * S + 123456789, 1732272009 * S + 123456789},
        {"0.00012345678901234567", 123457, 123456},
        {"4.999999999e0", 5 * S - 1, 5 * S - 1},
        {"0.9999999999", S, S - 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (ns_of(rows[i].text, TS_HALF_EVEN) != rows[i].nearest || ns_of(rows[i].text, TS_FLOOR) != rows[i].floor)
            fail_msg("%s: %lld %lld", rows[i].text, (long long)ns_of(rows[i].text, TS_HALF_EVEN),
                     (long long)ns_of(rows[i].text, TS_FLOOR));
    }
}

static void limits_of_numbers(void **state)
{
    (void)state;
    int64_t value = 77;
#define NS(text, limit) ts_number_ns(text, sizeof(text) - 1, TS_HALF_EVEN, limit, &value)
    assert_int_equal(NS("10000000.0", TS_TIME_MAX_NS), 0);
    assert_int_equal(value, TS_TIME_MAX_NS);
    assert_int_equal(NS("-1e7", TS_TIME_MAX_NS), 0);
    assert_int_equal(value, -TS_TIME_MAX_NS);
    value = 77;
    /* The exact number is compared with the limit, not the rounded one. */
    assert_int_equal(NS("10000000.00000000000000000000001", TS_TIME_MAX_NS), TS_OUT_OF_RANGE);
    assert_int_equal(NS("-10000000.0000000001", TS_TIME_MAX_NS), TS_OUT_OF_RANGE);
    assert_int_equal(NS("10000000.000000001", TS_TIME_MAX_NS), TS_OUT_OF_RANGE);
    assert_int_equal(NS("18446744073.709551616", INT64_MAX), TS_OUT_OF_RANGE); /* 2^64 ns */
    assert_int_equal(NS("18446744083.7", INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(NS("9223372036.854775808", INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(NS("99999999999999999999", INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(NS("18446744073709551617", INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(NS("1e10", INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(NS("1e9223372036854775807", INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(NS("1e18446744073709551616", INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(value, 77);
    assert_int_equal(NS("9223372036.854775807", INT64_MAX), 0);
    assert_int_equal(value, INT64_MAX);
#undef NS
#define INTEGER(text, min, max) ts_number_integer(text, sizeof(text) - 1, min, max, &value)
    assert_int_equal(INTEGER("9223372036854775807", 0, INT64_MAX), 0);
    assert_int_equal(value, INT64_MAX);
    assert_int_equal(INTEGER("-9223372036854775808", INT64_MIN, 0), 0);
    assert_int_equal(value, INT64_MIN);
    assert_int_equal(INTEGER("00000000000000000000000000000012", 0, 12), 0);
    assert_int_equal(value, 12);
    assert_int_equal(INTEGER("-0", 0, 12), 0);
    assert_int_equal(value, 0);
    assert_int_equal(INTEGER("13", 0, 12), TS_OUT_OF_RANGE);
    assert_int_equal(INTEGER("3", 0, 2), TS_OUT_OF_RANGE);
    assert_int_equal(INTEGER("-1", 0, 12), TS_OUT_OF_RANGE);
    assert_int_equal(INTEGER("-13", -12, 12), TS_OUT_OF_RANGE);
    assert_int_equal(INTEGER("9223372036854775808", 0, INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(INTEGER("18446744073709551616", 0, INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(INTEGER("18446744073709551628", 0, INT64_MAX), TS_OUT_OF_RANGE);
    assert_int_equal(value, 0);
#undef INTEGER
    assert_int_equal(ts_number_magnitude("1732272009250", 13), 13);
    assert_int_equal(ts_number_magnitude("-17.5e3", 7), 5);
    assert_int_equal(ts_number_magnitude("0.05", 4), -1);
    assert_int_equal(ts_number_magnitude("0e9", 3), 0);
}

/* Any number of digits, also if only the last one determines the rounding. */
static void any_number_of_digits(void **state)
{
    struct fixture *f = *state;
    enum { DIGITS = 1 << 20 };
    char *digits = malloc(DIGITS + 8);
    char *text = malloc(3 * DIGITS + 200);
    assert_true(digits && text);
    memset(digits, '0', DIGITS);
    strcpy(digits + DIGITS, "5");
    sprintf(text, "[0.%s,{\"func_profiles\":{\"f\":{\"cumtime\":0.%s,\"tottime\":1.5}}}]", digits, digits);
    decode_ok(f, text);
    assert_int_equal(f->profile->timestamp, 0);
    assert_int_equal(f->profile->entries[0].cumtime, 0);
    sprintf(text, "[-0.%s,{\"func_profiles\":{\"f\":{\"cumtime\":0.%se%d,\"ncalls\":\"%s\"}}}]", digits, digits,
            DIGITS - 9, digits);
    decode_ok(f, text);
    assert_int_equal(f->profile->timestamp, -1);
    assert_int_equal(f->profile->entries[0].cumtime, 0); /* exactly half a nanosecond, to the even 0... */
    assert_int_equal(f->profile->entries[0].ncalls, 5);
    sprintf(text, "[0,{\"func_profiles\":{\"f\":{\"cumtime\":0.%s1e%d}}}]", digits, DIGITS - 9);
    decode_ok(f, text);
    assert_int_equal(f->profile->entries[0].cumtime, 1); /* ...and just past it */
    free(text);
    free(digits);
}

static void a_rejected_message_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(decode(f, "{\"timestamp\":1,\"profile\":{\"func_profiles\":{\"f\":{\"cumtime\":1},\"g\":{}}}}"),
                     TS_BAD_SHAPE);
    assert_string_equal(f->fault.message, "function \"g\": cumtime is missing (byte 65)");
    assert_int_equal(f->fault.offset, 65);
    decode_ok(f, "[1,{\"func_profiles\":{\"g\":{\"cumtime\":1}}}]");
    assert_int_equal(f->profile->n_entries, 1);
    assert_int_equal(decode(f, "{\"hello\":{}}"), TS_HELLO);
    assert_int_equal(f->fault.offset, 1);
    assert_int_equal(decode(f, "{\"timestamp\":1}"), TS_BAD_SHAPE); /* no hello is left over */
    assert_int_equal(decode(f, ""), TS_BAD_JSON);
    assert_int_equal(ts_decode(f->decoder, NULL, 0, &f->profile, &f->fault), TS_BAD_JSON);
    decode_ok(f, "[1,{\"func_profiles\":{\"g\":{\"cumtime\":1}}}]");
}

/* The longest of everything in a fault's message: it is cut at the end of a character, and still has the offset. */
static void the_longest_fault_message_fits(void **state)
{
    struct fixture *f = *state;
    char name[1300];
    char number[600];
    char text[4000];
    memset(number, '9', sizeof(number) - 1);
    number[sizeof(number) - 1] = '\0';
    for (size_t shift = 0; shift < 4; shift++) {
        size_t len = shift;
        memset(name, 'x', shift);
        for (; len + 4 <= 1024; len += 4)
            memcpy(name + len, "\xF0\x9F\x98\x80", 4);
        name[len] = '\0';
        snprintf(text, sizeof(text), "[1,{\"func_profiles\":{\"%s\":{\"cumtime\":1,\"line_number\":%s}}}]", name,
                 number);
        assert_int_equal(decode(f, text), TS_OUT_OF_RANGE);
        const char *end = strstr(f->fault.message, " (byte ");
        assert_non_null(end);
        assert_int_equal(strtoul(end + 7, NULL, 10), f->fault.offset);
        const char *quote = strstr(f->fault.message, "...\"");
        assert_non_null(quote);
        assert_memory_equal(quote - 4, "\xF0\x9F\x98\x80", 4);
        snprintf(text, sizeof(text), "[1,{\"func_profiles\":{\"%s\":{\"cumtime\":1,\"ncalls\":\"%s\"}}}]", name, name);
        assert_int_equal(decode(f, text), TS_BAD_SHAPE);
        assert_non_null(strstr(f->fault.message, "as in \"7\" or \"7/3\" (byte "));
    }
}

static char *big_message(size_t entries, bool escapes)
{
    char *text = malloc(entries * 80 + 100);
    assert_non_null(text);
    if (!text) /* the compiler does not know that the assertion does not return */
        return NULL;
    char *p = text + sprintf(text, "[1,{\"func_profiles\":{");
    for (size_t i = 0; i < entries; i++)
        p += sprintf(p, "%s\"%s%zu\":{\"cumtime\":%zu,\"file_name\":\"a%s.py\"}", i ? "," : "",
                     escapes ? "\\u005f" : "_", i, i, escapes ? "\\n" : "");
    strcpy(p, "}}]");
    return text;
}

static void a_warm_decoder_does_not_allocate(void **state)
{
    struct fixture *f = *state;
    char *small = big_message(10, true);
    char *big = big_message(5000, true);
    decode_ok(f, small);
    size_t entries = f->decoder->cap_entries;
    size_t arena = f->decoder->arena_cap;
    decode_ok(f, big);
    assert_int_equal(f->profile->n_entries, 5000);
    for (size_t i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "_%zu", i);
        assert_str(f->profile->entries[i].raw_name, name);
        assert_str(f->profile->entries[i].file_name, "a\n.py");
        assert_int_equal(f->profile->entries[i].cumtime, (int64_t)i * S);
    }
    assert_true(f->decoder->cap_entries > entries && f->decoder->cap_entries >= 5000);
    assert_true(f->decoder->arena_cap > arena);
    entries = f->decoder->cap_entries;
    arena = f->decoder->arena_cap;
    long before = allocations;
    for (int i = 0; i < 20; i++) {
        decode_ok(f, i % 2 ? small : big);
        assert_int_equal(decode(f, "[1,{\"func_profiles\":{\"\\u005f\":7}}]"), TS_BAD_SHAPE);
    }
    assert_int_equal(allocations, before);
    assert_int_equal(f->decoder->cap_entries, entries);
    assert_int_equal(f->decoder->arena_cap, arena);
    free(small);
    free(big);
}

/* Each allocation fails in turn: the decoder stays usable, and nothing leaks. */
static void every_allocation_can_fail(void **state)
{
    struct fixture *f = *state;
    char *text = big_message(1000, true);
    char *later = malloc(strlen(text) + 100); /* the first escape is after some entries */
    assert_non_null(later);
    sprintf(later, "[1,{\"func_profiles\":{\"f\":{\"cumtime\":1},%s", text + strlen("[1,{\"func_profiles\":{"));
    const char *texts[] = {text,
                           later,
                           "{\"labels\":{\"\\u0061\":\"b\"},\"timestamp\":1,\"profile\":{\"func_profiles\":{}}}",
                           "{\"labels\":{\"a\":\"\\n\"},\"timestamp\":1,\"profile\":{\"func_profiles\":{}}}",
                           "{\"\\u0061\":1,\"timestamp\":1,\"profile\":{\"func_profiles\":{}}}",
                           "[1,{\"\\u0061\":1,\"func_profiles\":[]}]",
                           "[1,{\"func_profiles\":[{\"func_name\":\"\\n\",\"cumtime\":1}]}]",
                           "[1,{\"func_profiles\":[{\"func_name\":\"\",\"cumtime\":1,\"file_name\":\"\\n\"}]}]",
                           "[1,{\"func_profiles\":[{\"func_name\":\"\",\"cumtime\":1,\"\\u0061\":1}]}]",
                           "[1,{\"func_profiles\":{\"f\":{\"cumtime\":1,\"ncalls\":\"\\u0031\"}}}]"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        long n = 1;
        for (;; n++) {
            allocations = 0;
            fail_at = n;
            struct ts_decoder *decoder = ts_decoder_new();
            const struct ts_profile *profile = NULL;
            struct ts_fault fault = {.offset = 77};
            if (!decoder) {
                assert_int_equal(n, 1);
                continue;
            }
            int rc = ts_decode(decoder, texts[i], strlen(texts[i]), &profile, &fault);
            bool failed = allocations >= n;
            fail_at = 0;
            assert_int_equal(rc, failed ? TS_ENOMEM : 0);
            assert_int_equal(fault.offset, 77);
            assert_int_equal(profile != NULL, !failed);
            assert_int_equal(ts_decode(decoder, texts[i], strlen(texts[i]), &profile, &fault), 0);
            ts_decoder_free(decoder);
            if (!failed)
                break;
        }
        assert_true(n > 2);
    }
    free(text);
    free(later);
    assert_null(ts_decoder_free(NULL));
    decode_ok(f, "[1,{\"func_profiles\":{}}]");
}

/* Every incomplete message is rejected at its end; nothing after it is read. */
static void every_prefix_is_rejected(void **state)
{
    struct fixture *f = *state;
    const char *text = "{\"timestamp\": 1732272009.25, \"exact\": true, \"part\": [0, 3], \"seq\": 42,"
                       " \"labels\": {\"k\": \"\\u00e9\"}, \"x\": [null, -1e5, false], \"profile\": {\"total_tt\": 0.5,"
                       " \"func_profiles\": [{\"func_name\": \"_send\", \"ncalls\": \"3/2\", \"tottime\": 0.004,"
                       " \"cumtime\": 0.007, \"file_name\": \"/app/net.py\", \"line_number\": 278}]}}";
    size_t len = strlen(text);
    decode_ok(f, text);
    for (size_t cut = 0; cut < len; cut++) {
        char *copy = malloc(cut ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, text, cut);
        assert_int_equal(ts_decode(f->decoder, copy, cut, &f->profile, &f->fault), TS_BAD_JSON);
        assert_int_equal(f->fault.offset, cut);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_as_an_object, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_as_a_list_has_nothing_of_the_previous_one, setup, teardown),
        cmocka_unit_test_setup_teardown(escapes_in_strings, setup, teardown),
        cmocka_unit_test(seconds_are_rounded_exactly),
        cmocka_unit_test(limits_of_numbers),
        cmocka_unit_test_setup_teardown(any_number_of_digits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rejected_message_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_longest_fault_message_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_warm_decoder_does_not_allocate, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_can_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(every_prefix_is_rejected, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
