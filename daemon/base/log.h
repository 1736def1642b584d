/* Log lines to standard error, one write each, with systemd's <N> priority prefix where $JOURNAL_STREAM is set. Thread
 * safe. */
#ifndef TSD_BASE_LOG_H
#define TSD_BASE_LOG_H

#include "lib/base/error.h"

enum tsd_log_level { TSD_LOG_ERROR, TSD_LOG_WARNING, TSD_LOG_INFO, TSD_LOG_DEBUG };

/* Process-wide, as standard error is. Atomic, may be called at any time. */
void tsd_log_set_level(enum tsd_log_level level);

void tsd_log_error(const char *format, ...) TS_PRINTF(1, 2);
void tsd_log_warning(const char *format, ...) TS_PRINTF(1, 2);
void tsd_log_info(const char *format, ...) TS_PRINTF(1, 2);
void tsd_log_debug(const char *format, ...) TS_PRINTF(1, 2);

#endif
