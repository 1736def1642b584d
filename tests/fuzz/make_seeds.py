"""Generates seeds for the fuzz targets: make_seeds.py LIST DEPENDENCIES TARGET...

Writes them to seeds/TARGET/ beside LIST, their names to LIST, and the files they were made from to DEPENDENCIES, for
ninja. The output depends only on the source tree.

- decode: each real profile in seeds/decode/, in every form that a sender may use; each row of tests/support/texts.py
- framer: streams of several of those rows
- config: each setting of the sample configuration, so that new keys are included automatically
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
    """The value with the members of all objects, nested ones too, in random order."""
    if isinstance(value, list):
        return [shuffled(one, rng) for one in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    rng.shuffle(names)
    return {name: shuffled(value[name], rng) for name in names}


def listed(profile):
    """The profile with its functions as a list."""
    functions = profile["func_profiles"]
    if isinstance(functions, dict):
        functions = [{"func_name": name, **members} for name, members in functions.items()]
    return {**profile, "func_profiles": functions}


def forms(message, rng):
    """(name, value) for each form in which the profile may be sent."""
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
        for name, value in forms(json.loads(path.read_bytes()), rng):
            yield f"{path.stem}-{name}", json.dumps(value, separators=SPACED)
            yield f"{path.stem}-{name}-compact", json.dumps(value, separators=COMPACT)
            # UTF-8 has no lone surrogates; the two above contain them as escapes.
            text = json.dumps(value, separators=SPACED, ensure_ascii=False, indent=1)
            yield f"{path.stem}-{name}-indented", text.encode("utf-8", "replace")
    for number, row in enumerate(support.texts.ROWS):
        yield f"table-{number:03}-{row.name}", row.text


def framer_seeds():
    """max_message, the number of lengths, the lengths of pieces, and a stream of rows and blank lines."""
    rng = random.Random(8137)
    texts = [row.text for row in support.texts.ROWS if len(row.text) < 250 and b"\n" not in row.text]
    for number in range(40):
        lines = [rng.choice(texts) + rng.choice((b"\n", b"\r\n", b"\n\n", b"\n \t\r\n")) for _ in range(4)]
        lengths = bytes(rng.randrange(256) for _ in range(rng.randrange(16)))
        stream = b"".join(lines)[:None if number % 2 else -1]
        limit = rng.choice((255, 255, max(map(len, lines)) - 1, rng.randrange(256)))
        yield f"stream-{number:02}", bytes((min(limit, 255), len(lengths))) + lengths + stream


def config_seeds():
    section, settings = "", []
    for line in SAMPLE.read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            section = line[1:-1]
        elif re.fullmatch(r"#\w+ =.*", line):
            settings.append((section, *line[1:].split(" =", maxsplit=1)))
    if not settings:
        sys.exit("make_seeds.py: config/timesliced.conf has no line \"#key = value\"")
    complete = ""
    for number, (section, key, value) in enumerate(settings):
        complete += "" if f"[{section}]\n" in complete else f"[{section}]\n"
        complete += f"{key} ={value}\n"
        yield f"key-{number:02}-{key}", f"0[{section}]\n{key} ={value}\n"
        yield f"set-{number:02}-{key}", f"1{section}.{key}={value.strip()}\n"
    yield "complete", "0" + complete


def main():
    listing, dependencies = (pathlib.Path(name).resolve() for name in sys.argv[1:3])
    folder = listing.parent / "seeds"
    shutil.rmtree(folder, ignore_errors=True)
    for target in sys.argv[3:]:
        (folder / target).mkdir(parents=True)  # even if all its seeds are in the source tree
    names = []
    for target, seeds in (("config", config_seeds), ("decode", decode_seeds), ("framer", framer_seeds)):
        for name, text in seeds():
            name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
            path = folder / target / name
            with open(path, "xb") as out:  # fails if two seeds have the same name
                out.write(text if isinstance(text, bytes) else text.encode())
            names.append(f"{target}/{name}\n")
    sources = [pathlib.Path(__file__).resolve(), pathlib.Path(support.texts.__file__).resolve(), SAMPLE,
               PROFILES, *PROFILES.glob("real-*.json")]  # the folder too: it changes when a file is added or deleted
    paths = (str(path).replace(" ", "\\ ") for path in sources)
    dependencies.write_text(f"{sys.argv[1]}: {' '.join(paths)}\n", encoding="utf-8")
    listing.write_text("".join(names), encoding="utf-8")


if __name__ == "__main__":
    main()
