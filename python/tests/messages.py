"""The daemon's rules for a message (docs/interfaces.md), checked by accept()."""
import json
import re
from decimal import ROUND_HALF_EVEN, Decimal

from timesliced.sending.encode import DROPPED


def to_ns(value):
    """Rounds the exact value, half to even."""
    return int((Decimal(value) * 10**9).to_integral_value(ROUND_HALF_EVEN))


def accept(text):
    """Checks a message as docs/interfaces.md describes it. Returns it parsed: numbers as Decimal, `rows` in
    addition."""
    def constant(name):
        raise AssertionError(f"{name} is not JSON")

    def members(pairs):
        return pairs

    text.decode("utf-8")
    assert b"\n" not in text
    message = unique(json.loads(text, parse_float=Decimal, parse_constant=constant, object_pairs_hook=members))
    assert set(message) <= {"seq", "timestamp", "labels", "exact", "part", "profile"}, message.keys()
    assert abs(message["timestamp"]) <= Decimal("9.2e9")
    profile = message["profile"] = unique(message["profile"])
    entries = profile["func_profiles"]
    if "labels" in message:
        message["labels"] = unique(message["labels"])
    listed = bool(entries) and not isinstance(entries[0], tuple)
    rows = []
    for entry in entries:
        name, entry = (unique(entry).pop("func_name"), unique(entry)) if listed else (entry[0], unique(entry[1]))
        assert "\0" not in name and len(stored(name)) <= 1024, name
        if name == DROPPED:
            message["dropped"] = int(entry["ncalls"])
            continue
        assert "\0" not in entry["file_name"] and len(stored(entry["file_name"])) <= 4096
        assert entry["line_number"] is None or 0 <= entry["line_number"] < 2**31
        match = re.fullmatch(r"([0-9]+)(?:/([0-9]+))?", entry["ncalls"])
        calls, primitive = int(match[1]), int(match[2] or match[1])
        assert 0 <= primitive <= calls <= 2**53
        for key in ("tottime", "cumtime"):
            assert isinstance(entry[key], Decimal) and abs(entry[key]) <= 10**7, entry
        rows.append(((entry["file_name"], entry["line_number"], name),
                     (calls, primitive, to_ns(entry["tottime"]), to_ns(entry["cumtime"]))))
    message["rows"] = rows
    return message


def unique(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"duplicate member: {names}"
    return dict(pairs)


def stored(text):
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text).encode()
