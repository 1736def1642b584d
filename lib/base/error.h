/*
 * Two kinds of result codes.
 *
 * Negative: the operation failed; callers pass the code on unchanged unless they can handle it.
 * Positive: a documented result that the caller must handle. For a message it is an enum ts_reject, whose names are
 * part of the contract (docs/interfaces.md).
 */
#ifndef TS_BASE_ERROR_H
#define TS_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define TS_MUST_USE __attribute__((warn_unused_result))
#define TS_FOR_ASSERT __attribute__((unused)) /* called by assert() only */
#define TS_PRINTF(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))

enum {
    TS_OK = 0,
    TS_ENOMEM = -1, /* an allocation failed */
    TS_ESTORE = -2, /* the store rejects it for now: busy, full, unreadable; retry later */
    TS_ESYNC = -3, /* the store cannot be trusted to keep later commits (a failed sync, moved files): end the process */
    TS_EREFUSED = -4,    /* the database cannot be used until somebody acts: of another grid, schema or program, held by
                          another    daemon, damaged, no folder, no permission */
    TS_EINVAL = -5,      /* the text or value does not have the required form */
    TS_ECANCELED = -6,   /* interrupted by its owner */
    TS_EUNAVAILABLE = -7 /* a socket cannot be had for now: in use, or out of descriptors or memory; retry later */
};

/* Why a message was rejected, in the order of the list in docs/interfaces.md. 0 is no code. */
enum ts_reject {
    TS_BAD_JSON = 1,
    TS_BAD_UTF8,
    TS_TOO_DEEP,
    TS_TOO_LARGE,
    TS_BAD_SHAPE,
    TS_BAD_NAME,
    TS_BAD_LABELS,
    TS_OUT_OF_RANGE,
    TS_TOO_NEW,
    TS_TOO_OLD,
    TS_TRUNCATED,
    TS_SEQUENCE,
    TS_REJECT_COUNT /* one past the last */
};

/*
 * Whether an errno means that somebody must repair something: a missing folder, denied access, an address that no
 * interface has. False for what may pass by itself: a full disk, an address in use, too few descriptors.
 */
bool ts_errno_needs_repair(int number);

/* "bad_json" and so on; NULL for a number that is no code. */
const char *ts_reject_name(int code);

/* A text for a negative code. Never NULL. */
const char *ts_strerror(int error);

#endif
