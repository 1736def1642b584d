/*
 * Random queries of random stores, compared with the response of a naive model, which adds up all facts for each cell.
 * It shares with the code only how numbers and strings are written.
 */
#include "lib/base/text.h"
#include "tests/unit/failing_alloc.h"
#include "tests/unit/lib/query/query_fixture.h"

static uint64_t below(unsigned long long *seed, uint64_t n)
{
    return next_random(seed) % n;
}

static const struct {
    const char *json;
    const char *service; /* NULL: the set lacks the label */
    const char *host;
} sets[] = {
    {"{}", NULL, NULL},
    {WEB, "web", NULL},
    {DB, "db", "a"},
    {"{\"host\": \"\", \"service\": \"web\"}", "web", ""},
    {"{\"host\": \"\xe6\x97\xa5\\\\\"}", NULL, "\xe6\x97\xa5\\"},
};
enum { N_SETS = sizeof(sets) / sizeof(sets[0]) };

static const char *const names[] = {"send", "_send", "__send",       "main", "", "__",
                                    "a\"b", "x_",    "\xe6\x97\xa5", "Send", "m"};
static const char *const files[] = {NULL, "", "/a.py", "~"};
static const char *const globs[] = {"*", "s*", "__?e*", "*n*", "main", "nothing", "*\"*", "_", "??*"};

struct request {
    int kind;
    int by; /* 0 function, 1 location, 2 label.service, 3 label.host */
    int metric;
    int glob; /* -1: none */
    const char *service;
    const char *host;
    bool has_from, has_to, fill;
    int64_t from, to; /* ns */
    int64_t factor;
    size_t top; /* 0: all */
};

struct model_row {
    char key[128]; /* the beginning of its JSON object */
    char name[64];
    char raw[64];
    char file[64];
    int line;
    ts_i128 totals[4];
    ts_i128 values[64];
    bool shown;
};

static const char *bare(const char *raw)
{
    return raw + strspn(raw, "_");
}

/* Supports only * and ?, by trying all possibilities; the name is valid UTF-8. */
static bool matches(const char *glob, const char *name)
{
    if (*glob == '*')
        return matches(glob + 1, name) || (*name && matches(glob, name + 1));
    if (!*glob || !*name)
        return !*glob && !*name;
    if (*glob != '?')
        return *glob == *name && matches(glob + 1, name + 1);
    if ((*name & 0xC0) == 0x80) /* not the beginning of a character */
        return false;
    do
        name++;
    while ((*name & 0xC0) == 0x80);
    return matches(glob + 1, name);
}

static ts_i128 floor_div(ts_i128 a, ts_i128 b)
{
    return a / b - (a % b < 0);
}

static size_t set_of(const struct fixture *f, uint32_t labels)
{
    struct ts_str json = f->label_sets.items[labels].raw_name;
    for (size_t i = 0; i < N_SETS; i++) {
        if (strlen(sets[i].json) == json.len && memcmp(sets[i].json, json.data, json.len) == 0)
            return i;
    }
    fail();
    return 0;
}

static bool is_selected(const struct fixture *f, const struct request *request, int64_t bucket, uint32_t labels)
{
    ts_i128 width = (ts_i128)f->grid.time_slice * request->factor;
    ts_i128 wide = floor_div(bucket, request->factor);
    size_t set = set_of(f, labels);
    if (request->has_from && (wide + 1) * width + f->grid.start_time <= request->from)
        return false;
    if (request->has_to && wide * width + f->grid.start_time >= request->to)
        return false;
    if (request->service && (!sets[set].service || strcmp(sets[set].service, request->service) != 0))
        return false;
    return !request->host || (sets[set].host && strcmp(sets[set].host, request->host) == 0);
}

static int model_order(const struct model_row *a, const struct model_row *b, int metric)
{
    if (a->totals[metric] != b->totals[metric])
        return a->totals[metric] > b->totals[metric] ? -1 : 1;
    int r = strcmp(a->name, b->name);
    r = r ? r : strcmp(a->raw, b->raw);
    r = r ? r : strcmp(a->file, b->file);
    return r ? r : a->line - b->line;
}

static void put_i128(struct ts_buf *out, ts_i128 value, int metric)
{
    if (metric < 2)
        ts_put_seconds(out, value);
    else
        ts_buf_printf(out, "%lld", (long long)value);
}

static void put_quotient(struct ts_buf *out, ts_i128 ns, ts_i128 calls)
{
    if (calls == 0) {
        ts_buf_puts(out, "null");
        return;
    }
    ts_i128 above = ns < 0 ? -ns : ns;
    ts_i128 nearest = (2 * above + calls) / (2 * calls); /* halves away from 0 */
    put_i128(out, ns < 0 ? -nearest : nearest, 0);
}

static void put_model_row(struct ts_buf *out, const struct request *request, const struct model_row *row, size_t n)
{
    static const char *const metrics[] = {"cumtime", "tottime", "ncalls", "pcalls"};
    if (request->kind == TS_QUERY_BUCKETS) {
        ts_buf_puts(out, ", \"total\": ");
        put_i128(out, row->totals[request->metric], request->metric);
        ts_buf_puts(out, ", \"values\": [");
        for (size_t i = 0; i < n; i++) {
            ts_buf_puts(out, i ? ", " : "");
            put_i128(out, row->values[i], request->metric);
        }
        ts_buf_puts(out, "]}");
        return;
    }
    for (int i = 0; i < 4; i++) {
        ts_buf_printf(out, ", \"%s\": ", metrics[i]);
        put_i128(out, row->totals[i], i);
    }
    ts_buf_puts(out, ", \"percall_cumtime\": ");
    put_quotient(out, row->totals[0], row->totals[3]);
    ts_buf_puts(out, ", \"percall_tottime\": ");
    put_quotient(out, row->totals[1], row->totals[2]);
    ts_buf_puts(out, "}");
}

static void make_key(const struct fixture *f, const struct request *request, const struct fact *fact,
                     struct model_row *ret)
{
    const struct ts_location *location = &f->locations.items[fact->location];
    struct ts_buf key;
    *ret = (struct model_row){.line = -1};
    ts_buf_init(&key);
    if (request->by >= 2) {
        size_t set = set_of(f, fact->labels);
        const char *value = request->by == 2 ? sets[set].service : sets[set].host;
        ts_buf_puts(&key, "{\"label\": ");
        if (value)
            ts_put_json_string(&key, value, strlen(value));
        else
            ts_buf_puts(&key, "null");
        /* null before the empty value */
        snprintf(ret->name, sizeof(ret->name), "%s%s", value ? "+" : "", value ? value : "");
    } else {
        char raw[64];
        snprintf(raw, sizeof(raw), "%.*s", (int)location->raw_name.len, location->raw_name.data);
        strcpy(ret->name, bare(raw));
        ts_buf_puts(&key, "{\"function\": ");
        ts_put_json_string(&key, bare(raw), strlen(bare(raw)));
        if (request->by == 1) {
            const struct ts_str *file = &location->file_name;
            strcpy(ret->raw, raw);
            snprintf(ret->file, sizeof(ret->file), "%s%.*s", file->data ? "+" : "", (int)file->len,
                     file->data ? file->data : "");
            ret->line = location->line_number;
            ts_buf_puts(&key, ", \"file_name\": ");
            if (file->data)
                ts_put_json_string(&key, file->data, file->len);
            else
                ts_buf_puts(&key, "null");
            ts_buf_puts(&key, ", \"line_number\": ");
            if (ret->line < 0)
                ts_buf_puts(&key, "null");
            else
                ts_buf_printf(&key, "%d", ret->line);
            ts_buf_puts(&key, ", \"raw_name\": ");
            ts_put_json_string(&key, raw, strlen(raw));
        }
    }
    assert_true(key.len < sizeof(ret->key));
    memcpy(ret->key, key.data, key.len);
    ts_buf_deinit(&key);
}

static void put_begin(struct ts_buf *out, const struct fixture *f, const struct request *request, int64_t wide)
{
    ts_put_seconds(out, (ts_i128)wide * request->factor * f->grid.time_slice + f->grid.start_time);
}

/* The expected response. */
static void model(const struct fixture *f, const struct request *request, struct ts_buf *out)
{
    static const char *const metrics[] = {"cumtime", "tottime", "ncalls", "pcalls"};
    int64_t columns[64];
    size_t n_columns = 0;
    static struct model_row rows[128];
    size_t n_rows = 0;
    ts_i128 width = (ts_i128)f->grid.time_slice * request->factor;
    bool has_from = request->has_from, has_to = request->has_to, found = false;
    int64_t from = (int64_t)floor_div((ts_i128)request->from - f->grid.start_time, width);
    int64_t to = (int64_t)-floor_div((ts_i128)f->grid.start_time - request->to, width);
    int64_t first = 0, last = 0;
    for (size_t i = 0; i < f->n_profiles; i++) {
        int64_t wide = (int64_t)floor_div(f->profiles[i].bucket, request->factor);
        if (!is_selected(f, request, f->profiles[i].bucket, f->profiles[i].labels))
            continue;
        first = !found || wide < first ? wide : first;
        last = !found || wide > last ? wide : last;
        found = true;
    }
    if (!has_from && found)
        from = first, has_from = true;
    if (!has_to && found)
        to = last + 1, has_to = true;
    if (found || (request->fill && has_from && has_to)) {
        for (int64_t wide = found && !request->fill ? first : from; wide < (found && !request->fill ? last + 1 : to);
             wide++) {
            bool any = request->fill;
            for (size_t i = 0; i < f->n_profiles; i++)
                any = any || (floor_div(f->profiles[i].bucket, request->factor) == wide &&
                              is_selected(f, request, f->profiles[i].bucket, f->profiles[i].labels));
            if (any) {
                assert_true(n_columns < 64);
                columns[n_columns++] = wide;
            }
        }
    }
    for (size_t i = 0; i < f->n_facts; i++) {
        const struct fact *fact = &f->facts[i];
        struct model_row key;
        char raw[64];
        const struct ts_str *raw_name = &f->locations.items[fact->location].raw_name;
        snprintf(raw, sizeof(raw), "%.*s", (int)raw_name->len, raw_name->data);
        if (!is_selected(f, request, fact->bucket, fact->labels))
            continue;
        if (request->glob >= 0 && !matches(bare(globs[request->glob]), bare(raw)))
            continue;
        make_key(f, request, fact, &key);
        size_t at = 0;
        while (at < n_rows && strcmp(rows[at].key, key.key) != 0)
            at++;
        assert_true(at < 128);
        if (at == n_rows)
            rows[n_rows++] = key;
        int64_t values[4] = {fact->sums.cumtime, fact->sums.tottime, fact->sums.ncalls, fact->sums.pcalls};
        for (int m = 0; m < 4; m++)
            rows[at].totals[m] += values[m];
        for (size_t c = 0; c < n_columns; c++)
            rows[at].values[c] += floor_div(fact->bucket, request->factor) == columns[c] ? values[request->metric] : 0;
    }

    ts_i128 profiles[65] = {0}, exact[65] = {0}, total_tt[65] = {0}, missing[65] = {0};
    for (size_t i = 0; i < f->n_profiles; i++) {
        const struct profiles *added = &f->profiles[i];
        if (!is_selected(f, request, added->bucket, added->labels))
            continue;
        for (size_t c = 0; c < 65; c++) {
            if (c < 64 && (c >= n_columns || floor_div(added->bucket, request->factor) != columns[c]))
                continue;
            profiles[c] += added->sums.profiles;
            exact[c] += added->sums.exact_profiles;
            total_tt[c] += added->sums.total_tt;
            missing[c] += added->sums.parts_expected - added->sums.parts_received;
        }
    }
    ts_buf_puts(out, "{");
    if (request->kind == TS_QUERY_BUCKETS) {
        ts_buf_puts(out, "\"start_time\": ");
        ts_put_seconds(out, f->grid.start_time);
        ts_buf_puts(out, ", \"time_slice\": ");
        ts_put_seconds(out, width);
        ts_buf_printf(out, ", \"metric\": \"%s\", \"unit\": \"%s\", ", metrics[request->metric],
                      request->metric < 2 ? "seconds" : "calls");
    }
    ts_buf_puts(out, "\"from\": ");
    has_from ? put_begin(out, f, request, from) : ts_buf_puts(out, "null");
    ts_buf_puts(out, ", \"to\": ");
    has_to ? put_begin(out, f, request, to) : ts_buf_puts(out, "null");
    if (request->kind == TS_QUERY_BUCKETS) {
        static const char *const lists[] = {"buckets", "profiles", "exact_profiles", "total_tt", "parts_missing"};
        for (int list = 0; list < 5; list++) {
            ts_buf_printf(out, ", \"%s\": [", lists[list]);
            for (size_t c = 0; c < n_columns; c++) {
                ts_buf_puts(out, c ? ", " : "");
                if (list == 0)
                    put_begin(out, f, request, columns[c]);
                else if (list == 3)
                    ts_put_seconds(out, total_tt[c]);
                else
                    put_i128(out,
                             list == 1   ? profiles[c]
                             : list == 2 ? exact[c]
                                         : (missing[c] < 0 ? -missing[c] : missing[c]),
                             2);
            }
            ts_buf_puts(out, "]");
        }
    } else {
        ts_buf_puts(out, ", \"profiles\": ");
        put_i128(out, profiles[64], 2);
        ts_buf_puts(out, ", \"total_tt\": ");
        ts_put_seconds(out, total_tt[64]);
        ts_buf_printf(out, ", \"metric\": \"%s\"", metrics[request->metric]);
    }
    ts_buf_puts(out, ", \"functions\": [");
    size_t n_shown = request->top && request->top < n_rows ? request->top : n_rows;
    for (size_t i = 0; i < n_shown; i++) {
        struct model_row *best = NULL;
        for (size_t j = 0; j < n_rows; j++) {
            if (!rows[j].shown && (!best || model_order(&rows[j], best, request->metric) < 0))
                best = &rows[j];
        }
        assert_non_null(best);
        best->shown = true;
        ts_buf_puts(out, i ? ", " : "");
        ts_buf_puts(out, best->key);
        put_model_row(out, request, best, n_columns);
    }
    struct model_row other = {0};
    for (size_t j = 0; j < n_rows; j++) {
        for (int m = 0; m < 4 && !rows[j].shown; m++)
            other.totals[m] += rows[j].totals[m];
        for (size_t c = 0; c < n_columns && !rows[j].shown; c++)
            other.values[c] += rows[j].values[c];
    }
    ts_buf_printf(out, "], \"other\": {\"functions\": %zu", n_rows - n_shown);
    put_model_row(out, request, &other, n_columns);
    ts_buf_puts(out, "}");
}

static void random_store(struct fixture *f, unsigned long long *seed)
{
    static const int64_t slices[] = {10 * S, 1, 250000000, S, 7 * S};
    static const int64_t starts[] = {0, T0 * S, 250000001, -1500000000, -1};
    f->grid.time_slice = slices[below(seed, 5)];
    f->grid.start_time = starts[below(seed, 5)];
    for (int batch = 0; batch < 2; batch++) {
        for (int i = 0; i < 40; i++) {
            int64_t bucket = (int64_t)below(seed, 24) - 12;
            const char *labels = sets[below(seed, N_SETS)].json;
            struct ts_profile_sums profiles = {0};
            profiles.profiles = (int64_t)below(seed, 3);
            profiles.exact_profiles = (int64_t)below(seed, 2);
            profiles.total_tt = (int64_t)below(seed, 3000000000) - 1000000;
            profiles.parts_expected = (int64_t)below(seed, 4);
            profiles.parts_received = (int64_t)below(seed, 4);
            add_profiles(f, bucket, labels, profiles);
            for (uint64_t n = below(seed, 4); n; n--) {
                struct ts_sums sums = {0};
                sums.cumtime = (int64_t)below(seed, 4) * 500000000 - 500000000;
                sums.tottime = (int64_t)below(seed, 1000000000);
                sums.ncalls = (int64_t)below(seed, 5);
                sums.pcalls = (int64_t)below(seed, 4);
                const char *name = names[below(seed, sizeof(names) / sizeof(names[0]))];
                const char *file = files[below(seed, sizeof(files) / sizeof(files[0]))];
                add(f, bucket, labels, name, file, (int)below(seed, 2) * 8 - 1, sums);
            }
        }
        commit(f);
    }
}

static void random_request(const struct fixture *f, unsigned long long *seed, struct request *ret)
{
    static const int64_t factors[] = {1, 1, 2, 3, 5, 24};
    struct request a = {.kind = below(seed, 2) ? TS_QUERY_BUCKETS : TS_QUERY_TOP, .factor = 1};
    a.by = (int)below(seed, 4);
    a.metric = (int)below(seed, 4);
    a.glob = below(seed, 2) ? -1 : (int)below(seed, sizeof(globs) / sizeof(globs[0]));
    a.service = below(seed, 3) ? NULL : below(seed, 3) ? "web" : "none";
    a.host = below(seed, 5) ? NULL : sets[2 + below(seed, 3)].host;
    if (a.kind == TS_QUERY_BUCKETS) {
        a.factor = factors[below(seed, 6)];
        a.fill = below(seed, 2);
    }
    a.top = below(seed, 2) ? 0 : 1 + below(seed, 12);
    int64_t span = 30 * f->grid.time_slice;
    a.has_from = below(seed, 2);
    a.has_to = below(seed, 2);
    a.from = f->grid.start_time - span / 2 + (int64_t)below(seed, (uint64_t)span);
    a.to = f->grid.start_time - span / 2 + (int64_t)below(seed, (uint64_t)span);
    if (a.has_from && a.has_to && a.from > a.to)
        a.to = a.from + (int64_t)below(seed, 2);
    *ret = a;
}

static void write_request(const struct request *a, const struct fixture *f, struct ts_buf *out)
{
    static const char *const metrics[] = {"cumtime", "tottime", "ncalls", "pcalls"};
    static const char *const bys[] = {"function", "location", "label.service", "label.host"};
    ts_buf_printf(out, "by=%s&metric=%s", bys[a->by], metrics[a->metric]);
    if (a->glob >= 0)
        ts_buf_printf(out, "&function=%s", globs[a->glob]);
    if (a->service)
        ts_buf_printf(out, "&label.service=%s", a->service);
    if (a->host)
        ts_buf_printf(out, "&label.host=%s", a->host);
    if (a->factor > 1) {
        ts_buf_puts(out, "&time_slice=");
        ts_put_seconds(out, (ts_i128)a->factor * f->grid.time_slice);
    }
    if (a->top)
        ts_buf_printf(out, "&top=%zu", a->top);
    if (a->fill)
        ts_buf_puts(out, "&fill=true");
    if (a->has_from) {
        ts_buf_puts(out, "&from=");
        ts_put_seconds(out, a->from);
    }
    if (a->has_to) {
        ts_buf_puts(out, "&to=");
        ts_put_seconds(out, a->to);
    }
    ts_buf_putc(out, '\0');
}

static void responses_equal_those_of_the_model(void **state)
{
    struct fixture *f = *state;
    unsigned long long seed = 20241122;
    for (int round = 0; round < 12; round++) {
        random_store(f, &seed);
        for (int i = 0; i < 150; i++) {
            struct request request;
            struct ts_buf params;
            struct ts_buf expected;
            ts_buf_init(&params);
            ts_buf_init(&expected);
            random_request(f, &seed, &request);
            write_request(&request, f, &params);
            model(f, &request, &expected);
            ts_buf_putc(&expected, '\0');
            expect_response(f, (enum ts_query_kind)request.kind, params.data, expected.data);
            ts_buf_deinit(&params);
            ts_buf_deinit(&expected);
        }
        close_store(f);
        char command[128];
        snprintf(command, sizeof(command), "rm -f %s/*", f->folder);
        assert_int_equal(system(command), 0);
        ts_intern_deinit(&f->locations);
        ts_intern_deinit(&f->label_sets);
        f->committed_locations = f->committed_label_sets = 0;
        f->n_facts = f->n_profiles = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(responses_equal_those_of_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
