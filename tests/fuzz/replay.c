/*
 * Runs a fuzz target once on each file of the given folders, without libFuzzer, so that the seeds and the inputs of
 * earlier findings are tests with any compiler. Prints the name of each input first: the last name is that of the input
 * that ended the program.
 */
#include "tests/fuzz/check.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *path)
{
    perror(path);
    exit(2);
}

/* Copies the input into memory of the same length, so that the address sanitizer detects reads beyond its end. */
static void run(const char *path)
{
    printf("%s\n", path);
    fflush(stdout);
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END))
        fail(path);
    long size = ftell(in);
    if (size < 0)
        fail(path);
    rewind(in);
    uint8_t *data = malloc(size ? (size_t)size : 1);
    if (!data || fread(data, 1, (size_t)size, in) != (size_t)size)
        fail(path);
    fclose(in);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int run_folder(const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_visible, alphasort);
    if (n < 0)
        fail(folder);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        run(path);
        free(entries[i]);
    }
    free(entries);
    return n;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++)
        total += run_folder(argv[i]);
    if (!total) {
        fprintf(stderr, "usage: %s FOLDER..., at least one with a file in it\n", argv[0]);
        return 2;
    }
    printf("%d inputs\n", total);
    return 0;
}
