/*
 * Copies of the database: backups, and the input of regridding.
 */
#include "lib/store/copy.h"

#include "lib/store/connection.h"
#include "lib/store/regrid.h"
#include "lib/store/temporary.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Left to the database, whose log needs about as much between two checkpoints. */
#define RESERVE_BYTES (INT64_C(4) << 20)

struct ts_copy {
    struct ts_store *store; /* until the last step */
    char *path;
    sqlite3 *db;
    sqlite3_backup *backup; /* until the last step; then db is NULL too */
};

static int fail(struct ts_store_error *error, const char *what, int number)
{
    ts_sql_format_error(error, "%s: %s", what, strerror(number));
    return number == ENOMEM ? TS_ENOMEM : TS_ESTORE;
}

int ts_copy_check_space(struct ts_store *store, int times, struct ts_store_error *ret_error)
{
    struct statvfs fs;
    int64_t size; /* in pages, then in bytes */
    int64_t page_size;
    if (ts_sql_integers(store->db, "PRAGMA page_count", &size, 1) ||
        ts_sql_integers(store->db, "PRAGMA page_size", &page_size, 1) ||
        statvfs(sqlite3_db_filename(store->db, "main"), &fs) || !fs.f_blocks)
        return 0; /* not known: then the copy fails if the disk becomes full */
    size = size * page_size * times + RESERVE_BYTES;
    int64_t available = (int64_t)(fs.f_bavail * fs.f_frsize);
    if (available >= size)
        return 0;
    ts_sql_format_error(ret_error,
                        "cannot copy the database: this needs %.1f MiB of space in its folder, and %.1f MiB are"
                        " available",
                        (double)size / (1 << 20), (double)available / (1 << 20));
    return TS_ESTORE;
}

/* Nobody else uses the file, so it needs no journal and no sync. */
static int open_copy(struct ts_copy *copy)
{
    int rc = sqlite3_open_v2(copy->path, &copy->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
    return rc ? rc : ts_sql_exec(copy->db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA mmap_size=0");
}

int ts_copy_start(struct ts_store *store, struct ts_copy **ret_copy, struct ts_store_error *ret_error)
{
    if (store->copying)
        return fail(ret_error, "cannot copy the database, another copy is being made", EBUSY);
    struct ts_copy *copy = calloc(1, sizeof(*copy));
    const char *name = sqlite3_db_filename(store->db, "main");
    int r = copy ? ts_temporary_create(name, TS_TEMPORARY_COPY, 0600, &copy->path) : TS_ENOMEM;
    if (r) {
        free(copy);
        return fail(ret_error, "cannot create a copy beside the database", r == TS_ENOMEM ? ENOMEM : errno);
    }
    copy->store = store;
    store->copying = true;
    int rc = open_copy(copy);
    if (!rc) {
        copy->backup = sqlite3_backup_init(copy->db, "main", store->db, "main");
        rc = copy->backup ? SQLITE_OK : sqlite3_extended_errcode(copy->db);
    }
    if (rc) {
        ts_sql_set_error(ret_error, copy->db, rc, "cannot copy the database");
        ts_copy_free(copy);
        return TS_ESTORE;
    }
    *ret_copy = copy;
    return 0;
}

/* The header was copied and requires a write-ahead log, but the copy has none: set it to rollback mode. */
static int clear_wal_mode(const char *path)
{
    static const unsigned char rollback_mode[2] = {1, 1};
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pwrite(fd, rollback_mode, 2, 18);
    if (fd >= 0)
        close(fd);
    return n == 2 ? 0 : -1;
}

int ts_copy_step(struct ts_copy *copy, int pages, bool *ret_more, struct ts_store_error *ret_error)
{
    assert(copy->backup);
    errno = 0;
    int rc = sqlite3_backup_step(copy->backup, pages);
    *ret_more = rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
    if (*ret_more)
        return 0;
    copy->store->copying = false;
    copy->store = NULL;
    if (rc == SQLITE_DONE) {
        rc = sqlite3_backup_finish(copy->backup);
        copy->backup = NULL;
    }
    if (rc) {
        ts_sql_set_error(ret_error, copy->db, rc, "cannot copy the database");
        return TS_ESTORE;
    }
    sqlite3_close(copy->db);
    copy->db = NULL;
    return clear_wal_mode(copy->path) ? fail(ret_error, "cannot finish the copy", errno) : 0;
}

int ts_copy_regrid(struct ts_copy *copy, int64_t time_slice, struct ts_store_error *ret_error)
{
    assert(!copy->backup && !copy->db);
    int rc = open_copy(copy);
    if (rc) {
        ts_sql_set_error(ret_error, copy->db, rc, "cannot open the copy");
        return TS_ESTORE;
    }
    int r = ts_store_regrid(copy->db, time_slice, ret_error);
    if (r)
        return r;
    sqlite3_close(copy->db);
    copy->db = NULL;
    return 0;
}

int ts_copy_open(struct ts_copy *copy, int *ret_fd, int64_t *ret_len, struct ts_store_error *ret_error)
{
    struct stat st;
    assert(!copy->backup && !copy->db);
    int fd = open(copy->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        int r = fail(ret_error, "cannot read the copy", errno);
        if (fd >= 0)
            close(fd);
        return r;
    }
    unlink(copy->path);
    *ret_fd = fd;
    *ret_len = st.st_size;
    return 0;
}

struct ts_copy *ts_copy_free(struct ts_copy *copy)
{
    if (!copy)
        return NULL;
    if (copy->store)
        copy->store->copying = false;
    if (copy->backup)
        sqlite3_backup_finish(copy->backup);
    sqlite3_close(copy->db);
    ts_temporary_remove(copy->path);
    free(copy->path);
    free(copy);
    return NULL;
}
