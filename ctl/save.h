/*
 * A database that comes from the daemon, into a file: whole and on stable storage under its name, or not there at all.
 *
 *     open: a new file beside it, FILE.XXXXXX.part, mode 0600 (mkostemps: O_EXCL)
 *     take: bytes, as they come
 *     finish: is it whole by SQLite's own header? fsync, rename, fsync of the folder
 *
 * A file that is there already is never touched, unless forced; then it is replaced at once. The part is removed where
 * anything fails, and on SIGINT, SIGTERM and SIGHUP; only SIGKILL and the machine's end leave it behind.
 * With "-" the bytes go to standard output, and finish only judges them.
 */
#ifndef CTL_SAVE_H
#define CTL_SAVE_H

#include "ctl/http.h"
#include "ctl/text.h"

#include <stdbool.h>
#include <stdint.h>

struct ctl_save {
    const char *path; /* borrowed */
    bool force;
    char *part; /* NULL: standard output, or not opened */
    int fd;
    uint64_t len;
    unsigned char head[100]; /* SQLite's header */
    struct ctl_text problem; /* owned: of take */
    void (*progress)(struct ctl_save *save);
    void *data; /* the caller's */
};

/* 0, or -1 with the problem; deinit in either case. Set path, force and progress (or NULL) before. */
int ctl_save_open(struct ctl_save *save, struct ctl_text *problem);
struct ctl_sink ctl_save_sink(struct ctl_save *save);
/* 0: it is there. -1 with the problem: it is not. */
int ctl_save_finish(struct ctl_save *save, struct ctl_text *problem);
/* Removes what is not finished. */
void ctl_save_deinit(struct ctl_save *save);

#endif
