/* The format of the file: what is accepted, and the line and reason of an error. */
#include "config_load.h"

struct ini_case {
    const char *text;
    const char *begin; /* of the message: "LINE: " */
    const char *part;  /* of the message */
    size_t len;        /* 0: strlen(text) */
};

static void test_rejected_files(void **state)
{
    (void)state;
    static const struct ini_case cases[] = {
        {"[ingest]\nudp = off\nnonsense\n", "3: ", "name = value", 0},
        {"[ingest]\nudp = x\nnonsense\n", "2: ingest.udp: ", "HOST:PORT", 0},
        {"[ingest]\nnonsense\nudp = x\n", "2: ", "name = value", 0},
        {"[ingest]\nudp = off\nnonsense", "3: ", "name = value", 0},
        {"[ingest]\n= off\n", "2: ", "the name before = is missing", 0},
        {"[ingest\nudp = off\n", "1: ", "the ] of a [section] is missing", 0},
        {"[ingest] udp = off\n", "1: [ingest]", "alone on its line", 0},
        {"[ingest];x\n", "1: [ingest]", "alone on its line", 0},
        {"udp = off\n", "1: udp", "not in a [section]", 0},
        {"[]\nudp = off\n", "1: []", "no such section", 0},
        {"[ingset]\n", "1: [ingset]", "aggregation, ingest, control, store, log", 0},
        {"[ ingest ]\n", "1: [ ingest ]", "no such section", 0},
        {"[Ingest]\n", "1: [Ingest]", "no such section", 0},
        {"[inges]\n", "1: [inges]", "no such section", 0},
        {"[" X50 X50 "]\n", "1: [xxx", "no such section", 0},
        {"[ingest]\n[store]\n\n[stor]\n", "4: [stor]", "no such section", 0},
        {"[ingest]\nudpp = off\n", "2: ingest.udpp", "did you mean ingest.udp?", 0},
        {"[ingest]\nmax_conections = 5\n", "2: ingest.max_conections", "did you mean ingest.max_connections?", 0},
        {"[ingest]\nUDP = off\n", "2: ingest.UDP", "no such key", 0},
        {"[ingest]\npath = x\n", "2: ingest.path", "did you mean store.path?", 0},
        {"[store]\ntime_slice = 1s\n", "2: store.time_slice", "did you mean aggregation.time_slice?", 0},
        {"[ingest]\n" X50 " = 1\n", "2: ingest.xxx", "no such key", 0},
        {"[ingest]\nudp = off\nudp = off\n", "3: ingest.udp", "set twice, first in line 2", 0},
        {"[ingest]\nudp = off\n[store]\n[ingest]\nudp = off\n", "5: ingest.udp", "set twice, first in line 2", 0},
        /* After a second header of a section, an indented line is a key, not a continuation. */
        {"[ingest]\nudp = off\n[ingest]\n udp = off\n", "4: ingest.udp", "set twice, first in line 2", 0},
        {"[ingest]\nudp = off\n  tcp = off\n", "3: ingest.udp", "an indented line", 0},
        {"[ingest]\nudp = off\n  [store]\n", "3: ingest.udp", "an indented line", 0},
        {"[store]\npath = a\n # c\n\n b\n", "5: store.path", "an indented line", 0},
        {"[aggregation]\nretention = 10s:2d\n max_future = off\n", "2: aggregation.retention", "WIDTH:KEEP", 0},
        {"[ingest]\nudp = \"127.0.0.1:0\"\n", "2: ingest.udp", "without quotes", 0},
        {"[store]\npath = 'x'\n", "2: store.path", "without quotes", 0},
        {"[store]\npath = x # my own\n", "2: store.path", "must begin with ;", 0},
        {"[store]\npath = # my own\n", "2: store.path", "must begin with ;", 0},
        {"[store]\npath = ; nothing\n", "2: store.path", "a path", 0},
        {"[store]\npath =\n", "2: store.path", "a path", 0},
        {"[store]\npath = a\0b\n", "2: ", "NUL", sizeof("[store]\npath = a\0b\n") - 1},
        {"[\0s\0t\0", "1: ", "UTF-16", 6},
        {"[store]\npath = a\x1b[2Jb\n", "2: ", "byte 0x1b", 0},
        {"[store]\rpath = a\n", "1: ", "byte 0x0d", 0},
        {"[store]\npath = " X196 "\n", "2: ", "longer than 196 bytes", 0},
        {"[store]\npath = " X196 X196 X196 "\n", "2: ", "longer than", 0},
        {"[log]\nlevel = x\n[store]\npath = " X196 "\n", "2: log.level", "", 0},
        {"[log]\nlevel = x\n[stor]\n", "2: log.level", "", 0},
        {"[log]\nlevel = x\nlevels = " X196 "\n", "2: log.level", "", 0},
        {"[log]\nlevel = x\n\x01\n", "2: log.level", "", 0},
        {"\xEF\xBB\xBF[log]\nlevel = x\n", "2: log.level", "", 0},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        size_t len = cases[i].len ? cases[i].len : strlen(cases[i].text);
        check_message(rejection(cases[i].text, len, NULL), cases[i].begin, cases[i].part);
    }
}

static void test_accepted_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
    } cases[] = {
        {"[store]\npath = x", "x"},
        {"\xEF\xBB\xBF[store]\npath = x", "x"},
        {"  [store]  \n  path = x\n", "x"},
        {"\n\n;c\n#c\n[store] ; c\npath=x;y ; c\n", "x;y"},
        {"[store]\npath = a=b:c\n", "a=b:c"},
        {"[store]\npath: \"a\n", "\"a"},
        {"[store]\npath = a#b\n", "a#b"},
        {"# " X196 X196 X196 "\n[store]\npath = x\n", "x"},
        {"[store]\n[log]\nlevel = info\n[store]\npath = x\n", "x"},
        {"[store]\r\npath = x\r\n\r\n", "x"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct tsd_config config = loaded(cases[i].text, NULL);
        assert_string_equal(config.store.path, cases[i].path);
        tsd_config_deinit(&config);
    }
    /* The longest line. */
    static const char longest[] = "[store]\npath = " X189;
    struct tsd_config config = loaded(longest, NULL);
    assert_int_equal(strlen("path = ") + strlen(config.store.path), 196);
    assert_string_equal(config.store.path + strlen(config.store.path) - 2, "xy");
    tsd_config_deinit(&config);
    /* A list may be longer: it is continued. */
    struct ts_buf list;
    size_t len;
    ts_buf_init(&list);
    ts_buf_puts(&list, "[control]\nallowed_hosts =\n");
    for (int i = 0; i < 100; i++)
        ts_buf_printf(&list, "\thost-%03d.example\n", i);
    char *long_list = ts_buf_steal(&list, &len);
    config = loaded(long_list, NULL);
    assert_int_equal(strlen(config.control.allowed_hosts), 100 * strlen("host-000.example ") - 1);
    assert_non_null(strstr(config.control.allowed_hosts, "host-041.example host-042.example"));
    tsd_config_deinit(&config);
    free(long_list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rejected_files),
        cmocka_unit_test(test_accepted_files),
    };
    return cmocka_run_group_tests_name("config ini", tests, set_up, tear_down);
}
