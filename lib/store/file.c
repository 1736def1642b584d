/*
 * The database as a file, before SQLite opens it for work.
 *
 * Name. Everything uses the resolved name, so that two names of one file (links) lead to one lock.
 *
 * Lock. flock() on NAME-lock, which contains the daemon's pid for operators. The lock file is never removed: otherwise
 * two processes could lock two files of the same name. The database itself is not locked, because closing another
 * descriptor of that file would drop SQLite's own locks in this process.
 *
 * Header. It is read with plain read() while this process has no connection to the file, so that a foreign file is
 * refused without SQLite touching it (opening could recover or roll back another program's journal). The header in the
 * main file is reliable: a database appears under its name only when it is complete, so application_id is never only in
 * the write-ahead log.
 *
 * Creation. The database is written as a temporary file (temporary.h), synced, and renamed. After a crash there is
 * either nothing under the name or a complete database. A log whose database is missing prevents it: replayed onto the
 * new file it would ruin it, and it may have the last commits of a database that was moved away.
 */
#include "lib/store/file.h"

#include "lib/store/levels.h"
#include "lib/store/schema.h"
#include "lib/store/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_SIZE = 100, LINKS_MAX = 40, MODE = 0640 };

static int fail(struct ts_store_error *error, const char *path, const char *what)
{
    int number = errno;
    if (number == ENOMEM) {
        ts_sql_format_error(error, "%s: out of memory", what);
        return TS_ENOMEM;
    }
    ts_sql_format_error(error, "%s %.256s: %s", what, path, strerror(number));
    return ts_errno_needs_repair(number) ? TS_EREFUSED : TS_ESTORE;
}

static char *join(const char *folder, size_t folder_len, const char *name)
{
    char *path;
    return asprintf(&path, "%.*s/%s", (int)folder_len, folder, name) < 0 ? NULL : path;
}

static char *beside(const char *path, const char *suffix)
{
    char *name;
    return asprintf(&name, "%s%s", path, suffix) < 0 ? NULL : name;
}

/* The name of a missing file: its folder resolved, the last part unchanged. */
static char *resolve_missing(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    if (!*base) {
        errno = EISDIR;
        return NULL;
    }
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    char *real = folder ? realpath(folder, NULL) : NULL;
    char *full = NULL;
    if (real)
        full = strcmp(real, "/") ? join(real, strlen(real), base) : join("", 0, base);
    int number = errno;
    free(real);
    free(folder);
    errno = number;
    return full;
}

int ts_file_resolve(const char *path, char **ret_path, struct ts_store_error *ret_error)
{
    char *now = strdup(path);
    for (int i = 0; now && i < LINKS_MAX; i++) {
        char *full = realpath(now, NULL);
        char target[PATH_MAX];
        ssize_t len = -1;
        if (!full && errno == ENOENT) {
            len = readlink(now, target, sizeof(target) - 1);
            if (len < 0)
                full = resolve_missing(now);
        }
        if (len < 0) {
            if (!full)
                break;
            free(now);
            *ret_path = full;
            return 0;
        }
        /* A link to a file that does not exist yet. */
        target[len] = '\0';
        const char *slash = strrchr(now, '/');
        char *next = *target == '/' || !slash ? strdup(target) : join(now, (size_t)(slash - now), target);
        free(now);
        now = next;
        errno = now ? ELOOP : ENOMEM;
    }
    int r = fail(ret_error, path, "cannot open the folder of");
    free(now);
    return r;
}

bool ts_file_has_lock(const char *path)
{
    char *name = beside(path, "-lock");
    bool found = name && access(name, F_OK) == 0;
    free(name);
    return found;
}

int ts_file_lock(const char *path, int *ret_fd, struct ts_store_error *ret_error)
{
    int r;
    char text[32];
    char *name = beside(path, "-lock");
    if (!name) {
        ts_sql_format_error(ret_error, "out of memory");
        return TS_ENOMEM;
    }
    int fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, MODE);
    if (fd < 0) {
        r = fail(ret_error, name, "cannot open the lock file");
        goto out;
    }
    int locked;
    do {
        locked = flock(fd, LOCK_EX | LOCK_NB);
    } while (locked < 0 && errno == EINTR);
    if (locked < 0 && errno == EWOULDBLOCK) {
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        long pid = strtol(text, NULL, 10);
        text[0] = '\0';
        if (pid > 0)
            snprintf(text, sizeof(text), " (pid %ld)", pid);
        ts_sql_format_error(
            ret_error, "another daemon%s holds the database %.256s; stop it, or choose another store.path", text, path);
        r = TS_EREFUSED;
    } else if (locked < 0) {
        r = fail(ret_error, name, "cannot lock");
    } else {
        /* The pid is for operators only: the lock works without it, on a full disk too. */
        int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) < 0) {
        }
        *ret_fd = fd;
        fd = -1;
        r = 0;
    }
out:
    if (fd >= 0)
        close(fd);
    free(name);
    return r;
}

static uint32_t be32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int inspect_header(const char *path, const unsigned char *header, int64_t size, bool hot,
                          struct ts_store_error *ret_error)
{
    if (size < HEADER_SIZE || memcmp(header, "SQLite format 3", 16) != 0) {
        ts_sql_format_error(
            ret_error, "%.256s is not a database, or its header is damaged; restore it, or choose another store.path",
            path);
        return TS_EREFUSED;
    }
    if (be32(header + 68) != TS_SCHEMA_APPLICATION_ID) {
        ts_sql_format_error(ret_error,
                            "%.256s is a database of another program (application_id %u); choose another store.path",
                            path, be32(header + 68));
        return TS_EREFUSED;
    }
    uint32_t page_size = (uint32_t)header[16] << 8 | header[17];
    if (page_size == 1)
        page_size = 65536;
    /* The page count is valid only if it was written with the change counter. A log may have the missing pages. */
    bool counted = be32(header + 24) == be32(header + 92);
    int64_t full = (int64_t)be32(header + 28) * page_size;
    if (page_size < 512 || (page_size & (page_size - 1)) != 0 || (!hot && counted && size < full)) {
        ts_sql_format_error(ret_error,
                            "the database %.256s is damaged: it has %lld of %lld bytes; restore it from a backup,"
                            " or choose another store.path",
                            path, (long long)size, (long long)full);
        return TS_EREFUSED;
    }
    return 0;
}

int ts_file_inspect(const char *path, bool *ret_missing, bool *ret_hot, struct ts_store_error *ret_error)
{
    unsigned char header[HEADER_SIZE] = {0};
    struct stat st;
    int r = 0;
    int fd = -1;
    char *wal = beside(path, "-wal");
    if (!wal) {
        ts_sql_format_error(ret_error, "out of memory");
        return TS_ENOMEM;
    }
    bool hot = stat(wal, &st) == 0 && st.st_size > 0;
    bool missing = false;
    if (stat(path, &st) < 0) {
        missing = errno == ENOENT;
        if (!missing)
            r = fail(ret_error, path, "cannot read");
        goto out;
    }
    if (!S_ISREG(st.st_mode)) { /* checked before open(): a fifo would block, a device might act */
        ts_sql_format_error(ret_error, "%.256s is not a regular file; choose another store.path", path);
        r = TS_EREFUSED;
        goto out;
    }
    missing = st.st_size == 0;
    if (missing)
        goto out;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, header, sizeof(header), 0) < 0) {
        r = fail(ret_error, path, "cannot read");
        goto out;
    }
    r = inspect_header(path, header, st.st_size, hot, ret_error);
out:
    if (fd >= 0)
        close(fd);
    if (!r && missing && hot) {
        ts_sql_format_error(ret_error,
                            "the database %.256s is missing, but its log has data that was not moved into it yet; put"
                            " the database back, or delete %.256s to start with an empty one",
                            path, wal);
        r = TS_EREFUSED;
    }
    free(wal);
    if (!r) {
        *ret_missing = missing;
        *ret_hot = hot && !missing;
    }
    return r;
}

static int write_schema(sqlite3 *db, const struct ts_levels *levels, int64_t horizon)
{
    char text[256];
    snprintf(text, sizeof(text),
             "PRAGMA page_size=%d; PRAGMA synchronous=FULL; BEGIN; PRAGMA application_id=%d;"
             " PRAGMA user_version=%d;",
             TS_SCHEMA_PAGE_SIZE, TS_SCHEMA_APPLICATION_ID, TS_SCHEMA_VERSION);
    int rc = ts_sql_exec(db, text);
    if (!rc)
        rc = ts_sql_exec(db, TS_SCHEMA_LEVELS TS_SCHEMA_TABLES TS_SCHEMA_CLIENTS TS_SCHEMA_UPTIME TS_SCHEMA_VIEW);
    if (!rc)
        rc = ts_store_write_levels(db, levels);
    snprintf(text, sizeof(text),
             "INSERT INTO grid VALUES(1, %lld, %lld); UPDATE uptime SET horizon = %lld; COMMIT;"
             " PRAGMA journal_mode=WAL;",
             (long long)levels->grid.start_time, (long long)levels->grid.time_slice, (long long)horizon);
    return rc ? rc : ts_sql_exec(db, text);
}

static void unlink_beside(const char *path, const char *suffix)
{
    char *name = beside(path, suffix);
    if (name)
        unlink(name);
    free(name);
}

static void unlink_all(const char *path)
{
    static const char *const suffixes[] = {"-journal", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++)
        unlink_beside(path, suffixes[i]);
}

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = strndup(path, (size_t)(slash - path) + 1);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int r = fd < 0 ? -1 : fsync(fd);
    int number = errno;
    if (fd >= 0)
        close(fd);
    free(folder);
    errno = number;
    return r;
}

int ts_file_create(const char *path, const struct ts_levels *levels, int64_t horizon, struct ts_store_error *ret_error)
{
    sqlite3 *db = NULL;
    char *fresh = NULL;
    /* Not created by SQLite because of its mode, which -wal and -shm inherit. */
    int r = ts_temporary_create(path, TS_TEMPORARY_NEW, MODE, &fresh);
    if (r) {
        errno = r == TS_ENOMEM ? ENOMEM : errno;
        return fail(ret_error, path, "cannot create");
    }
    int rc = sqlite3_open_v2(fresh, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (!rc)
        rc = write_schema(db, levels, horizon);
    if (rc) {
        ts_sql_set_error(ret_error, db, rc, "cannot create the database");
        r = TS_ESTORE;
        goto out;
    }
    sqlite3_close(db);
    db = NULL;
    unlink_all(path);
    r = rename(fresh, path) < 0 || sync_folder(path) < 0 ? fail(ret_error, path, "cannot create") : 0;
out:
    sqlite3_close(db);
    if (r)
        ts_temporary_remove(fresh);
    free(fresh);
    return r;
}
