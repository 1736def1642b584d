#include "daemon/config/context.h"

#include <stdarg.h>
#include <stdio.h>

int tsd_config_reject(struct tsd_config_reason *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reason->text, sizeof(reason->text), format, args);
    va_end(args);
    return TS_EINVAL;
}
