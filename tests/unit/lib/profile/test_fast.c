/*
 * Every variant of the fast path that this processor can run against the general path: for any text the same profile or
 * the same fault, and recalled locations are those of the entry. Texts in every form that the fast path knows, correct
 * and then damaged in one place; and a check that the fast path was really used.
 */
#include "lib/aggregate/intern.h"
#include "lib/profile/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX = 64 * 1024, ENTRIES = 40, VARIANTS_MAX = 4 };

struct fixture {
    struct ts_decoder *fast[VARIANTS_MAX];
    int n_variants;
    struct ts_intern table; /* of all decoders */
    size_t n_known;
    struct ts_decoder *general;
    char text[TEXT_MAX];
    size_t len;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f)
        return -1;
    ts_fast_run variants[VARIANTS_MAX] = {ts_fast_run_plain, ts_fast_run_native};
    f->n_variants = 2;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        variants[f->n_variants++] = ts_fast_run_avx2;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2"))
        variants[f->n_variants++] = ts_fast_run_avx512;
#endif
    ts_intern_init(&f->table);
    *state = f;
    for (int i = 0; i < f->n_variants; i++) {
        f->fast[i] = ts_decoder_new();
        if (!f->fast[i] || ts_decoder_recall_from(f->fast[i], &f->table))
            return -1;
        f->fast[i]->fast = variants[i];
    }
    f->general = ts_decoder_new();
    if (!f->general)
        return -1;
    f->general->fast = NULL;
    srand(11);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < f->n_variants; i++)
        ts_decoder_free(f->fast[i]);
    ts_decoder_free(f->general);
    ts_intern_deinit(&f->table);
    free(f);
    return 0;
}

static bool same_str(struct ts_str a, struct ts_str b)
{
    return !a.data == !b.data && a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void check_entry(struct fixture *f, struct ts_decoder *decoder, const struct ts_entry *x,
                        const struct ts_entry *y)
{
    bool same = same_str(x->raw_name, y->raw_name) && same_str(x->file_name, y->file_name) &&
                x->line_number == y->line_number && x->cumtime == y->cumtime && x->tottime == y->tottime &&
                x->ncalls == y->ncalls && x->pcalls == y->pcalls && !y->recalled;
    if (!same)
        fail_msg("an entry differs in %.*s", (int)f->len, f->text);
    struct ts_location key = {.raw_name = x->raw_name, .file_name = x->file_name, .line_number = x->line_number};
    uint32_t number;
    if (x->recalled) {
        assert_true(ts_intern_find(&f->table, &key, &number));
        assert_int_equal(x->recalled, number + 1);
        f->n_known++;
        return;
    }
    assert_int_equal(ts_intern_add(&f->table, &key, &number), 0);
    ts_decoder_learn(decoder, x, number);
}

/* Decodes a copy of exactly that length, so that the sanitizer detects a read beyond its end. */
static int compare(struct fixture *f)
{
    const struct ts_profile *b = NULL;
    struct ts_fault fault_b = {0};
    char *copy = malloc(f->len ? f->len : 1);
    assert_non_null(copy);
    memcpy(copy, f->text, f->len);
    int rc_b = ts_decode(f->general, copy, f->len, &b, &fault_b);
    assert_int_equal(f->general->n_fast, 0);
    for (int variant = 0; variant < f->n_variants; variant++) {
        const struct ts_profile *a = NULL;
        struct ts_fault fault_a = {0};
        int rc = ts_decode(f->fast[variant], copy, f->len, &a, &fault_a);
        if (rc != rc_b || fault_a.offset != fault_b.offset || strcmp(fault_a.message, fault_b.message) != 0)
            fail_msg("%d %zu %s\n%d %zu %s\n%.*s", rc, fault_a.offset, fault_a.message, rc_b, fault_b.offset,
                     fault_b.message, (int)f->len, f->text);
        if (rc)
            continue;
        assert_int_equal(a->timestamp, b->timestamp);
        assert_int_equal(a->total_tt, b->total_tt);
        assert_int_equal(a->n_entries, b->n_entries);
        for (size_t i = 0; i < a->n_entries; i++)
            check_entry(f, f->fast[variant], &a->entries[i], &b->entries[i]);
    }
    free(copy);
    return rc_b;
}

static const char *pick(const char *const *texts, size_t n)
{
    return texts[(size_t)rand() % n];
}
#define PICK(texts) pick(texts, sizeof(texts) / sizeof(*(texts)))

static const char *seconds(void)
{
    static const char *const plain[] = {"0.0", "0.001", "12.345", "0", "7", "9999999.999999999", "0.123456789"};
    static const char *const odd[] = {"-0.5",
                                      "0.0000000005",
                                      "0.0000000015",
                                      "1e-05",
                                      "10000000",
                                      "10000000.0000000001",
                                      "3.4028234663852886",
                                      "0.00000000000000000000000000001",
                                      "12345678901.5",
                                      "00.1",
                                      "1.",
                                      ".5",
                                      "-",
                                      "--1",
                                      "1.5.5",
                                      "NaN",
                                      "\"1\"",
                                      "null",
                                      "-0.0",
                                      "99999999999999999999",
                                      "0.1234567890123456789012345",
                                      "1E2"};
    return rand() % 400 ? PICK(plain) : PICK(odd);
}

static const char *calls(void)
{
    static const char *const plain[] = {"\"1\"", "\"15003/11003\"", "\"9007199254740992\"", "\"007\"", "\"5/5\""};
    static const char *const odd[] = {"\"\"",
                                      "\"/1\"",
                                      "\"1/\"",
                                      "\"2/3\"",
                                      "\"9007199254740993\"",
                                      "3",
                                      "-1",
                                      "1.5",
                                      "\"-1\"",
                                      "\"1/2/3\"",
                                      "\"1 \"",
                                      "\"\\u0031\"",
                                      "null",
                                      "\"00000000000000000001\"",
                                      "\"1234567890123456789/1\""};
    return rand() % 600 ? PICK(plain) : PICK(odd);
}

static const char *string(void)
{
    static const char *const plain[] = {"_send",
                                        "",
                                        "__init__",
                                        "/usr/lib/python3.11/json/encoder.py",
                                        "<built-in method builtins.len>",
                                        "日本語",
                                        "a: b",
                                        "é",
                                        "exactly_eight_and_longer_than_twenty_four",
                                        "12345678",
                                        "1234567",
                                        "123456789",
                                        "/a/very/long/path/that/does/not/fit/one/block/of/sixty-four/bytes/by/far.py",
                                        "sixty-three-bytes-sixty-three-bytes-sixty-three-bytes-sixty-thr",
                                        "sixty-four-bytes-sixty-four-bytes-sixty-four-bytes-sixty-four-by"};
    static const char *const odd[] = {"quo\\\"te",    "\\u00e9", "back\\\\slash", "tab\there", "\xff",      "\xc3",
                                      "\xed\xa0\x80", "\\ud800", "nul\\u0000",    "\\x",       "new\nline", "\x7f"};
    return rand() % 600 ? PICK(plain) : PICK(odd);
}

static const char *line(void)
{
    static const char *const plain[] = {"0", "278", "2147483647"};
    static const char *const odd[] = {"2147483648", "-1", "01", "null", "1.0", "\"1\"", "99999999999999999999"};
    return rand() % 600 ? PICK(plain) : PICK(odd);
}

enum shape { OBJECT, LIST, SHORT_LIST, SHAPES };

static void put(struct fixture *f, const char *text)
{
    size_t len = strlen(text);
    assert_true(f->len + len < TEXT_MAX);
    memcpy(f->text + f->len, text, len);
    f->len += len;
}

/* A key with its separators; value NULL: the caller appends it. */
static void member(struct fixture *f, bool spaced, bool first, const char *key, const char *value)
{
    if (!first)
        put(f, spaced ? ", " : ",");
    put(f, "\"");
    put(f, key);
    put(f, spaced ? "\": " : "\":");
    if (value)
        put(f, value);
}

static void quoted(struct fixture *f, const char *text)
{
    put(f, "\"");
    put(f, text);
    put(f, "\"");
}

/* In the usual order, or in any. */
static void members(struct fixture *f, enum shape shape, bool spaced, bool ordered)
{
    static const char *const keys[] = {"func_name", "ncalls",          "tottime",   "percall_tottime",
                                       "cumtime",   "percall_cumtime", "file_name", "line_number"};
    size_t order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    bool first = true;
    for (size_t i = 0; i < 8 && !ordered; i++) {
        size_t other = (size_t)rand() % 8;
        size_t was = order[i];
        order[i] = order[other];
        order[other] = was;
    }
    for (size_t i = 0; i < 8; i++) {
        const char *key = keys[order[i]];
        bool named = strcmp(key, "func_name") == 0;
        if ((shape == OBJECT && named) || (shape == SHORT_LIST && *key == 'p'))
            continue;
        if (!ordered && rand() % 1000 == 0)
            continue; /* a member is missing */
        if (!ordered && rand() % 1000 == 0)
            key = keys[(size_t)rand() % 8]; /* a member is repeated, or has the value of another */
        bool string_follows = named || strcmp(key, "file_name") == 0;
        member(f, spaced, first, key,
               string_follows                    ? NULL
               : strcmp(key, "ncalls") == 0      ? calls()
               : strcmp(key, "line_number") == 0 ? line()
                                                 : seconds());
        if (string_follows)
            quoted(f, string());
        first = false;
    }
}

static void entry(struct fixture *f, enum shape shape, bool spaced, bool ordered)
{
    if (shape == OBJECT)
        member(f, spaced, true, string(), NULL);
    put(f, "{");
    members(f, shape, spaced, ordered);
    put(f, "}");
}

static void message(struct fixture *f, enum shape shape, bool spaced)
{
    bool ordered = rand() % 3 != 0;
    f->len = 0;
    put(f, spaced ? "[1732272009.25, {" : "[1732272009.25,{");
    member(f, spaced, true, "total_tt", "0.5");
    member(f, spaced, false, "func_profiles", shape == OBJECT ? "{" : "[");
    for (int i = 0; i < ENTRIES; i++) {
        if (i)
            put(f, spaced ? ", " : ",");
        bool other = rand() % 50 == 0; /* an entry with other spacing */
        entry(f, shape, other ? !spaced : spaced, ordered || rand() % 20 == 0);
    }
    put(f, shape == OBJECT ? "}}]" : "]}]");
}

static void the_same_result_as_the_general_path(void **state)
{
    struct fixture *f = *state;
    int accepted = 0;
    for (int i = 0; i < 6000; i++) {
        message(f, (enum shape)(i % SHAPES), i / SHAPES % 2);
        accepted += compare(f) == 0;
    }
    assert_true(accepted > 500);
    assert_true(accepted < 5500);
    assert_true(f->n_known > (size_t)accepted * f->n_variants); /* names are repeated */
}

static void the_same_fault_for_damaged_texts(void **state)
{
    static const char bytes[] = "\",:{}[]0123456789.-+eE \n\t\\/ntfabc\x01\x7f\x80\xc3\xff";
    struct fixture *f = *state;
    for (int i = 0; i < 20000; i++) {
        if (i % 20 == 0)
            message(f, (enum shape)(rand() % SHAPES), rand() % 2);
        size_t at = (size_t)rand() % f->len;
        size_t whole = f->len;
        char was = f->text[at];
        switch (rand() % 3) {
        case 0:
            f->text[at] = bytes[(size_t)rand() % (sizeof(bytes) - 1)];
            break;
        case 1:
            f->text[at] = (char)rand();
            break;
        default:
            f->len = at;
            break;
        }
        compare(f);
        f->text[at] = was;
        f->len = whole;
    }
}

static void the_fast_path_is_used(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {
        "\"_send\": {\"ncalls\": \"15003/11003\", \"tottime\": 0.004, \"percall_tottime\": 0.0, \"cumtime\": 0.007, "
        "\"percall_cumtime\": 0.0, \"file_name\": \"/app/net.py\", \"line_number\": 278}",
        "\"_send\":{\"ncalls\":\"3\",\"tottime\":0.004,\"percall_tottime\":0.0,\"cumtime\":12,\"percall_cumtime\":0.0,"
        "\"file_name\":\"~\",\"line_number\":0}",
        "{\"func_name\": \"_\", \"ncalls\": \"3\", \"tottime\": -0.0040000000000000001, \"cumtime\": 0.007, "
        "\"file_name\": \"/\xc3\xa9.py\", \"line_number\": 1}",
        "{\"func_name\":\"f\",\"ncalls\":\"3\",\"tottime\":0.004,\"percall_tottime\":0.0,\"cumtime\":0.007,"
        "\"percall_cumtime\":0.0,\"file_name\":\"/app/net.py\",\"line_number\":278}",
        "\"f\": {\"line_number\": 278, \"file_name\": \"/app/net.py\", \"cumtime\": 0.25, \"percall_cumtime\": 0.0, "
        "\"ncalls\": \"7/1\", \"percall_tottime\": 0.5, \"tottime\": 0.75}",
        "{\"cumtime\":1.5,\"func_name\":\"f\"}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        bool spaced = strstr(texts[i], ", ") != NULL;
        f->len = 0;
        put(f, "[1,{\"func_profiles\":");
        put(f, texts[i][0] == '{' ? "[" : "{");
        for (int k = 0; k < ENTRIES; k++) {
            if (k)
                put(f, spaced ? ", " : ",");
            put(f, texts[i]);
        }
        put(f, texts[i][0] == '{' ? "]}]" : "}}]");
        assert_int_equal(compare(f), 0);
        for (int variant = 0; variant < f->n_variants; variant++) {
            const struct ts_decoder *decoder = f->fast[variant];
            /* All but those in the last TS_FAST_MARGIN bytes. */
            size_t last = TS_FAST_MARGIN / strlen(texts[i]) + 1;
            assert_int_equal(decoder->profile.n_entries, ENTRIES);
            assert_true(decoder->n_fast >= ENTRIES - last);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_result_as_the_general_path, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_fault_for_damaged_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_fast_path_is_used, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
