/* ctl/save: a received database is in its file completely, or the file is as it was, and no part file is left. */
#include "ctl/save.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 512 };

struct folder {
    char path[64], file[80];
};

static int set_up(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    assert_non_null(folder);
    strcpy(folder->path, "/tmp/timesliced-save.XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->file, sizeof(folder->file), "%s/a.db", folder->path);
    *state = folder;
    return 0;
}

static void in_folder(const struct folder *folder, const char *name, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/%s", folder->path, name);
}

static int tear_down(void **state)
{
    struct folder *folder = *state;
    DIR *list = opendir(folder->path);
    for (struct dirent *entry; (entry = readdir(list));) {
        char path[400];
        in_folder(folder, entry->d_name, path, sizeof(path));
        if (entry->d_name[0] != '.')
            remove(path);
    }
    closedir(list);
    rmdir(folder->path);
    free(folder);
    return 0;
}

static int count_files(const struct folder *folder)
{
    int n = 0;
    DIR *list = opendir(folder->path);
    for (struct dirent *entry; (entry = readdir(list));)
        n += entry->d_name[0] != '.';
    closedir(list);
    return n;
}

static void put_big_endian(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* SQLite's header, for a database of this many pages. */
static void put_header(unsigned char *bytes, uint32_t pages)
{
    memcpy(bytes, "SQLite format 3", 16);
    bytes[16] = PAGE >> 8;
    bytes[17] = PAGE & 0xFF;
    put_big_endian(bytes + 24, 7);
    put_big_endian(bytes + 28, pages);
    put_big_endian(bytes + 92, 7);
}

/* Saves bytes, received in pieces of n. 0, or -1 with the message in problem. */
static int save(const char *path, bool force, const unsigned char *bytes, size_t len, size_t n,
                struct ctl_text *problem)
{
    struct ctl_save save = {.path = path, .force = force};
    struct ctl_sink sink = ctl_save_sink(&save);
    int rc = ctl_save_open(&save, problem);
    for (size_t at = 0; !rc && at < len; at += n)
        rc = sink.receive(sink.data, (const char *)bytes + at, n < len - at ? n : len - at);
    if (!rc)
        rc = ctl_save_finish(&save, problem);
    ctl_save_deinit(&save);
    ctl_save_deinit(&save);
    return rc;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(const char *path, const void *bytes, size_t len)
{
    unsigned char found[8 * PAGE];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, sizeof(found), file), len);
    fclose(file);
    assert_memory_equal(found, bytes, len);
}

static void test_complete_database(void **state)
{
    const struct folder *folder = *state;
    static const size_t pieces[] = {1, 7, 99, 100, 101, PAGE, 4 * PAGE};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        unsigned char bytes[4 * PAGE] = {0};
        struct ctl_text problem = {0};
        struct stat st;
        put_header(bytes, 4);
        bytes[3 * PAGE] = (unsigned char)i;
        assert_int_equal(save(folder->file, i > 0, bytes, sizeof(bytes), pieces[i], &problem), 0);
        expect_file(folder->file, bytes, sizeof(bytes));
        assert_int_equal(lstat(folder->file, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(count_files(folder), 1);
        assert_int_equal(problem.len, 0);
        ctl_text_deinit(&problem);
    }
}

static void expect_rejected(const struct folder *folder, const unsigned char *bytes, size_t len, const char *message)
{
    struct ctl_text problem = {0};
    assert_int_equal(save(folder->file, false, bytes, len, PAGE, &problem), -1);
    assert_string_equal(ctl_text_str(&problem), message);
    assert_int_equal(count_files(folder), 0);
    ctl_text_deinit(&problem);
}

static void test_incomplete_database(void **state)
{
    const struct folder *folder = *state;
    unsigned char bytes[4 * PAGE] = {0};
    put_header(bytes, 4);
    expect_rejected(folder, bytes, 0, "the received file is not an SQLite database: is this timesliced?");
    expect_rejected(folder, bytes, 99, "the received file is not an SQLite database: is this timesliced?");
    expect_rejected(folder, bytes, 100, "the received database is incomplete: 100 bytes of 2048");
    expect_rejected(folder, bytes, 3 * PAGE, "the received database is incomplete: 1536 bytes of 2048");
    expect_rejected(folder, bytes, 4 * PAGE - 1, "the received database is incomplete: 2047 bytes of 2048");
    put_header(bytes, 1);
    expect_rejected(folder, bytes, PAGE + 1, "the received database is incomplete: 513 bytes of 1024");
    bytes[0] = 's';
    expect_rejected(folder, bytes, PAGE, "the received file is not an SQLite database: is this timesliced?");
    put_header(bytes, 1);
    bytes[16] = bytes[17] = 0; /* a page of 0 bytes */
    expect_rejected(folder, bytes, PAGE, "the received file is not an SQLite database: is this timesliced?");
}

/* Unless both change counters are equal, the page count is that of an earlier version of the file. */
static void test_page_count_that_is_not_valid(void **state)
{
    const struct folder *folder = *state;
    unsigned char bytes[2 * PAGE] = {0};
    struct ctl_text problem = {0};
    put_header(bytes, 999);
    put_big_endian(bytes + 92, 6);
    assert_int_equal(save(folder->file, false, bytes, sizeof(bytes), PAGE, &problem), 0);
    ctl_text_deinit(&problem);
}

static void test_existing_file(void **state)
{
    const struct folder *folder = *state;
    unsigned char bytes[PAGE] = {0};
    struct ctl_text problem = {0};
    put_header(bytes, 1);
    write_file(folder->file, "precious");
    assert_int_equal(save(folder->file, false, bytes, sizeof(bytes), PAGE, &problem), -1);
    assert_non_null(strstr(ctl_text_str(&problem), "already exists: nothing was written (--force replaces it)"));
    expect_file(folder->file, "precious", 8);

    ctl_text_reset(&problem);
    assert_int_equal(save(folder->file, true, bytes, 99, PAGE, &problem), -1); /* force replaces nothing by a part */
    expect_file(folder->file, "precious", 8);
    assert_int_equal(save(folder->file, true, bytes, sizeof(bytes), PAGE, &problem), 0);
    expect_file(folder->file, bytes, sizeof(bytes));
    assert_int_equal(count_files(folder), 1);
    ctl_text_deinit(&problem);
}

static void test_file_that_is_never_replaced(void **state)
{
    const struct folder *folder = *state;
    unsigned char bytes[PAGE] = {0};
    char target[100];
    struct ctl_text problem = {0};
    put_header(bytes, 1);
    in_folder(folder, "target", target, sizeof(target));
    write_file(target, "precious");
    assert_int_equal(symlink(target, folder->file), 0);
    assert_int_equal(save(folder->file, true, bytes, sizeof(bytes), PAGE, &problem), -1);
    assert_non_null(strstr(ctl_text_str(&problem), "is not a regular file"));
    expect_file(target, "precious", 8);
    assert_int_equal(unlink(folder->file), 0);

    ctl_text_reset(&problem);
    assert_int_equal(mkdir(folder->file, 0700), 0);
    assert_int_equal(save(folder->file, true, bytes, sizeof(bytes), PAGE, &problem), -1);
    assert_non_null(strstr(ctl_text_str(&problem), "is not a regular file"));
    ctl_text_deinit(&problem);
}

static void test_side_files_of_a_database(void **state)
{
    const struct folder *folder = *state;
    static const char *const names[] = {"a.db-wal", "a.db-journal"};
    for (size_t i = 0; i < 2; i++) {
        unsigned char bytes[PAGE] = {0};
        char side[100];
        struct ctl_text problem = {0};
        put_header(bytes, 1);
        in_folder(folder, names[i], side, sizeof(side));
        write_file(side, "");
        assert_int_equal(save(folder->file, true, bytes, sizeof(bytes), PAGE, &problem), -1);
        assert_non_null(strstr(ctl_text_str(&problem), names[i]));
        assert_int_equal(count_files(folder), 1);
        assert_int_equal(unlink(side), 0);
        ctl_text_deinit(&problem);
    }
}

/* A file that appears during the transfer is not replaced either. */
static void test_file_created_meanwhile(void **state)
{
    const struct folder *folder = *state;
    unsigned char bytes[PAGE] = {0};
    struct ctl_text problem = {0};
    struct ctl_save transfer = {.path = folder->file};
    struct ctl_sink sink = ctl_save_sink(&transfer);
    put_header(bytes, 1);
    assert_int_equal(ctl_save_open(&transfer, &problem), 0);
    assert_int_equal(sink.receive(sink.data, (const char *)bytes, sizeof(bytes)), 0);
    write_file(folder->file, "precious");
    assert_int_equal(ctl_save_finish(&transfer, &problem), -1);
    assert_non_null(strstr(ctl_text_str(&problem), "already exists"));
    ctl_save_deinit(&transfer);
    expect_file(folder->file, "precious", 8);
    assert_int_equal(count_files(folder), 1);
    ctl_text_deinit(&problem);
}

static void test_folder_that_does_not_exist(void **state)
{
    const struct folder *folder = *state;
    char path[100];
    struct ctl_text problem = {0};
    in_folder(folder, "absent/a.db", path, sizeof(path));
    assert_int_equal(save(path, false, NULL, 0, 1, &problem), -1);
    assert_memory_equal(ctl_text_str(&problem), "cannot create a file beside ", 28);
    ctl_text_deinit(&problem);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_complete_database),
        TEST(test_incomplete_database),
        TEST(test_page_count_that_is_not_valid),
        TEST(test_existing_file),
        TEST(test_file_that_is_never_replaced),
        TEST(test_side_files_of_a_database),
        TEST(test_file_created_meanwhile),
        TEST(test_folder_that_does_not_exist),
    };
    return cmocka_run_group_tests_name("ctl/save", tests, NULL, NULL);
}
