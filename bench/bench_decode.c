/*
 * The decoder and cJSON alternately in one process, with the same messages: bench_decode FILE [RUNS]
 *
 * FILE has one message per line. With cJSON, only cumtime is read; ts_decode() validates and returns everything. Both
 * sum cumtime, and the sums must be equal, so neither can skip anything. A run takes RUN_SECONDS of CPU time. Prints
 * the medians of the runs, and the lowest and highest ratio of two adjacent runs, as one line of JSON.
 */
#include "lib/profile/profile.h"

#include <cjson/cJSON.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUN_SECONDS 0.5
enum { RUNS_MAX = 99 };

struct corpus {
    char *bytes;
    size_t len;
    size_t *ends; /* of each message */
    size_t n_messages;
};

struct result {
    size_t functions;
    double cumtime;
};

typedef int (*decode_fn)(void *context, const char *bytes, size_t len, struct result *result);

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int read_corpus(const char *path, struct corpus *ret_corpus)
{
    struct corpus corpus = {0};
    int rc = -1;
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    if (fseek(file, 0, SEEK_END))
        goto out;
    long size = ftell(file);
    if (size <= 0 || fseek(file, 0, SEEK_SET))
        goto out;
    corpus.len = (size_t)size;
    corpus.bytes = malloc(corpus.len);
    if (!corpus.bytes)
        goto out;
    if (fread(corpus.bytes, 1, corpus.len, file) != corpus.len || corpus.bytes[corpus.len - 1] != '\n') {
        free(corpus.bytes);
        goto out;
    }
    corpus.ends = malloc(corpus.len * sizeof(*corpus.ends));
    if (!corpus.ends) {
        free(corpus.bytes);
        goto out;
    }
    for (size_t i = 0; i < corpus.len; i++) {
        if (corpus.bytes[i] == '\n')
            corpus.ends[corpus.n_messages++] = i;
    }
    *ret_corpus = corpus;
    rc = 0;
out:
    fclose(file);
    return rc;
}

static int decode_with_ts(void *context, const char *bytes, size_t len, struct result *result)
{
    const struct ts_profile *profile;
    struct ts_fault fault;
    int rc = ts_decode(context, bytes, len, &profile, &fault);
    if (rc)
        return rc;
    int64_t cumtime = 0;
    for (size_t i = 0; i < profile->n_entries; i++)
        cumtime += profile->entries[i].cumtime;
    result->functions += profile->n_entries;
    result->cumtime += (double)cumtime * 1e-9;
    return 0;
}

/* Finds the functions in both forms of a message, whether they are an object or a list. */
static int decode_with_cjson(void *context, const char *bytes, size_t len, struct result *result)
{
    (void)context;
    cJSON *root = cJSON_ParseWithLength(bytes, len);
    const cJSON *profile =
        cJSON_IsArray(root) ? cJSON_GetArrayItem(root, 1) : cJSON_GetObjectItemCaseSensitive(root, "profile");
    const cJSON *functions = cJSON_GetObjectItemCaseSensitive(profile, "func_profiles");
    const cJSON *entry;
    int rc = functions ? 0 : -1;
    cJSON_ArrayForEach (entry, functions) {
        const cJSON *cumtime = cJSON_GetObjectItemCaseSensitive(entry, "cumtime");
        if (!cJSON_IsNumber(cumtime)) {
            rc = -1;
            break;
        }
        result->cumtime += cumtime->valuedouble;
        result->functions++;
    }
    cJSON_Delete(root);
    return rc;
}

/* ret_rate: functions per CPU-second; ret_pass: the result of one pass over the corpus. */
static int run(decode_fn decode, void *context, const struct corpus *corpus, double *ret_rate, struct result *ret_pass)
{
    struct result pass = {0};
    size_t functions = 0;
    double start = cpu_seconds(), used;
    do {
        pass = (struct result){0};
        for (size_t i = 0, begin = 0; i < corpus->n_messages; begin = corpus->ends[i++] + 1) {
            int rc = decode(context, corpus->bytes + begin, corpus->ends[i] - begin, &pass);
            if (rc)
                return rc;
        }
        functions += pass.functions;
        used = cpu_seconds() - start;
    } while (used < RUN_SECONDS);
    *ret_rate = (double)functions / used;
    *ret_pass = pass;
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof(*values), compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

int main(int argc, char **argv)
{
    int runs = argc > 2 ? atoi(argv[2]) : 5;
    if (argc < 2 || runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "usage: bench_decode FILE [RUNS]\n");
        return 2;
    }
    struct corpus corpus;
    if (read_corpus(argv[1], &corpus)) {
        fprintf(stderr, "bench_decode: %s cannot be read or has no lines\n", argv[1]);
        return 1;
    }
    int rc = 1;
    double ours[RUNS_MAX], theirs[RUNS_MAX], ratio[RUNS_MAX];
    struct result a, b;
    struct ts_decoder *decoder = ts_decoder_new();
    if (!decoder)
        goto out;
    for (int i = 0; i < runs; i++) {
        if (run(decode_with_ts, decoder, &corpus, &ours[i], &a) ||
            run(decode_with_cjson, NULL, &corpus, &theirs[i], &b)) {
            fprintf(stderr, "bench_decode: a message was rejected\n");
            goto out;
        }
        if (a.functions != b.functions || fabs(a.cumtime - b.cumtime) > 1e-6) {
            fprintf(stderr, "bench_decode: the results differ: %zu functions, %f s; %zu functions, %f s\n", a.functions,
                    a.cumtime, b.functions, b.cumtime);
            goto out;
        }
        ratio[i] = ours[i] / theirs[i];
    }
    double bytes_each = (double)(corpus.len - corpus.n_messages) / (double)a.functions;
    double our_rate = median(ours, runs), their_rate = median(theirs, runs), middle = median(ratio, runs);
    printf("{\"functions\": %zu, \"bytes_per_function\": %.1f, \"decoder\": %.4g, \"decoder_mb\": %.4g, "
           "\"cjson\": %.4g, \"cjson_mb\": %.4g, \"ratio\": %.4g, \"ratio_low\": %.4g, \"ratio_high\": %.4g}\n",
           a.functions, bytes_each, our_rate / 1e6, our_rate * bytes_each / 1e6, their_rate / 1e6,
           their_rate * bytes_each / 1e6, middle, ratio[0], ratio[runs - 1]);
    rc = 0;
out:
    ts_decoder_free(decoder);
    free(corpus.ends);
    free(corpus.bytes);
    return rc;
}
