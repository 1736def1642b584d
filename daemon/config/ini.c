/*
 * inih reads the lines; this file hands them to it one at a time and closes what it leaves open. Its traps, of the
 * version that Debian builds:
 *
 * - a line over 196 bytes is cut, and only its number is told; here it is an error, but for a comment of any length.
 * - a line that begins with white space continues the value before it, by a second call that looks like a repeated key,
 *   and with its comment. Here continuations are joined, and an entry says where the first of them stands.
 * - "[section] key = value" drops what follows the bracket, a name is cut at 49 bytes, a NUL hides the rest of a line.
 * - "value # text" has the comment in the value, quotes are part of the value. Nobody means that.
 * - it goes on after an error and tells the line of one; here each is told when it is met, and ends the reading.
 *
 * An entry is given on when the next one, a section or the end shows that it is complete.
 */
#include "daemon/config/ini.h"

#include "lib/base/buf.h"

#include <ctype.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parse {
    const struct tsd_ini_handler *handler;
    struct tsd_ini_fault *fault;
    const char *at;
    const char *end;
    unsigned line;       /* of the text that inih has now */
    bool indented;       /* that line begins with white space */
    bool may_continue;   /* a key was seen since the last section: what inih takes continuations by */
    bool expected;       /* it has a key: take() is called before the next line is asked for */
    int rc;              /* the first failure; all stops */
    bool pending;        /* the entry below is not given on yet */
    char section[64];    /* longer than the 49 bytes that inih gives at most */
    char key[256];       /* and than its lines */
    struct ts_buf value; /* not terminated */
    unsigned key_line;
    unsigned continued;
};

static void stop(struct parse *p, int rc)
{
    if (!p->rc)
        p->rc = rc;
}

static TS_PRINTF(3, 4) void fail(struct parse *p, unsigned line, const char *format, ...)
{
    if (p->rc)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(p->fault->text, sizeof(p->fault->text), format, args);
    va_end(args);
    p->fault->line = line;
    stop(p, TS_EINVAL);
}

static bool is_quoted(const char *value)
{
    size_t len = strlen(value);
    return len >= 2 && (*value == '"' || *value == '\'') && value[len - 1] == *value;
}

/* Length of the value without " ; comment" and white space before that. */
static size_t uncommented(const char *value)
{
    size_t len = 0;
    for (size_t i = 0; value[i] && !(value[i] == ';' && i && isspace((unsigned char)value[i - 1])); i++) {
        if (!isspace((unsigned char)value[i]))
            len = i + 1;
    }
    return len;
}

static bool has_hash_comment(const char *value)
{
    for (const char *hash = strchr(value, '#'); hash; hash = strchr(hash + 1, '#')) {
        if (hash == value || isspace((unsigned char)hash[-1]))
            return true;
    }
    return false;
}

static void give_on(struct parse *p)
{
    if (!p->pending || p->rc)
        return;
    p->pending = false;
    ts_buf_putc(&p->value, '\0');
    if (ts_buf_failed(&p->value)) {
        stop(p, TS_ENOMEM);
        return;
    }
    const char *value = p->value.data;
    if (is_quoted(value)) {
        fail(p, p->key_line, "%s.%s: values are written without quotes", p->section, p->key);
        return;
    }
    if (has_hash_comment(value)) {
        fail(p, p->key_line, "%s.%s: a comment after a value begins with ;", p->section, p->key);
        return;
    }
    const struct tsd_ini_entry entry = {p->section, p->key, value, p->key_line, p->continued};
    int rc = p->handler->entry(p->handler->data, &entry);
    if (rc)
        stop(p, rc);
}

/* inih's handler: nonzero is success. */
static int take(void *user, const char *section, const char *name, const char *value)
{
    struct parse *p = user;
    p->expected = false;
    if (p->rc)
        return 0;
    if (p->indented && p->may_continue) {
        if (!p->continued)
            p->continued = p->line;
        if (p->value.len)
            ts_buf_putc(&p->value, ' ');
        ts_buf_append(&p->value, value, uncommented(value));
        return 1;
    }
    give_on(p);
    if (p->rc)
        return 0;
    if (!*section) {
        fail(p, p->line, "%s: a key stands below its [section]", name);
        return 0;
    }
    if (!*name) {
        fail(p, p->line, "there is no name before the =");
        return 0;
    }
    snprintf(p->section, sizeof(p->section), "%s", section);
    snprintf(p->key, sizeof(p->key), "%s", name);
    ts_buf_reset(&p->value);
    ts_buf_puts(&p->value, value);
    p->key_line = p->line;
    p->continued = 0;
    p->pending = true;
    p->may_continue = true;
    return 1;
}

/* "[name]", and nothing behind it but a comment. len is without white space at either end. */
static void check_section(struct parse *p, const char *text, size_t len)
{
    char name[64];
    const char *close = memchr(text, ']', len);
    if (!close) {
        fail(p, p->line, "a [section] lacks its ]");
        return;
    }
    const char *rest = close + 1;
    const char *end = text + len;
    while (rest < end && isspace((unsigned char)*rest))
        rest++;
    if (rest < end && (*rest != ';' || rest == close + 1)) {
        fail(p, p->line, "%.*s: a section has its line to itself", (int)(close + 1 - text), text);
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(close - text - 1), text + 1);
    int rc = p->handler->section(p->handler->data, name, p->line);
    if (rc)
        stop(p, rc);
    p->may_continue = false;
}

static const char *find_control(const char *text, size_t len)
{
    for (; len; text++, len--) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7F)
            return text;
    }
    return NULL;
}

/* A line that is neither blank nor a comment. len is without white space at either end. */
static void check_line(struct parse *p, const char *text, size_t len, size_t max)
{
    const char *control = find_control(text, len);
    bool is_section = *text == '[' && !(p->indented && p->may_continue);
    p->expected = !is_section;
    if (control || len > max || is_section)
        give_on(p);
    if (control && !*control)
        fail(p, p->line, "there is a NUL byte: this is no text, or one in UTF-16");
    else if (control)
        fail(p, p->line, "there is a control character, byte 0x%02x", (unsigned char)*control);
    else if (len > max)
        fail(p, p->line, "the line is longer than %zu bytes", max);
    if (is_section && !p->rc)
        check_section(p, text, len);
}

/* Where inih had a line and gave nothing of it, it has counted an error, and goes on. */
static void check_taken(struct parse *p)
{
    if (!p->expected || p->rc)
        return;
    give_on(p);
    fail(p, p->line, "this is neither a [section] nor \"name = value\"");
}

/* inih's fgets(): one line, ended by a newline, that fits. */
static char *next_line(char *out, int room, void *stream)
{
    struct parse *p = stream;
    check_taken(p);
    if (p->rc || p->at == p->end)
        return NULL;
    const char *text = p->at;
    const char *newline = memchr(text, '\n', (size_t)(p->end - text));
    const char *end = newline ? newline : p->end;
    p->at = newline ? newline + 1 : p->end;
    p->line++;
    p->indented = text < end && isspace((unsigned char)*text);

    const char *first = text;
    while (first < end && isspace((unsigned char)*first))
        first++;
    while (end > first && isspace((unsigned char)end[-1]))
        end--;
    if (first == end || *first == '#' || *first == ';') {
        memcpy(out, "\n", sizeof("\n"));
        return out;
    }
    /* One space stands for whatever it is indented by. */
    size_t len = (size_t)(end - first);
    size_t used = 0;
    check_line(p, first, len, (size_t)room - sizeof(" \r\n"));
    if (p->rc)
        return NULL;
    if (p->indented)
        out[used++] = ' ';
    memcpy(out + used, first, len);
    memcpy(out + used + len, "\n", sizeof("\n"));
    return out;
}

int tsd_ini_parse(const char *bytes, size_t len, const struct tsd_ini_handler *handler, struct tsd_ini_fault *ret_fault)
{
    static const char bom[] = "\xEF\xBB\xBF";
    struct parse p = {.handler = handler, .fault = ret_fault, .at = bytes, .end = bytes + len};
    ts_buf_init(&p.value);
    if (len >= strlen(bom) && !memcmp(bytes, bom, strlen(bom)))
        p.at += strlen(bom);

    if (ini_parse_stream(next_line, &p, take, &p) < 0)
        stop(&p, TS_ENOMEM);
    give_on(&p);
    ts_buf_deinit(&p.value);
    return p.rc;
}
