"""How many events a second does a stream job take in, and how soon are they online?

    python bench/stream.py [--events 1000000] [--keys 50000] [--runs 3] [--seconds 20] [--only ours latency …]
                           [--peer-python /path/to/a/venv/bin/python …]

Throughput, one process each, from a file of JSON lines until all is written; the three live tables of `coupon`:

ours     `jobs.stream.loop.run` once: each line checked, ids that were seen counted once, states and position committed,
         the states in the real online store, events and states in the offline log
bare     the lines parsed and the same tiles folded in dicts: nothing is checked or kept. The limit
bytewax  a file source, `stateful_batch` for each table, its recovery store with a snapshot a second, and each state
         that changed in a batch written over the one before in SQLite; `--peer-batch` lines a batch, about as many as
         ours takes. `bytewax-default`: a thousand lines, and a snapshot each ten seconds
pyflink  a file source, a keyed process function with a map state of tiles, a checkpoint a second (hashmap), and the
         states that changed within a second written to the same SQLite. Local, parallelism 1, Python in the JVM

A peer runs if one of the interpreters given has it: `pip install bytewax==0.21.1 orjson`, or `pip install
apache-flink` and a Java, in a venv of its own. Peers are spared what ours does besides: the check of a line,
duplicates, late events, the offline log, and the events of the last ten seconds as they came, by which ours answers any
moment to the microsecond and they whole five minutes only. Flink's sink does not wait for its checkpoints. Quix Streams
needs a Kafka broker and is left out.

Starting Python, importing, and `feast apply` are on nobody's clock; starting Flink's cluster is on its own. Bytes are
those of the folder that the way writes to, without the lines. Medians of the runs, which are made in turns. All must
give the same values at the end of the day, ours as the service reads them; another answer fails the run.

The events of the day are random, so all keys are as busy: of a million, a device has 417 codes within its hour, and
nothing is late. Latency is `bench/stream_latency.py`, with the same ten locations: after ten seconds the state of each
has some 2,000 events as they came, and is written anew with every batch.
"""

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "feature_repo")]

import numpy as np  # noqa: E402
from stream_fold import AS_OF, REACH  # noqa: E402

DAY = 86_400
LOCATIONS, DEVICES = 10, 100
#: So many keys of the first table are asked, spread over all of them.
ASKED = 2_000
#: Way → the module that its interpreter must have, "" for ours; lines in a batch, 0 for `--peer-batch`; and the seconds
#: between two snapshots.
WAYS = {
    "ours": ("", 0, 0),
    "bare": ("", 0, 0),
    "bytewax": ("bytewax", 0, 1),
    "bytewax-default": ("bytewax", 1000, 10),
    "pyflink": ("pyflink", 0, 1),
}
Found = dict[str, dict[str, list[int]]]


def prefix(n: int) -> str:
    return f"{n // 10_000:04d}-{n % 10_000:04d}-{n * 7919 % 10_000:04d}-"


def make(file: Path, events: int, keys: int) -> None:
    """A day of them, in order but for some seconds."""
    rng = np.random.default_rng(7)
    second = np.sort(rng.random(events) * DAY)
    second = np.clip(second + rng.uniform(-3, 3, events), 0, DAY - 1e-3)
    drawn = (rng.integers(0, keys // LOCATIONS, events), rng.integers(0, DEVICES, events),
             rng.integers(0, 10_000, events), rng.random(events) < 0.05)  # fmt: skip
    with file.open("w") as opened:
        columns = zip((second * 1e6).astype(int).tolist(), *(of.tolist() for of in drawn), strict=True)
        for n, (moment, of_prefix, device, number, is_invalid) in enumerate(columns):
            at, micros = divmod(moment, 1_000_000)
            opened.write(
                f'{{"msg_id":"m{n:09d}","msg_type":"REDEEM","device_id":"d{device:03d}",'
                f'"location_code":"L{device // 10:02d}","coupon_code":"{prefix(of_prefix)}{number:04d}",'
                f'"response":"{"INVALID" if is_invalid else "VALID"}","create_time":'
                f'"2026-01-30T{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}.{micros:06d}Z"}}\n'
            )


def apply() -> None:
    """The coupon domain's objects alone, below `$RISK_DATA`, which is a new folder."""
    from feast import FeatureStore

    import settings
    from features.domains import stream_of
    from jobs.stream.job import prepare
    from views import coupon

    prepare(settings.root(), stream_of("coupon"))
    names = ("coupon_prefix", "location", "device", "coupon_prefixes", "location_attempts", "device_attempts")
    objects: list[Any] = [getattr(coupon, name) for name in (*names, "coupon_now", "coupon")]
    FeatureStore(str(settings.FEATURE_REPO)).apply(objects)


def ours(lines: Path, folder: Path, keys: int) -> None:
    """In a process of its own, with `folder` as its `$RISK_DATA`."""
    from threading import Event

    apply()
    import settings
    from features.domains import stream_of
    from jobs.stream import loop, process
    from jobs.stream.sources import open_source
    from serving.retrieval import FeastStore

    stream, sink = stream_of("coupon"), FeastStore(settings.FEATURE_REPO)
    source = open_source(settings.root(), f"jsonl:{lines}", stream.raw.name)
    began = time.perf_counter()
    process.collect_rarely()
    loop.run(settings.root(), stream, source, sink, True, Event(), lambda text: print(text, file=sys.stderr))
    seconds, memory = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (folder / "found.json").write_text(json.dumps(served(sink, keys)))
    print(json.dumps([seconds, memory]))


def served(sink: Any, keys: int) -> Found:
    """What the service would be told at the end of the day."""
    from datetime import UTC, datetime

    from features.coupon import COUPON, COUPON_LIVE

    found: Found = {table: {} for table in REACH}
    as_of = datetime.fromtimestamp(AS_OF, UTC)
    for n in range(0, keys // LOCATIONS, max(1, keys // LOCATIONS // ASKED)):
        device, of_prefix = n % DEVICES, prefix(n)
        row = {"device_id": f"d{device:03d}", "location_code": f"L{device // 10:02d}", "coupon_prefix": of_prefix}
        told = sink.online(COUPON, row, as_of)
        named = (of_prefix + row["location_code"], row["location_code"], row["device_id"])
        for table, key in zip(COUPON_LIVE.tables, named, strict=True):
            found[table.name][key] = [told[feature] for feature in table.empty]
    return found


def timed(way: str, python: str, lines: Path, folder: Path, asked: argparse.Namespace) -> tuple[float, float, int]:
    """Seconds, peak memory in MB, bytes on disk."""
    folder.mkdir()
    _, batch, snapshot = WAYS[way]
    command = [str(ROOT / "bench/stream_peers.py"), way.split("-")[0], str(lines), str(folder)]
    command += [str(batch or asked.peer_batch), str(snapshot)]
    if way == "ours":
        command = [__file__, "--one", "ours", str(lines), str(folder), "--keys", str(asked.keys)]
    environment = {**os.environ, "RISK_DATA": str(folder)}
    ended = subprocess.run([python, *command], capture_output=True, text=True, check=False, env=environment)
    if ended.returncode:
        raise SystemExit(f"{way}: {ended.stderr[-3000:]}")
    seconds, memory = json.loads(ended.stdout.splitlines()[-1])
    for log in folder.rglob("*-wal"):
        with closing(sqlite3.connect(log.with_name(log.name.removesuffix("-wal")))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = [file for file in folder.rglob("*") if file.is_file() and file.name != "found.json"]
    return seconds, memory, sum(file.stat().st_size for file in kept)


def differ(mine: Found, other: Found) -> int:
    """A key of which nothing counts any more may be there or not."""
    pairs = (
        (values, other[table].get(key, [0] * len(values))) for table in mine for key, values in mine[table].items()
    )
    return sum(one != another for one, another in pairs)


def interpreters(given: list[str], wanted: list[str]) -> dict[str, str]:
    """Way → the interpreter that can run it; says which there is none for."""
    found = {}
    for way, (module, *_) in WAYS.items():
        if way not in wanted:
            continue
        check = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        able = [p for p in given if not subprocess.run([p, "-c", check], check=False).returncode] if module else []
        if able or not module:
            found[way] = able[0] if able else sys.executable
        else:
            print(f"{way}: not run, no --peer-python has {module}")
    return found


def throughput(asked: argparse.Namespace, ways: dict[str, str], scratch: Path) -> None:
    make(lines := scratch / "events.jsonl", asked.events, asked.keys)
    size = lines.stat().st_size
    print(f"{asked.events:,} events, {asked.keys:,} keys, {size / 1e6:,.0f} MB; medians of {asked.runs} runs each")
    runs: dict[str, list[tuple[float, float, int]]] = {way: [] for way in ways}
    for n in range(asked.runs):
        for way, python in ways.items():
            runs[way].append(timed(way, python, lines, scratch / f"{way}-{n}", asked))
    first = next(iter(ways))
    found = {way: json.loads((scratch / f"{way}-0" / "found.json").read_text()) for way in ways}
    base = statistics.median(seconds for seconds, *_ in runs[first])
    for way in ways:
        seconds, memory, kept = (statistics.median(column) for column in zip(*runs[way], strict=True))
        speed = f"{asked.events / seconds:9,.0f} events/s  {base / seconds:6.2f} × {first}"
        print(f"{way:<15}{speed}   peak {memory:6,.0f} MB   {kept / 1e6:6,.0f} MB on disk")
    wrong = {way: count for way in ways if (count := differ(found[first], found[way]))}
    if wrong:
        raise SystemExit(f"values differ from those of {first}: {wrong}")
    of_keys = [values for of in found[first].values() for values in of.values()]
    print(f"all agree on {len(of_keys):,} keys, {sum(map(any, of_keys)):,} of which something counts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("events", 1_000_000), ("keys", 50_000), ("runs", 3), ("peer-batch", 50_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=[*WAYS, "latency"])
    parser.add_argument("--peer-python", nargs="+", default=[])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return ours(Path(asked.one[1]), Path(asked.one[2]), asked.keys)
    wanted = asked.only or [*WAYS, "latency"]
    ways = interpreters(asked.peer_python, wanted)
    if not asked.only:
        why = "nothing here fills $KAFKA_BROKER" if "KAFKA_BROKER" in os.environ else "it needs a broker, $KAFKA_BROKER"
        print(f"quix streams: not run, {why}")
    with tempfile.TemporaryDirectory() as name:
        if ways:
            throughput(asked, ways, Path(name))
        if "latency" in wanted:
            import stream_latency

            stream_latency.measure(Path(name), asked.seconds)


if __name__ == "__main__":
    main()
