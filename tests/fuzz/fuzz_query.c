/*
 * libFuzzer target: the parameters of queries. Any names and values are accepted, or rejected with a UTF-8 message.
 *
 * Input: a byte that selects the kind of query, the grid and the time; then a line "name=value" for each parameter, or
 * "name" for one without a value.
 */
#include "lib/base/glob.h"
#include "lib/query/query.h"
#include "tests/fuzz/check.h"

#include <stdlib.h>
#include <string.h>

enum { PARAMS_MAX = 256 };

static void check_text(const char *text, size_t size)
{
    const char *end = memchr(text, '\0', size);
    CHECK(end);
    for (const char *at = text; at < end;)
        CHECK(ts_utf8_next(&at, end) != UINT32_MAX);
}

static void check_error(const struct ts_query_error *error)
{
    CHECK(error->kind == TS_QUERY_BAD_PARAMETER && error->message[0]);
    check_text(error->parameter, sizeof(error->parameter));
    check_text(error->message, sizeof(error->message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ts_grid grids[] = {
        {.start_time = 0, .time_slice = 10 * TS_NS_PER_S},
        {.start_time = -TS_TIMESTAMP_MAX_NS, .time_slice = 1},
        {.start_time = 250000000, .time_slice = INT64_MAX},
    };
    if (size == 0)
        return 0;
    char *text = fuzz_text(data, size);

    struct ts_query_param params[PARAMS_MAX];
    size_t n = 0;
    char *rest = text;
    for (char *line; n < PARAMS_MAX && (line = strsep(&rest, "\n")); n++) {
        char *equals = strchr(line, '=');
        if (equals)
            *equals = '\0';
        params[n] = (struct ts_query_param){line, equals ? equals + 1 : NULL};
    }
    if (n == 1 && !params[0].name[0] && !params[0].value)
        n = 0;

    struct ts_query *query = NULL;
    struct ts_query_error error = {0};
    /* Bit 7 selects the newer kinds, so that older seeds still select the same kind. */
    enum ts_query_kind kind = (enum ts_query_kind)(data[0] & 128 ? TS_QUERY_DIFF + (data[0] & 1) : data[0] & 3);
    int64_t now = data[0] & 64 ? TS_TIMESTAMP_MAX_NS : INT64_C(1732272000) * TS_NS_PER_S;
    int r = ts_query_parse(kind, params, n, &grids[(data[0] >> 2) % 3], now, &query, &error);
    bool has_csv = kind == TS_QUERY_BUCKETS || kind == TS_QUERY_TOP || kind == TS_QUERY_DIFF;
    CHECK(r == 0 || r == TS_EINVAL || r == TS_ENOMEM);
    CHECK(!query == (r != 0));
    if (r == TS_EINVAL)
        check_error(&error);
    if (r == 0)
        CHECK(has_csv || !ts_query_csv(query));
    ts_query_free(query);
    free(text);
    return 0;
}
