"""Seeds that follow from what is in the tree: make_seeds.py LIST DEPENDENCIES TARGET...

Writes them to seeds/TARGET/ beside LIST; into LIST their names, into DEPENDENCIES, for ninja, what they were made from.
The same tree gives the same files. Real profiles lie in seeds/decode/; here each is given every shape that a sender may
choose. The rows of tests/support/texts.py are one input each, for the framer several of them are a stream. The
configuration's come from its sample, so a new key is among them without anybody's doing.
"""
import json
import pathlib
import random
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = ROOT / "tests" / "fuzz" / "seeds"

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests"))
import support.texts  # noqa: E402

SAMPLE = ROOT / "config" / "timesliced.conf"
PROFILES = SEEDS / "decode"
COMPACT, SPACED = (",", ":"), (", ", ": ")


def shuffled(value, rng):
    """Objects with their members in another order, also inside."""
    if isinstance(value, list):
        return [shuffled(one, rng) for one in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    rng.shuffle(names)
    return {name: shuffled(value[name], rng) for name in names}


def listed(profile):
    """The list form, whichever it has."""
    functions = profile["func_profiles"]
    if isinstance(functions, dict):
        functions = [{"func_name": name, **members} for name, members in functions.items()]
    return {**profile, "func_profiles": functions}


def shapes(message, rng):
    """(name, value) of each way in which one profile may be sent."""
    stamp, profile = message["timestamp"], message["profile"]
    functions = profile["func_profiles"]
    bare = [{name: members[name] for name in ("func_name", "cumtime") if name in members}
            for members in listed(profile)["func_profiles"]]
    calls = [{**members, "ncalls": int(str(members["ncalls"]).split("/", maxsplit=1)[0])}
             for members in listed(profile)["func_profiles"]]
    labels = {"service": "web", "host": "a-1", "zone": "r\u00e9gion \U0001f600"}
    yield "as-sent", message
    yield "pair", [stamp, profile]
    yield "list", {"timestamp": stamp, "profile": listed(profile)}
    yield "pair-list", [stamp, listed(profile)]
    yield "labels", {"timestamp": stamp, "labels": labels, "profile": profile}
    yield "labels-behind", {"timestamp": stamp, "profile": profile, "labels": labels}
    yield "exact", {"timestamp": stamp, "exact": True, "profile": listed(profile)}
    yield "part", {"timestamp": stamp, "part": [1, 3], "profile": profile}
    yield "seq", {"seq": 42, "timestamp": stamp, "profile": profile}
    yield "everything", {"seq": 2**53, "timestamp": int(stamp), "exact": False, "part": [0, 2], "labels": labels,
                         "x": [{"y": None}], "profile": {**listed(profile), "z": "\ud800"}}
    yield "shuffled", shuffled(message, rng)
    yield "shuffled-list", shuffled({"timestamp": stamp, "exact": True, "profile": listed(profile)}, rng)
    yield "only-cumtime", {"timestamp": stamp, "profile": {"func_profiles": bare}}
    yield "ncalls-number", {"timestamp": stamp, "profile": {**profile, "func_profiles": calls}}
    yield "empty", {"timestamp": stamp, "profile": {**profile, "func_profiles": type(functions)()}}


def decode_seeds():
    rng = random.Random(8137)
    for path in sorted(PROFILES.glob("real-*.json")):
        for name, value in shapes(json.loads(path.read_bytes()), rng):
            yield f"{path.stem}-{name}", json.dumps(value, separators=SPACED)
            yield f"{path.stem}-{name}-compact", json.dumps(value, separators=COMPACT)
            # Lone surrogates have no UTF-8; they stay as escapes in the two above.
            text = json.dumps(value, separators=SPACED, ensure_ascii=False, indent=1)
            yield f"{path.stem}-{name}-indented", text.encode("utf-8", "replace")
    for number, row in enumerate(support.texts.ROWS):
        yield f"table-{number:03}-{row.name}", row.text


def framer_seeds():
    """max_message, the number of cuts, the cuts, and a stream of some rows of the table, in turn with blank lines."""
    rng = random.Random(8137)
    texts = [row.text for row in support.texts.ROWS if len(row.text) < 250 and b"\n" not in row.text]
    for number in range(40):
        lines = [rng.choice(texts) + rng.choice((b"\n", b"\r\n", b"\n\n", b"\n \t\r\n")) for _ in range(4)]
        cuts = bytes(rng.randrange(256) for _ in range(rng.randrange(16)))
        stream = b"".join(lines)[:None if number % 2 else -1]
        limit = rng.choice((255, 255, max(map(len, lines)) - 1, rng.randrange(256)))
        yield f"stream-{number:02}", bytes((min(limit, 255), len(cuts))) + cuts + stream


def config_seeds():
    section, settings = "", []
    for line in SAMPLE.read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            section = line[1:-1]
        elif re.fullmatch(r"#\w+ =.*", line):
            settings.append((section, *line[1:].split(" =", maxsplit=1)))
    if not settings:
        sys.exit("make_seeds.py: config/timesliced.conf has no line \"#key = value\"")
    whole = ""
    for number, (section, key, value) in enumerate(settings):
        whole += "" if f"[{section}]\n" in whole else f"[{section}]\n"
        whole += f"{key} ={value}\n"
        yield f"key-{number:02}-{key}", f"0[{section}]\n{key} ={value}\n"
        yield f"set-{number:02}-{key}", f"1{section}.{key}={value.strip()}\n"
    yield "whole", "0" + whole


def main():
    listing, dependencies = (pathlib.Path(name).resolve() for name in sys.argv[1:3])
    folder = listing.parent / "seeds"
    shutil.rmtree(folder, ignore_errors=True)
    for target in sys.argv[3:]:
        (folder / target).mkdir(parents=True)  # also of one whose seeds all lie in the tree
    names = []
    for target, seeds in (("config", config_seeds), ("decode", decode_seeds), ("framer", framer_seeds)):
        for name, text in seeds():
            name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
            path = folder / target / name
            with open(path, "xb") as out:  # two of one name would hide one
                out.write(text if isinstance(text, bytes) else text.encode())
            names.append(f"{target}/{name}\n")
    sources = [pathlib.Path(__file__).resolve(), pathlib.Path(support.texts.__file__).resolve(), SAMPLE,
               PROFILES, *PROFILES.glob("real-*.json")]  # the folder, too: it changes when a file comes or goes
    words = (str(path).replace(" ", "\\ ") for path in sources)
    dependencies.write_text(f"{sys.argv[1]}: {' '.join(words)}\n", encoding="utf-8")
    listing.write_text("".join(names), encoding="utf-8")


if __name__ == "__main__":
    main()
