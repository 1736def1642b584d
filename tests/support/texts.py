"""Messages that must be accepted or rejected, with the expected code and offset.

A row is (name, text, code, offset). Code and offset are None if the text is accepted. The code "hello" is a well-formed
hello, which is only allowed as the first line of a stream. In most rows a « marks the offset and is removed.
"""
import json
from collections import Counter, namedtuple

Row = namedtuple("Row", "name text code offset")
ROWS = []
MARK = "«".encode()

CALLS_MAX = 2**53
DEEP = 10**5


def row(name, text, code=None, offset=None):
    if isinstance(text, str):
        text = text.encode("utf-8")
    if MARK in text:
        assert offset is None and text.count(MARK) == 1, name
        offset = text.index(MARK)
        text = text.replace(MARK, b"")
    ROWS.append(Row(name, text, code, offset))


def short(text):
    return text if len(text) <= 40 else f"{text[:20]}...{text[-12:]} ({len(text)})"


def message(functions="{}", stamp="1732272009.25", total='"total_tt": 0.5, ', around=""):
    return f'{{"timestamp": {stamp}, {around}"profile": {{{total}"func_profiles": {functions}}}}}'


def entry(members, name='"f"'):
    """In the object form, with one function."""
    return message(f"{{{name}: {{{members}}}}}")


def listed(members):
    return message(f"[{{{members}}}]")


def around(members):
    """With members beside the timestamp."""
    return message(around=members + ", ")


def inside(text):
    """With the text as the value of an unknown member."""
    return around(f'"x": {text}')


GOOD = message('{"_send": {"ncalls": "15003/11003", "tottime": 0.004, "percall_tottime": 0.0, "cumtime": 0.007, '
               '"percall_cumtime": 0.0, "file_name": "/app/net.py", "line_number": 278}}')


def forms():
    row("object form", GOOD)
    row("pair form", '[1732272009.25, {"total_tt": 0.5, "func_profiles": {"f": {"cumtime": 1}}}]')
    row("pair form, compact", '[1,{"func_profiles":{}}]')
    row("list of functions", message('[{"func_name": "_send", "ncalls": "15003/11003", "tottime": 1, "cumtime": 2, '
                                     '"file_name": "a.py", "line_number": 1}]'))
    row("no functions, object", message("{}"))
    row("no functions, list", message("[]"))
    row("pair, list of functions", '[1, {"func_profiles": [{"func_name": "f", "cumtime": 1}]}]')
    row("profile before timestamp", '{"profile": {"func_profiles": {}}, "timestamp": 1}')
    row("functions before total", '{"timestamp": 1, "profile": {"func_profiles": {}, "total_tt": 1}}')
    row("white space of each kind", ' \t\r{ \t"timestamp" :\r1 ,\t"profile" : {"func_profiles"\t: [ \t] } } \r\t ')
    row("line feeds", '\n{\n"timestamp"\n:\n1\n,"profile":{"func_profiles":{\n}\n}\n}\n')
    row("carriage return at the end", GOOD + "\r")
    row("equal names are each counted", message('{"f": {"cumtime": 1}, "f": {"cumtime": 2}}'))
    row("equal names in a list", message('[{"func_name": "f", "cumtime": 1}, {"func_name": "f", "cumtime": 2}]'))
    row("unknown members everywhere", '{"a": 1, "timestamp": 1, "profile": {"b": [], "func_profiles": {"f": '
                                      '{"cumtime": 1, "c": {"d": null}}}, "e": "x"}, "f": {"timestamp": "no"}}')
    row("repeated unknown members", around('"x": 1, "x": 2'))
    row("percall may be anything", entry('"cumtime": 1, "percall_tottime": null, "percall_cumtime": {"x": []}'))
    row("repeated percall", entry('"cumtime": 1, "percall_cumtime": 1, "percall_cumtime": 1'))
    row("value of an ignored number is not checked", inside("1e999"))
    row("an ignored integer of any length", inside("9" * 5000))
    row("members of an entry beside the timestamp", around('"cumtime": 1, "cumtime": "x"'))
    row("names in another case are unknown", around('"Timestamp": "x", "TIMESTAMP": null, "labelS": 1'))
    row("prefixes of names are unknown", around('"timestam": "x", "timestamps": null, "profil": 1, "": 2'))
    row("function named as a member", message('{"cumtime": {"cumtime": 1}, "timestamp": {"cumtime": 1}}'))
    row("func_name in the object form is ignored", entry('"func_name": 7, "cumtime": 1'))
    row("10,000 functions", message("{" + ", ".join(f'"f{i}": {{"cumtime": {i}}}' for i in range(10_000)) + "}"))
    for name, text in (("null", "null"), ("true", "true"), ("false", "false"), ("number", "17"), ("string", '"x"')):
        row(f"a message that is {name}", text, "bad_shape", 0)
        row(f"a message that is {name}, after white space", "  " + text, "bad_shape", 2)
    for name, text in (("empty list", "[]"), ("list of one", "[1]"), ("list of one profile", "[{}]"),
                       ("list of three", '[1, {"func_profiles": {}}, 2]'),
                       ("list of two and a bad third", '[1, {"func_profiles": {}}, [[]]]')):
        row(name, text, "bad_shape", 0)
    row("pair in the wrong order", '[«{"func_profiles": {}}, 1]', "bad_shape")
    row("pair whose second element is not an object", '[1, «[]]', "bad_shape")
    row("pair whose second element is null", '[1, «null]', "bad_shape")
    row("empty object", " {}", "bad_shape", 1)
    row("a bye", '{"bye": true}', "bad_shape", 0)
    row("no timestamp", '«{"profile": {"func_profiles": {}}}', "bad_shape")
    row("no profile", '«{"timestamp": 1}', "bad_shape")
    row("no func_profiles", '{"timestamp": 1, "profile": «{"total_tt": 1}}', "bad_shape")
    row("no func_profiles in a pair", '[1, «{}]', "bad_shape")
    for wrong in ('"x"', "1", "true", "null", "[]"):
        row(f"profile is {wrong}", f'{{"timestamp": 1, "profile": «{wrong}}}', "bad_shape")
    for wrong in ('"x"', "1", "false", "null"):
        row(f"func_profiles is {wrong}", message("«" + wrong), "bad_shape")
    for wrong in ('"x"', "1", "false", "null", "[]"):
        row(f"an entry by name is {wrong}", message(f'{{"f": «{wrong}}}'), "bad_shape")
        row(f"an entry of the list is {wrong}", message(f"[«{wrong}]"), "bad_shape")


def hello():
    row("hello", '{«"hello": {"client": "a"}}', "hello")
    row("hello that is null", '{«"hello": null}', "hello")
    row("hello after other members", '{"a": 1, «"hello": {}, "profile": 7}', "hello")
    row("hello with an escape", '{«"h\\u0065llo": {}}', "hello")
    row("a profile with a member hello", around('"hello": {}'))
    row("incomplete hello", '{"hello": {}«', "bad_json")
    row("hello in a list", '[{"hello": {}}]', "bad_shape", 0)


def timestamps():
    for text in ("0", "-0", "-0.0", "1", "-1", "1732272009", "1732272009.123456789", "1732272009.1234567894999",
                 "17e8", "1.7E+9", "1732272009250e-3", "-90.5", "1e-400", "-1e-400", "0e999999999999", "0.0e-99999",
                 "9200000000", "9200000000.000", "9.2e9", "92e8", "9199999999.9999999999999999", "-9200000000",
                 "-9.2E9", "9200000000" + "0" * 3000 + "e-3000", "0." + "0" * 3000 + "92e3010"):
        row(f"timestamp {short(text)}", message(stamp=text))
    for text in ("9200000001", "9200000000.0000000000000000001", "-9200000000.1", "-9200000000.0000000000000000001",
                 "9.3e9", "1e10", "1732272009250", "1732272009250000", "1732272009250000000", "-1732272009250",
                 "1e19", "18446744073709551616", "1e999", "-1e999", "1e99999999999999999999", "9" * DEEP,
                 "0." + "0" * 3000 + "93e3010"):
        row(f"timestamp {short(text)}", message(stamp="«" + text), "out_of_range")
    row("timestamp of a pair out of range", '[«1e11, {"func_profiles": {}}]', "out_of_range")
    for wrong in ('"1732272009"', "null", "true", "[]", "{}"):
        row(f"timestamp is {wrong}", message(stamp="«" + wrong), "bad_shape")


def times():
    good = ("0", "-0", "1", "-1", "0.004", "-0.25", "1e-9", "5e-10", "0.0000000005", "1.5e-9", "1e-400",
            "0." + "0" * DEEP + "5", "0" + "." + "3" * DEEP, "1" + "0" * 5000 + "e-5000", "123456789e-9",
            "0e999999999999", "1E0", "1e+1", "10000000", "-10000000", "1e7", "9999999.9999999999999", "-1.0E7",
            "0.00000000000000000001e27", "1e-99999999999999999999999")
    beyond = ("10000000.0000000001", "-10000000.0000000001", "10000001", "-10000001", "1e8", "1e999", "-1e999",
              "1e99999999999999999999999", "9" * DEEP, "123456789012345678901234567890", "1e12")
    wrong = ('"1"', "null", "true", "false", "[1]", "{}", '""')
    for text in good:
        row(f"cumtime {short(text)}", entry(f'"cumtime": {text}'))
    for text in beyond:
        row(f"cumtime {short(text)}", entry(f'"cumtime": «{text}'), "out_of_range")
    for text in wrong:
        row(f"cumtime is {text}", entry(f'"cumtime": «{text}'), "bad_shape")
        row(f"tottime is {text}", entry(f'"cumtime": 1, "tottime": «{text}'), "bad_shape")
        row(f"total_tt is {text}", message(total=f'"total_tt": «{text}, '), "bad_shape")
    for text in good[:3] + ("10000000", "-10000000"):
        row(f"tottime {text}", entry(f'"tottime": {text}, "cumtime": 1'))
        row(f"total_tt {text}", message(total=f'"total_tt": {text}, '))
    for text in beyond[:6]:
        row(f"tottime {text}", entry(f'"tottime": «{text}, "cumtime": 1'), "out_of_range")
        row(f"total_tt {text}", message(total=f'"total_tt": «{text}, '), "out_of_range")
    row("no total_tt", message(total=""))
    row("only cumtime", entry('"cumtime": 1'))
    row("no cumtime", message('{"f": «{"tottime": 1}}'), "bad_shape")
    row("no cumtime in a list", message('[«{"func_name": "f", "tottime": 1}]'), "bad_shape")
    row("an empty entry", message('{"f": «{}}'), "bad_shape")


def calls():
    top, over = str(CALLS_MAX), str(CALLS_MAX + 1)
    for text in ("0", "-0", "1", top):
        row(f"ncalls number {text}", entry(f'"ncalls": {text}, "cumtime": 1'))
    for text in ("-1", over, "-" + top, "18446744073709551617", "9" * DEEP, "-" + "9" * 40):
        row(f"ncalls number {short(text)}", entry(f'"ncalls": «{text}, "cumtime": 1'), "out_of_range")
    for text in ("1.5", "1.0", "1e2", "1e-2", "1E400", "null", "true", "[]", "[1]", "{}"):
        row(f"ncalls {text}", entry(f'"ncalls": «{text}, "cumtime": 1'), "bad_shape")
    for text in ("0", "1", "15003", "0/0", "1/0", "1/1", "15003/11003", top, f"{top}/{top}", f"{top}/0", "007",
                 "007/07", "0" * DEEP + "1", "\\u0031\\u0035", "2\\/1"):
        row(f"ncalls string {short(text)}", entry(f'"ncalls": "{text}", "cumtime": 1'))
    for text in (over, f"{over}/1", f"{over}/{over}", f"1/{over}", "18446744073709551617", "18446744073709551616/1",
                 "1/18446744073709551616", "9" * DEEP, "1/2", "0/1", "15003/15004"):
        row(f"ncalls string {short(text)}", entry(f'"ncalls": «"{text}", "cumtime": 1'), "out_of_range")
    for text in ("", "/", "1/", "/1", "1/1/1", "x", "1x", "x1", " 1", "1 ", "1 /1", "1/ 1", "+1", "1.5", "1e3", "1/x",
                 "0x10", "١", "1\\u0000", "\\u0000", "1//1", over + "x", "nan"):
        row(f"ncalls string {text!r}", entry(f'"ncalls": «"{text}", "cumtime": 1'), "bad_shape")
    row("no ncalls", entry('"cumtime": 1'))


def places():
    row("file_name of 4096 bytes", entry(f'"cumtime": 1, "file_name": "{"f" * 4096}"'))
    row("file_name of 4096 bytes in characters", entry(f'"cumtime": 1, "file_name": "{"é" * 2048}"'))
    row("file_name of 4096 bytes with escapes", entry('"cumtime": 1, "file_name": "' + "\\u00e9" * 2048 + '"'))
    row("file_name of 4097 bytes", entry(f'"cumtime": 1, "file_name": «"{"f" * 4097}"'), "bad_shape")
    row("file_name of 4097 bytes with escapes", entry('"cumtime": 1, "file_name": «"f' + "\\u00e9" * 2048 + '"'),
        "bad_shape")
    row("file_name with lone surrogates", entry('"cumtime": 1, "file_name": "/a\\udc80\\ud800x.py"'))
    row("file_name of 1366 lone surrogates is too long",
        entry('"cumtime": 1, "file_name": «"' + "\\ud800" * 1366 + '"'), "bad_shape")
    row("file_name of 1365 lone surrogates", entry('"cumtime": 1, "file_name": "' + "\\ud800" * 1365 + '"'))
    row("empty file_name", entry('"cumtime": 1, "file_name": ""'))
    row("file_name null", entry('"cumtime": 1, "file_name": null'))
    row("file_name with a NUL", entry('"cumtime": 1, "file_name": «"a\\u0000b"'), "bad_shape")
    for wrong in ("1", "true", "[]", "{}"):
        row(f"file_name is {wrong}", entry(f'"cumtime": 1, "file_name": «{wrong}'), "bad_shape")
    for text in ("0", "-0", "1", "2147483647", "null"):
        row(f"line_number {text}", entry(f'"cumtime": 1, "line_number": {text}'))
    for text in ("-1", "2147483648", "4294967296", "-2147483648", "9" * 50):
        row(f"line_number {text}", entry(f'"cumtime": 1, "line_number": «{text}'), "out_of_range")
    for text in ("1.5", "1.0", "1e2", '"1"', "true", "[]", "{}"):
        row(f"line_number is {text}", entry(f'"cumtime": 1, "line_number": «{text}'), "bad_shape")


def names():
    for name, text in (("empty", ""), ("underscores", "___"), ("of 1024 bytes", "x" * 1024),
                       ("é, 1024 bytes", "é" * 512), ("four bytes each", "😀" * 256), ("lone surrogate", "\\ud800"),
                       ("lone low surrogate", "a\\udfff"),
                       ("surrogates in the wrong order", "\\udc00\\ud800"), ("surrogate pair", "\\ud83d\\ude00"),
                       ("surrogate pair in capitals", "\\uD83D\\uDE00"), ("surrogate, then a letter", "\\ud83dA"),
                       ("surrogate, then another escape", "\\ud83d\\n"), ("two high surrogates", "\\ud83d\\ud83d\\ude00"),
                       ("every escape", '\\"\\\\\\/\\b\\f\\n\\r\\t'), ("an escaped quote alone", '\\"'),
                       ("DEL", "\x7f"), ("U+FFFF", "\uffff"), ("U+10FFFF", "\U0010ffff"),
                       ("1024 with escapes", "\\u0041" * 1024),
                       ("1023 bytes of lone surrogates", "\\ud800" * 341)):
        row(f"name {name}", entry('"cumtime": 1', f'"{text}"'))
        row(f"func_name {name}", listed(f'"func_name": "{text}", "cumtime": 1'))
    for name, text in (("of 1025 bytes", "x" * 1025), ("é, 1026 bytes", "é" * 513),
                       ("1025 with escapes", "\\u0041" * 1025), ("with a NUL", "a\\u0000"),
                       ("that is a NUL", "\\u0000"),
                       ("1026 bytes of lone surrogates", "\\ud800" * 342)):
        row(f"name {name}", entry('"cumtime": 1', f'«"{text}"'), "bad_name")
        row(f"func_name {name}", listed(f'"cumtime": 1, "func_name": «"{text}"'), "bad_name")
    row("list form without func_name", message('[«{"cumtime": 1}]'), "bad_shape")
    for wrong in ("1", "null", "true", "[]", "{}"):
        row(f"func_name is {wrong}", listed(f'"func_name": «{wrong}, "cumtime": 1'), "bad_shape")


def twice():
    for name, members in (("cumtime", '"cumtime": 1, «"cumtime": 1'),
                          ("tottime", '"tottime": 1, "cumtime": 1, «"tottime": 2'),
                          ("ncalls", '"ncalls": 1, «"ncalls": 1, "cumtime": 1'),
                          ("file_name", '"file_name": null, «"file_name": null, "cumtime": 1'),
                          ("line_number", '"line_number": 1, "cumtime": 1, «"line_number": null'),
                          ("cumtime with an escape", '"cumtime": 1, «"cumt\\u0069me": 1'),
                          ("cumtime as escapes",
                           '"\\u0063\\u0075\\u006D\\u0074\\u0069\\u006d\\u0065": 1, «"cumtime": 1'),
                          ("cumtime of another type", '"cumtime": 1, «"cumtime": "x"')):
        row(f"repeated {name}", entry(members), "bad_shape")
        row(f"repeated {name} in a list", listed('"func_name": "f", ' + members), "bad_shape")
    row("repeated func_name", listed('"func_name": "f", "cumtime": 1, «"func_name": "f"'), "bad_shape")
    row("repeated timestamp", '{"timestamp": 1, «"timestamp": 1, "profile": {"func_profiles": {}}}', "bad_shape")
    row("repeated timestamp with an escape",
        '{"\\u0074imestamp": 1, «"timestamp": 1, "profile": {"func_profiles": {}}}', "bad_shape")
    row("repeated profile", '{"timestamp": 1, "profile": {"func_profiles": {}}, «"profile": {"func_profiles": {}}}',
        "bad_shape")
    row("repeated total_tt", message(total='"total_tt": 1, «"total_tt": 1, '), "bad_shape")
    row("repeated func_profiles", message('{}, «"func_profiles": {}'), "bad_shape")
    for name, value in (("labels", "{}"), ("exact", "true"), ("part", "[0, 1]")):
        row(f"repeated {name}", around(f'"{name}": {value}, «"{name}": {value}'), "bad_shape")
    row("cumtime with an escape", entry('"cumt\\u0069me": 1'))
    row("repeated seq is accepted", around('"seq": 1, "seq": "x"'))


def labels():
    def some(n):
        return ", ".join(f'"k{i}": "v"' for i in range(n))
    row("empty labels", around('"labels": {}'))
    row("16 labels", around(f'"labels": {{{some(16)}}}'))
    row("17 labels", around(f'"labels": {{{some(16)}, «"k16": "v"}}'), "bad_labels")
    for key in ("a", "_", "Z9", "_9", "a" * 64, "s\\u0065rvice"):
        row(f"label key {key[:20]}", around(f'"labels": {{"{key}": "v"}}'))
    for key in ("", "9", "a-b", "a.b", "a b", "é", "a" * 65, "a\\u0000", "a\\n", " a", "\\ud800", "a=b", "1a"):
        row(f"label key {key[:20]!r}", around(f'"labels": {{«"{key}": "v"}}'), "bad_labels")
    for value in ("", "v" * 256, "é" * 128, "\\u00e9" * 128, "\\ud800", 'we\\"b', " ", "\\n"):
        row(f"label value {value[:20]!r}", around(f'"labels": {{"k": "{value}"}}'))
    for value in ("v" * 257, "é" * 129, "\\u00e9" * 129, "\\ud800" * 86, "\\u0000", "a\\u0000b"):
        row(f"label value {value[:20]!r} too long or NUL", around(f'"labels": {{"k": «"{value}"}}'), "bad_labels")
    for wrong in ("1", "null", "true", "[]", "{}"):
        row(f"label value is {wrong}", around(f'"labels": {{"k": «{wrong}}}'), "bad_labels")
    for wrong in ("1", "null", "true", "[]", '"k=v"'):
        row(f"labels is {wrong}", around(f'"labels": «{wrong}'), "bad_labels")
    row("repeated label", around('"labels": {"k": "v", "l": "w", «"k": "v"}'), "bad_labels")
    row("repeated label with an escape", around('"labels": {"k": "v", «"\\u006b": "w"}'), "bad_labels")
    row("labels in a pair are ignored", '[1, {"labels": 7, "func_profiles": {}}]')
    row("labels in the profile are ignored", message(total='"labels": 7, '))


def exact_and_part():
    for value in ("true", "false"):
        row(f"exact {value}", around(f'"exact": {value}'))
    for value in ("null", "1", "0", '"true"', "[]", "{}"):
        row(f"exact is {value}", around(f'"exact": «{value}'), "bad_shape")
    for value in ("[0, 1]", "[1, 2]", "[0,4]", "[ 3 , 4 ]", "[-0, 1]", f"[0, {2**63 - 1}]"):
        row(f"part {value}", around(f'"part": {value}'))
    for value in ("«[1, 1]", "«[2, 1]", "«[0, 0]", "[«-1, 1]", "[0, «-1]", f"[0, «{2**63}]",
                  f"[«{2**63}, {2**63 - 1}]"):
        row(f"part {value}", around(f'"part": {value}'), "out_of_range")
    for value in ("«[]", "«[0]", "«[0, 1, 2]", "[«0.0, 1]", "[0, «1.5]", "[0, «1e1]", '[«"0", 1]', "[0, «null]",
                  "[«[0], 1]", "«null", "«0", "«{}", '«"0/1"', "«true"):
        row(f"part {value}", around(f'"part": {value}'), "bad_shape")
    for value in ("1", "42", str(2**63 - 1), str(2**63), "0", "-1", "1.5", "null", '"1"', "[]", "9" * 100):
        row(f"seq {value[:30]}", around(f'"seq": {value}'))


def syntax():
    def bad(name, text):
        row(name, text, "bad_json")

    row("empty", b"", "bad_json", 0)
    row("white space only", b" \t\r ", "bad_json", 4)
    row("a line feed only", b"\n", "bad_json", 1)
    row("byte order mark", b"\xef\xbb\xbf" + GOOD.encode(), "bad_json", 0)
    row("UTF-16 with a byte order mark", b"\xff\xfe{\x00}\x00", "bad_utf8", 0)
    row("UTF-16 without a byte order mark", b"{\x00}\x00", "bad_json", 1)
    row("UTF-16, big endian", b"\x00{\x00}", "bad_json", 0)
    row("a NUL", b"\0", "bad_json", 0)
    row("NUL after the message", GOOD.encode() + b"\0", "bad_json", len(GOOD))
    for name, text in (("another message", GOOD), ("a comma", ","), ("a bracket", "}"), ("a letter", "x"),
                       ("a comment", "// x"), ("a byte order mark", "\ufeff")):
        row(f"{name} after the message", GOOD + " " + text, "bad_json", len(GOOD) + 1)
    row("bad UTF-8 after the message", GOOD.encode() + b"\x80", "bad_utf8", len(GOOD))
    for cut in range(1, len(GOOD)):
        if cut in (1, 2, 8, 12, 13, 14, 16, 27, 28, 30, 45, 80, 120, 150, 190) or len(GOOD) - cut < 4:
            row(f"cut at {cut}", GOOD[:cut], "bad_json", cut)
    for text in ("«NaN", "«Infinity", "-«Infinity", "-«NaN", "0«07", "-0«1", "0«0", "1.«", "-«", "«+1", "«.5", "-«.5",
                 "1.«e5", "1e«", "1e+«", "1E-«", "1e1«.5", "1«x", "0«x10", "1«_000", "1.2«.3", "-«-1", "«١", "1«١"):
        tail = " " if text.endswith("«") else ""
        bad(f"number {text}", inside(text + tail))
    bad("cumtime NaN", entry('"cumtime": «NaN'))
    bad("cumtime 007", entry('"cumtime": 0«07'))
    bad("cumtime 1.", entry('"cumtime": 1.«'))
    for text in ("tru«", "t«", "true«x", "tru«x", "«True", "fals«", "nul«", "n«one", "«undefined", "«None", "f«",
                 "null«l"):
        bad(f"literal {text}", inside(text + (" " if text.endswith("«") else "")))
    for text in ("[1«}", "[1,«]", "[«,1]", "[1 «2]", "{«]", "{«,}", '{"a": 1,«}', '{"a"«}', '{"a": «}', '{"a" «1}',
                 "{«a: 1}", "{«'a': 1}", "«'a'", '{"a": 1 «"b": 2}', '{"a": 1«]', "{«1: 2}", "{«null: 1}", "[«:]",
                 '{"a":«: 1}', "[1,«,2]", "«/**/ 1", '"a" «"b"', "«]", "«}", "«,"):
        bad(f"structure {text}", inside(text))
    for control in (0, 1, 8, 9, 10, 13, 31):
        bad(f"control {control} in a string", inside(f'"abc«{chr(control)}"'))
        bad(f"control {control} in a long name", entry('"cumtime": 1', f'"{"x" * 37}«{chr(control)}{"x" * 20}"'))
    for control in (0, 1, 11, 12, 127):
        bad(f"control {control} between", f'{{«{chr(control)}"timestamp": 1, "profile": {{"func_profiles": {{}}}}}}')
    bad("no-break space between", '{«\u00a0"timestamp": 1, "profile": {"func_profiles": {}}}')
    for text in ("\\«x", "\\«a", "\\«'", "\\«0", "\\«U0041", "\\«\n", "\\«é", "\\u«", "\\u1«", "\\u12«",
                 "\\u123«", "\\u«g000", "\\u000«g", "\\u00«-1", "\\u«+123", "\\u0«x41", "\\ud800\\u«", "\\ud800\\«x",
                 "\\u«é000", "\\u« 0041"):
        bad(f"escape {text!r}", inside(f'"{text}"'))
    bad("a backslash at the end", '{"x": "\\«')
    bad("an escape cut at the end", '{"x": "\\u00«')
    bad("bad JSON in an ignored member", entry('"percall_cumtime": 1.«, "cumtime": 1'))


def utf8():
    def spliced(text, bad):
        return text.encode("utf-8").replace(b"@", bad)

    for name, bad in (("a lone continuation", b"\x80"), ("a lone 0xBF", b"\xbf"), ("overlong /", b"\xc0\xaf"),
                      ("overlong NUL", b"\xc0\x80"), ("0xC1", b"\xc1\xbf"), ("overlong in three", b"\xe0\x80\xaf"),
                      ("overlong in three, last", b"\xe0\x9f\xbf"), ("overlong in four", b"\xf0\x80\x80\xaf"),
                      ("overlong in four, last", b"\xf0\x8f\xbf\xbf"), ("a surrogate", b"\xed\xa0\x80"),
                      ("the last surrogate", b"\xed\xbf\xbf"), ("past U+10FFFF", b"\xf4\x90\x80\x80"),
                      ("0xF5", b"\xf5\x80\x80\x80"), ("five bytes", b"\xf8\x88\x80\x80\x80"), ("0xFE", b"\xfe"),
                      ("0xFF", b"\xff"), ("two of three", b"\xe2\x82"), ("three of four", b"\xf0\x9f\x98"),
                      ("one of two", b"\xc3"), ("Latin-1", b"\xe9t\xe9")):
        row(f"{name} in a string", spliced('{"x": "ab«@cd"}', bad), "bad_utf8")
        row(f"{name} in a long name", spliced(entry('"cumtime": 1', f'"{"x" * 45}«@{"y" * 30}"'), bad), "bad_utf8")
        row(f"{name} between", spliced('{"timestamp": «@}', bad), "bad_utf8")
        row(f"{name} right before the quote", spliced(inside('"é«@"'), bad), "bad_utf8")
    row("a character cut at the end of the text", spliced('{"x": "«@', b"\xf0\x9f"), "bad_utf8")
    for name, good in (("U+0080", "\x80"), ("U+07FF", "\u07ff"), ("U+0800", "\u0800"), ("U+D7FF", "\ud7ff"),
                       ("U+E000", "\ue000"), ("U+10000", "\U00010000"), ("a mark inside a string", "\ufeff"),
                       ("a thousand", "é日😀" * 300)):
        row(f"{name} in a string", inside(f'"{good}"'))


def depth():
    def nest(n, left="[", right="]", core=""):
        return left * n + core + right * n
    row("depth 16, lists", inside(nest(15)))
    row("depth 16, objects", inside(nest(15, '{"a":', "}", "1")))
    row("depth 16 in an entry", entry('"cumtime": 1, "x": ' + nest(12)))
    row("depth 17, lists", inside("[" * 15 + "«" + "[]" + "]" * 15), "too_deep")
    row("depth 17, objects", inside('{"a":' * 15 + "«{}" + "}" * 15), "too_deep")
    row("depth 17 in an entry", entry('"cumtime": 1, "x": ' + "[" * 12 + "«[]" + "]" * 12), "too_deep")
    row("depth 16 twice side by side", inside("[" + nest(14) + "," + nest(14) + "]"))
    row("100,000 brackets", "[" * 16 + "«" + "[" * DEEP, "too_deep")
    row("100,000 objects", '{"":' * 16 + "«" + '{"":' * DEEP, "too_deep")
    row("16 brackets, cut", "[" * 16 + "«", "bad_json")
    row("nested lists without a profile", nest(16), "bad_shape", 0)
    row("brackets in a string do not nest", inside(f'"{"[" * 1000}"'))
    row("100,000 elements are not deep", inside("[" + "[]," * DEEP + "1]"))


def order():
    """Faults of syntax, UTF-8 and depth in the complete text come first, then shape, labels and names, then ranges; of
    several faults of a kind the one with the lowest offset is reported."""
    row("syntax before shape", entry('"cumtime": "x"') + "«x", "bad_json")
    row("UTF-8 before a bad name",
        entry('"cumtime": 1, "x": "«@"', '"a\\u0000"').encode().replace(b"@", b"\xff"), "bad_utf8")
    row("depth before ranges", entry('"cumtime": 1e99, "x": ' + "[" * 12 + "«[]" + "]" * 12), "too_deep")
    row("the end of the text before shape", '{"timestamp": "x", "profile": 7«', "bad_json")
    row("syntax before UTF-8 by offset", inside('n«ope, "@"').encode().replace(b"@", b"\xff"), "bad_json")
    row("UTF-8 before syntax by offset", b'{"x": "' + MARK + b'\xff", 007}', "bad_utf8")
    row("depth before syntax by offset", "[" * 16 + "«[" + "nope", "too_deep")
    row("syntax before depth by offset", "[0«0, " + "[" * 20, "bad_json")
    row("shape before ranges",
        '{"timestamp": 1e99, "profile": {"func_profiles": {"f": {"cumtime": «"x"}}}}', "bad_shape")
    row("a bad name before ranges", message('{«"a\\u0000": {"cumtime": 1}}', stamp="1e99"), "bad_name")
    row("bad labels before ranges", message(stamp="1e99", around='"labels": {"k": «1}, '), "bad_labels")
    row("labels before shape by offset", around('"labels": {«"1": "v"}, "exact": 7'), "bad_labels")
    row("shape before labels by offset", around('"exact": «7, "labels": {"1": "v"}'), "bad_shape")
    row("a name before shape by offset", entry('"cumtime": "x"', '«"a\\u0000"'), "bad_name")
    row("a missing member is reported at the brace", message('{"f": «{"file_name": 7}}'), "bad_shape")
    row("a missing profile is reported first", '«{"timestamp": "x"}', "bad_shape")
    row("the first of two ranges", entry('"cumtime": «1e99, "tottime": 1e99'), "out_of_range")
    row("the first of two shapes", entry('"tottime": «"x", "cumtime": "x"'), "bad_shape")
    row("the first of two entries", message('{"f": {"cumtime": «"x"}, "g": {"cumtime": "x"}}'), "bad_shape")
    row("a later entry's shape before an earlier range",
        message('{"f": {"cumtime": 1e99}, "g": {"cumtime": «"x"}}'), "bad_shape")
    row("the length of a pair before its elements", '["x", 7, 8]', "bad_shape", 0)
    row("hello before bad syntax", '{"hello": {}, «}', "bad_json")


for rows in (forms, hello, timestamps, times, calls, places, names, twice, labels, exact_and_part, syntax, utf8, depth,
             order):
    rows()

REPEATED = [name for name, n in Counter(row.name for row in ROWS).items() if n > 1]
assert not REPEATED, REPEATED
assert len(ROWS) >= 250
assert json.loads(GOOD)
