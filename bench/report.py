"""Runs all measurements in rounds and prints one table, ratios first.

    /usr/bin/python3 bench/report.py BUILD CORPUS [ROUNDS]

A ratio compares measurements of the same round. The table has the median of the rounds' ratios, with the lowest and the
highest in brackets. Other values are medians of the rounds.
"""
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import corpus
import daemon
import notebook
import statsd

UDP_RATE = 15000  # datagrams/s of up to 60 kB: slow enough for one core that none is lost
LOSS = ((10000, 2), (25000, 2), (50000, 10), (75000, 2), (100000, 2), (150000, 2), (200000, 2))  # datagrams/s, seconds
SHUFFLED_FUNCTIONS = 5_000_000


def median(results, key):
    return statistics.median(float(result[key]) for result in results)


def ratio(above, below):
    ratios = sorted(a / b for a, b in zip(above, below))
    return f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def rates(results):
    return [result["rate"] for result in results]


def progress(text):
    print(text, file=sys.stderr, flush=True)


def measure(build, folder, rounds):
    runs = {name: [] for name in ("notebook", *corpus.FORMS, "two", "half", "two_half", "plain", "acknowledged", "udp",
                                 "udp_two", "memory", "visible")}
    for n in range(rounds):
        progress(f"round {n + 1} of {rounds}")
        runs["notebook"].append(notebook.measure(folder / "spaced.jsonl", 1.0))
        for form in corpus.FORMS:
            more = {"functions": SHUFFLED_FUNCTIONS} if form == "shuffled" else {}
            runs[form].append(daemon.tcp(build, folder, form, **more))
        runs["two"].append(daemon.tcp(build, folder, "spaced", threads=2))
        half = runs["spaced"][-1]["mb_per_second"] / 2
        runs["half"].append(daemon.tcp(build, folder, "spaced", mb_per_second=half))
        runs["two_half"].append(daemon.tcp(build, folder, "spaced", threads=2, mb_per_second=half))
        runs["plain"].append(daemon.plain(build, folder))
        runs["acknowledged"].append(daemon.acknowledged(build, folder))
        runs["udp"].append(daemon.udp(build, folder, "datagrams", UDP_RATE, 2))
        runs["udp_two"].append(daemon.udp(build, folder, "datagrams", UDP_RATE, 2, threads=2, sockets=16))
        runs["memory"].append(daemon.memory(build, folder))
        runs["visible"].append(daemon.visible(build, folder, half))
    progress("decoder")
    runs["decoder"] = {
        form: json.loads(subprocess.run([build / "bench" / "bench_decode", folder / f"{form}.jsonl", str(rounds)],
                                        check=True, capture_output=True, text=True).stdout) for form in corpus.FORMS}
    progress("UDP loss")
    statsd_rate = statsd.measure(build / "bench" / "statsd", folder / "spaced.jsonl")
    runs["statsd"] = [statsd_rate] if statsd_rate else []
    runs["loss"] = [daemon.udp(build, folder, "small", rate, seconds) for rate, seconds in LOSS]
    return runs


def rows(runs):
    spaced = rates(runs["spaced"])
    yield "**ratios**", "", ""
    for form, goal in zip(corpus.FORMS, (12, 12, 10, 4)):
        measured = ratio(rates(runs[form]), runs["notebook"])
        yield f"daemon over TCP, {form}, vs. the notebook", measured, f">= {goal}x"
    for form in corpus.FORMS:
        one = runs["decoder"][form]
        yield (f"decoder vs. cJSON parse, {form}",
               f"{one['ratio']:.2f}x ({one['ratio_low']:.2f} to {one['ratio_high']:.2f})",
               ">= 30x" if form == "spaced" else "")
    for key, per in (("wall", "second"), ("rate", "CPU-second")):
        yield (f"acknowledged streams vs. plain streams, durability=power, functions per {per}",
               ratio([one[key] for one in runs["acknowledged"]], [one[key] for one in runs["plain"]]), ">= 0.7x")
    yield "daemon over UDP (60 kB datagrams) vs. TCP", ratio(rates(runs["udp"]), spaced), ">= 0.8x"
    yield ("CPU per function, TCP at half load, 2 ingest threads vs. 1",
           ratio(rates(runs["half"]), rates(runs["two_half"])), "<= 1.15x")
    yield ("the same at full load, 2 threads and the senders on 2 cores", ratio(spaced, rates(runs["two"])), "")
    yield "CPU per function, UDP, 2 ingest threads vs. 1", ratio(rates(runs["udp"]), rates(runs["udp_two"])), ""
    if runs["statsd"]:
        yield ("daemon over TCP, spaced, vs. statsd (Node) over TCP, only cumtime",
               f"{median(runs['spaced'], 'rate') / runs['statsd'][0]:.1f}x", "")
    yield "**million functions per CPU-second**", "", ""
    yield "the notebook", f"{statistics.median(runs['notebook']):.2f}", ""
    statsd_rate = f"{runs['statsd'][0]:.2f}" if runs["statsd"] else "not available"
    yield "statsd (Node), one counter per function", statsd_rate, ""
    for name, form in ((f"daemon over TCP, {form}", form) for form in corpus.FORMS):
        yield name, rate_text(runs[form]), ""
    yield "daemon over TCP, spaced, 2 threads", rate_text(runs["two"]), ""
    yield "daemon over TCP, spaced, at half load", rate_text(runs["half"]), ""
    yield "daemon over TCP, spaced, at half load, 2 threads", rate_text(runs["two_half"]), ""
    yield "daemon over TCP, acknowledged", rate_text(runs["acknowledged"]), ""
    yield "daemon over UDP", rate_text(runs["udp"]), ""
    yield "daemon over UDP, 2 threads", rate_text(runs["udp_two"]), ""
    for form in corpus.FORMS:
        one = runs["decoder"][form]
        yield f"decoder, {form}", f"{one['decoder']:.2f} ({one['decoder_mb']:.0f} MB/s)", ""
        yield f"cJSON parse, only cumtime read, {form}", f"{one['cjson']:.2f} ({one['cjson_mb']:.0f} MB/s)", ""
    yield "**UDP loss**, datagrams of up to 1,400 B, 1 thread", "", ""
    for (rate, seconds), one in zip(LOSS, runs["loss"]):
        yield (f"{rate:,}/s for {seconds} s (sent: {one['sent_rate']:,.0f}/s, {one['bytes']:,.0f} B)",
               f"{one['lost']:,} of {one['sent']:,} lost", "0" if rate == 50000 else "")
    yield "**from sending to visible in a query**, over TCP, at half load", "", ""
    load = median(runs["visible"], "functions_per_second")
    yield f"p50, while {load:.1f} million functions/s are received", f"{median(runs['visible'], 'p50'):.0f} ms", ""
    yield "p99", f"{median(runs['visible'], 'p99'):.0f} ms", "<= 100 ms"
    yield "**100,000 locations in one bucket**", "", ""
    memory = runs["memory"]
    yield "resident memory, nothing received", f"{median(memory, 'empty'):.1f} MiB", ""
    yield "resident memory, before the commit", f"{median(memory, 'new_live'):.1f} MiB", "<= 64 MiB"
    yield ("peak of resident memory, the same received and committed three times", f"{median(memory, 'most'):.1f} MiB",
           "<= 64 MiB")
    yield "commit, a row with a new location", f"{median(memory, 'new_us'):.2f} µs", ""
    yield "commit, a row with a known location", f"{median(memory, 'known_us'):.2f} µs", ""


def rate_text(results):
    functions = median(results, "functions") / 1e9
    return f"{median(results, 'rate'):.2f} (user {median(results, 'user') / functions:.0f} ns, " \
           f"system {median(results, 'system') / functions:.0f} ns per function)"


def main():
    build, folder = map(pathlib.Path, sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    runs = measure(build, folder, rounds)
    print(f"Rounds: {rounds}, {runs['decoder']['spaced']['functions']} functions of "
          f"{runs['decoder']['spaced']['bytes_per_function']:.0f} bytes in the corpus, {os.cpu_count()} cores, Python "
          f"{platform.python_version()}, load at the end {os.getloadavg()[0]:.1f}\n")
    print("| measurement | result | goal |\n| --- | --- | --- |")
    for row in rows(runs):
        print("| " + " | ".join(row).replace("|  |", "| |").replace("|  |", "| |").strip() + " |")


if __name__ == "__main__":
    main()
