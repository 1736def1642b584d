/* What the parsers of values share: the context they get besides the text, and how they reject it. */
#ifndef TSD_CONFIG_CONTEXT_H
#define TSD_CONFIG_CONTEXT_H

#include "daemon/config/config.h"
#include "daemon/config/keys.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

enum { TSD_CONFIG_SHOWN = 80 };      /* bytes of a rejected value that a message repeats */
#define TSD_CONFIG_SEPARATORS " \t," /* of control.allowed_hosts */

/* Why a value was rejected, without its place in the file, which the caller adds. */
struct tsd_config_reason {
    char text[320];
};

struct tsd_config_context {
    const struct tsd_config_key *key;
    struct tsd_config *config;
    int64_t now_ns;
    struct tsd_config_reason *reason;
};

/*
 * Parses the text into the field. TS_EINVAL (with context->reason) or TS_ENOMEM leave the field unchanged.
 */
typedef int (*tsd_config_parse)(const struct tsd_config_context *context, const char *text, void *field);
/* Appends the value in the format that the parser accepts. */
typedef void (*tsd_config_write)(const void *field, struct ts_buf *out);

/* Sets the reason; always TS_EINVAL. */
int tsd_config_reject(struct tsd_config_reason *reason, const char *format, ...) TS_PRINTF(2, 3);

#endif
