"""What does `FeatureStore.materialize` cost, from Parquet to the online store, for many entities?

    python bench/materialize.py [--rows 1000000] [--runs 3] [--more 5000000]

ours     the online store, the offline store and the engine of this repository
stock    Feast's `sqlite`, `duckdb` and `local`
bare     `executemany` into a table as ours, of rows that are made before, in the order of their keys. SQLite alone: the
         limit

A row has an integer key and three features. Each run is a process of its own; importing Feast is not on the clock.
Printed are medians, ratios to ours, bytes on disk, and peak memory. Then ours runs with `--more` rows, for its memory.
"""

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from printing import print_table

ROOT = Path(__file__).resolve().parent.parent
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPES = {
    "ours": ("exact_stores.online.WideSqliteOnlineStore", "exact_stores.offline.AsofDuckDBOfflineStore",
             "exact_stores.engine.ArrowComputeEngine"),
    "stock": ("sqlite", "duckdb", "local"),
}  # fmt: skip


def make(file: Path, rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    pq.write_table(
        pa.table({
            "driver_id": np.arange(rows), "trips": rng.integers(0, 500, rows), "rate": rng.random(rows),
            "state": rng.choice(["CA", "NY", "TX"], rows),
            "event_timestamp": pa.array(rng.integers(0, 86_400_000_000, rows) + int(NOON.timestamp() * 1e6),
                                        pa.timestamp("us", "UTC")),
            "created": pa.array(np.full(rows, NOON.timestamp() * 1e6, dtype="int64"), pa.timestamp("us", "UTC")),
        }),
        file,
    )  # fmt: skip


def through_feast(kind: str, file: Path, folder: Path) -> float:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import Float64, Int64, String
    from feast.value_type import ValueType

    online, offline, engine = TYPES[kind]
    store = FeatureStore(
        config=RepoConfig(
            project="bench", provider="local", registry=str(folder / "registry.db"), offline_store={"type": offline},
            online_store={"type": online, "path": str(folder / "online.db")}, batch_engine={"type": engine},
            entity_key_serialization_version=3,
        )
    )  # fmt: skip
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    fields = {"driver_id": Int64, "trips": Int64, "rate": Float64, "state": String}
    source = FileSource(
        name="rows", path=str(file), timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    schema = [Field(name=name, dtype=dtype) for name, dtype in fields.items()]
    store.apply([driver, FeatureView(name="stats", entities=[driver], schema=schema, source=source)])
    began = time.perf_counter()
    store.materialize(NOON - timedelta(days=1), NOON + timedelta(days=2))
    return time.perf_counter() - began


def bare(file: Path, folder: Path) -> float:
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    keys = [b"\1\0\0\0\2\0\0\0\x09\0\0\0driver_id\4\0\0\0\x08\0\0\0" + n.to_bytes(8, "little") for n in
            table["driver_id"].to_pylist()]  # fmt: skip
    timestamps = [table[name].cast("int64").to_pylist() for name in ("event_timestamp", "created")]
    rows = sorted(
        zip(keys, *timestamps, *(table[name].to_pylist() for name in ("trips", "rate", "state")), strict=True)
    )
    connection = sqlite3.connect(folder / "online.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE bare (entity_key BLOB PRIMARY KEY NOT NULL,"
        "event INTEGER NOT NULL, created INTEGER, trips INTEGER, rate REAL, state TEXT) WITHOUT ROWID; BEGIN IMMEDIATE"
    )
    began = time.perf_counter()
    connection.executemany("INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    return time.perf_counter() - began


def run_here(contestant: str, file: Path, folder: Path) -> None:
    """Run a contestant in this process. Prints seconds, bytes on disk and peak memory in GB."""
    sys.path.insert(0, str(ROOT))
    import feast  # noqa: F401  not on the clock

    seconds = bare(file, folder) if contestant == "bare" else through_feast(contestant, file, folder)
    with sqlite3.connect(folder / "online.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = (folder / "online.db").stat().st_size
    print(json.dumps([seconds, size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))


def run(contestant: str, file: Path) -> tuple[float, int, float]:
    """Seconds, bytes on disk and peak memory in GB of one run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", contestant, str(file), folder]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    seconds, size, memory = json.loads(ended.stdout.splitlines()[-1])
    return seconds, size, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--more", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return run_here(args.one[0], Path(args.one[1]), Path(args.one[2]))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows.parquet"
        make(file, args.rows)
        contestants = ("ours", "stock", "bare")
        runs = [{name: run(name, file) for name in contestants} for _ in range(args.runs)]
        medians = {name: [median(of_all[name][i] for of_all in runs) for i in range(3)] for name in contestants}
        our_seconds, our_size, _ = medians["ours"]
        rows = [
            (name, f"{args.rows:,}", f"{seconds:.1f}", f"{args.rows / seconds:,.0f}", f"{seconds / our_seconds:.2f}",
             f"{size / args.rows:,.0f}", f"{size / our_size:.2f}", f"{memory:.1f}")
            for name, (seconds, size, memory) in medians.items()
        ]  # fmt: skip
        make(file, args.more)
        seconds, size, memory = run("ours", file)
        more = (f"{args.more:,}", f"{seconds:.1f}", f"{args.more / seconds:,.0f}", "", f"{size / args.more:,.0f}", "")
        columns = ("rows", "s", "rows/s", "time, × ours", "bytes a row", "bytes, × ours", "peak GB")
        print_table(("contestant", *columns), [*rows, ("ours", *more, f"{memory:.1f}")])


if __name__ == "__main__":
    main()
