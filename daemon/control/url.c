#include "daemon/control/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place. Returns NULL, or the reason why it cannot. */
static const char *unescape(char *text, bool plus)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '%') {
            int high = digit(from[1]);
            int low = high < 0 ? -1 : digit(from[2]);
            if (low < 0)
                return "a % is not followed by two hexadecimal digits";
            c = (char)(high * 16 + low);
            if (!c)
                return "%00 is not allowed";
            from += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        *to++ = c;
    }
    *to = '\0';
    return NULL;
}

/* Shortest forms only, no surrogates, at most U+10FFFF. */
static bool is_utf8(const char *text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        unsigned char lead = *p++;
        if (lead < 0x80)
            continue;
        unsigned more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead < 0xC0 || lead > 0xF7)
            return false;
        uint32_t value = lead & (0x3FU >> more);
        for (unsigned i = 0; i < more; i++, p++) {
            if ((*p & 0xC0) != 0x80) /* the terminator too */
                return false;
            value = value << 6 | (*p & 0x3FU);
        }
        if (value < least[more] || value > 0x10FFFF || (value & 0xFFFFF800) == 0xD800)
            return false;
    }
    return true;
}

static int fail(struct ts_query_error *error, const char *parameter, const char *message)
{
    *error = (struct ts_query_error){.kind = TS_QUERY_BAD_PARAMETER};
    if (parameter && is_utf8(parameter))
        snprintf(error->parameter, sizeof(error->parameter), "%s", parameter);
    snprintf(error->message, sizeof(error->message), "%s", message);
    return TS_EINVAL;
}

static int decode(char *text, bool plus, const char *parameter, struct ts_query_error *error)
{
    const char *wrong = unescape(text, plus);
    if (!wrong && !is_utf8(text))
        wrong = "it is not valid UTF-8 after percent-decoding";
    return wrong ? fail(error, parameter, wrong) : 0;
}

static int add_param(struct tsd_url *url, char *piece, struct ts_query_error *error)
{
    if (url->n_params == TSD_URL_PARAMS_MAX)
        return fail(error, NULL, "there are over 256 parameters");
    char *value = strchr(piece, '=');
    if (value)
        *value++ = '\0';
    int rc = decode(piece, true, NULL, error);
    if (!rc && value)
        rc = decode(value, true, piece, error);
    if (!rc)
        url->params[url->n_params++] = (struct ts_query_param){piece, value};
    return rc;
}

int tsd_url_parse(const char *target, struct tsd_url *ret_url, struct ts_query_error *ret_error)
{
    struct tsd_url *url = ret_url;
    url->n_params = 0;
    url->text = strdup(target);
    if (!url->text) {
        *ret_error = (struct ts_query_error){.kind = TS_QUERY_INTERNAL, .message = "out of memory"};
        return TS_ENOMEM;
    }
    url->path = url->text;
    char *query = strchr(url->text, '?');
    if (query)
        *query++ = '\0';
    int rc = decode(url->text, false, NULL, ret_error);
    while (!rc && query) {
        char *piece = query;
        query = strchr(query, '&');
        if (query)
            *query++ = '\0';
        if (*piece)
            rc = add_param(url, piece, ret_error);
    }
    if (rc)
        tsd_url_deinit(url);
    return rc;
}

void tsd_url_deinit(struct tsd_url *url)
{
    free(url->text);
    url->text = NULL;
    url->path = NULL;
    url->n_params = 0;
}
