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
static const char *const metrics[] = {"cumtime", "tottime", "ncalls", "pcalls"};
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

/* ---- The expected response ---- */

enum { BUCKETS_MAX = 64, ROWS_MAX = 128 };

struct profile_totals {
    ts_i128 profiles, exact, total_tt, missing;
};

struct model {
    const struct fixture *f;
    const struct request *request;
    bool has_from, has_to;
    int64_t from, to; /* buckets of the response */
    int64_t buckets[BUCKETS_MAX];
    struct profile_totals totals[BUCKETS_MAX];
    struct profile_totals all;
    size_t n_buckets;
    struct model_row rows[ROWS_MAX];
    size_t n_rows;
};

/* The bucket of the response that contains a bucket of the store. */
static int64_t wide(const struct model *m, int64_t bucket)
{
    return (int64_t)floor_div(bucket, m->request->factor);
}

static bool has_profile(const struct model *m, int64_t bucket)
{
    for (size_t i = 0; i < m->f->n_profiles; i++) {
        const struct profiles *added = &m->f->profiles[i];
        if (wide(m, added->bucket) == bucket && is_selected(m->f, m->request, added->bucket, added->labels))
            return true;
    }
    return false;
}

static void find_buckets(struct model *m)
{
    const struct request *request = m->request;
    ts_i128 width = (ts_i128)m->f->grid.time_slice * request->factor;
    bool found = false;
    int64_t first = 0, last = 0;
    for (size_t i = 0; i < m->f->n_profiles; i++) {
        int64_t bucket = wide(m, m->f->profiles[i].bucket);
        if (!is_selected(m->f, request, m->f->profiles[i].bucket, m->f->profiles[i].labels))
            continue;
        first = !found || bucket < first ? bucket : first;
        last = !found || bucket > last ? bucket : last;
        found = true;
    }
    m->has_from = request->has_from || found;
    m->has_to = request->has_to || found;
    m->from = request->has_from ? (int64_t)floor_div((ts_i128)request->from - m->f->grid.start_time, width) : first;
    m->to = request->has_to ? (int64_t)-floor_div((ts_i128)m->f->grid.start_time - request->to, width) : last + 1;
    if (!m->has_from || !m->has_to)
        return;
    for (int64_t bucket = request->fill ? m->from : first; bucket < (request->fill ? m->to : last + 1); bucket++) {
        if (!request->fill && !has_profile(m, bucket))
            continue;
        assert_true(m->n_buckets < BUCKETS_MAX);
        m->buckets[m->n_buckets++] = bucket;
    }
}

static void add_to(struct profile_totals *totals, const struct ts_profile_sums *sums)
{
    totals->profiles += sums->profiles;
    totals->exact += sums->exact_profiles;
    totals->total_tt += sums->total_tt;
    totals->missing += sums->parts_expected - sums->parts_received;
}

static void add_up_profiles(struct model *m)
{
    for (size_t i = 0; i < m->f->n_profiles; i++) {
        const struct profiles *added = &m->f->profiles[i];
        if (!is_selected(m->f, m->request, added->bucket, added->labels))
            continue;
        add_to(&m->all, &added->sums);
        for (size_t j = 0; j < m->n_buckets; j++) {
            if (wide(m, added->bucket) == m->buckets[j])
                add_to(&m->totals[j], &added->sums);
        }
    }
}

static struct model_row *find_row(struct model *m, const struct fact *fact)
{
    struct model_row key;
    make_key(m->f, m->request, fact, &key);
    for (size_t i = 0; i < m->n_rows; i++) {
        if (strcmp(m->rows[i].key, key.key) == 0)
            return &m->rows[i];
    }
    assert_true(m->n_rows < ROWS_MAX);
    m->rows[m->n_rows] = key;
    return &m->rows[m->n_rows++];
}

static void add_up_facts(struct model *m)
{
    const struct request *request = m->request;
    for (size_t i = 0; i < m->f->n_facts; i++) {
        const struct fact *fact = &m->f->facts[i];
        const struct ts_str *raw_name = &m->f->locations.items[fact->location].raw_name;
        int64_t values[4] = {fact->sums.cumtime, fact->sums.tottime, fact->sums.ncalls, fact->sums.pcalls};
        char raw[64];
        snprintf(raw, sizeof(raw), "%.*s", (int)raw_name->len, raw_name->data);
        if (!is_selected(m->f, request, fact->bucket, fact->labels) ||
            (request->glob >= 0 && !matches(bare(globs[request->glob]), bare(raw))))
            continue;
        struct model_row *row = find_row(m, fact);
        for (int j = 0; j < 4; j++)
            row->totals[j] += values[j];
        for (size_t j = 0; j < m->n_buckets; j++)
            row->values[j] += wide(m, fact->bucket) == m->buckets[j] ? values[request->metric] : 0;
    }
}

static void put_end(const struct model *m, const char *name, bool known, int64_t bucket, struct ts_buf *out)
{
    ts_buf_printf(out, "\"%s\": ", name);
    if (known)
        put_begin(out, m->f, m->request, bucket);
    else
        ts_buf_puts(out, "null");
}

static void put_lists(const struct model *m, struct ts_buf *out)
{
    static const char *const names_of_lists[] = {"buckets", "profiles", "exact_profiles", "total_tt", "parts_missing"};
    for (int list = 0; list < 5; list++) {
        ts_buf_printf(out, ", \"%s\": [", names_of_lists[list]);
        for (size_t i = 0; i < m->n_buckets; i++) {
            const struct profile_totals *totals = &m->totals[i];
            ts_i128 missing = totals->missing < 0 ? -totals->missing : totals->missing;
            ts_buf_puts(out, i ? ", " : "");
            if (list == 0)
                put_begin(out, m->f, m->request, m->buckets[i]);
            else if (list == 3)
                ts_put_seconds(out, totals->total_tt);
            else
                put_i128(out, list == 1 ? totals->profiles : list == 2 ? totals->exact : missing, 2);
        }
        ts_buf_puts(out, "]");
    }
}

static void put_head(const struct model *m, struct ts_buf *out)
{
    const char *metric = metrics[m->request->metric];
    bool is_buckets = m->request->kind == TS_QUERY_BUCKETS;
    ts_buf_puts(out, "{");
    if (is_buckets) {
        ts_buf_puts(out, "\"start_time\": ");
        ts_put_seconds(out, m->f->grid.start_time);
        ts_buf_puts(out, ", \"time_slice\": ");
        ts_put_seconds(out, (ts_i128)m->f->grid.time_slice * m->request->factor);
        ts_buf_printf(out, ", \"metric\": \"%s\", \"unit\": \"%s\", ", metric,
                      m->request->metric < 2 ? "seconds" : "calls");
    }
    put_end(m, "from", m->has_from, m->from, out);
    ts_buf_puts(out, ", ");
    put_end(m, "to", m->has_to, m->to, out);
    if (is_buckets) {
        put_lists(m, out);
    } else {
        ts_buf_puts(out, ", \"profiles\": ");
        put_i128(out, m->all.profiles, 2);
        ts_buf_puts(out, ", \"total_tt\": ");
        ts_put_seconds(out, m->all.total_tt);
        ts_buf_printf(out, ", \"metric\": \"%s\"", metric);
    }
}

/* The first row, in the order of the response, that is not shown yet. */
static struct model_row *next_row(struct model *m)
{
    struct model_row *best = NULL;
    for (size_t i = 0; i < m->n_rows; i++) {
        if (!m->rows[i].shown && (!best || model_order(&m->rows[i], best, m->request->metric) < 0))
            best = &m->rows[i];
    }
    assert_non_null(best);
    best->shown = true;
    return best;
}

static void put_rows(struct model *m, struct ts_buf *out)
{
    size_t top = m->request->top;
    size_t n_shown = top && top < m->n_rows ? top : m->n_rows;
    struct model_row other = {0};
    ts_buf_puts(out, ", \"functions\": [");
    for (size_t i = 0; i < n_shown; i++) {
        const struct model_row *row = next_row(m);
        ts_buf_puts(out, i ? ", " : "");
        ts_buf_puts(out, row->key);
        put_model_row(out, m->request, row, m->n_buckets);
    }
    for (size_t i = 0; i < m->n_rows; i++) {
        const struct model_row *row = &m->rows[i];
        for (int j = 0; j < 4 && !row->shown; j++)
            other.totals[j] += row->totals[j];
        for (size_t j = 0; j < m->n_buckets && !row->shown; j++)
            other.values[j] += row->values[j];
    }
    ts_buf_printf(out, "], \"other\": {\"functions\": %zu", m->n_rows - n_shown);
    put_model_row(out, m->request, &other, m->n_buckets);
    ts_buf_puts(out, "}");
}

static void model_response(const struct fixture *f, const struct request *request, struct ts_buf *out)
{
    static struct model m;
    m = (struct model){.f = f, .request = request};
    find_buckets(&m);
    add_up_profiles(&m);
    add_up_facts(&m);
    put_head(&m, out);
    put_rows(&m, out);
}

/* ---- Random stores and queries ---- */

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
            model_response(f, &request, &expected);
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
