/*
 * Shared by the tests of lib/store: a folder for each test, a plain connection to the database, batches made by hand.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "lib/store/reader.h"
#include "lib/store/schema.h"
#include "lib/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define S TS_NS_PER_S

struct fixture {
    char folder[64];
    char path[96];
    struct ts_store_config config;
    struct ts_grid grid;
    struct ts_store_error error;
    struct ts_counters counters;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f)
        return -1;
    strcpy(f->folder, "/tmp/store-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/t.db", f->folder);
    f->config = (struct ts_store_config){
        .path = f->path, .grid = {.start_time = 0, .time_slice = 10 * S}, .sync_each_commit = true, .busy_ms = 50};
    ts_counters_init(&f->counters);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", f->folder);
    ts_counters_deinit(&f->counters);
    int r = system(command);
    free(f);
    return r;
}

static inline struct ts_store *open_ok(struct fixture *f)
{
    struct ts_store *store = NULL;
    int r = ts_store_open(&f->config, &store, &f->grid, &f->error);
    if (r)
        print_error("open: %d %s\n", r, f->error.message);
    assert_int_equal(r, 0);
    return store;
}

static inline int open_fails(struct fixture *f, const char *text)
{
    struct ts_store *store = NULL;
    int r = ts_store_open(&f->config, &store, &f->grid, &f->error);
    assert_null(store);
    if (!strstr(f->error.message, text))
        fail_msg("\"%s\" is not in: %s", text, f->error.message);
    return r;
}

/* A plain connection, like that of an sqlite3 shell. */
static inline sqlite3 *shell(struct fixture *f)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    return db;
}

static inline void execute(sqlite3 *db, const char *sql)
{
    char *text = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &text))
        fail_msg("%s: %s", sql, text);
}

static inline void change(struct fixture *f, const char *sql)
{
    sqlite3 *db = shell(f);
    execute(db, sql);
    sqlite3_close(db);
}

/* Compares the rows of a query with the text that an sqlite3 shell prints. */
static inline void expect_sql(struct fixture *f, const char *sql, const char *expected)
{
    char got[4096] = "";
    size_t len = 0;
    sqlite3_stmt *stmt;
    sqlite3 *db = shell(f);
    execute(db, "PRAGMA trusted_schema=OFF");
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);
            len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s",
                                    i     ? "|"
                                    : len ? "\n"
                                          : "",
                                    text ? text : "NULL");
            assert_true(len < sizeof(got));
        }
    }
    assert_int_equal(rc, SQLITE_DONE);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    assert_string_equal(got, expected);
}

static inline void expect_intact(struct fixture *f)
{
    expect_sql(f, "PRAGMA integrity_check", "ok");
}

struct bytes {
    char *data;
    size_t len;
};

static inline struct bytes slurp(const char *path)
{
    struct stat st;
    struct bytes bytes = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    bytes.data = malloc((size_t)st.st_size + 1);
    bytes.len = fread(bytes.data, 1, (size_t)st.st_size, file);
    fclose(file);
    return bytes;
}

static inline void spill(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    fclose(file);
}

static inline bool there(struct fixture *f, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof(name), "%s%s", f->path, suffix);
    return access(name, F_OK) == 0;
}

/* Files named like the database and -copy... or -new.... */
static inline int count_temporaries(struct fixture *f)
{
    int n = 0;
    const char *base = strrchr(f->path, '/') + 1;
    DIR *dir = opendir(f->folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *suffix = entry->d_name + strlen(base);
        n += strncmp(entry->d_name, base, strlen(base)) == 0 &&
             (strncmp(suffix, "-copy", 5) == 0 || strncmp(suffix, "-new", 4) == 0);
    }
    closedir(dir);
    return n;
}

/* The file is refused without a change, and no other file is left beside it. */
static inline void expect_refused(struct fixture *f, const char *text)
{
    struct bytes before = slurp(f->path);
    assert_int_equal(open_fails(f, text), TS_EREFUSED);
    struct bytes after = slurp(f->path);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    assert_false(there(f, "-wal"));
    assert_false(there(f, "-shm"));
    assert_false(there(f, "-journal"));
    assert_int_equal(count_temporaries(f), 0);
    free(before.data);
    free(after.data);
}

static inline struct ts_location name(const char *raw, const char *file, int32_t line)
{
    return (struct ts_location){
        .raw_name = {raw, strlen(raw)}, .file_name = {file, file ? strlen(file) : 0}, .line_number = line};
}

static inline void add(struct fixture *f, int64_t bucket, uint32_t labels, uint32_t location, int64_t cum, int64_t tot,
                       int64_t ncalls, int64_t pcalls)
{
    struct ts_sums sums = {cum, tot, ncalls, pcalls};
    assert_int_equal(ts_counters_reserve(&f->counters, 1), 0);
    ts_counters_add(&f->counters, bucket, labels, location, &sums);
}

static inline void add_profile(struct fixture *f, int64_t bucket, uint32_t labels, struct ts_profile_sums sums)
{
    assert_int_equal(ts_counters_reserve(&f->counters, 1), 0);
    ts_counters_add_profile(&f->counters, bucket, labels, &sums);
}

static inline int commit(struct fixture *f, struct ts_store *store, const struct ts_location *locations, uint32_t n,
                         uint32_t first, uint64_t *ret_saturated)
{
    struct ts_location labels = name("{}", NULL, -1);
    struct ts_store_batch batch = {.counters = &f->counters,
                                   .locations = locations,
                                   .n_locations = n,
                                   .first_location = first,
                                   .label_sets = &labels,
                                   .n_label_sets = first == 1 && n,
                                   .first_label_set = 1};
    return ts_store_commit(store, &batch, ret_saturated, &f->error);
}

static inline void commit_ok(struct fixture *f, struct ts_store *store, const struct ts_location *locations, uint32_t n,
                             uint32_t first)
{
    uint64_t saturated = 99;
    int r = commit(f, store, locations, n, first, &saturated);
    if (r)
        print_error("commit: %s\n", f->error.message);
    assert_int_equal(r, 0);
    assert_int_equal(saturated, 0);
    ts_counters_clear(&f->counters);
}

/* A database with one location and one row: 1 s in bucket 7. */
static inline void seed(struct fixture *f)
{
    struct ts_store *store = open_ok(f);
    struct ts_location one = name("_main", "/app/a.py", 3);
    add(f, 7, 1, 1, S, S / 2, 2, 1);
    commit_ok(f, store, &one, 1, 1);
    ts_store_close(store);
}

/* ---- What was read, as text ---- */

struct seen {
    char text[4096];
    size_t len;
};

static inline int see_location(void *data, uint32_t id, const struct ts_location *location)
{
    struct seen *seen = data;
    seen->len += (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "%u %.*s %s%.*s %d\n", id,
                                  (int)location->raw_name.len, location->raw_name.data,
                                  location->file_name.data ? ":" : "-", (int)location->file_name.len,
                                  location->file_name.data ? location->file_name.data : "", location->line_number);
    return 0;
}

static inline int see_labels(void *data, uint32_t id, const char *json, size_t len)
{
    struct seen *seen = data;
    seen->len +=
        (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len, "%u %.*s\n", id, (int)len, json);
    return 0;
}

#endif
