"""What does our online store cost, beside Feast's own and beside SQLite with nothing around it?

    python bench/stores_online.py [--rows 1000000] [--stock-rows 100000] [--runs 3]

ours     `exact_stores.online.WideSqliteOnlineStore`
stock    Feast's `sqlite` store, with writes as its local engine makes them, from an Arrow table
bare     the same table as ours, with rows that are made before: the limit

A row has an integer key and three features. Feast's store gets fewer rows, because it takes long; a larger file would
make it slower still. The contestants take turns. Printed are medians, and ratios to ours.
"""

import argparse
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import numpy as np
import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64, String
from feast.utils import _convert_arrow_to_proto
from feast.value_type import ValueType
from printing import print_table

TYPES = {"driver_id": Int64, "trips": Int64, "rate": Float64, "state": String}
FEATURES = [name for name in TYPES if name != "driver_id"]
STORES = {"ours": "exact_stores.online.WideSqliteOnlineStore", "stock": "sqlite"}
CONTESTANTS = (*STORES, "bare")
READS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 1_000_000), ("stock-rows", 100_000), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    runs = [write_all(args.rows, args.stock_rows) for _ in range(args.runs)]
    medians = {name: tuple(median(run[name][i] for run in runs) for i in range(2)) for name in CONTESTANTS}
    our_speed, our_bytes = medians["ours"]
    print_table(
        ("write", "rows/s", "rows/s, × ours", "bytes a row", "bytes, × ours"),
        [
            (name, f"{speed:,.0f}", f"{speed / our_speed:.2f}", f"{size:,.0f}", f"{size / our_bytes:.2f}")
            for name, (speed, size) in medians.items()
        ],
    )
    for keys in (1, 100):
        times = read_all(keys, args.stock_rows)
        our_p50, our_p99 = times["ours"]
        print_table(
            (f"read {keys} {'key' if keys == 1 else 'keys'}", "p50 µs", "p50, × ours", "p99 µs", "p99, × ours"),
            [
                (name, f"{p50:,.1f}", f"{p50 / our_p50:.2f}", f"{p99:,.1f}", f"{p99 / our_p99:.2f}")
                for name, (p50, p99) in times.items()
            ],
        )


def repository(folder: Path, kind: str) -> tuple[FeatureStore, FeatureView]:
    config = RepoConfig(
        project="bench", provider="local", registry=str(folder / "registry.db"),
        online_store={"type": STORES[kind], "path": str(folder / "online.db")}, entity_key_serialization_version=3,
    )  # fmt: skip
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    source = FileSource(path="none.parquet", timestamp_field="event_timestamp", created_timestamp_column="created")
    schema = [Field(name=name, dtype=dtype) for name, dtype in TYPES.items()]
    view = FeatureView(name="stats", entities=[driver], schema=schema, source=source)
    store = FeatureStore(config=config)
    store.apply([driver, view])
    return store, view


def table(rows: int) -> pa.Table:
    random = np.random.default_rng(1)
    events = (1_767_225_600_000_000 - random.integers(0, 10**11, rows)).astype("datetime64[us]")
    columns = {
        "driver_id": random.permutation(rows), "trips": random.integers(0, 500, rows), "rate": random.random(rows),
        "state": random.choice(["CA", "NV", "TX"], rows),
    }  # fmt: skip
    return pa.table(columns | {name: pa.array(events) for name in ("event_timestamp", "created")})


def fill(folder: Path, kind: str, rows: pa.Table) -> tuple[FeatureStore, FeatureView, float]:
    """Write rows to a new store. Returns the store, its view, and the seconds of the write."""
    store, view = repository(folder, kind)
    online = store._get_provider().online_store
    began = perf_counter()
    if kind == "ours":
        online.write_table(store.config, view, rows, created="created")
    else:
        protos = _convert_arrow_to_proto(rows.combine_chunks(), view, {"driver_id": ValueType.INT64})
        online.online_write_batch(store.config, view, protos, None)
    return store, view, perf_counter() - began


def bare(folder: Path, rows: list[tuple]) -> tuple[sqlite3.Connection, float]:
    """Write rows to the same table with the same settings. Returns the connection and the seconds."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
        "CREATE TABLE bare (entity_key BLOB PRIMARY KEY NOT NULL, event INTEGER NOT NULL, created INTEGER, "
        "trips INTEGER, rate REAL, state TEXT) WITHOUT ROWID"
    )
    began = perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    return connection, perf_counter() - began


def as_rows(rows: pa.Table, key: Callable[[int], bytes]) -> list[tuple]:
    """Rows as `bare` writes them."""
    plain = rows.set_column(4, "event_timestamp", rows["event_timestamp"].cast(pa.int64()))
    ids, trips, rate, state, event, _ = (column.to_pylist() for column in plain.itercolumns())
    return list(zip(map(key, ids), event, event, trips, rate, state, strict=True))


def write_all(rows: int, stock_rows: int) -> dict[str, tuple[float, float]]:
    """Contestant → rows a second, and bytes a row."""
    results: dict[str, tuple[float, float]] = {}

    def note(contestant: str, count: int, seconds: float, file: Path) -> None:
        parts = [part for part in (file, file.with_name(f"{file.name}-wal")) if part.exists()]
        results[contestant] = count / seconds, sum(part.stat().st_size for part in parts) / count

    with tempfile.TemporaryDirectory() as name:
        folder, stock_folder = Path(name), Path(name) / "stock"
        stock_folder.mkdir()
        store, view, seconds = fill(folder, "ours", data := table(rows))
        note("ours", rows, seconds, folder / "online.db")
        plain_rows = as_rows(data, store._get_provider().online_store.entity_key(view))
        note("bare", rows, bare(folder, plain_rows)[1], folder / "bare.db")
        note("stock", stock_rows, fill(stock_folder, "stock", table(stock_rows))[2], stock_folder / "online.db")
    return results


def read_all(count: int, rows: int) -> dict[str, tuple[float, float]]:
    """Contestant → p50 and p99 of reading `count` keys, in µs."""
    with tempfile.TemporaryDirectory() as name:
        for kind in STORES:
            (Path(name) / kind).mkdir()
        data = table(rows)
        (ours, view, _), (stock, _, _) = (fill(Path(name) / kind, kind, data) for kind in STORES)
        online = ours._get_provider().online_store
        key, reader = online.entity_key(view), online.reader(ours.config, view, FEATURES)
        connection = bare(Path(name), as_rows(data, key))[0]
        select = f"SELECT event, {', '.join(FEATURES)} FROM bare WHERE entity_key IN ({', '.join('?' * count)})"
        features = [f"stats:{name}" for name in FEATURES]
        reads: dict[str, Callable[[range], object]] = {
            "ours": lambda ids: reader.read([key(i) for i in ids]),
            "stock": lambda ids: stock.get_online_features(features, [{"driver_id": i} for i in ids]).to_dict(),
            "bare": lambda ids: connection.execute(select, [key(i) for i in ids]).fetchall(),
        }
        cuts = {name: quantiles(seconds(read, count, rows), n=100) for name, read in reads.items()}
        return {name: (cuts[name][49] * 1e6, cuts[name][98] * 1e6) for name in CONTESTANTS}


def seconds(read: Callable[[range], object], count: int, rows: int) -> Iterator[float]:
    """The seconds of each of `READS` reads of keys that are next to each other."""
    for first in np.random.default_rng(2).integers(0, rows - count, READS).tolist():
        began = perf_counter()
        read(range(first, first + count))
        yield perf_counter() - began


if __name__ == "__main__":
    main()
