/*
 * Saves a database sent by the daemon in a file. Afterwards the file is complete and on stable storage, or does not
 * exist.
 *
 *     open: create FILE.XXXXXX.part in the same folder, mode 0600 (mkostemps: O_EXCL)
 *     receive: write the bytes as they arrive
 *     finish: check that it is complete by SQLite's header; fsync, rename, fsync of the folder
 *
 * An existing file is never changed unless force is set; then one rename replaces it. The part file is removed if any
 * step fails, and on a signal to end; SIGKILL, a crash of this program and a crash of the machine leave it behind.
 * With "-" the bytes go to standard output, and finish only checks them.
 */
#ifndef CTL_SAVE_H
#define CTL_SAVE_H

#include "ctl/base/text.h"
#include "ctl/http.h"

#include <stdbool.h>
#include <stdint.h>

struct ctl_save {
    const char *path; /* borrowed */
    bool force;
    char *part; /* name of the part file; NULL: standard output, or not opened */
    int fd;
    uint64_t len;
    unsigned char head[100]; /* SQLite's header */
    struct ctl_text problem; /* owned; message of a failed receive */
    void (*progress)(struct ctl_save *save);
    void *data; /* of the caller */
};

/* 0, or -1 with a message in problem; deinit in either case. Set path, force and progress (or NULL) before. */
int ctl_save_open(struct ctl_save *save, struct ctl_text *problem);
struct ctl_sink ctl_save_sink(struct ctl_save *save);
/* 0: the file exists under its name. -1 with a message in problem: it does not. */
int ctl_save_finish(struct ctl_save *save, struct ctl_text *problem);
/* Removes an unfinished part file. */
void ctl_save_deinit(struct ctl_save *save);

#endif
