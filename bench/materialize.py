"""What does it cost to bring many entities online, from Parquet to the online store, with `FeatureStore.materialize`?

    python bench/materialize.py [--rows 1000000] [--runs 3] [--more 5000000]

ours     the three stores of this repository
stock    `sqlite`, `duckdb` and `local`
bare     `executemany` into a table such as ours, of rows that are ready and in the order of their keys: SQLite alone

An integer key, three features. Each in a process of its own, importing Feast is not on the clock; medians, the ratio to
ours, bytes on disk, peak memory. Then ours with more rows, for the memory.
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
    moments = [table[name].cast("int64").to_pylist() for name in ("event_timestamp", "created")]
    rows = sorted(zip(keys, *moments, *(table[name].to_pylist() for name in ("trips", "rate", "state")), strict=True))
    connection = sqlite3.connect(folder / "online.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE bare (entity_key BLOB PRIMARY KEY NOT NULL,"
        "event INTEGER NOT NULL, created INTEGER, trips INTEGER, rate REAL, state TEXT) WITHOUT ROWID; BEGIN IMMEDIATE"
    )
    began = time.perf_counter()
    connection.executemany("INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    return time.perf_counter() - began


def one(way: str, file: Path, folder: Path) -> None:
    """In a process of its own: prints seconds, bytes and peak memory in GB."""
    sys.path.insert(0, str(ROOT))
    import feast  # noqa: F401  not on the clock

    seconds = bare(file, folder) if way == "bare" else through_feast(way, file, folder)
    with sqlite3.connect(folder / "online.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = (folder / "online.db").stat().st_size
    print(json.dumps([seconds, size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))


def timed(way: str, file: Path) -> tuple[float, int, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", way, str(file), folder]
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
    asked = parser.parse_args()
    if asked.one:
        return one(asked.one[0], Path(asked.one[1]), Path(asked.one[2]))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows.parquet"
        make(file, asked.rows)
        ways = ("ours", "stock", "bare")
        runs = [{way: timed(way, file) for way in ways} for _ in range(asked.runs)]
        found = {way: [median(run[way][i] for run in runs) for i in range(3)] for way in ways}
        ours, mine, _ = found["ours"]
        for way, (seconds, size, memory) in found.items():
            times = f"{seconds:7.1f} s  {asked.rows / seconds:9,.0f} rows/s  {seconds / ours:6.2f} × ours"
            print(
                f"{way:<6}{times}   {size / asked.rows:6.0f} bytes a row  {size / mine:5.2f} × ours   {memory:4.1f} GB"
            )
        make(file, asked.more)
        seconds, _, memory = timed("ours", file)
        print(
            f"ours with {asked.more:,} rows: {seconds:.1f} s, {asked.more / seconds:,.0f} rows/s, peak {memory:.1f} GB"
        )


if __name__ == "__main__":
    main()
