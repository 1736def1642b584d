/*
 * Reads the INI format strictly. inih splits the lines; this file passes it one line at a time and reports what inih
 * would accept silently. inih, as Debian builds it:
 *
 * - cuts a line over 196 bytes and reports only its number. Here it is an error; a comment may have any length.
 * - treats an indented line as a continuation of the previous value: it calls back a second time with the same key, and
 *   does not strip the comment. Here continuations are joined, and an entry has the line of the first one.
 * - ignores what follows the bracket in "[section] key = value", cuts a name at 49 bytes, and ignores the rest of a
 *   line after a NUL. Here these are errors.
 * - keeps the comment in "value # text", and quotes, as part of the value. Here both are errors.
 * - continues after an error and reports only one line. Here the first error ends the parsing.
 *
 * An entry is complete when the next one, a section or the end of the text follows; only then is it passed on.
 */
#include "daemon/config/ini.h"

#include "lib/base/buf.h"

#include <assert.h>
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
    const char *at; /* the rest of the text */
    const char *end;
    unsigned line;       /* number of the current line */
    bool indented;       /* the current line begins with white space */
    bool may_continue;   /* inih treats an indented line as a continuation: there was a key since the last section */
    bool expected;       /* inih must call on_entry() for the current line before it reads the next one */
    int rc;              /* of the first failure, which ends the parsing */
    bool pending;        /* the entry below was not passed on yet */
    char section[64];    /* inih cuts it at 49 bytes */
    char key[256];       /* a line fits */
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

/* Length of the value without " ; comment" and trailing white space. */
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

static void pass_on(struct parse *p)
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
        fail(p, p->key_line, "%s.%s: write values without quotes", p->section, p->key);
        return;
    }
    if (has_hash_comment(value)) {
        fail(p, p->key_line, "%s.%s: a comment after a value must begin with ;", p->section, p->key);
        return;
    }
    const struct tsd_ini_entry entry = {p->section, p->key, value, p->key_line, p->continued};
    int rc = p->handler->entry(p->handler->data, &entry);
    if (rc)
        stop(p, rc);
}

/* Called by inih; nonzero is success. */
static int on_entry(void *user, const char *section, const char *name, const char *value)
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
    pass_on(p);
    if (p->rc)
        return 0;
    if (!*section) {
        fail(p, p->line, "%s: the key is not in a [section]", name);
        return 0;
    }
    if (!*name) {
        fail(p, p->line, "the name before = is missing");
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

/* "[name]", optionally followed by a comment. The text has no white space at either end. */
static void check_section(struct parse *p, const char *text, size_t len)
{
    char name[64];
    const char *close = memchr(text, ']', len);
    if (!close) {
        fail(p, p->line, "the ] of a [section] is missing");
        return;
    }
    const char *rest = close + 1;
    const char *end = text + len;
    while (rest < end && isspace((unsigned char)*rest))
        rest++;
    if (rest < end && (*rest != ';' || rest == close + 1)) {
        fail(p, p->line, "%.*s: a section must be alone on its line", (int)(close + 1 - text), text);
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

/* A line that is neither blank nor a comment. The text has no white space at either end. */
static void check_line(struct parse *p, const char *text, size_t len)
{
    const char *control = find_control(text, len);
    bool is_section = *text == '[' && !(p->indented && p->may_continue);
    p->expected = !is_section;
    if (control || len > TSD_INI_LINE_MAX || is_section)
        pass_on(p);
    if (control && !*control)
        fail(p, p->line, "NUL byte: the file is not text, or is in UTF-16");
    else if (control)
        fail(p, p->line, "control character, byte 0x%02x", (unsigned char)*control);
    else if (len > TSD_INI_LINE_MAX)
        fail(p, p->line, "the line is longer than %d bytes", TSD_INI_LINE_MAX);
    if (is_section && !p->rc)
        check_section(p, text, len);
}

/* If inih did not call back for a line, it counted an error and continued. */
static void check_called(struct parse *p)
{
    if (!p->expected || p->rc)
        return;
    pass_on(p);
    fail(p, p->line, "expected a [section] or \"name = value\"");
}

/* inih calls this in place of fgets(): returns one line with its newline. */
static char *next_line(char *out, int room, void *stream)
{
    struct parse *p = stream;
    check_called(p);
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
    /* Any indentation becomes one space. */
    size_t len = (size_t)(end - first);
    size_t used = 0;
    (void)room;
    assert((size_t)room == TSD_INI_LINE_MAX + sizeof(" \r\n"));
    check_line(p, first, len);
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

    if (ini_parse_stream(next_line, &p, on_entry, &p) < 0)
        stop(&p, TS_ENOMEM);
    pass_on(&p);
    ts_buf_deinit(&p.value);
    return p.rc;
}
