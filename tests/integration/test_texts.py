"""The decoder: the table of tests/support/texts.py with the decoder alone, over TCP and over UDP. Python's json checks
the syntax, the naive model the values.

TIMESLICED_DECODE names the program that runs the decoder alone; by default build/tests/decode.
"""
import collections
import copy
import json
import os
import pathlib
import random
import struct
import subprocess

import pytest

from support import senders
from support.daemon import wait_until
from support.oracle import Model
from support.random_profiles import random_messages
from support.texts import GOOD, ROWS

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECODE = os.environ.get("TIMESLICED_DECODE", str(ROOT / "build" / "tests" / "decode"))
SYNTAX = ("bad_json", "bad_utf8", "too_deep")
KEPT = 100  # rejects in /v1/rejects
TOO_OLD_NS = -7 * 10**18  # older than any retention, including that of the fixture

# Rows that Python's json accepts and the decoder must reject. They agree on all others.
JSON_ACCEPTS = {
    "number «NaN", "number «Infinity", "number -«Infinity", "cumtime NaN",
    "depth 17, lists", "depth 17, objects", "depth 17 in an entry", "depth before ranges",
}


@pytest.fixture(scope="module")
def decode():
    """decode(texts) -> the results of the decoder."""
    if not pathlib.Path(DECODE).exists():
        pytest.fail(f"{DECODE} is not built")

    def run(texts):
        stdin = b"".join(struct.pack(">I", len(text)) + text for text in texts)
        done = subprocess.run([DECODE], input=stdin, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
        results = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
        assert len(results) == len(texts)
        return results
    return run


def json_accepts(text):
    """Checks the syntax only. Numbers stay text, so that their length does not matter."""
    try:
        json.loads(text.decode("utf-8"), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def fault_of(result):
    """(code, offset), or (None, None) if the text is accepted"""
    reject = result.get("reject")
    return (reject["code"], reject["offset"]) if reject else (None, None)


def test_texts_have_the_expected_code_and_offset(decode):
    wrong = []
    for row, result in zip(ROWS, decode([row.text for row in ROWS])):
        if fault_of(result) != (row.code, row.offset):
            wrong.append(f"{row.name}: {fault_of(result)}, not {(row.code, row.offset)}; {row.text[:200]}")
    assert not wrong, "\n".join(wrong)


def test_texts_cover_every_code():
    seen = collections.Counter(row.code for row in ROWS)
    assert set(seen) == {None, "hello", *SYNTAX, "bad_shape", "bad_name", "bad_labels", "out_of_range"}
    assert min(seen.values()) > 3, seen


def test_result_does_not_depend_on_earlier_messages(decode):
    """Decodes the rows in random order, each one twice."""
    order = list(ROWS)
    random.Random(1).shuffle(order)
    results = decode([row.text for row in order for _ in range(2)])
    for row, first, second in zip(order, results[::2], results[1::2]):
        assert fault_of(first) == (row.code, row.offset), row.name
        assert first == second, row.name


def test_messages_of_rejects_are_readable(decode):
    """Messages of rejects are short, printable, and end in the offset."""
    for row, result in zip(ROWS, decode([row.text for row in ROWS])):
        if row.code:
            message = result["reject"]["message"]
            assert 10 < len(message.encode()) < 256, (row.name, message)
            assert "\ufffd" not in message or b"\\ud" in row.text.lower(), (row.name, message)
            assert row.code == "hello" or message.endswith(f" (byte {row.offset})"), (row.name, message)
            assert all(ord(c) >= 32 for c in message), (row.name, message)


MESSAGES = [
    ('{"timestamp": 1, "profile": {"func_profiles": {"send": {"cumtime": "1.5"}}}}',
     'function "send": cumtime is a string, a number of seconds is needed'),
    ('{"timestamp": 1, "profile": {"func_profiles": [{"cumtime": "1.5", "func_name": "send"}]}}',
     'function "send": cumtime is a string, a number of seconds is needed'),
    ('{"timestamp": 1, "profile": {"func_profiles": [{"func_name": "send", "tottime": 1}]}}',
     'function "send": cumtime is missing'),
    ('{"timestamp": 1, "profile": {"func_profiles": {"a": {"cumtime": 1}, "send": 7}}}',
     'function "send": the entry is a number, an object is needed'),
    ('{"timestamp": 1, "profile": {"func_profiles": {"a\\nb": {"cumtime": 1e99}}}}',
     'function "a\\x0ab": cumtime is 1e99'),
    ('{"timestamp": 1, "profile": {"func_profiles": {"send": {"cumtime": 1, "ncalls": "1/2"}}}}',
     'function "send": ncalls is "1/2", more primitive calls than calls'),
    ('{"timestamp": 1, "profile": {"func_profiles": {"send": {"cumtime": 007}}}}',
     'function "send": a number must not'),
    ("{}", "timestamp is missing"),
    ('{"timestamp": 1732272009250, "profile": {"func_profiles": {}}}', "milliseconds"),
    ('{"timestamp": 1732272009250.5e3, "profile": {"func_profiles": {}}}', "microseconds"),
    ('{"timestamp": 1732272009250000000, "profile": {"func_profiles": {}}}', "nanoseconds"),
    ('{"timestamp": NaN, "profile": {"func_profiles": {}}}', "NaN and Infinity are not JSON numbers"),
    ('\ufeff{}', "byte order mark"),
    ('{"timestamp": 1, "labels": {"a-b": "c"}, "profile": {"func_profiles": {}}}', 'the label key "a-b"'),
    ('{"timestamp": 1, "profile": {"func_profiles": {"' + "日本" * 150 + '": {"cumtime": "x"}}}}',
     '日...": cumtime is'),
]


@pytest.mark.parametrize("text, part", MESSAGES, ids=range(len(MESSAGES)))
def test_messages_name_the_fault(decode, text, part):
    assert part in decode([text.encode()])[0]["reject"]["message"]


def test_messages_do_not_name_a_completed_function(decode):
    for functions in ('{"send": {"cumtime": 1}}', '[{"func_name": "send", "cumtime": 1}]',
                      '{"send": {"cumtime": 1}, "x": 1}', '[{"func_name": "send", "cumtime": 1}, 7]'):
        for total in ('"x"', "1e99", "1."):
            text = f'{{"timestamp": 1, "profile": {{"func_profiles": {functions}, "total_tt": {total}}}}}'
            assert '"send"' not in decode([text.encode()])[0]["reject"]["message"], text


def test_syntax_agrees_with_python(decode):
    for row, result in zip(ROWS, decode([row.text for row in ROWS])):
        ours = fault_of(result)[0] not in SYNTAX
        if row.name in JSON_ACCEPTS:
            assert json_accepts(row.text) and not ours, row.name
        elif row.code != "too_deep" or len(row.text) < 1000:
            assert ours == json_accepts(row.text), row.name


def mutated(rng, text):
    """The text with a few bytes changed, deleted, repeated or inserted, mostly characters of JSON's syntax."""
    alphabet = b'{}[]",:\\/0123456789.eE+-truefalsn u\x00\x1f\x7f\x80\xbf\xc3\xed\xf4\xff \t\n\r'
    text = bytearray(text)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text))
        kind = rng.randrange(5)
        if kind == 0:
            text[at] = rng.choice(alphabet)
        elif kind == 1:
            del text[at:at + rng.randrange(1, 4)]
        elif kind == 2:
            text[at:at] = text[at:at + rng.randrange(1, 12)]
        elif kind == 3:
            text.insert(at, rng.choice(alphabet))
        else:
            text[at] ^= 1 << rng.randrange(8)
        text = text or bytearray(b" ")
    return bytes(text)


def test_mutations_agree_with_python(decode):
    rng = random.Random(8259)
    seeds = [text for text in random_messages(rng, Model(), 150) if len(text) < 1500]
    seeds += [row.text for row in ROWS if 0 < len(row.text) < 400]
    texts = [mutated(rng, rng.choice(seeds)) for _ in range(20_000)]
    codes = collections.Counter()
    for text, result in zip(texts, decode(texts)):
        code, offset = fault_of(result)
        codes[code] += 1
        if code == "too_deep" or b"NaN" in text or b"Infinity" in text:
            continue
        assert (code not in SYNTAX) == json_accepts(text), (text, result)
        if code == "bad_utf8":
            assert_utf8_offset(text, offset)
    assert codes[None] > 100 and codes["bad_json"] > 5000 and codes["bad_utf8"] > 500, codes


def test_offset_of_bad_json_is_the_first_wrong_byte(decode):
    """The text before the offset is the beginning of some JSON text; with the byte at the offset it is not."""
    rng = random.Random(7159)
    seeds = [row.text for row in ROWS if 0 < len(row.text) < 400]
    texts = [mutated(rng, rng.choice(seeds)) for _ in range(5000)]
    faults = [(text, fault_of(result)) for text, result in zip(texts, decode(texts))]
    faults = [(text, offset) for text, (code, offset) in faults if code == "bad_json"]
    assert len(faults) > 1000
    for (text, offset), result in zip(faults, decode([text[:offset] for text, offset in faults])):
        assert fault_of(result) == ("bad_json", offset) or fault_of(result)[0] not in SYNTAX, text
    whole = [(text, offset) for text, offset in faults if offset < len(text) and text[offset] < 0x80]
    for (text, offset), result in zip(whole, decode([text[:offset + 1] for text, offset in whole])):
        assert fault_of(result) == ("bad_json", offset), text


def assert_utf8_offset(text, offset):
    """Python reports the first sequence that is not UTF-8 at the same offset."""
    with pytest.raises(UnicodeDecodeError) as problem:
        text.decode("utf-8")
    assert problem.value.start == offset, (text, offset)


def test_prefix_has_no_earlier_fault_than_the_text(decode):
    """A prefix of a text has no fault before its end that the complete text does not have there."""
    texts = [row.text for row in ROWS if len(row.text) < 120]
    complete = decode(texts)
    prefixes = [(n, text[:cut]) for n, text in enumerate(texts) for cut in range(len(text))]
    for (n, prefix), result in zip(prefixes, decode([prefix for _, prefix in prefixes])):
        code, offset = fault_of(result)
        fault = fault_of(complete[n])
        if fault[0] in SYNTAX and fault[1] < len(prefix):
            if code != "bad_utf8":
                assert (code, offset) == fault, (texts[n], prefix)
        elif code == "bad_json":
            assert offset == len(prefix), (texts[n], prefix)
        elif code == "bad_utf8":
            assert len(prefix) - 4 < offset < len(prefix), (texts[n], prefix)
        else:
            assert code not in SYNTAX or fault[0] in SYNTAX, (texts[n], prefix)


def test_values_equal_the_model(decode):
    rng = random.Random(52)
    texts = random_messages(rng, Model(), 1500)
    for text, result in zip(texts, decode(texts)):
        assert "ok" in result, (text, result)
        got = result["ok"]
        model = Model("1/1000000000")  # a time slice of a nanosecond, so that the bucket is the timestamp rounded down
        model.add(text)
        (bucket, labels, head), = model.heads
        assert got["timestamp"] == bucket, text
        assert [tuple(pair) for pair in got["labels"]] == list(labels), text
        first = not got.get("part") or got["part"][0] == 0
        assert (got["total_tt"] if first else 0) == head["total_tt"], text
        assert bool(got["exact"] and first) == bool(head["exact"]), text
        assert (got["part"][1] if got.get("part") and first else 0) - bool(got.get("part")) == head["missing"], text
        entries = [((entry["raw_name"], entry["file_name"], None if entry["line_number"] < 0 else entry["line_number"]),
                    {name: entry[name] for name in ("cumtime", "tottime", "ncalls", "pcalls")})
                   for entry in got["entries"]]
        assert entries == [(place, numbers) for _, _, place, numbers in model.facts], text


def test_seq_is_decoded(decode):
    def seq(text):
        return decode([GOOD.replace("{", '{"seq": ' + text + ", ", 1).encode()])[0]["ok"].get("seq")
    assert seq("42") == 42
    for text in (str(2**63 - 1), str(2**63), "9" * 100):  # greater ones are the greatest: after a gap in any case
        assert seq(text) == 2**63 - 1
    for text in ("0", "-1", "-0", "-" + "9" * 100, "1.0", "1e2", "null", '"42"', "[42]"):
        assert seq(text) is None, text


# Through the daemon.


def sent_over_tcp(rows, results):
    """The rows that are one line, are not blank, do not end the stream and do not depend on the clock."""
    for row, result in zip(rows, results):
        old = "ok" in result and result["ok"]["timestamp"] < TOO_OLD_NS
        if b"\n" not in row.text and row.text.strip(b" \t\r") and row.code != "hello" and not old:
            yield row, result


def test_texts_over_tcp(start_daemon, decode):
    server = start_daemon()
    chosen = list(sent_over_tcp(ROWS, decode([row.text for row in ROWS])))
    expected = [(number, row, copy.deepcopy(result["reject"])) for number, (row, result) in enumerate(chosen, 1)
                if row.code]
    with senders.Stream(server, "tcp") as stream:
        for row, _ in chosen:
            stream.send(row.text + b"\n")
        results = stream.finish()
    assert len(results) == len(expected)
    for (number, row, reject), result in zip(expected, results):
        error = result["error"]
        assert error["line"] == number, row.name
        assert (error["code"], error["offset"]) == (row.code, row.offset), row.name
        assert error["message"] == reject["message"], row.name
    status = server.wait_idle()
    assert status["received"] == len(chosen)
    assert status["accepted"] == len(chosen) - len(expected)
    counted = collections.Counter(row.code for _, row, _ in expected)
    assert {code: n for code, n in status["rejected"].items() if n} == counted


def test_texts_over_udp(start_daemon, decode):
    server = start_daemon()
    results = decode([row.text for row in ROWS])
    chosen = [(row, result) for row, result in zip(ROWS, results)
              if row.code != "hello" and len(row.text) <= 60_000
              and not ("ok" in result and result["ok"]["timestamp"] < TOO_OLD_NS)]
    rejected = [(row, result["reject"]) for row, result in chosen if row.code]
    sent = 0
    for at in range(0, len(rejected), KEPT):
        some = rejected[at:at + KEPT]
        senders.udp(server, [row.text for row, _ in some])
        sent += len(some)
        server.wait_received(sent)
        wait_until(lambda: len(server.rejects()) >= min(sent, KEPT), "rejects are kept")
        kept = server.rejects()[:len(some)]
        assert collections.Counter((reject["code"], reject["message"]) for reject in kept) == \
            collections.Counter((row.code, reject["message"]) for row, reject in some)
    accepted = [row.text for row, _ in chosen if not row.code]
    senders.udp(server, accepted)
    server.wait_received(sent + len(accepted))
    status = server.wait_idle()
    assert status["accepted"] == len(accepted)
    counted = collections.Counter(row.code for row, _ in rejected)
    assert {code: n for code, n in status["rejected"].items() if n} == counted
