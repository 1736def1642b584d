#include "lib/query/error.h"

#include "lib/base/glob.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ts_query_error_code(enum ts_query_error_kind kind)
{
    static const char *const codes[TS_QUERY_ERROR_KINDS] = {
        [TS_QUERY_BAD_PARAMETER] = "bad_parameter", [TS_QUERY_TOO_LARGE] = "too_large",
        [TS_QUERY_NOT_KEPT] = "not_kept",           [TS_QUERY_STORE_UNAVAILABLE] = "store_unavailable",
        [TS_QUERY_INTERNAL] = "internal",
    };
    assert(kind > TS_QUERY_NO_ERROR && kind < TS_QUERY_ERROR_KINDS);
    return codes[kind];
}

/* Replaces invalid bytes by "?": parameters may not be UTF-8, and truncation may split a character. */
static void make_utf8(char *text)
{
    const char *end = text + strlen(text);
    for (const char *at = text; at < end;) {
        const char *begin = at;
        if (ts_utf8_next(&at, end) == UINT32_MAX)
            text[begin - text] = '?';
    }
}

int ts_query_fail(struct ts_query_error *error, enum ts_query_error_kind kind, const char *parameter,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    error->kind = kind;
    snprintf(error->parameter, sizeof(error->parameter), "%s", parameter);
    make_utf8(error->message);
    make_utf8(error->parameter);
    return TS_EINVAL;
}

int ts_query_fail_with(struct ts_query_error *error, int code)
{
    assert(code < 0);
    if (code == TS_ENOMEM)
        (void)ts_query_fail(error, TS_QUERY_INTERNAL, "", "out of memory");
    else if (code == TS_ECANCELED)
        (void)ts_query_fail(error, TS_QUERY_STORE_UNAVAILABLE, "",
                            "the query was interrupted: it took too long, or the daemon is stopping");
    else if (code != TS_EINVAL)
        (void)ts_query_fail(error, TS_QUERY_STORE_UNAVAILABLE, "",
                            "the store cannot be read: it is busy, inaccessible or damaged");
    assert(error->kind != TS_QUERY_NO_ERROR);
    return code;
}
