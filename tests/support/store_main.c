/*
 * The store and its queries as a program, for tests written in Python, which set the time. One command per line on
 * standard input, words separated by tabs; one line of response on standard output, unless a command has none.
 *
 *     open PATH TIME_SLICE START_TIME NOW WIDTH:KEEP...   ns             -> ok | error ...
 *     sum POSITION LABELS RAW_NAME CUMTIME TOTTIME NCALLS PCALLS         (no response)
 *     profile POSITION LABELS PROFILES EXACT TOTAL_TT EXPECTED RECEIVED  (no response)
 *     commit HORIZON                                                     -> ok | error ...
 *     maintain HORIZON ROWS STEPS  at most so many steps                 -> the number of steps that did something
 *     query KIND NOW PARAMETERS    a=b&c=d, not encoded                  -> JSON or CSV | error CODE PARAMETER MESSAGE
 *     delete NOW ROWS PARAMETERS   so many rows per step                 -> JSON | error ...
 *     regrid TIME_SLICE TARGET     copies one page per step              -> ok | error ...
 *     unused                       unreferenced raw names, label sets    -> names separated by tabs
 *     levels                                                             -> JSON
 *     close                                                              -> ok
 */
#include "lib/query/delete.h"
#include "lib/query/query.h"
#include "lib/store/copy.h"
#include "lib/store/maintain.h"
#include "lib/store/unused.h"
#include "tests/support/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 32 };

struct program {
    struct ts_store *store;
    struct ts_reader *reader;
    struct ts_grid grid;
    struct ts_counters counters;
    struct ts_intern locations;
    struct ts_intern label_sets;
    uint32_t committed_locations;
    uint32_t committed_label_sets;
    struct ts_store_error error;
};

static int64_t number(const char *text)
{
    return strtoll(text, NULL, 10);
}

static uint32_t intern(struct ts_intern *table, const char *text)
{
    struct ts_location key = {.raw_name = {text, strlen(text)}, .line_number = -1};
    uint32_t id = 0;
    if (ts_intern_add(table, &key, &id))
        abort();
    return id + 1;
}

static void respond(const struct program *program, int rc)
{
    if (rc)
        printf("error %d %s\n", rc, program->error.message);
    else
        puts("ok");
}

static void do_open(struct program *program, char **words, int n)
{
    struct ts_retention retention[TS_RETENTION_MAX];
    struct ts_store_config config = {.path = words[1],
                                     .grid = {.start_time = number(words[3]), .time_slice = number(words[2])},
                                     .now = number(words[4]),
                                     .busy_ms = 1000,
                                     .retention = retention};
    for (int i = 5; i < n; i++) {
        char *keep = strchr(words[i], ':') + 1;
        retention[config.n_retention++] = (struct ts_retention){number(words[i]), number(keep)};
    }
    int rc = ts_store_open(&config, &program->store, &program->grid, &program->error);
    if (!rc)
        rc = ts_reader_open(words[1], &program->reader, &program->error);
    respond(program, rc);
}

static void do_sum(struct program *program, char **words)
{
    struct ts_sums sums = {number(words[4]), number(words[5]), number(words[6]), number(words[7])};
    if (ts_counters_reserve(&program->counters, 1))
        abort();
    ts_counters_add(&program->counters, number(words[1]), intern(&program->label_sets, words[2]),
                    intern(&program->locations, words[3]), &sums);
}

static void do_profile(struct program *program, char **words)
{
    struct ts_profile_sums sums = {number(words[3]), number(words[4]), number(words[5]), number(words[6]),
                                   number(words[7])};
    if (ts_counters_reserve(&program->counters, 1))
        abort();
    ts_counters_add_profile(&program->counters, number(words[1]), intern(&program->label_sets, words[2]), &sums);
}

static void do_commit(struct program *program, char **words)
{
    uint64_t saturated;
    struct ts_store_batch batch = {
        .counters = &program->counters,
        .locations = program->locations.items + program->committed_locations,
        .n_locations = program->locations.n - program->committed_locations,
        .first_location = program->committed_locations + 1,
        .label_sets = program->label_sets.items + program->committed_label_sets,
        .n_label_sets = program->label_sets.n - program->committed_label_sets,
        .first_label_set = program->committed_label_sets + 1,
        .horizon = number(words[1]),
    };
    int rc = ts_store_commit(program->store, &batch, &saturated, &program->error);
    if (!rc) {
        program->committed_locations = program->locations.n;
        program->committed_label_sets = program->label_sets.n;
        ts_counters_clear(&program->counters);
    }
    respond(program, rc);
}

static void do_maintain(struct program *program, char **words)
{
    struct ts_maintain_options options = {.horizon = number(words[1]), .rows = (uint32_t)number(words[2])};
    int64_t steps = number(words[3]);
    int64_t done = 0;
    for (; done < steps; done++) {
        struct ts_maintain_result result;
        int rc = ts_store_maintain(program->store, &options, &result, &program->error);
        if (rc) {
            respond(program, rc);
            return;
        }
        if (!result.more)
            break;
    }
    printf("%" PRId64 "\n", done);
}

static enum ts_query_kind kind_of(const char *name)
{
    static const char *const names[] = {
        [TS_QUERY_BUCKETS] = "buckets", [TS_QUERY_TOP] = "top",   [TS_QUERY_FUNCTIONS] = "functions",
        [TS_QUERY_LABELS] = "labels",   [TS_QUERY_DIFF] = "diff",
    };
    int i = 0;
    while (strcmp(names[i], name) != 0)
        i++;
    return (enum ts_query_kind)i;
}

static void respond_query(int rc, const struct ts_buf *out, const struct ts_query_error *error)
{
    if (rc)
        printf("error %s %s %s\n", ts_query_error_code(error->kind), *error->parameter ? error->parameter : "-",
               error->message);
    else
        printf("%.*s\n", (int)out->len, out->data);
}

static void do_query(struct program *program, char **words)
{
    struct ts_query_param params[64];
    struct ts_query_error error = {0};
    struct ts_query *query = NULL;
    struct ts_buf out;
    size_t n = query_params(words[3], params, 64);
    ts_buf_init(&out);
    int rc = ts_query_parse(kind_of(words[1]), params, n, &program->grid, number(words[2]), &query, &error);
    if (!rc)
        rc = query_text(query, program->reader, &out, &error);
    respond_query(rc, &out, &error);
    ts_buf_deinit(&out);
    ts_query_free(query);
}

static void do_delete(struct program *program, char **words)
{
    struct ts_query_param params[64];
    struct ts_query_error error = {0};
    struct ts_query *query = NULL;
    struct ts_deletion *deletion = NULL;
    struct ts_buf out;
    size_t n = query_params(words[3], params, 64);
    bool more = true;
    ts_buf_init(&out);
    int rc = ts_query_parse(TS_QUERY_DELETE, params, n, &program->grid, number(words[1]), &query, &error);
    if (!rc)
        rc = ts_query_deletion(query, program->reader, &deletion, &error);
    while (!rc && more) {
        rc = ts_deletion_step(deletion, program->store, (uint32_t)number(words[2]), &more, &program->error);
        if (rc) {
            error.kind = TS_QUERY_STORE_UNAVAILABLE;
            snprintf(error.message, sizeof(error.message), "%.200s", program->error.message);
        }
    }
    if (!rc)
        ts_query_put_deletion(query, deletion, &out);
    if (!rc)
        out.len--; /* its line feed */
    respond_query(rc, &out, &error);
    ts_deletion_free(deletion);
    ts_query_free(query);
    ts_buf_deinit(&out);
}

static int write_copy(int from, int64_t len, const char *path)
{
    char bytes[4096];
    FILE *to = fopen(path, "wb");
    ssize_t n = 0;
    while (to && len > 0 && (n = read(from, bytes, sizeof(bytes))) > 0 && fwrite(bytes, (size_t)n, 1, to) == 1)
        len -= n;
    close(from);
    return !to || fclose(to) || len ? TS_ESTORE : 0;
}

static void do_regrid(struct program *program, char **words)
{
    struct ts_copy *copy = NULL;
    int64_t len = 0;
    bool more = true;
    int fd = -1;
    int rc = ts_copy_start(program->store, &copy, &program->error);
    while (!rc && more)
        rc = ts_copy_step(copy, 1, &more, &program->error);
    if (!rc)
        rc = ts_copy_regrid(copy, number(words[1]), &program->error);
    if (!rc)
        rc = ts_copy_open(copy, &fd, &len, &program->error);
    if (!rc)
        rc = write_copy(fd, len, words[2]);
    ts_copy_free(copy);
    respond(program, rc);
}

static void print_name(const struct ts_intern *table, uint32_t id)
{
    const struct ts_str *name = &table->items[id - 1].raw_name;
    printf("%.*s\t", (int)name->len, name->data);
}

static void do_unused(struct program *program)
{
    struct ts_unused unused = {0};
    int rc = ts_reader_unused(program->reader, &unused);
    for (size_t i = 0; i < unused.n_locations; i++)
        print_name(&program->locations, unused.locations[i]);
    for (size_t i = 0; i < unused.n_label_sets; i++)
        print_name(&program->label_sets, unused.label_sets[i]);
    puts(rc ? "error" : "");
    ts_unused_deinit(&unused);
}

static void do_levels(const struct program *program)
{
    const struct ts_levels *levels = ts_store_levels(program->store);
    printf("[");
    for (size_t i = 0; i < levels->n; i++) {
        const struct ts_level *l = &levels->items[i];
        printf("%s{\"id\": %" PRId64 ", \"kind\": %d, \"width\": %" PRId64 ", \"keep\": %" PRId64
               ", \"since\": %" PRId64 ", \"live\": %" PRId64 ", \"source\": %" PRId64 ", \"built_to\": %" PRId64 "}",
               i ? ", " : "", l->id, (int)l->kind, l->width, l->keep, l->since, l->live, l->source,
               ts_level_built_to(levels, l));
    }
    printf("]\n");
}

static void do_close(struct program *program)
{
    program->reader = ts_reader_close(program->reader);
    program->store = ts_store_close(program->store);
    puts("ok");
}

int main(void)
{
    struct program program = {0};
    char *line = NULL;
    size_t size = 0;
    ts_counters_init(&program.counters);
    ts_intern_init(&program.locations);
    ts_intern_init(&program.label_sets);
    while (getline(&line, &size, stdin) > 0) {
        char *words[WORDS_MAX] = {NULL};
        char *rest = line;
        int n = 0;
        line[strcspn(line, "\n")] = '\0';
        while (n < WORDS_MAX && (words[n] = strsep(&rest, "\t")))
            n++;
        if (!strcmp(words[0], "open"))
            do_open(&program, words, n);
        else if (!strcmp(words[0], "sum"))
            do_sum(&program, words);
        else if (!strcmp(words[0], "profile"))
            do_profile(&program, words);
        else if (!strcmp(words[0], "commit"))
            do_commit(&program, words);
        else if (!strcmp(words[0], "maintain"))
            do_maintain(&program, words);
        else if (!strcmp(words[0], "query"))
            do_query(&program, words);
        else if (!strcmp(words[0], "delete"))
            do_delete(&program, words);
        else if (!strcmp(words[0], "regrid"))
            do_regrid(&program, words);
        else if (!strcmp(words[0], "unused"))
            do_unused(&program);
        else if (!strcmp(words[0], "levels"))
            do_levels(&program);
        else if (!strcmp(words[0], "close"))
            do_close(&program);
        else
            return 2;
        fflush(stdout);
    }
    do_close(&program);
    free(line);
    ts_counters_deinit(&program.counters);
    ts_intern_deinit(&program.locations);
    ts_intern_deinit(&program.label_sets);
    return 0;
}
