#include "lib/base/error.h"

#include <errno.h>

static const char *const reject_names[TS_REJECT_COUNT] = {
    [TS_BAD_JSON] = "bad_json",     [TS_BAD_UTF8] = "bad_utf8",         [TS_TOO_DEEP] = "too_deep",
    [TS_TOO_LARGE] = "too_large",   [TS_BAD_SHAPE] = "bad_shape",       [TS_BAD_NAME] = "bad_name",
    [TS_BAD_LABELS] = "bad_labels", [TS_OUT_OF_RANGE] = "out_of_range", [TS_TOO_NEW] = "too_new",
    [TS_TOO_OLD] = "too_old",       [TS_TRUNCATED] = "truncated",       [TS_SEQUENCE] = "sequence",
};

bool ts_errno_needs_repair(int number)
{
    static const int numbers[] = {EACCES,       EADDRNOTAVAIL, EAFNOSUPPORT,    EINVAL,     EISDIR,  ELOOP,
                                  ENAMETOOLONG, ENODEV,        ENOENT,          ENOSYS,     ENOTDIR, ENXIO,
                                  EOPNOTSUPP,   EPERM,         EPROTONOSUPPORT, EPROTOTYPE, EROFS};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        if (numbers[i] == number)
            return true;
    }
    return false;
}

const char *ts_reject_name(int code)
{
    return code > 0 && code < TS_REJECT_COUNT ? reject_names[code] : NULL;
}

const char *ts_strerror(int error)
{
    switch (error) {
    case TS_OK:
        return "no error";
    case TS_ENOMEM:
        return "out of memory";
    case TS_ESTORE:
        return "the store refuses for now";
    case TS_ESYNC:
        return "the store could not sync";
    case TS_EREFUSED:
        return "the database must not be used";
    case TS_EINVAL:
        return "invalid value";
    case TS_ECANCELED:
        return "canceled";
    case TS_EUNAVAILABLE:
        return "not available for now";
    default:
        return "unknown error";
    }
}
