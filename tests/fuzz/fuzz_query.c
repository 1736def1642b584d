/*
 * The parameters of a query. The first byte chooses the request, the rest is lines "name=value"; a line without "=" has
 * no value. Whatever they are: a plan, or an error that is fit to be sent.
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
    if (!end)
        abort();
    for (const char *at = text; at < end;) {
        if (ts_utf8_next(&at, end) == UINT32_MAX)
            abort();
    }
}

static void check_error(const struct ts_query_error *error)
{
    if (error->kind != TS_QUERY_BAD_PARAMETER || !error->message[0])
        abort();
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
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';

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
    /* Seeds of four kinds go on meaning what they meant. */
    enum ts_query_kind kind = (enum ts_query_kind)(data[0] & 128 ? TS_QUERY_DIFF + (data[0] & 1) : data[0] & 3);
    int64_t now = data[0] & 64 ? TS_TIMESTAMP_MAX_NS : INT64_C(1732272000) * TS_NS_PER_S;
    int r = ts_query_parse(kind, params, n, &grids[(data[0] >> 2) % 3], now, &query, &error);
    if (r == TS_EINVAL)
        check_error(&error);
    else if (r == 0 && ts_query_csv(query) && kind != TS_QUERY_BUCKETS && kind != TS_QUERY_TOP && kind != TS_QUERY_DIFF)
        abort();
    if (r && query)
        abort();
    ts_query_free(query);
    free(text);
    return 0;
}
