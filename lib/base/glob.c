/*
 * A literal, a question mark and a star are one token each. A class such as [a-cx] is a CLASS token followed by its
 * RANGE tokens. A "[" that is not closed is a literal.
 */
#include "lib/base/glob.h"

#include <stdlib.h>

enum kind { LITERAL, ANY, STAR, CLASS, CLASS_NOT, RANGE };

struct ts_glob_token {
    enum kind kind;
    uint32_t low;  /* LITERAL: the code point; CLASS: how many ranges follow */
    uint32_t high; /* RANGE: inclusive */
};

uint32_t ts_utf8_next(const char **at, const char *end)
{
    const unsigned char *p = (const unsigned char *)*at;
    size_t left = (size_t)(end - *at);
    uint32_t c = *p;
    size_t len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    ++*at;
    if (len == 1)
        return c;
    if (c < 0xC2 || c > 0xF4 || left < len)
        return UINT32_MAX;
    c &= 0x7Fu >> len;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return UINT32_MAX;
        c = c << 6 | (p[i] & 0x3F);
    }
    if (c < smallest[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return UINT32_MAX;
    *at += len - 1;
    return c;
}

static void put(struct ts_glob *glob, enum kind kind, uint32_t low, uint32_t high)
{
    glob->tokens[glob->n++] = (struct ts_glob_token){.kind = kind, .low = low, .high = high};
}

/* Appends the class whose inside is the code points from..end-1. */
static void put_class(struct ts_glob *glob, const uint32_t *from, const uint32_t *end)
{
    size_t head = glob->n;
    bool negated = from < end && *from == '!';
    put(glob, negated ? CLASS_NOT : CLASS, 0, 0);
    for (const uint32_t *p = from + negated; p < end; p++) {
        /* A hyphen between two code points makes a range; a descending range is empty. */
        if (end - p > 2 && p[1] == '-') {
            put(glob, RANGE, p[0], p[2]);
            p += 2;
        } else {
            put(glob, RANGE, p[0], p[0]);
        }
    }
    glob->tokens[head].low = (uint32_t)(glob->n - head - 1);
}

/* The "]" that closes the class whose inside begins at p. One at the very beginning is a member. NULL: none. */
static const uint32_t *class_end(const uint32_t *p, const uint32_t *end)
{
    if (p < end && *p == '!')
        p++;
    if (p < end && *p == ']')
        p++;
    while (p < end && *p != ']')
        p++;
    return p < end ? p : NULL;
}

static void compile(struct ts_glob *glob, const uint32_t *p, const uint32_t *end)
{
    bool unclosed = false; /* there is no further "]", so no later class is closed either */
    for (; p < end; p++) {
        const uint32_t *close = NULL;
        switch (*p) {
        case '*':
            if (!glob->n || glob->tokens[glob->n - 1].kind != STAR)
                put(glob, STAR, 0, 0);
            break;
        case '?':
            put(glob, ANY, 0, 0);
            break;
        case '[':
            close = unclosed ? NULL : class_end(p + 1, end);
            unclosed = !close;
            if (close) {
                put_class(glob, p + 1, close);
                p = close;
                break;
            }
            put(glob, LITERAL, '[', 0);
            break;
        default:
            put(glob, LITERAL, *p, 0);
        }
    }
}

int ts_glob_compile(struct ts_str pattern, struct ts_glob *ret_glob)
{
    if (pattern.len > TS_GLOB_MAX)
        return TS_EINVAL;
    uint32_t points[TS_GLOB_MAX];
    size_t n = 0;
    const char *end = pattern.data + pattern.len;
    for (const char *at = pattern.data; at < end; n++) {
        points[n] = ts_utf8_next(&at, end);
        if (points[n] == UINT32_MAX)
            return TS_EINVAL;
    }
    /* No code point needs more than one token: a class has one more than its members, but also two brackets. */
    struct ts_glob glob = {.tokens = calloc(n + 1, sizeof(*glob.tokens))};
    if (!glob.tokens)
        return TS_ENOMEM;
    compile(&glob, points, points + n);
    *ret_glob = glob;
    return 0;
}

void ts_glob_deinit(struct ts_glob *glob)
{
    free(glob->tokens);
    *glob = (struct ts_glob){0};
}

static bool token_matches(const struct ts_glob_token *token, uint32_t c)
{
    if (token->kind == LITERAL)
        return token->low == c;
    if (token->kind == ANY)
        return true;
    for (uint32_t i = 1; i <= token->low; i++) {
        if (c >= token[i].low && c <= token[i].high)
            return token->kind == CLASS;
    }
    return token->kind == CLASS_NOT;
}

static size_t token_len(const struct ts_glob_token *token)
{
    return token->kind == CLASS || token->kind == CLASS_NOT ? token->low + 1 : 1;
}

bool ts_glob_match(const struct ts_glob *glob, struct ts_str name)
{
    const struct ts_glob_token *token = glob->tokens;
    const struct ts_glob_token *last = token + glob->n;
    const struct ts_glob_token *after_star = NULL;
    const char *at = name.data;
    const char *end = at + name.len;
    const char *retry = NULL; /* the beginning of the star's next attempt */
    while (at < end) {
        if (token < last && token->kind == STAR) {
            after_star = ++token;
            retry = at;
            continue;
        }
        const char *next = at;
        uint32_t c = ts_utf8_next(&next, end);
        if (token < last && token_matches(token, c)) {
            token += token_len(token);
            at = next;
        } else if (after_star) {
            /* No need to retry an earlier star: the last one can match the same characters. */
            (void)ts_utf8_next(&retry, end);
            token = after_star;
            at = retry;
        } else {
            return false;
        }
    }
    while (token < last && token->kind == STAR)
        token++;
    return token == last;
}
