/*
 * Log lines: format, escape, one write(2). Everything is on the caller's stack, so that any thread may log at any time;
 * what is shared is two atomic numbers.
 *
 * A line is LINE_MAX_BYTES at most, less than PIPE_BUF: on a pipe it arrives whole, not mixed with another thread's.
 * What a message brings along (a path, a peer's text) cannot make a second line, move a terminal's cursor, or turn the
 * line into a blob for the journal: control characters and bytes that are not UTF-8 are written as escapes.
 *
 * Logging never stops the daemon: where standard error is a full pipe that does not block, a line waits a moment, then
 * it is lost. The caller ignores SIGPIPE.
 */
#include "daemon/base/log.h"

#include "lib/base/json.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 2048, /* with the newline */
    PATIENCE_MS = 100,     /* for a reader that is behind */
    UNKNOWN = -1
};

static _Atomic int max_level = TSD_LOG_INFO;
static _Atomic int under_journal = UNKNOWN;

/* How systemd and people are told: sd-daemon(3) has the numbers of syslog. */
static const struct {
    const char *journal;
    const char *plain;
} prefixes[] = {
    [TSD_LOG_ERROR] = {"<3>", "error: "},
    [TSD_LOG_WARNING] = {"<4>", "warning: "},
    [TSD_LOG_INFO] = {"<6>", "info: "},
    [TSD_LOG_DEBUG] = {"<7>", "debug: "},
};

void tsd_log_set_level(enum tsd_log_level level)
{
    atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

/* The environment does not change while the daemon runs; two threads that look at once see the same. */
static const char *prefix_of(enum tsd_log_level level)
{
    int journal = atomic_load_explicit(&under_journal, memory_order_relaxed);
    if (journal == UNKNOWN) {
        journal = getenv("JOURNAL_STREAM") != NULL;
        atomic_store_explicit(&under_journal, journal, memory_order_relaxed);
    }
    return journal ? prefixes[level].journal : prefixes[level].plain;
}

/*
 * Length of the character at text, 0 where it must be escaped. C1 controls (U+0080 to U+009F) are controls to a
 * terminal as well.
 */
static size_t printable(const char *text, const char *end)
{
    unsigned char c = (unsigned char)text[0];
    if (c < 0x20 || c == 0x7F)
        return 0;
    size_t n = ts_utf8_len(text, end);
    return n == 2 && c == 0xC2 && (unsigned char)text[1] < 0xA0 ? 0 : n;
}

/* Appends the text, escaped, to a line of len bytes; "..." ends one that would grow too long. Gives the new length. */
static size_t append_escaped(char *line, size_t len, const char *text)
{
    static const char cut[] = "...";
    const size_t room = LINE_MAX_BYTES - strlen(cut) - 1; /* of the line's end */
    const char *end = text + strlen(text);
    while (text < end) {
        char escape[sizeof("\\xNN")];
        const char *bytes = text;
        size_t taken = printable(text, end);
        size_t n = taken;
        if (!taken) {
            const char *name = *text == '\n' ? "\\n" : *text == '\t' ? "\\t" : *text == '\r' ? "\\r" : NULL;
            n = (size_t)(name ? snprintf(escape, sizeof(escape), "%s", name)
                              : snprintf(escape, sizeof(escape), "\\x%02x", (unsigned char)*text));
            bytes = escape;
            taken = 1;
        }
        if (len + n > room) {
            memcpy(line + len, cut, strlen(cut));
            return len + strlen(cut);
        }
        memcpy(line + len, bytes, n);
        len += n;
        text += taken;
    }
    return len;
}

/* A short write is carried on with: a file's disk, or a pipe in pieces, took part of the line. */
static void write_line(const char *line, size_t len)
{
    bool waited = false;
    while (len) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n > 0) {
            line += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN && !waited) {
            struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
            waited = true;
            (void)poll(&ready, 1, PATIENCE_MS);
        } else if (n == 0 || errno != EINTR) {
            return; /* there is nobody left to tell */
        }
    }
}

static TS_PRINTF(2, 0) void log_line(enum tsd_log_level level, const char *format, va_list args)
{
    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
        return;
    int number = errno;
    char message[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    /* Only a bad format fails; it is then better than nothing. */
    if (vsnprintf(message, sizeof(message), format, args) < 0)
        snprintf(message, sizeof(message), "%s", format);
    const char *prefix = prefix_of(level);
    size_t len = strlen(prefix);
    memcpy(line, prefix, len);
    len = append_escaped(line, len, message);
    line[len++] = '\n';
    write_line(line, len);
    errno = number;
}

#define DEFINE_LOG(name, level) \
    void name(const char *format, ...) \
    { \
        va_list args; \
        va_start(args, format); \
        log_line(level, format, args); \
        va_end(args); \
    }

DEFINE_LOG(tsd_log_error, TSD_LOG_ERROR)
DEFINE_LOG(tsd_log_warning, TSD_LOG_WARNING)
DEFINE_LOG(tsd_log_info, TSD_LOG_INFO)
DEFINE_LOG(tsd_log_debug, TSD_LOG_DEBUG)
