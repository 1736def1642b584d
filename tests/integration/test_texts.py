"""The decoder, judged from outside: the table of tests/support/texts.py directly, over TCP and over UDP; Python's json
as a second opinion on syntax; the naive model as one on values.

TIMESLICED_DECODE names the program that decodes directly, else build/tests/decode.
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
from support.oracle import Model, random_messages
from support.texts import GOOD, ROWS

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECODE = os.environ.get("TIMESLICED_DECODE", str(ROOT / "build" / "tests" / "decode"))
SYNTAX = ("bad_json", "bad_utf8", "too_deep")
KEPT = 100  # what /v1/rejects holds
TOO_OLD_NS = -7 * 10**18  # far enough back to be past any retention, also of the fixture

# What Python's json takes and the contract does not. All else is judged alike.
JSON_TAKES = {
    "number «NaN", "number «Infinity", "number -«Infinity", "cumtime NaN",
    "depth 17, lists", "depth 17, objects", "depth 17 in an entry", "depth before ranges",
}


@pytest.fixture(scope="module")
def decode():
    """decode(texts) -> the program's verdicts."""
    if not pathlib.Path(DECODE).exists():
        pytest.fail(f"{DECODE} is not built")

    def run(texts):
        stdin = b"".join(struct.pack(">I", len(text)) + text for text in texts)
        done = subprocess.run([DECODE], input=stdin, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
        verdicts = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
        assert len(verdicts) == len(texts)
        return verdicts
    return run


def json_accepts(text):
    """Syntax alone; numbers stay text, so that their length does not matter."""
    try:
        json.loads(text.decode("utf-8"), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def verdict_of(response):
    reject = response.get("reject")
    return (reject["code"], reject["offset"]) if reject else (None, None)


def test_table(decode):
    wrong = []
    for row, response in zip(ROWS, decode([row.text for row in ROWS])):
        if verdict_of(response) != (row.code, row.offset):
            wrong.append(f"{row.name}: {verdict_of(response)}, not {(row.code, row.offset)}; {row.text[:200]}")
    assert not wrong, "\n".join(wrong)


def test_every_code_has_rows():
    seen = collections.Counter(row.code for row in ROWS)
    assert set(seen) == {None, "hello", *SYNTAX, "bad_shape", "bad_name", "bad_labels", "out_of_range"}
    assert min(seen.values()) > 3, seen


def test_each_text_alone_gives_the_same(decode):
    """A decoder that is warm from other messages forgets them: the rows in another order, and each one twice."""
    order = list(ROWS)
    random.Random(1).shuffle(order)
    responses = decode([row.text for row in order for _ in range(2)])
    for row, first, second in zip(order, responses[::2], responses[1::2]):
        assert verdict_of(first) == (row.code, row.offset), row.name
        assert first == second, row.name


def test_messages_are_words(decode):
    """Each says where, and names the function where there is one."""
    for row, response in zip(ROWS, decode([row.text for row in ROWS])):
        if row.code:
            words = response["reject"]["message"]
            assert 10 < len(words.encode()) < 256, (row.name, words)
            assert "\ufffd" not in words or b"\\ud" in row.text.lower(), (row.name, words)
            assert row.code == "hello" or words.endswith(f" (byte {row.offset})"), (row.name, words)
            assert all(ord(c) >= 32 for c in words), (row.name, words)


WORDS = [
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


@pytest.mark.parametrize("text, words", WORDS, ids=range(len(WORDS)))
def test_words(decode, text, words):
    assert words in decode([text.encode()])[0]["reject"]["message"]


def test_words_name_no_function_that_is_over(decode):
    for functions in ('{"send": {"cumtime": 1}}', '[{"func_name": "send", "cumtime": 1}]',
                      '{"send": {"cumtime": 1}, "x": 1}', '[{"func_name": "send", "cumtime": 1}, 7]'):
        for total in ('"x"', "1e99", "1."):
            text = f'{{"timestamp": 1, "profile": {{"func_profiles": {functions}, "total_tt": {total}}}}}'
            assert '"send"' not in decode([text.encode()])[0]["reject"]["message"], text


def test_syntax_agrees_with_python(decode):
    for row, response in zip(ROWS, decode([row.text for row in ROWS])):
        ours = verdict_of(response)[0] not in SYNTAX
        if row.name in JSON_TAKES:
            assert json_accepts(row.text) and not ours, row.name
        elif row.code != "too_deep" or len(row.text) < 1000:
            assert ours == json_accepts(row.text), row.name


def mutated(rng, text):
    """A few bytes changed, dropped, doubled or put in; mostly those that mean something."""
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
    for text, response in zip(texts, decode(texts)):
        code, offset = verdict_of(response)
        codes[code] += 1
        if code == "too_deep" or b"NaN" in text or b"Infinity" in text:
            continue
        assert (code not in SYNTAX) == json_accepts(text), (text, response)
        if code == "bad_utf8":
            assert_utf8_offset(text, offset)
    assert codes[None] > 100 and codes["bad_json"] > 5000 and codes["bad_utf8"] > 500, codes


def test_offsets_are_where_no_text_can_go_on(decode):
    """Of bad_json: up to the offset all is the beginning of some JSON text, with the byte there none is."""
    rng = random.Random(7159)
    seeds = [row.text for row in ROWS if 0 < len(row.text) < 400]
    texts = [mutated(rng, rng.choice(seeds)) for _ in range(5000)]
    faults = [(text, verdict_of(response)) for text, response in zip(texts, decode(texts))]
    faults = [(text, offset) for text, (code, offset) in faults if code == "bad_json"]
    assert len(faults) > 1000
    for (text, offset), response in zip(faults, decode([text[:offset] for text, offset in faults])):
        assert verdict_of(response) == ("bad_json", offset) or verdict_of(response)[0] not in SYNTAX, text
    whole = [(text, offset) for text, offset in faults if offset < len(text) and text[offset] < 0x80]
    for (text, offset), response in zip(whole, decode([text[:offset + 1] for text, offset in whole])):
        assert verdict_of(response) == ("bad_json", offset), text


def assert_utf8_offset(text, offset):
    """Python finds the first sequence that is not UTF-8 at the same place."""
    with pytest.raises(UnicodeDecodeError) as problem:
        text.decode("utf-8")
    assert problem.value.start == offset, (text, offset)


def test_a_cut_text_fails_at_its_end_or_where_the_whole_does(decode):
    """Every prefix: nothing wrong is seen before the cut unless the whole text has it there too."""
    texts = [row.text for row in ROWS if len(row.text) < 120]
    whole = decode(texts)
    prefixes = [(n, text[:cut]) for n, text in enumerate(texts) for cut in range(len(text))]
    for (n, prefix), response in zip(prefixes, decode([prefix for _, prefix in prefixes])):
        code, offset = verdict_of(response)
        fault = verdict_of(whole[n])
        if fault[0] in SYNTAX and fault[1] < len(prefix):
            if code != "bad_utf8":
                assert (code, offset) == fault, (texts[n], prefix)
        elif code == "bad_json":
            assert offset == len(prefix), (texts[n], prefix)
        elif code == "bad_utf8":
            assert len(prefix) - 4 < offset < len(prefix), (texts[n], prefix)
        else:
            assert code not in SYNTAX or fault[0] in SYNTAX, (texts[n], prefix)


def test_values_agree_with_the_model(decode):
    rng = random.Random(52)
    texts = random_messages(rng, Model(), 1500)
    for text, response in zip(texts, decode(texts)):
        assert "ok" in response, (text, response)
        got = response["ok"]
        model = Model("1/1000000000")  # a slice of a nanosecond: the bucket is the timestamp, rounded down
        model.add(text)
        (bucket, labels, head), = model.heads
        assert got["timestamp"] == bucket, text
        assert [tuple(pair) for pair in got["labels"]] == list(labels), text
        first = not got.get("part") or got["part"][0] == 0
        assert (got["total_tt"] if first else 0) == head["total_tt"], text
        assert bool(got["exact"] and first) == bool(head["exact"]), text
        assert (got["part"][1] if got.get("part") and first else 0) - bool(got.get("part")) == head["missing"], text
        entries = [((entry["raw_name"], entry["file_name"], None if entry["line_number"] < 0 else entry["line_number"]),
                    {name: entry[name] for name in ("cumtime", "tottime", "ncalls", "pcalls")}) for entry in got["entries"]]
        assert entries == [(place, numbers) for _, _, place, numbers in model.facts], text


def test_seq_is_noted(decode):
    def seq(text):
        return decode([GOOD.replace("{", '{"seq": ' + text + ", ", 1).encode()])[0]["ok"].get("seq")
    assert seq("42") == 42
    assert seq(str(2**63 - 1)) == 2**63 - 1
    for text in ("0", "-1", "-0", "1.0", "1e2", str(2**63), "9" * 100, "null", '"42"', "[42]"):
        assert seq(text) is None, text


# The same through the daemon.


def sent_over_tcp(rows, responses):
    """Those that are one line, neither blank nor ending the stream nor dependent on the clock."""
    for row, response in zip(rows, responses):
        old = "ok" in response and response["ok"]["timestamp"] < TOO_OLD_NS
        if b"\n" not in row.text and row.text.strip(b" \t\r") and row.code != "hello" and not old:
            yield row, response


def test_over_tcp(start_daemon, decode):
    server = start_daemon()
    chosen = list(sent_over_tcp(ROWS, decode([row.text for row in ROWS])))
    expected = [(number, row, copy.deepcopy(response["reject"])) for number, (row, response) in enumerate(chosen, 1)
                if row.code]
    with senders.Stream(server, "tcp") as stream:
        for row, _ in chosen:
            stream.send(row.text + b"\n")
        responses = stream.finish()
    assert len(responses) == len(expected)
    for (number, row, reject), response in zip(expected, responses):
        error = response["error"]
        assert error["line"] == number, row.name
        assert (error["code"], error["offset"]) == (row.code, row.offset), row.name
        assert error["message"] == reject["message"], row.name
    status = server.wait_idle()
    assert status["received"] == len(chosen)
    assert status["accepted"] == len(chosen) - len(expected)
    counted = collections.Counter(row.code for _, row, _ in expected)
    assert {code: n for code, n in status["rejected"].items() if n} == counted


def test_over_udp(start_daemon, decode):
    server = start_daemon()
    responses = decode([row.text for row in ROWS])
    chosen = [(row, response) for row, response in zip(ROWS, responses)
              if row.code != "hello" and len(row.text) <= 60_000
              and not ("ok" in response and response["ok"]["timestamp"] < TOO_OLD_NS)]
    rejected = [(row, response["reject"]) for row, response in chosen if row.code]
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
