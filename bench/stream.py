"""How many events a second does a stream job process, and how soon are they online?

    python bench/stream.py [--events 1000000] [--keys 50000] [--hot 0.5] [--runs 3] [--seconds 20]
                           [--per-second 2000] [--only ours latency …] [--partitions 4]
                           [--peer-python /path/to/a/venv/bin/python …]

Throughput: each contestant is a process. It reads a file of JSON lines, or a topic of them, computes the three live
tables of `coupon`, and is done when all is written. Printed are medians of the runs, which take turns.

ours     `jobs.stream.loop.run` once. It checks each line, processes an id once, commits states and position, writes the
         states to the real online store, and events and states to the offline log
bare     parses the lines and folds the same tiles in dicts. It checks and keeps nothing: the limit
bytewax  a file source, `stateful_batch` for each table, its recovery store with a snapshot a second. It writes each
         state that a batch changed to SQLite. A batch has `--peer-batch` lines, about as many as ours.
         `bytewax-default` has a thousand lines in a batch, and a snapshot each ten seconds
pyflink  a file source, a keyed process function with a map state of tiles, a checkpoint a second (hashmap). It writes
         the states that changed within a second to the same SQLite. Local, parallelism 1, Python in the JVM
quix     Quix Streams reads a topic with `--partitions`. It groups the entries of each table by key, through a topic
         unless there is one partition, and keeps the tiles of a key in its state, in RocksDB and a changelog topic. A
         commit a second, at least once, writes the states that changed to the same SQLite
ours-kafka
         our worker with `--once` on such a topic: exactly once. It ends up to a second late

Bytewax and PyFlink run where one of the given interpreters has it: `pip install bytewax==0.21.1 orjson`, or `pip
install apache-flink` and a Java, each in its own venv. Those on Kafka run in this environment, after `make engines`,
with a Java and Maven. One broker on the loopback interface serves the run. Its memory and disk are in no column.

Peers do less than ours: they check no lines, find no duplicates and no late events, and write no offline log. Ours also
keeps the events of the last seconds as they are, so that it answers to the microsecond; a peer answers whole five
minutes only. Flink's sink does not wait for its checkpoints.

Not on the clock: starting Python, imports, `feast apply`, and filling the topic. On it: starting Flink's cluster,
making topics and joining a consumer group. They take seconds, so a run of few events says little. Bytes on disk are
those of the folder that a contestant writes to, without the lines. All must give the same values at the end of the day,
ours as the service reads them. A difference fails the run.

The events of the day are random, so all keys are equally busy: of a million events, a device has 417 codes within its
hour, and none is late. With `--hot 0.5`, every second event has the same three keys. Latency is measured by
`bench/stream_latency.py`, with the same ten locations: after ten seconds the state of each has some 2,000 events as
they are, and each batch writes it again.
"""

import argparse
import json
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "feature_repo"), str(ROOT / "tests")]

from coupon_machines import DEVICES, LOCATIONS, apply, prefix  # noqa: E402
from printing import print_table  # noqa: E402
from stream_events import make_lines, topic_of_lines  # noqa: E402
from stream_fold import AS_OF, REACH_SECONDS  # noqa: E402

#: The values of this many keys of the first table are compared, spread over all of them.
COMPARED_KEYS = 2_000
#: Contestant → the module that its interpreter must have; lines in a batch, 0 for `--peer-batch`; and the seconds
#: between two snapshots.
CONTESTANTS = {
    "ours": ("", 0, 0),
    "bare": ("", 0, 0),
    "bytewax": ("bytewax", 0, 1),
    "bytewax-default": ("bytewax", 1000, 10),
    "pyflink": ("pyflink", 0, 1),
    "quix": ("quixstreams", 0, 1),
    "ours-kafka": ("quixstreams", 0, 0),
}
#: Those that read a topic, and the programs that start a broker.
ON_KAFKA, BROKER_PROGRAMS = ("quix", "ours-kafka"), ("java", "mvn")
#: Table → key → its features at the end of the day.
Values = dict[str, dict[str, list[int]]]


def run_ours(lines: str, folder: Path, keys: int) -> None:
    """Run our job in this process on a file or a topic, with `folder` as `$RISK_DATA`. Prints seconds and peak memory
    in MB."""
    apply()
    import settings
    from jobs.stream import process
    from serving.retrieval import FeastStore

    store = FeastStore(settings.FEATURE_REPO)
    work = our_work(lines, store)
    process.collect_rarely()
    began = time.perf_counter()
    work()
    seconds, memory = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (folder / "values.json").write_text(json.dumps(served_values(store, keys)))
    print(json.dumps([seconds, memory]))


def our_work(lines: str, store: Any) -> Callable[[], None]:
    """What is on the clock of our job."""
    from threading import Event

    import settings
    from brokers import topic_of
    from features.domains import stream_of
    from jobs.stream import loop
    from jobs.stream.sources import open_source

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    root, stream, key = settings.root(), stream_of("coupon"), settings.hash_key()
    if topic := topic_of(lines):
        from jobs.stream.kafka import worker
        from jobs.stream.kafka.places import Places

        places, how = Places(topic, stream), worker.How(report, once=True)
        return lambda: worker.run(root, places, store, key, how)
    source = open_source(root, f"jsonl:{lines}", stream.raw.name)
    return lambda: loop.run(root, stream, source, store, key, True, Event(), report)


def served_values(store: Any, keys: int) -> Values:
    """What the service reads at the end of the day."""
    from datetime import UTC, datetime

    from features.coupon import COUPON, COUPON_LIVE

    served: Values = {table: {} for table in REACH_SECONDS}
    as_of = datetime.fromtimestamp(AS_OF, UTC)
    for n in range(0, keys // LOCATIONS, max(1, keys // LOCATIONS // COMPARED_KEYS)):
        device, coupon_prefix = n % DEVICES, prefix(n)
        row = {"device_id": f"d{device:03d}", "location_code": f"L{device // 10:02d}", "coupon_prefix": coupon_prefix}
        features = store.online(COUPON, row, as_of)
        table_keys = (coupon_prefix + row["location_code"], row["location_code"], row["device_id"])
        for table, key in zip(COUPON_LIVE.tables, table_keys, strict=True):
            served[table.name][key] = [features[name] for name in table.empty]
    return served


def run(contestant: str, python: str, lines: str, folder: Path, args: argparse.Namespace) -> tuple[float, float, int]:
    """Seconds, peak memory in MB, and bytes on disk of one run in a process of its own."""
    folder.mkdir()
    _, batch, snapshot = CONTESTANTS[contestant]
    command = [str(ROOT / "bench/stream_peers.py"), contestant.split("-")[0], lines, str(folder)]
    command += [str(batch or args.peer_batch), str(snapshot)]
    if contestant.startswith("ours"):
        command = [__file__, "--one", lines, str(folder), "--keys", str(args.keys)]
    environment = {**os.environ, "RISK_DATA": str(folder)}
    ended = subprocess.run([python, *command], capture_output=True, text=True, check=False, env=environment)
    if ended.returncode:
        raise SystemExit(f"{contestant}: {ended.stderr[-3000:]}")
    seconds, memory = json.loads(ended.stdout.splitlines()[-1])
    for log in folder.rglob("*-wal"):
        with closing(sqlite3.connect(log.with_name(log.name.removesuffix("-wal")))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "values.json"]
    return seconds, memory, sum(file.stat().st_size for file in files)


def differences(ours: Values, other: Values) -> int:
    """How many keys have other values. A key whose windows are empty may be missing."""
    pairs = (
        (values, other[table].get(key, [0] * len(values))) for table in ours for key, values in ours[table].items()
    )
    return sum(mine != theirs for mine, theirs in pairs)


def interpreters(given: list[str], wanted: list[str]) -> dict[str, str]:
    """Contestant → an interpreter that can run it. Prints the contestants that have none."""
    chosen = {}
    for contestant, (module, *_) in CONTESTANTS.items():
        if contestant not in wanted:
            continue
        is_own = not module or contestant in ON_KAFKA
        check = f"import importlib.util as u, sys; sys.exit(bool({module!r}) and u.find_spec({module!r}) is None)"
        pythons = [sys.executable] if is_own else given
        able = [python for python in pythons if not subprocess.run([python, "-c", check], check=False).returncode]
        missing = [name for name in BROKER_PROGRAMS if contestant in ON_KAFKA and not shutil.which(name)]
        if able and not missing:
            chosen[contestant] = able[0]
        else:
            where = "this environment has no" if is_own else "no --peer-python has"
            print(f"{contestant}: not run, {where} {', '.join(missing or [module])}")
    return chosen


def measure_throughput(args: argparse.Namespace, chosen: dict[str, str], scratch: Path) -> None:
    make_lines(lines := scratch / "events.jsonl", args.events, args.keys, args.hot)
    print(f"{args.events:,} events, {args.keys:,} keys, {lines.stat().st_size / 1e6:,.0f} MB; medians of {args.runs}")
    runs: dict[str, list[tuple[float, float, int]]] = {contestant: [] for contestant in chosen}
    with ExitStack() as stack:
        if chosen.keys() & ON_KAFKA:
            from engines.kafka import broker

            kafka = stack.enter_context(broker(scratch / "kafka"))
        for n in range(args.runs):
            for contestant, python in chosen.items():
                folder, source = scratch / f"{contestant}-{n}", nullcontext(str(lines))
                if contestant in ON_KAFKA:
                    source = topic_of_lines(kafka, folder.name, lines, args.partitions)
                with source as read:
                    runs[contestant].append(run(contestant, python, read, folder, args))
    first = next(iter(chosen))
    medians = {name: [statistics.median(column) for column in zip(*runs[name], strict=True)] for name in chosen}
    print_table(
        ("contestant", "events/s", f"events/s, × {first}", "peak MB", "MB on disk"),
        [
            (name, f"{args.events / seconds:,.0f}", f"{medians[first][0] / seconds:.2f}", f"{memory:,.0f}",
             f"{size / 1e6:,.0f}") for name, (seconds, memory, size) in medians.items()
        ],
    )  # fmt: skip
    values = {name: json.loads((scratch / f"{name}-0" / "values.json").read_text()) for name in chosen}
    wrong = {name: count for name in chosen if (count := differences(values[first], values[name]))}
    if wrong:
        raise SystemExit(f"Keys whose values differ from those of {first}: {wrong}")
    by_key = [features for table in values[first].values() for features in table.values()]
    print(f"all agree on {len(by_key):,} keys, of which {sum(map(any, by_key)):,} have events in a window")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    several = {"events": 1_000_000, "keys": 50_000, "runs": 3, "peer-batch": 50_000, "partitions": 4}
    for name, default in (several | {"seconds": 20, "per-second": 2_000}).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--hot", type=float, default=0.0)
    parser.add_argument("--only", nargs="+", choices=[*CONTESTANTS, "latency"])
    parser.add_argument("--peer-python", nargs="+", default=[])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return run_ours(args.one[0], Path(args.one[1]), args.keys)
    wanted = args.only or [*CONTESTANTS, "latency"]
    chosen = interpreters(args.peer_python, wanted)
    with tempfile.TemporaryDirectory() as name:
        if chosen:
            measure_throughput(args, chosen, Path(name))
        if "latency" in wanted:
            import stream_latency

            stream_latency.measure(Path(name), args.seconds, args.per_second)


if __name__ == "__main__":
    main()
