/*
 * Deletions against a naive model: rows of every level, and the counts.
 */
#include "lib/store/connection.h"
#include "lib/store/delete.h"
#include "tests/unit/lib/store/store_model.h"

static const int retention[] = {10, 300, 30, 1500, 180, 20000, 0};

/* Locations and label sets are given as bits: 1 << (number - 1). */
struct choice {
    int64_t from;
    int64_t to;
    unsigned locations;
    unsigned label_sets;
    bool profiles;
};

static struct ts_deletion *make(const struct choice *choice, bool dry_run)
{
    static const uint32_t function_of[MODEL_LOCATIONS] = {0, 0, 1, 2}; /* a, _a, b, c */
    uint32_t locations[MODEL_LOCATIONS], functions[MODEL_LOCATIONS], label_sets[MODEL_LABEL_SETS];
    struct ts_deletion_selection selection = {.from = choice->from,
                                              .to = choice->to,
                                              .locations = locations,
                                              .functions = functions,
                                              .n_functions = 3,
                                              .label_sets = label_sets,
                                              .profiles = choice->profiles,
                                              .dry_run = dry_run};
    for (uint32_t i = 0; i < MODEL_LOCATIONS; i++) {
        if (choice->locations & 1U << i) {
            functions[selection.n_locations] = function_of[i];
            locations[selection.n_locations++] = i + 1;
        }
    }
    for (uint32_t i = 0; i < MODEL_LABEL_SETS; i++) {
        if (choice->label_sets & 1U << i)
            label_sets[selection.n_label_sets++] = i + 1;
    }
    struct ts_deletion *deletion = NULL;
    assert_int_equal(ts_deletion_new(&selection, &deletion), 0);
    return deletion;
}

/* Runs all steps. */
static struct ts_deletion_counts run(struct model *m, const struct choice *choice, bool dry_run, uint32_t rows)
{
    struct ts_deletion *deletion = make(choice, dry_run);
    bool more = true;
    for (int steps = 0; more; steps++) {
        assert_true(steps < 10000);
        if (ts_deletion_step(deletion, m->store, rows, &more, &m->f->error))
            fail_msg("%s", m->f->error.message);
    }
    struct ts_deletion_counts counts = *ts_deletion_result(deletion);
    ts_deletion_free(deletion);
    return counts;
}

/* The SQL condition for the model's rows: time and label sets. */
static char *condition(const struct choice *choice)
{
    return sqlite3_mprintf("position >= %lld AND position < %lld AND (%u >> (labels - 1)) & 1", choice->from,
                           choice->to, choice->label_sets);
}

static void expect_counts(struct model *m, const struct choice *choice, const struct ts_deletion_counts *counts)
{
    char *heads = condition(choice);
    char *sums = sqlite3_mprintf("%s AND (%u >> (location - 1)) & 1", heads, choice->locations);
    const char *functions = "CASE location WHEN 2 THEN 1 ELSE location END";
    assert_int_equal(counts->functions,
                     model_count(m, "SELECT count(DISTINCT %s) FROM deltas WHERE %s", functions, sums));
    assert_int_equal(
        counts->label_sets,
        model_count(m,
                    "SELECT count(*) FROM (SELECT labels FROM deltas WHERE %s UNION SELECT labels FROM heads WHERE %s"
                    " AND %d)",
                    sums, heads, choice->profiles));
    assert_true(counts->cumtime == model_count(m, "SELECT total(cumtime) FROM deltas WHERE %s", sums));
    assert_true(counts->tottime == model_count(m, "SELECT total(tottime) FROM deltas WHERE %s", sums));
    assert_true(counts->ncalls == model_count(m, "SELECT total(ncalls) FROM deltas WHERE %s", sums));
    assert_true(counts->pcalls == model_count(m, "SELECT total(pcalls) FROM deltas WHERE %s", sums));
    assert_true(counts->profiles ==
                model_count(m, "SELECT total(profiles) FROM heads WHERE %s AND %d", heads, choice->profiles));
    sqlite3_free(heads);
    sqlite3_free(sums);
}

static void delete_from_model(struct model *m, const struct choice *choice)
{
    char *heads = condition(choice);
    model_execute(m, "DELETE FROM deltas WHERE %s AND (%u >> (location - 1)) & 1", heads, choice->locations);
    if (choice->profiles)
        model_execute(m, "DELETE FROM heads WHERE %s", heads);
    sqlite3_free(heads);
}

static void fill(struct model *m, int64_t ages, int n)
{
    for (int i = 0; i < n; i++)
        model_add(m, m->horizon / (10 * S) - (int64_t)model_random(m, (uint64_t)ages),
                  1 + (uint32_t)model_random(m, MODEL_LABEL_SETS), 1 + (uint32_t)model_random(m, MODEL_LOCATIONS),
                  (int64_t)model_random(m, 1000) - 500);
    model_commit(m);
}

/* Random selections in a store of which the finer levels are pruned, so that wide buckets have finer parts. */
static void deletes_what_the_model_deletes(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 11);
    for (int round = 0; round < 60; round++) {
        fill(&m, 150, 25);
        m.horizon += (int64_t)model_random(&m, 300) * S;
        while (model_maintain(&m, 50).more)
            ;
        model_forget_pruned(&m);
        int64_t here = m.horizon / (10 * S) / 18 * 18; /* an end of a bucket of the widest level */
        struct choice choice = {.from = here - 18 * (int64_t)model_random(&m, 12),
                                .label_sets = (unsigned)model_random(&m, 8),
                                .locations = (unsigned)model_random(&m, 16),
                                .profiles = model_random(&m, 2)};
        choice.to = choice.from + 18 * (int64_t)model_random(&m, 6);
        if (choice.profiles) /* profiles are deleted only together with all of their locations */
            choice.locations = 15;
        struct ts_deletion_counts dry = run(&m, &choice, true, 1);
        model_expect_equal(&m);
        struct ts_deletion_counts counts = run(&m, &choice, false, 1 + (uint32_t)model_random(&m, 100));
        assert_memory_equal(&dry, &counts, sizeof(dry));
        expect_counts(&m, &choice, &counts);
        delete_from_model(&m, &choice);
        model_expect_equal(&m);
    }
    model_end(&m);
}

/* After each step of a deletion every level still has the sums of the finer ones. */
static void levels_agree_after_each_step(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 12);
    fill(&m, 25, 200);
    struct choice choice = {.from = 0, .to = 20000, .locations = 5, .label_sets = 7};
    struct ts_deletion *deletion = make(&choice, false);
    bool more = true;
    int steps = 0;
    int64_t before = INT64_MAX;
    while (more) {
        assert_int_equal(ts_deletion_step(deletion, m.store, 1, &more, &m.f->error), 0);
        steps++;
        int64_t calls = model_count(&m, "SELECT sum(ncalls) FROM s.sums WHERE level = 0");
        assert_true(calls <= before);
        before = calls;
        assert_int_equal(model_count(&m,
                                     "SELECT count(DISTINCT n) FROM (SELECT sum(ncalls) AS n FROM s.sums WHERE level"
                                     " IN (0, 1, 2) GROUP BY level)"),
                         1);
    }
    assert_true(steps > 15);
    ts_deletion_free(deletion);
    delete_from_model(&m, &choice);
    model_expect_equal(&m);
    model_end(&m);
}

/* Names that are added while a deletion is under way are not selected. */
static void new_names_are_not_selected(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 13);
    fill(&m, 20, 50);
    struct choice choice = {.from = 0, .to = 20000, .locations = 15, .label_sets = 7, .profiles = true};
    struct ts_deletion *deletion = make(&choice, false);
    struct ts_location d = name("d", NULL, -1);
    add(m.f, 9999, 1, 5, 77, 0, 1, 1);
    commit_ok(m.f, m.store, &d, 1, 5);
    bool more = true;
    while (more)
        assert_int_equal(ts_deletion_step(deletion, m.store, 10, &more, &m.f->error), 0);
    ts_deletion_free(deletion);
    expect_sql(m.f, "SELECT DISTINCT location, cumtime FROM sums", "5|77");
    expect_sql(m.f, "SELECT count(*) FROM profiles", "0");
    model_end(&m);
}

/* A wide row at its bound is summed again from a finer level; if none has all of it, it stays at the bound. */
static void saturated_rows(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 14);
    model_add(&m, 9990, 1, 1, 0); /* with the names */
    model_commit(&m);
    uint64_t saturated;
    add(m.f, 9990, 2, 1, INT64_MAX, 5, 1, 1);
    add(m.f, 9991, 2, 1, 7, 5, 1, 1);
    assert_int_equal(commit(m.f, m.store, NULL, 0, 0, &saturated), 0);
    ts_counters_clear(&m.f->counters);
    struct choice choice = {.from = 9990, .to = 9991, .locations = 1, .label_sets = 2};
    run(&m, &choice, false, 100);
    expect_sql(m.f, "SELECT level, cumtime, tottime, ncalls FROM sums WHERE location = 1 AND labels = 2 AND level < 3",
               "0|7|5|1\n1|7|5|1\n2|7|5|1");
    /* The level below is pruned in the first part of the wide bucket: there is no source. */
    add(m.f, 10005, 2, 4, 5, 6, 7, 8);
    add(m.f, 9990, 2, 4, INT64_MAX, 1, 1, 1);
    assert_int_equal(commit(m.f, m.store, NULL, 0, 0, &saturated), 0);
    ts_counters_clear(&m.f->counters);
    m.horizon = 101490 * S;
    while (model_maintain(&m, 50).more)
        ;
    expect_sql(m.f, "SELECT level, bucket FROM sums WHERE location = 4 AND level < 3", "1|3335\n2|555");
    choice = (struct choice){.from = 10005, .to = 10008, .locations = 8, .label_sets = 2};
    run(&m, &choice, false, 100);
    expect_sql(m.f,
               "SELECT level, cumtime = 9223372036854775807, tottime, ncalls FROM sums WHERE location = 4 AND level"
               " < 3",
               "2|1|1|1");
    model_end(&m);
}

/* A row of zeros refers to a name, in every level and as long as a finer level has one. */
static void rows_of_zeros(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 17);
    model_add(&m, 9000, 1, 4, 1); /* with the names */
    model_commit(&m);
    add(m.f, 9990, 2, 1, 0, 0, 0, 0);
    add(m.f, 9992, 2, 1, 0, 0, 0, 0);
    commit_ok(m.f, m.store, NULL, 0, 0);
    struct choice choice = {.from = 9990, .to = 9991, .locations = 1, .label_sets = 2};
    run(&m, &choice, false, 100);
    expect_sql(m.f, "SELECT level, bucket FROM sums WHERE labels = 2", "0|9992\n1|3330\n2|555");
    choice.to = 9993;
    run(&m, &choice, false, 100);
    expect_sql(m.f, "SELECT count(*) FROM sums WHERE labels = 2", "0");
    model_end(&m);
}

/* An internal level is built up to the middle of one of its buckets. The later rows are not in it, so they keep
   no row of zeros in it. */
static void partly_built_bucket(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 16); /* built up to position 9990 */
    model_add(&m, 9989, 1, 1, 5);
    model_add(&m, 9990, 1, 1, 6);
    model_commit(&m);
    expect_sql(m.f, "SELECT level, bucket, cumtime FROM sums WHERE level > 1", "2|554|5\n2|555|6\n3|27|5");
    struct choice choice = {.from = 9972, .to = 10008, .locations = 1, .label_sets = 1, .profiles = true};
    run(&m, &choice, false, 100);
    expect_sql(m.f, "SELECT count(*) FROM sums", "0");
    expect_sql(m.f, "SELECT count(*) FROM profiles", "0");
    model_end(&m);
}

/* Every wider level has exactly the rows that level 0 sums up to, as far as it is built. */
static void expect_levels_agree(struct model *m)
{
    const struct ts_levels *levels = ts_store_levels(m->store);
    for (size_t i = 1; i < levels->n; i++) {
        const struct ts_level *wide = &levels->items[i];
        int64_t end = ts_level_built_to(levels, wide);
        char *sums =
            sqlite3_mprintf("SELECT bucket / %lld, labels, location, sum(cumtime), sum(tottime), sum(ncalls),"
                            " sum(pcalls) FROM s.sums WHERE level = 0 AND bucket / %lld < %lld GROUP BY 1, 2, 3",
                            wide->ratio, wide->ratio, end);
        char *stored = sqlite3_mprintf("SELECT bucket, labels, location, cumtime, tottime, ncalls, pcalls FROM s.sums"
                                       " WHERE level = %lld AND bucket < %lld",
                                       wide->id, end);
        int64_t n =
            model_count(m, "SELECT (SELECT count(*) FROM (%s EXCEPT %s)) + (SELECT count(*) FROM (%s EXCEPT %s))", sums,
                        stored, stored, sums);
        if (n)
            fail_msg("level %d: %d rows differ", (int)wide->id, (int)n);
        sqlite3_free(sums);
        sqlite3_free(stored);
    }
}

/* Data is received between the steps, also rows of zeros, which refer to names and must not be deleted with the rest.
 */
static void data_during_a_deletion(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 18);
    fill(&m, 25, 10);
    for (int round = 0; round < 40; round++) {
        for (int64_t position = 9950; position < 10008; position += 1 + (int64_t)model_random(&m, 4)) {
            bool zeros = model_random(&m, 2);
            add(m.f, position, 1 + (uint32_t)model_random(&m, 3), 1 + (uint32_t)model_random(&m, 4), zeros ? 0 : 5, 0,
                zeros ? 0 : 3, 0);
        }
        commit_ok(m.f, m.store, NULL, 0, 0);
        struct choice choice = {.from = 9950 + (int64_t)model_random(&m, 20),
                                .to = 9975 + (int64_t)model_random(&m, 20),
                                .locations = 1 + (unsigned)model_random(&m, 15),
                                .label_sets = 1 + (unsigned)model_random(&m, 7)};
        struct ts_deletion *deletion = make(&choice, false);
        bool more = true;
        while (more) {
            uint32_t rows = 1 + (uint32_t)model_random(&m, 60);
            assert_int_equal(ts_deletion_step(deletion, m.store, rows, &more, &m.f->error), 0);
            if (model_random(&m, 3) == 0) {
                bool zeros = model_random(&m, 2);
                add(m.f, 9950 + (int64_t)model_random(&m, 58), 1 + (uint32_t)model_random(&m, 3),
                    1 + (uint32_t)model_random(&m, 4), zeros ? 0 : 7, 0, zeros ? 0 : 1, 0);
                commit_ok(m.f, m.store, NULL, 0, 0);
            }
        }
        ts_deletion_free(deletion);
        expect_levels_agree(&m);
    }
    model_end(&m);
}

/* A commit between two steps lets level 0 forget buckets that a saturated row is being summed from: the row is exact or
   stays at its bound, after whichever step the commit comes. */
static void source_is_pruned_meanwhile(void **state)
{
    static const int two_levels[] = {10, 3600, 180, 1000000, 0};
    struct fixture *f = *state;
    bool more = true;
    for (int at = 0; more; at++) {
        struct model m;
        uint64_t saturated;
        unlink(f->path);
        model_start(&m, f, two_levels, 97000 * S, 20);
        model_add(&m, 9400, 1, 4, 0); /* with the names */
        model_commit(&m);
        for (int64_t position = 9630; position < 9648; position++)
            add(f, position, 2, 1, position == 9630 ? INT64_MAX : 7, 0, 1, 1);
        assert_int_equal(commit(f, m.store, NULL, 0, 0, &saturated), 0);
        ts_counters_clear(&f->counters);
        struct choice choice = {.from = 9630, .to = 9631, .locations = 1, .label_sets = 2};
        struct ts_deletion *deletion = make(&choice, false);
        more = true;
        for (int step = 0; more; step++) {
            assert_true(step < 1000);
            if (step == at) {
                m.horizon = 100000 * S; /* level 0 keeps what is after 9640 */
                model_add(&m, 9600, 1, 3, 1);
                model_commit(&m);
            }
            assert_int_equal(ts_deletion_step(deletion, m.store, 1, &more, &f->error), 0);
            if (!more && step < at)
                at = -1; /* the last one: the commit came after the end */
        }
        ts_deletion_free(deletion);
        int64_t sum = model_count(&m, "SELECT cumtime FROM s.sums WHERE level = 1 AND labels = 2 AND location = 1");
        if (sum != 17 * 7 && sum != INT64_MAX)
            fail_msg("a commit after step %d: %lld", at, (long long)sum);
        more = at >= 0;
        model_end(&m);
    }
}

static int count_instructions(void *n)
{
    ++*(int64_t *)n;
    return 0;
}

/*
 * A long level of narrow buckets with many names in one of them, as 1s:2y has: the step that deletes that bucket, and
 * the check of the wide buckets around it, are divided.
 */
static void steps_are_bounded(void **state)
{
    enum { NAMES = 3000, HUNDREDS_MAX = 2000 };
    static const int long_retention[] = {10, 50000000, 0};
    struct model m;
    static struct ts_location locations[NAMES];
    static char names[NAMES][8];
    struct ts_location labels = name("{}", NULL, -1);
    model_start(&m, *state, long_retention, 100000000 * S, 19);
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof(names[i]), "f%d", i);
        locations[i] = name(names[i], NULL, -1);
    }
    int64_t begin = 9000000 / 360 * 360; /* an hour that is over */
    for (int64_t position = begin; position < begin + 360; position++)
        add(m.f, position, 1, 1, 1, 1, 1, 1);
    for (uint32_t i = 1; i < NAMES; i++)
        add(m.f, begin + 100, 1, i + 1, 5, 5, 5, 5);
    struct ts_store_batch batch = {.counters = &m.f->counters,
                                   .horizon = m.horizon,
                                   .locations = locations,
                                   .n_locations = NAMES,
                                   .first_location = 1,
                                   .label_sets = &labels,
                                   .n_label_sets = 1,
                                   .first_label_set = 1};
    uint64_t saturated;
    assert_int_equal(ts_store_commit(m.store, &batch, &saturated, &m.f->error), 0);
    while (model_maintain(&m, 5000).more)
        ;
    expect_sql(m.f, "SELECT count(DISTINCT level) FROM sums", "5");
    uint32_t ids[NAMES], functions[NAMES], label_sets[] = {1};
    for (uint32_t i = 0; i < NAMES; i++) {
        ids[i] = i + 1;
        functions[i] = i;
    }
    struct ts_deletion_selection selection = {.from = begin + 100,
                                              .to = begin + 101,
                                              .locations = ids,
                                              .functions = functions,
                                              .n_locations = NAMES,
                                              .n_functions = NAMES,
                                              .label_sets = label_sets,
                                              .n_label_sets = 1};
    struct ts_deletion *deletion;
    assert_int_equal(ts_deletion_new(&selection, &deletion), 0);
    bool more = true;
    int64_t most = 0;
    while (more) {
        int64_t n = 0;
        sqlite3_progress_handler(m.store->db, 100, count_instructions, &n);
        assert_int_equal(ts_deletion_step(deletion, m.store, 1000, &more, &m.f->error), 0);
        most = n > most ? n : most;
    }
    sqlite3_progress_handler(m.store->db, 0, NULL, NULL);
    assert_true(most > 0 && most < HUNDREDS_MAX);
    assert_int_equal(ts_deletion_result(deletion)->rows, NAMES);
    ts_deletion_free(deletion);
    expect_sql(m.f, "SELECT level, count(*), sum(ncalls) FROM sums GROUP BY level",
               "0|359|359\n1|1|359\n2|1|359\n3|1|359\n4|1|359");
    model_end(&m);
}

/* Few rows are rechecked against a bucket with very many others of the same label set. */
static void recheck_seeks_in_large_buckets(void **state)
{
    enum { NAMES = 20000, SELECTED = 40, HUNDREDS_MAX = 500 };
    struct model m;
    struct ts_location *locations = calloc(NAMES, sizeof(*locations));
    char(*names)[8] = calloc(NAMES, sizeof(*names));
    struct ts_location labels = name("{}", NULL, -1);
    model_start(&m, *state, retention, 100000 * S, 21);
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof(names[i]), "f%d", i);
        locations[i] = name(names[i], NULL, -1);
    }
    uint32_t ids[SELECTED], functions[SELECTED], label_sets[] = {1};
    for (uint32_t i = 0; i < NAMES; i++) {
        bool selected = i % (NAMES / SELECTED) == 0;
        if (selected) {
            ids[i / (NAMES / SELECTED)] = i + 1;
            functions[i / (NAMES / SELECTED)] = i / (NAMES / SELECTED);
        }
        add(m.f, selected ? 9990 : 9991, 1, i + 1, 1, 1, 1, 1);
    }
    struct ts_store_batch batch = {.counters = &m.f->counters,
                                   .horizon = m.horizon,
                                   .locations = locations,
                                   .n_locations = NAMES,
                                   .first_location = 1,
                                   .label_sets = &labels,
                                   .n_label_sets = 1,
                                   .first_label_set = 1};
    uint64_t saturated;
    assert_int_equal(ts_store_commit(m.store, &batch, &saturated, &m.f->error), 0);
    struct ts_deletion_selection selection = {.from = 9990,
                                              .to = 9991,
                                              .locations = ids,
                                              .functions = functions,
                                              .n_locations = SELECTED,
                                              .n_functions = SELECTED,
                                              .label_sets = label_sets,
                                              .n_label_sets = 1};
    struct ts_deletion *deletion;
    assert_int_equal(ts_deletion_new(&selection, &deletion), 0);
    bool more = true;
    int64_t most = 0;
    while (more) {
        int64_t n = 0;
        sqlite3_progress_handler(m.store->db, 100, count_instructions, &n);
        assert_int_equal(ts_deletion_step(deletion, m.store, 500, &more, &m.f->error), 0);
        most = n > most ? n : most;
    }
    sqlite3_progress_handler(m.store->db, 0, NULL, NULL);
    ts_deletion_free(deletion);
    if (most >= HUNDREDS_MAX)
        fail_msg("a step took %lld hundred instructions", (long long)most);
    expect_sql(m.f, "SELECT level, count(*) FROM sums WHERE level < 3 GROUP BY level", "0|19960\n1|19960\n2|19960");
    free(locations);
    free(names);
    model_end(&m);
}

/* A step that fails deletes nothing. */
static void failed_step_deletes_nothing(void **state)
{
    struct model m;
    model_start(&m, *state, retention, 100000 * S, 15);
    fill(&m, 20, 50);
    sqlite3 *db = shell(m.f);
    execute(db, "CREATE TRIGGER bad BEFORE UPDATE ON sums WHEN old.level = 2 BEGIN SELECT RAISE(ABORT, 'test'); END");
    struct choice choice = {.from = 0, .to = 20000, .locations = 15, .label_sets = 7, .profiles = true};
    struct ts_deletion *deletion = make(&choice, false);
    bool more = true;
    assert_int_equal(ts_deletion_step(deletion, m.store, 1000, &more, &m.f->error), TS_ESTORE);
    assert_non_null(strstr(m.f->error.message, "cannot delete: test"));
    ts_deletion_free(deletion);
    execute(db, "DROP TRIGGER bad");
    sqlite3_close(db);
    model_expect_equal(&m);
    run(&m, &choice, false, 1000);
    delete_from_model(&m, &choice);
    model_expect_equal(&m);
    expect_sql(m.f, "SELECT count(*) FROM sums", "0");
    assert_null(ts_deletion_free(NULL));
    model_end(&m);
}

/* Widths that do not divide each other, as while a level is retired. */
static void impossible_while_widths_do_not_divide(void **state)
{
    (void)state;
    struct ts_levels levels = {.n = 3, .items = {{.ratio = 1}, {.ratio = 4}, {.ratio = 12}}};
    assert_true(ts_deletion_possible(&levels));
    levels.items[1].ratio = 5;
    assert_false(ts_deletion_possible(&levels));
    levels.items[2].kind = TS_LEVEL_DEAD;
    assert_true(ts_deletion_possible(&levels));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(deletes_what_the_model_deletes),
        T(levels_agree_after_each_step),
        T(new_names_are_not_selected),
        T(saturated_rows),
        T(rows_of_zeros),
        T(partly_built_bucket),
        T(data_during_a_deletion),
        T(source_is_pruned_meanwhile),
        T(steps_are_bounded),
        T(recheck_seeks_in_large_buckets),
        T(failed_step_deletes_nothing),
        T(impossible_while_widths_do_not_divide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
