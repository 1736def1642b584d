"""Tests of script/check-arrows: it passes a small clean tree, and reports each kind of offence in it by file and line.

The C rules are tested with the real WINGS. PYTHON_WINGS is replaced by a small table, because the division of
python/timesliced changes more often.
"""
import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "script" / "check-arrows"


def load_script():
    loader = importlib.machinery.SourceFileLoader("check_arrows", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_arrows", loader))
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
check_arrows = load_script()

PYTHON_WINGS = {
    "": ("sending", "reading/control.py"),
    "worker.py": ("sending",),
    "sending": (),
    "reading": (),
}

# One file per folder; each include is one that its folder may use.
CLEAN = {
    "lib/base/error.h": "#include <stdint.h>\n",
    "lib/base/buf.h": '#include "lib/base/error.h"\n',
    "lib/base/buf.c": '#include "lib/base/buf.h"\n\n#include <string.h>\n',
    "lib/aggregate/intern.h": '#include "lib/base/buf.h"\n',
    "lib/aggregate/grid.h": '#include "lib/base/buf.h"\n',
    "lib/profile/decode.c": '#include "lib/aggregate/intern.h"\n#include "lib/base/error.h"\n',
    "lib/store/store.h": '#include "lib/aggregate/grid.h"\n',
    "lib/store/open.c": '#include "lib/store/store.h"\n\n#include <sqlite3.h>\n',
    "lib/query/query.c": '#include "lib/store/store.h"\n',
    "daemon/base/log.h": "#include <uv.h>\n",
    "daemon/ingest/rejects.h": '#include "daemon/base/log.h"\n',
    "daemon/ingest/thread.h": '#include "daemon/base/log.h"\n',
    "daemon/control/status.c": '#include "daemon/ingest/rejects.h"\n#include <microhttpd.h>\n',
    "daemon/main.c": '#include "daemon/base/log.h"\n#include <time.h>\n',
    "ctl/main.c": "#include <curl/curl.h>\n#include <cjson/cJSON.h>\n",
    "python/timesliced/__init__.py": "from .client import Client\n",
    "python/timesliced/client.py": "import json\nfrom timesliced.sending import queue\nfrom .reading import control\n",
    "python/timesliced/plot.py": "import matplotlib.pyplot\n",
    "python/timesliced/sending/__init__.py": "",
    "python/timesliced/sending/queue.py": "import socket\n",
    "python/timesliced/reading/__init__.py": "",
    "python/timesliced/reading/control.py": "import http.client\n",
    "python/timesliced/reading/results.py": "",
}


class TreeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="timesliced-arrows-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        patch = mock.patch.object(check_arrows, "PYTHON_WINGS", PYTHON_WINGS)
        patch.start()
        self.addCleanup(patch.stop)

    def write(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run_script(self):
        """(exit code, lines printed)."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = check_arrows.main([str(self.root)])
        return code, output.getvalue().splitlines()

    def assert_clean(self, files):
        self.write({**CLEAN, **files})
        self.assertEqual(self.run_script(), (0, []))

    def assert_offence(self, files, *expected):
        """The clean tree with these files has exactly these offences; each is given by the beginning of its line."""
        self.write({**CLEAN, **files})
        code, lines = self.run_script()
        self.assertEqual(code, 1)
        self.assertEqual(len(lines), len(expected), lines)
        for line, begin in zip(lines, expected):
            self.assertEqual(line[:len(begin)], begin)


class Trees(TreeTest):
    def test_clean_tree_passes(self):
        self.assert_clean({})

    def test_tree_without_sources_fails(self):
        code, lines = self.run_script()
        self.assertEqual((code, lines), (1, [f"{self.root}: no sources found"]))

    def test_only_sources_count(self):
        self.write({"lib/base/meson.build": "", "lib/base/notes.txt": "", "docs/a.c": '#include "x.h"\n'})
        self.assertEqual(self.run_script()[0], 1)

    def test_all_offences_are_reported(self):
        self.assert_offence({"lib/base/a.c": '#include "lib/store/store.h"\n#include <curl/curl.h>\n',
                             "lib/base/b.c": "int f(void) { exit(1); }\n"},
                            'lib/base/a.c:1: lib/base/ must not include "lib/store/store.h"',
                            "lib/base/a.c:2: lib/base/ must not include <curl/curl.h>",
                            "lib/base/b.c:1: lib/ must not use exit")

    def test_script_as_a_program(self):
        self.write({"lib/base/a.c": "\n\n#include <sqlite3.h>\n"})
        done = subprocess.run([SCRIPT, self.root], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, "lib/base/a.c:3: lib/base/ must not include <sqlite3.h> "
                          "(libraries it may include: none)\n", ""))
        self.write({"lib/base/a.c": "#include <string.h>\n"})
        done = subprocess.run([SCRIPT, self.root], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


class Includes(TreeTest):
    def test_include_against_the_arrows(self):
        for name, header, may in (
                ("lib/base/a.c", "lib/aggregate/grid.h", "no other folder"),
                ("lib/aggregate/a.h", "lib/store/store.h", "lib/base"),
                ("lib/store/a.c", "lib/query/query.h", "lib/aggregate, lib/base"),
                ("daemon/ingest/a.c", "daemon/write/writer.h", ""),
                ("daemon/config/a.c", "lib/store/store.h", ""),
                ("ctl/show/a.c", "ctl/http.h", "ctl/args, ctl/base"),
                ("ctl/a.c", "lib/base/buf.h", "")):
            with self.subTest(name):
                self.write({header: ""})
                self.assert_offence({name: f'#include <stdio.h>\n#include "{header}"\n'},
                                    f'{name}:2: {name.rpartition("/")[0]}/ must not include "{header}" '
                                    f"(it may include {may}")
                (self.root / name).unlink()

    def test_folder_of_which_one_header_is_allowed(self):
        self.assert_clean({"lib/profile/a.c": '#include "lib/aggregate/intern.h"\n',
                           "daemon/control/a.c": '#include "daemon/ingest/rejects.h"\n'})
        self.assert_offence({"lib/profile/a.c": '#include "lib/aggregate/grid.h"\n',
                             "daemon/control/a.c": '#include "daemon/ingest/thread.h"\n'},
                            'lib/profile/a.c:1: lib/profile/ must not include "lib/aggregate/grid.h"',
                            'daemon/control/a.c:1: daemon/control/ must not include "daemon/ingest/thread.h"')

    def test_parent_folder_inherits_nothing(self):
        self.assert_offence({"daemon/a.c": '#include "lib/profile/decode.h"\n', "lib/profile/decode.h": ""},
                            'daemon/a.c:1: daemon/ must not include "lib/profile/decode.h"')

    def test_unknown_library(self):
        self.assert_offence({"daemon/base/a.c": "#include <glib.h>\n"},
                            "daemon/base/a.c:1: daemon/base/ must not include <glib.h> "
                            "(libraries it may include: uv.h)")

    def test_library_of_another_folder(self):
        self.assert_offence({"lib/query/a.c": "#include <sqlite3.h>\n"},
                            "lib/query/a.c:1: lib/query/ must not include <sqlite3.h> (libraries it may include: none)")

    def test_missing_header(self):
        self.assert_offence({"lib/base/a.c": '#include "lib/base/absent.h"\n'},
                            'lib/base/a.c:1: "lib/base/absent.h" is not a file (includes are named from the root)')

    def test_header_that_is_not_named_from_the_root(self):
        self.assert_offence({"lib/base/a.c": '#include "buf.h"\n'}, 'lib/base/a.c:1: "buf.h" is not a file')
        self.assert_offence({"lib/base/a.c": '#include "../base/buf.h"\n'},
                            'lib/base/a.c:1: "../base/buf.h" is not a file')

    def test_detour_through_an_allowed_folder(self):
        self.assert_offence({"lib/query/a.c": '#include "lib/store/../profile/x.h"\n', "lib/profile/x.h": ""},
                            'lib/query/a.c:1: lib/query/ must not include "lib/store/../profile/x.h"')

    def test_spaces_and_conditions_hide_no_include(self):
        self.assert_offence({"lib/base/a.c": '#ifdef X\n  #  include  "lib/store/store.h"\n#endif\n'},
                            'lib/base/a.c:2: lib/base/ must not include "lib/store/store.h"')

    def test_folder_that_is_not_in_wings(self):
        self.assert_offence({"lib/new/a.c": "", "daemon/control/v2/a.c": "", "lib/a.c": ""},
                            "lib/a.c:1: lib/ is not in WINGS",
                            "lib/new/a.c:1: lib/new/ is not in WINGS",
                            "daemon/control/v2/a.c:1: daemon/control/v2/ is not in WINGS")


class Circles(TreeTest):
    def test_source_and_its_own_header_are_one_module(self):
        self.assert_clean({"lib/base/a.h": "", "lib/base/a.c": '#include "lib/base/a.h"\n'})

    def test_circle_of_two_headers(self):
        self.assert_offence({"lib/base/a.h": '#include "lib/base/b.h"\n',
                             "lib/base/b.h": '\n#include "lib/base/a.h"\n'},
                            "lib/base/b.h:2: circle: lib/base/a -> lib/base/b -> lib/base/a")

    def test_circle_that_passes_through_a_source(self):
        self.assert_offence({"daemon/base/a.h": "",
                             "daemon/base/a.c": '#include "daemon/base/a.h"\n#include "daemon/base/b.h"\n',
                             "daemon/base/b.h": "",
                             "daemon/base/b.c": '#include "daemon/base/b.h"\n#include "daemon/base/a.h"\n'},
                            "daemon/base/b.c:2: circle: daemon/base/a -> daemon/base/b -> daemon/base/a")

    def test_circle_of_three(self):
        self.assert_offence({"ctl/show/a.h": '#include "ctl/show/b.h"\n',
                             "ctl/show/b.h": '#include "ctl/show/c.h"\n',
                             "ctl/show/c.h": '#include "ctl/show/a.h"\n'},
                            "ctl/show/c.h:1: circle: ctl/show/a -> ctl/show/b -> ctl/show/c -> ctl/show/a")

    def test_two_circles_are_both_reported(self):
        self.assert_offence({"ctl/show/a.h": '#include "ctl/show/b.h"\n',
                             "ctl/show/b.h": '#include "ctl/show/a.h"\n#include "ctl/show/c.h"\n',
                             "ctl/show/c.h": '#include "ctl/show/b.h"\n'},
                            "ctl/show/b.h:1: circle: ctl/show/a -> ctl/show/b -> ctl/show/a",
                            "ctl/show/c.h:1: circle: ctl/show/b -> ctl/show/c -> ctl/show/b")

    def test_two_paths_to_one_header_are_no_circle(self):
        self.assert_clean({"ctl/show/a.h": '#include "ctl/show/b.h"\n#include "ctl/show/c.h"\n',
                           "ctl/show/b.h": '#include "ctl/show/d.h"\n',
                           "ctl/show/c.h": '#include "ctl/show/d.h"\n',
                           "ctl/show/d.h": ""})

    def test_circle_in_the_table(self):
        with mock.patch.dict(check_arrows.WINGS, {"lib/aggregate": (("lib/base", "lib/profile/decode.h"), ())}):
            self.assert_offence({}, "script/check-arrows:1: circle in the tables: "
                                "lib/aggregate -> lib/profile -> lib/aggregate")
        with mock.patch.dict(PYTHON_WINGS, {"reading": ("",)}):
            self.assert_offence({}, "script/check-arrows:1: circle in the tables: ")

    def test_tables_of_the_project_have_no_circle(self):
        tables = load_script()  # without the replaced PYTHON_WINGS
        arrows = tables.Arrows(self.root)
        arrows.check_tables()
        self.assertEqual(arrows.offences, [])


class Lib(TreeTest):
    """lib/ uses no thread, clock, log, standard output or end of the process."""

    def test_calls(self):
        for call in ("pthread_create(&t, 0, f, 0)", "thrd_create(&t, f, 0)", "mtx_lock(&m)", "uv_run(loop, 0)",
                     "time(NULL)", "clock()", "clock_gettime(CLOCK_REALTIME, &t)", "gettimeofday(&t, 0)",
                     "timespec_get(&t, 1)", "sleep(1)", "nanosleep(&t, 0)",
                     "printf(text)", "vprintf(text, list)", "puts(text)", "putchar(c)", "fputs(text, file)",
                     "syslog(3, text)", "perror(text)", "exit(1)", "_exit(1)", "abort()", "fork()", "raise(9)"):
            with self.subTest(call):
                self.assert_offence({"lib/base/a.c": f"void f(void)\n{{\n    {call};\n}}\n"},
                                    f"lib/base/a.c:3: lib/ must not use {call.partition('(')[0]}")

    def test_standard_streams(self):
        for stream in ("stdout", "stderr"):
            with self.subTest(stream):
                self.assert_offence({"lib/base/a.c": f"void f(void) {{ fwrite(p, 1, n, {stream}); }}\n"},
                                    f"lib/base/a.c:1: lib/ must not use {stream}")

    def test_headers(self):
        for header in ("signal.h", "syslog.h", "sys/socket.h", "sched.h"):
            with self.subTest(header):
                self.assert_offence({"lib/base/a.h": f"#include <{header}>\n"},
                                    f"lib/base/a.h:1: lib/ must not include <{header}>")
                (self.root / "lib/base/a.h").unlink()
        self.assert_offence({"lib/base/a.h": "#include <pthread.h>\n"}, "lib/base/a.h:1: lib/base/ must not include")

    def test_names_that_only_contain_these_words(self):
        self.assert_clean({"lib/base/a.c": "int f(void) { return snprintf(b, n, x) + ts_time(1) + runtime(2) + "
                                           "vsnprintf(b, n, x, l) + at_exit; }\n"})

    def test_comments_and_strings_do_not_count(self):
        self.assert_clean({"lib/base/a.c": "/* exit(1);\n   printf(x); */\n// abort()\n"
                                           'const char *text = "exit(1) \\" stdout";\n'})

    def test_line_after_a_comment_of_several_lines(self):
        self.assert_offence({"lib/base/a.c": "/* one\n two\n three */\nvoid f(void) { abort(); }\n"},
                            "lib/base/a.c:4: lib/ must not use abort")

    def test_daemon_and_ctl_may_use_them(self):
        self.assert_clean({"daemon/a.c": "#include <signal.h>\nvoid f(void) { time(NULL); exit(1); }\n",
                           "ctl/a.c": "void f(void) { printf(text); fputs(text, stderr); }\n"})


class Python(TreeTest):
    def test_import_against_the_arrows(self):
        for statement in ("from timesliced import client", "from timesliced.client import Client",
                          "import timesliced.client", "from .. import client", "from ..client import Client"):
            with self.subTest(statement):
                self.assert_offence({"python/timesliced/sending/a.py": f"import os\n{statement}\n"},
                                    "python/timesliced/sending/a.py:2: python/timesliced/sending/ must not import "
                                    "python/timesliced/client.py (it may import no other package)")

    def test_package_of_which_one_module_is_allowed(self):
        self.assert_clean({"python/timesliced/a.py": "from .reading import control\n"})
        self.assert_offence({"python/timesliced/a.py": "from .reading import results\n"},
                            "python/timesliced/a.py:1: python/timesliced/ must not import "
                            "python/timesliced/reading/results.py")

    def test_module_with_an_entry_of_its_own(self):
        self.assert_clean({"python/timesliced/worker.py": "from .sending import queue\n"})
        self.assert_offence({"python/timesliced/worker.py": "from .reading import control\n"},
                            "python/timesliced/worker.py:1: python/timesliced/ must not import "
                            "python/timesliced/reading/control.py (it may import sending)")

    def test_import_inside_a_function_counts(self):
        self.assert_offence({"python/timesliced/sending/a.py": "def f():\n    from ..client import Client\n"},
                            "python/timesliced/sending/a.py:2: ")

    def test_circle_of_two(self):
        self.assert_offence({"python/timesliced/a.py": "from . import b\n",
                             "python/timesliced/b.py": "\nfrom .a import x\n"},
                            "python/timesliced/b.py:2: circle: python/timesliced/a -> python/timesliced/b -> ")

    def test_circle_of_three_in_a_package(self):
        self.assert_offence({"python/timesliced/sending/a.py": "from . import b\n",
                             "python/timesliced/sending/b.py": "from timesliced.sending import c\n",
                             "python/timesliced/sending/c.py": "def f():\n    from .a import x\n"},
                            "python/timesliced/sending/c.py:2: circle: python/timesliced/sending/a -> ")

    def test_third_party_import(self):
        self.assert_offence({"python/timesliced/a.py": "import os\nimport requests.adapters\n",
                             "python/timesliced/sending/a.py": "from numpy import array\n"},
                            "python/timesliced/a.py:2: python/ must not import requests",
                            "python/timesliced/sending/a.py:1: python/ must not import numpy")

    def test_matplotlib_outside_of_plot(self):
        self.assert_offence({"python/timesliced/a.py": "import matplotlib\n"},
                            "python/timesliced/a.py:1: python/ must not import matplotlib")

    def test_module_that_does_not_exist(self):
        self.assert_offence({"python/timesliced/a.py": "import timesliced.absent\n"},
                            "python/timesliced/a.py:1: timesliced.absent is not a module of the package")

    def test_package_that_is_not_in_the_table(self):
        self.assert_offence({"python/timesliced/new/__init__.py": ""},
                            "python/timesliced/new/__init__.py:1: python/timesliced/new/ is not in PYTHON_WINGS")


if __name__ == "__main__":
    unittest.main()
