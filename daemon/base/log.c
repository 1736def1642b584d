/*
 * Formats, escapes and writes a line. Everything is on the caller's stack, so that any thread may log at any time; the
 * only shared data are two atomic numbers.
 *
 * A line has at most LINE_MAX_BYTES, less than PIPE_BUF: on a pipe, lines of several threads do not mix. Control
 * characters and bytes that are not UTF-8 are escaped: a logged path or peer's text cannot begin a second line, move
 * the cursor of a terminal, or make the journal store the line as a blob.
 *
 * Logging never blocks the daemon: if standard error is a full non-blocking pipe, a line waits for a moment and is then
 * lost. The caller must ignore SIGPIPE.
 */
#include "daemon/base/log.h"

#include "lib/base/json.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 2048, /* including the newline */
    FULL_PIPE_MS = 100,    /* how long to wait for a slow reader */
    UNKNOWN = -1
};

static_assert(LINE_MAX_BYTES <= PIPE_BUF, "a write to a pipe is atomic");

static _Atomic int max_level = TSD_LOG_INFO;
static _Atomic int under_journal = UNKNOWN;

/* sd-daemon(3) uses the priorities of syslog. */
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

/* Two threads may determine this at once: the environment does not change while the daemon runs. */
static const char *prefix_of(enum tsd_log_level level)
{
    int journal = atomic_load_explicit(&under_journal, memory_order_relaxed);
    if (journal == UNKNOWN) {
        journal = getenv("JOURNAL_STREAM") != NULL;
        atomic_store_explicit(&under_journal, journal, memory_order_relaxed);
    }
    return journal ? prefixes[level].journal : prefixes[level].plain;
}

/* Length of the character, 0 if it must be escaped. C1 controls (U+0080 to U+009F) control a terminal, too. */
static size_t printable_len(const char *text, const char *end)
{
    unsigned char c = (unsigned char)text[0];
    if (c < 0x20 || c == 0x7F)
        return 0;
    size_t n = ts_utf8_len(text, end);
    return n == 2 && c == 0xC2 && (unsigned char)text[1] < 0xA0 ? 0 : n;
}

/* Appends the escaped text to the line, cut with "..." if it is too long. Returns the new length. */
static size_t append_escaped(char *line, size_t len, const char *text)
{
    static const char cut[] = "...";
    const size_t room = LINE_MAX_BYTES - strlen(cut) - 1; /* the newline */
    const char *end = text + strlen(text);
    while (text < end) {
        char escape[sizeof("\\xNN")];
        const char *bytes = text;
        size_t consumed = printable_len(text, end);
        size_t n = consumed;
        if (!consumed) {
            const char *name = *text == '\n' ? "\\n" : *text == '\t' ? "\\t" : *text == '\r' ? "\\r" : NULL;
            n = (size_t)(name ? snprintf(escape, sizeof(escape), "%s", name)
                              : snprintf(escape, sizeof(escape), "\\x%02x", (unsigned char)*text));
            bytes = escape;
            consumed = 1;
        }
        if (len + n > room) {
            memcpy(line + len, cut, strlen(cut));
            return len + strlen(cut);
        }
        memcpy(line + len, bytes, n);
        len += n;
        text += consumed;
    }
    return len;
}

/* Continues after a short write, as on a full disk. */
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
            (void)poll(&ready, 1, FULL_PIPE_MS);
        } else if (n == 0 || errno != EINTR) {
            return; /* the line is lost: there is no other place to report it */
        }
    }
}

static TS_PRINTF(2, 0) void log_line(enum tsd_log_level level, const char *format, va_list args)
{
    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
        return;
    int previous_errno = errno;
    char message[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    /* Fails only for an invalid format, which is then logged itself. */
    if (vsnprintf(message, sizeof(message), format, args) < 0)
        snprintf(message, sizeof(message), "%s", format);
    const char *prefix = prefix_of(level);
    size_t len = strlen(prefix);
    memcpy(line, prefix, len);
    len = append_escaped(line, len, message);
    assert(len < LINE_MAX_BYTES);
    line[len++] = '\n';
    write_line(line, len);
    errno = previous_errno;
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
