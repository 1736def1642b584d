"""Random profiles as messages, with unusual names, numbers and timestamps at the edges of buckets."""
import json
from fractions import Fraction

from support.oracle import Pairs

NAMES = ["send", "_send", "__send", "__init__", "_init__", "_", "___", "main", "日本語", "_é", "e\u0301", "😀_x",
         "<lambda>", "<built-in method builtins.len>", 'quo"te', "back\\slash", "tab\tname", "line\nbreak",
         "comma,name", "a b", "send_all", "x" * 1024, "a" * 1000 + "é" * 12, "half\ud800", "half\udc80end", "Send",
         "0", "other", "(overflow) not", "'", "%s", "a/b", "a.b:c"]
FILES = [None, "/app/net.py", "~", "/app/日本.py", "C:\\x\\y.py", "/a\udc80.py", "", "f" * 4096]
LABELS = [None, None, {}, {"service": "web"}, {"service": "db", "host": "a"}, {"host": "é😀", "service": "web"},
          {"service": "we\"b", "_x9": "a,b"}]


class Number(str):
    """The text of a number, written unchanged."""


def write(value, item=", ", colon=": ", ascii_only=True):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        names = [json.dumps(str(name), ensure_ascii=ascii_only) for name, _ in value]
        members = [write(member, item, colon, ascii_only) for _, member in value]
        return "{" + item.join(f"{name}{colon}{member}" for name, member in zip(names, members)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + item.join(write(v, item, colon, ascii_only) for v in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def random_seconds(rng):
    kind = rng.randrange(12)
    if kind < 5:
        return Number(repr(round(rng.random() * 3, 3)))
    if kind == 5:
        return Number(repr(rng.random()))
    if kind == 6:
        return Number(rng.choice(["0", "-0", "0.0", "-0.0", "0e5", "1", "12", "-3", "0.0000000005", "0.0000000015",
                                  "-0.0000000005", "-0.0000000015", "2.5e-9", "3.5E-9",
                                  "0.00000000050000000000000000000000000001", "1e-400",
                                  "0.1e1", "1E2", "1e+3", "9999999.999999999", "-9999999.999999999"]))
    if kind == 7:
        return Number(f"{rng.randrange(10**6)}.{rng.randrange(10**9):09}")
    if kind == 8:
        return Number(f"{rng.randrange(100)}.{rng.randrange(10**25):025}")
    if kind == 9:
        return Number(f"{rng.choice(['', '-'])}{rng.randrange(1, 10**6)}e-{rng.randrange(0, 14)}")
    if kind == 10:
        return Number(f"-{rng.random():.6f}")
    return Number(repr(rng.random() * 10**rng.randrange(-9, 6)))


def random_stamp(rng, model, spread):
    """A timestamp before or after start_time, often at the edge of a bucket."""
    n = rng.randrange(-spread, spread)
    edge = model.begin(n)
    kind = rng.randrange(6)
    if kind == 0:
        at = edge
    elif kind == 1:
        at = edge - Fraction(1, 10**9)
    elif kind == 2:
        at = edge - Fraction(1, 10**15)
    elif kind == 3:
        at = edge + Fraction(1, 10**9)
    else:
        at = edge + model.slice * Fraction(rng.randrange(10**6), 10**6)
    sign, at = ("-", -at) if at < 0 else ("", at)
    digits = 18
    scaled = at * 10**digits
    assert scaled.denominator == 1
    whole, part = divmod(scaled.numerator, 10**digits)
    text = f"{sign}{whole}.{part:0{digits}}".rstrip("0")
    text = text[:-1] if text.endswith(".") and rng.random() < 0.5 else text + ("0" if text.endswith(".") else "")
    if "." in text and rng.random() < 0.1:
        mantissa = text.lstrip("-").replace(".", "").lstrip("0")
        if mantissa:
            text = f"{sign}{mantissa}e-{len(text.split('.')[1])}"
    return Number(text)


def random_entry(rng, named):
    entry = Pairs()
    if named is not None:
        entry.append(("func_name", named))
    calls = rng.randrange(9)
    primitive = rng.randrange(calls + 1)
    big = 2**53 if rng.random() < 0.01 else calls
    members = [("ncalls", rng.choice([str(big), f"{big}/{primitive}", Number(big)])),
               ("tottime", random_seconds(rng)), ("percall_tottime", Number("0.0")), ("cumtime", random_seconds(rng)),
               ("percall_cumtime", Number("0.001")), ("file_name", rng.choice(FILES)),
               ("line_number", rng.choice([None, Number(0), Number(278), Number(2**31 - 1), Number(7)]))]
    members = [m for m in members if m[0] == "cumtime" or rng.random() > 0.06]
    if rng.random() < 0.1:
        members.append(("extra", [{"deep": [None, True, Number("1.5")]}]))
    entry.extend(members)
    if rng.random() < 0.2:
        rng.shuffle(entry)
    return entry


def random_messages(rng, model, n, spread=6):
    """n messages (more with parts) in random order, without line feeds. They are added to the model."""
    texts = []
    for _ in range(n):
        stamp = random_stamp(rng, model, spread)
        listed = rng.random() < 0.5
        entries = []
        for _ in range(0 if rng.random() < 0.08 else rng.randrange(1, 9)):
            name = rng.choice(NAMES)
            entries.append(random_entry(rng, name) if listed else (name, random_entry(rng, None)))
        total = [("total_tt", random_seconds(rng))] if rng.random() < 0.9 else []
        style = dict(item=rng.choice([", ", ", ", ",", " ,\t"]), colon=rng.choice([": ", ": ", ":"]),
                     ascii_only=rng.random() < 0.6)

        def profile(some, head):
            members = Pairs([*head, ("func_profiles", some if listed else Pairs(some))])
            if rng.random() < 0.2:
                members.reverse()
            return members

        if rng.random() < 0.3:
            made = [[stamp, profile(entries, total)]]
        else:
            labels = rng.choice(LABELS)
            around = [("labels", labels)] if labels is not None else []
            if rng.random() < 0.3:
                around.append(("exact", True))
            if rng.random() < 0.2:
                parts = rng.randrange(1, 5)
                made = [Pairs([("timestamp", stamp), *around, ("part", [Number(i), Number(parts)]),
                               ("profile", profile(entries[i::parts], total))]) for i in range(parts)]
                if rng.random() < 0.3 and len(made) > 1:
                    made.pop()  # a lost part
            else:
                made = [Pairs([("timestamp", stamp), ("profile", profile(entries, total)), *around])]
            for message in made:
                if rng.random() < 0.2:
                    rng.shuffle(message)
        for message in made:
            try:
                text = write(message, **style).encode("utf-8")
            except UnicodeEncodeError:  # a lone surrogate can only be escaped
                text = write(message, **dict(style, ascii_only=True)).encode("ascii")
            texts.append(text)
    rng.shuffle(texts)
    model.extend(texts)
    return texts
