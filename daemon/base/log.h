/* Writes log lines to standard error, one write(2) each. If $JOURNAL_STREAM is set, lines begin with the priority as
 * <N> (sd-daemon(3)). Thread-safe. */
#ifndef TSD_BASE_LOG_H
#define TSD_BASE_LOG_H

#include "lib/base/error.h"

enum tsd_log_level { TSD_LOG_ERROR, TSD_LOG_WARNING, TSD_LOG_INFO, TSD_LOG_DEBUG };

/* For the process; info by default. Any thread may call it at any time. */
void tsd_log_set_level(enum tsd_log_level level);

/* All keep errno. */
void tsd_log_error(const char *format, ...) TS_PRINTF(1, 2);
void tsd_log_warning(const char *format, ...) TS_PRINTF(1, 2);
void tsd_log_info(const char *format, ...) TS_PRINTF(1, 2);
void tsd_log_debug(const char *format, ...) TS_PRINTF(1, 2);

#endif
