/* The table of keys, config/timesliced.conf and docs/configuration.md agree. */
#include "config_load.h"

/* Reads a file of the source tree, which is found by the path of this file, or above the working directory. */
static char *read_source(const char *name)
{
    char path[4096];
    FILE *in = NULL;
    const char *here = strstr(__FILE__, "tests/unit/daemon/config/test_keys.c");
    if (here) {
        snprintf(path, sizeof(path), "%.*s%s", (int)(here - __FILE__), __FILE__, name);
        in = fopen(path, "r");
    }
    for (int up = 0; !in && up < 5; up++) {
        snprintf(path, sizeof(path), "%.*s%s", 3 * up, "../../../../", name);
        in = fopen(path, "r");
    }
    if (!in)
        fail_msg("%s is not found: run this from the build folder in the source tree", name);
    struct ts_buf out;
    size_t len;
    ts_buf_init(&out);
    for (int c; (c = getc(in)) != EOF;)
        ts_buf_putc(&out, (char)c);
    fclose(in);
    return ts_buf_steal(&out, &len);
}

/* The text of a cell without code marks and surrounding spaces; "none" and "empty" become "". */
static void plain_cell(const char *cell, size_t len, char *ret_text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        assert_true(n + 1 < size);
        if (cell[i] != '`' && !(cell[i] == ' ' && n == 0))
            ret_text[n++] = cell[i];
    }
    while (n && ret_text[n - 1] == ' ')
        n--;
    ret_text[n] = '\0';
    if (!strcmp(ret_text, "none") || !strcmp(ret_text, "empty"))
        *ret_text = '\0';
}

/* One row for each key, in the table's order: "| `section.key` | default | ...". */
static void test_documentation_agrees(void **state)
{
    (void)state;
    const struct tsd_config_key *keys = tsd_config_keys;
    size_t n = TSD_CONFIG_KEYS, row = 0;
    char *document = read_source("docs/configuration.md");
    char *rest = document;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char key[100], text[300];
        const char *end = strncmp(line, "| `", 3) ? NULL : strstr(line + 2, " | ");
        if (!end)
            continue;
        plain_cell(line + 2, (size_t)(end - line) - 2, key, sizeof(key));
        bool ours = false;
        for (size_t i = 0; i < n && !ours; i++)
            ours = !strncmp(key, keys[i].name, strcspn(keys[i].name, ".") + 1);
        if (!ours)
            continue;
        const char *cell = end + 3;
        const char *cell_end = strstr(cell, " |");
        assert_non_null(cell_end);
        plain_cell(cell, (size_t)(cell_end - cell), text, sizeof(text));
        if (row == n || strcmp(key, keys[row].name))
            fail_msg("docs/configuration.md has %s where the table has %s", key, row < n ? keys[row].name : "no more");
        if (strcmp(text, keys[row].default_text))
            fail_msg("docs/configuration.md: %s has the default \"%s\", the table \"%s\"", key, text,
                     keys[row].default_text);
        row++;
    }
    if (row < n)
        fail_msg("docs/configuration.md lacks %s", keys[row].name);
    free(document);
}

/* Removes the # of "#key = value". In comments a space follows the #. */
static void uncomment(char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        bool begins = p == text || p[-1] == '\n';
        if (!(begins && *p == '#' && p[1] >= 'a' && p[1] <= 'z'))
            *out++ = *p;
    }
    *out = '\0';
}

/* The sample sets nothing; without the #, it sets every key to its default, in the order of the table. */
static void test_sample_agrees(void **state)
{
    (void)state;
    const struct tsd_config_key *keys = tsd_config_keys;
    size_t n = TSD_CONFIG_KEYS, row = 0;
    struct tsd_config defaults = loaded("", NULL);
    char *text = read_source("config/timesliced.conf");
    struct tsd_config config = loaded(text, NULL);
    assert_same(&defaults, &config);
    tsd_config_deinit(&config);

    uncomment(text);
    config = loaded(text, NULL);
    assert_same(&defaults, &config);

    char section[64] = "";
    char *rest = text;
    bool marked = false, in_comment = false;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char name[100];
        if (*line == '#') {
            marked = (in_comment && marked) || strstr(line, "[reload]");
            in_comment = true;
            continue;
        }
        in_comment = false;
        if (*line == '[') {
            snprintf(section, sizeof(section), "%.*s", (int)strcspn(line + 1, "]"), line + 1);
        } else if (*line) {
            const char *value = strstr(line, " =");
            assert_non_null(value);
            snprintf(name, sizeof(name), "%s.%.*s", section, (int)(value - line), line);
            if (row == n || strcmp(name, keys[row].name))
                fail_msg("the sample has %s where the table has %s", name, row < n ? keys[row].name : "no more");
            char *value_now = value_of(&defaults, name);
            value += 2 + (value[2] == ' ');
            /* A default that depends on other values: compare the value. */
            const char *expected = strpbrk(keys[row].default_text, "$<") ? value_now : keys[row].default_text;
            if (strcmp(value, expected))
                fail_msg("the sample: %s = %s, but it is %s", name, value, expected);
            if (marked != keys[row].reloadable)
                fail_msg("the sample: %s is%s marked [reload]", name, marked ? "" : " not");
            free(value_now);
            row++;
        }
    }
    if (row < n)
        fail_msg("the sample lacks %s", keys[row].name);
    free(text);
    tsd_config_deinit(&config);
    tsd_config_deinit(&defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documentation_agrees),
        cmocka_unit_test(test_sample_agrees),
    };
    return cmocka_run_group_tests_name("config keys", tests, set_up, tear_down);
}
