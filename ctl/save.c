/* See save.h. */
#include "ctl/save.h"

#include "ctl/output.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU, SIGUSR1, SIGUSR2};

/* Global because a signal handler has no argument for it; there is one part file at a time. */
static char *volatile part_to_remove;

static void on_deadly_signal(int number)
{
    if (part_to_remove)
        unlink(part_to_remove);
    signal(number, SIG_DFL);
    raise(number);
}

static sigset_t deadly_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        sigaddset(&set, deadly[i]);
    return set;
}

static void handle_signals(bool on)
{
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
        struct sigaction now, then = {.sa_handler = on ? on_deadly_signal : SIG_DFL};
        if (!sigaction(deadly[i], NULL, &now) && now.sa_handler != SIG_IGN) /* nohup ignores SIGHUP: keep that */
            sigaction(deadly[i], &then, NULL);
    }
}

static int fails(struct ctl_text *problem, const char *what, const char *path)
{
    ctl_text_printf(problem, "cannot %s %s: %s", what, path, strerror(errno));
    return -1;
}

/* SQLite would apply the -wal or -journal file of an earlier database of this name to the new one. */
static int check_side_files(const char *path, struct ctl_text *problem)
{
    static const char *const ends[] = {"-wal", "-journal"};
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct ctl_text name = {0};
        struct stat st;
        ctl_text_printf(&name, "%s%s", path, ends[i]);
        if (name.failed || !lstat(ctl_text_str(&name), &st)) {
            ctl_text_printf(problem,
                            "%s exists: a database of this name is in use or was not closed; nothing was written",
                            ctl_text_str(&name));
            rc = -1;
        }
        ctl_text_deinit(&name);
    }
    return rc;
}

static int check_target(const struct ctl_save *save, struct ctl_text *problem)
{
    struct stat st;
    if (check_side_files(save->path, problem))
        return -1;
    if (lstat(save->path, &st))
        return errno == ENOENT ? 0 : fails(problem, "look at", save->path);
    if (S_ISREG(st.st_mode) && save->force)
        return 0;
    if (S_ISREG(st.st_mode))
        ctl_text_printf(problem, "%s already exists: nothing was written (--force replaces it)", save->path);
    else
        ctl_text_printf(problem, "%s exists and is not a regular file: nothing was written", save->path);
    return -1;
}

int ctl_save_open(struct ctl_save *save, struct ctl_text *problem)
{
    struct ctl_text name = {0};
    assert(!save->part && !part_to_remove);
    save->fd = -1;
    if (!strcmp(save->path, "-")) {
        save->fd = STDOUT_FILENO;
        return 0;
    }
    if (check_target(save, problem))
        return -1;
    ctl_text_printf(&name, "%s.XXXXXX.part", save->path);
    if (name.failed) {
        ctl_text_puts(problem, "out of memory");
        return -1;
    }
    sigset_t set = deadly_signals(), before;
    sigprocmask(SIG_BLOCK, &set, &before); /* no signal between creating the file and storing its name */
    handle_signals(true);
    save->fd = mkostemps(name.data, (int)strlen(".part"), O_CLOEXEC);
    if (save->fd >= 0)
        save->part = part_to_remove = name.data; /* takes over the memory of name */
    else
        fails(problem, "create a file beside", save->path);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (save->part)
        return 0;
    handle_signals(false);
    ctl_text_deinit(&name);
    return -1;
}

static int receive(void *data, const char *bytes, size_t len)
{
    struct ctl_save *save = data;
    if (save->len < sizeof(save->head)) {
        size_t room = sizeof(save->head) - save->len;
        memcpy(save->head + save->len, bytes, len < room ? len : room);
    }
    if (ctl_write_all(save->fd, bytes, len))
        return fails(&save->problem, "write", save->part ? save->part : "the output");
    save->len += len;
    if (save->progress)
        save->progress(save);
    return 0;
}

struct ctl_sink ctl_save_sink(struct ctl_save *save)
{
    return (struct ctl_sink){.receive = receive, .data = save};
}

static uint32_t big_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Checks SQLite's header. Its page count is valid only if both change counters are equal. */
static int check_complete(const struct ctl_save *save, struct ctl_text *problem)
{
    static const char magic[16] = "SQLite format 3";
    const unsigned char *head = save->head;
    uint32_t page = (uint32_t)head[16] << 8 | head[17];
    page = page == 1 ? 65536 : page;
    if (save->len < sizeof(save->head) || memcmp(head, magic, sizeof(magic)) != 0 || page < 512) {
        ctl_text_puts(problem, "the received file is not an SQLite database: is this timesliced?");
        return -1;
    }
    uint64_t pages = big_endian(head + 24) == big_endian(head + 92) ? big_endian(head + 28) : 0;
    if (save->len % page || save->len < pages * page) {
        ctl_text_printf(problem, "the received database is incomplete: %llu bytes of %llu",
                        (unsigned long long)save->len,
                        (unsigned long long)(pages * page > save->len ? pages * page : (save->len / page + 1) * page));
        return -1;
    }
    return 0;
}

/* Brings the rename to stable storage. */
static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == path ? strdup("/") : slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    if (rc && (errno == EINVAL || errno == EROFS)) /* not supported by this file system */
        rc = 0;
    close(fd);
    return rc;
}

/* Atomic, and fails if the file exists by now, also on file systems without RENAME_NOREPLACE. */
static int rename_without_replacing(const char *from, const char *to)
{
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return link(from, to) ? -1 : unlink(from);
}

int ctl_save_finish(struct ctl_save *save, struct ctl_text *problem)
{
    assert(save->fd >= 0);
    if (check_complete(save, problem))
        return -1;
    if (!save->part)
        return 0;
    assert(save->part == part_to_remove);
    if (fsync(save->fd))
        return fails(problem, "sync", save->part);
    int rc = close(save->fd);
    save->fd = -1;
    if (rc)
        return fails(problem, "write", save->part);
    rc = save->force ? rename(save->part, save->path) : rename_without_replacing(save->part, save->path);
    if (rc && errno == EEXIST && check_target(save, problem))
        return -1; /* created by somebody else meanwhile */
    if (rc)
        return fails(problem, "rename the part file to", save->path);
    handle_signals(false);
    part_to_remove = NULL;
    free(save->part);
    save->part = NULL;
    if (sync_folder(save->path))
        return fails(problem, "sync the folder of", save->path);
    return 0;
}

void ctl_save_deinit(struct ctl_save *save)
{
    if (save->part) {
        if (save->fd >= 0)
            close(save->fd);
        unlink(save->part);
        handle_signals(false);
        part_to_remove = NULL;
        free(save->part);
    }
    save->part = NULL;
    save->fd = -1;
    ctl_text_deinit(&save->problem);
}
