"""The online store beside Feast's own, and beside SQLite with nothing around it.

    python -m bench.stores_online [--rows 1000000] [--stock-rows 100000] [--runs 3]

Rows are of one integer key and three features. Feast's store gets fewer, for time; a larger file would make it slower.
Its writes are timed as its local engine makes them, from an Arrow table. Runs are paired; medians are printed.
"""

import argparse
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import numpy as np
import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64, String
from feast.utils import _convert_arrow_to_proto
from feast.value_type import ValueType

TYPES = {"driver_id": Int64, "trips": Int64, "rate": Float64, "state": String}
FEATURES = [name for name in TYPES if name != "driver_id"]
STORES = {"ours": "exact_stores.online.WideSqliteOnlineStore", "stock": "sqlite"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 1_000_000), ("stock-rows", 100_000), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    written = [write_all(asked.rows, asked.stock_rows) for _ in range(asked.runs)]
    middle = {name: median(run[name] for run in written) for name in written[0]}
    for what in ("rows/s", "bytes a row"):
        ours, stock, bare = (middle[f"{kind} {what}"] for kind in ("ours", "stock", "bare"))
        print(f"{what:14} ours {ours:,.0f}  stock {stock:,.0f}  bare {bare:,.0f}", end="")
        print(f"  (ours is {ours / stock:.2f} of stock, {ours / bare:.2f} of bare)")
    for keys in (1, 100):
        read_all(keys, asked.stock_rows)


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


def fill(folder: Path, kind: str, rows: pa.Table) -> tuple[FeatureStore, FeatureView, float]:  # the last: seconds
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
    """The same table in the same settings, from rows that are ready."""
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
    plain = rows.set_column(4, "event_timestamp", rows["event_timestamp"].cast(pa.int64()))
    ids, trips, rate, state, event, _ = (column.to_pylist() for column in plain.itercolumns())
    return list(zip(map(key, ids), event, event, trips, rate, state, strict=True))


def write_all(rows: int, stock_rows: int) -> dict[str, float]:
    found: dict[str, float] = {}

    def note(kind: str, count: int, seconds: float, file: Path) -> None:
        found.update({f"{kind} rows/s": count / seconds, f"{kind} bytes a row": file.stat().st_size / count})

    with tempfile.TemporaryDirectory() as name:
        folder, stock_folder = Path(name), Path(name) / "stock"
        stock_folder.mkdir()
        store, view, seconds = fill(folder, "ours", data := table(rows))
        note("ours", rows, seconds, folder / "online.db")
        ready = as_rows(data, store._get_provider().online_store.entity_key(view))
        note("bare", rows, bare(folder, ready)[1], folder / "bare.db")
        note("stock", stock_rows, fill(stock_folder, "stock", table(stock_rows))[2], stock_folder / "online.db")
    return found


def read_all(count: int, rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        for kind in STORES:
            (Path(name) / kind).mkdir()
        data = table(rows)
        (ours, view, _), (stock, _, _) = (fill(Path(name) / kind, kind, data) for kind in STORES)
        online = ours._get_provider().online_store
        key, reader = online.entity_key(view), online.reader(ours.config, view, FEATURES)
        connection = bare(Path(name), as_rows(data, key))[0]
        select = f"SELECT event, {', '.join(FEATURES)} FROM bare WHERE entity_key IN ({', '.join('?' * count)})"
        asked = [f"stats:{name}" for name in FEATURES]
        ways: dict[str, Callable[[range], object]] = {
            "ours": lambda ids: reader.read([key(i) for i in ids]),
            "stock": lambda ids: stock.get_online_features(asked, [{"driver_id": i} for i in ids]).to_dict(),
            "bare": lambda ids: connection.execute(select, [key(i) for i in ids]).fetchall(),
        }
        timed = {way: list(times(ask, count, rows)) for way, ask in ways.items()}
        for name, at in (("p50", 49), ("p99", 98)):
            took = {way: quantiles(seconds, n=100)[at] * 1e6 for way, seconds in timed.items()}
            print(f"read {count} {name}, µs  " + "  ".join(f"{way} {took[way]:,.1f}" for way in ways), end="")
            print(f"  (of ours: stock {took['stock'] / took['ours']:.0f} ×, bare {took['bare'] / took['ours']:.2f} ×)")


def times(ask: Callable[[range], object], count: int, rows: int, calls: int = 300) -> Iterable[float]:
    for first in np.random.default_rng(2).integers(0, rows - count, calls).tolist():
        began = perf_counter()
        ask(range(first, first + count))
        yield perf_counter() - began


if __name__ == "__main__":
    main()
