"""Hive-partitioned tables, `<table>/year=2026/month=01/day=31/part.parquet`: zstd, µs, UTC.

A run for an interval replaces exactly the days of that interval that come out different. A day is one file and is
swapped in whole: a reader, or a crash in the middle, sees a day's old rows or its new ones.
"""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import duckdb

import files
from errors import Busy
from jobs import sql

PART = "part.parquet"
MEMORY = "2GB"
_DAY = "epoch_us(event_timestamp) // 86_400_000_000"  # a number: as text it costs more than the rows do
_FIRST_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Replaced:
    """`rows` stand in the interval now; `replaced` days were written or removed, `unchanged` ones left alone."""

    rows: int
    replaced: int
    unchanged: int


@contextmanager
def connection(table: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB to work on a table with, which nobody else may do meanwhile. Moments are UTC; what does not fit into
    `MEMORY` is spilled beside the table. Raises Busy."""
    busy = Busy(f"Another run is at work on {table}. Wait for it, or set RISK_DATA to another root.")
    with files.locked(table.parent / f".{table.name}.lock", busy):
        for left in table.parent.glob(f".{table.name}-*"):  # by a run that was killed
            shutil.rmtree(left)
        spill = tempfile.TemporaryDirectory(prefix=f".{table.name}-spill-", dir=table.parent)
        with spill, sql.connect() as connected:
            connected.execute(f"SET memory_limit = '{MEMORY}'")
            connected.execute(f"SET temp_directory = {sql.literal(spill.name)}; SET preserve_insertion_order = false")
            yield connected


def partition_day(partition: Path) -> date:
    year, month, day = (int(part.split("=")[1]) for part in partition.parts[-3:])
    return date(year, month, day)


def days(table: Path, since: date, until: date) -> dict[date, Path]:
    """The partitions since..until, both included."""
    known = {partition_day(p): p for p in table.glob("year=*/month=*/day=*") if (p / PART).exists()}
    return {day: path for day, path in sorted(known.items()) if since <= day <= until}


def replace(
    connected: duckdb.DuckDBPyConnection, query: str, table: Path, key: str, since: date, until: date, now: datetime
) -> Replaced:
    """Make the rows of `query` the days since..until of `table`, both included. A row is known by `key` and its
    `event_timestamp`, whose day is its partition; `created`, the last column, is when its values were first written.
    """
    connected.execute(f"CREATE OR REPLACE TABLE result AS FROM ({query}) {_order(key)}")
    old = days(table, since, until)
    changed = _date(connected, key, old, now)
    with tempfile.TemporaryDirectory(prefix=f".{table.name}-", dir=table.parent) as scratch:
        made = _write(connected, Path(scratch), key, changed)
        files.replace({part: table / f"year={day:%Y}/month={day:%m}/day={day:%d}" / PART for day, part in made.items()})
        gone = [path for day, path in old.items() if day in changed and day not in made]
        for path in gone:
            (path / PART).unlink()
            path.rmdir()
        files.sync(*{path.parent for path in gone})
    rows, in_days = connected.execute(f"SELECT count(*), count(DISTINCT {_DAY}) FROM dated").fetchone() or (0, 0)
    return Replaced(rows, len(made) + len(gone), in_days - len(made))


def _date(connected: duckdb.DuckDBPyConnection, key: str, old: dict[date, Path], now: datetime) -> set[date]:
    """Make `dated`: the result with `created`. Returns the days that differ from what is stored, `old`."""
    columns = [name for name, *_ in connected.execute("DESCRIBE result").fetchall()]
    stored = (
        f"read_parquet([{', '.join(sql.literal(path / PART) for path in old.values())}], hive_partitioning = false)"
    )
    before = [name for name, *_ in connected.execute(f"DESCRIBE FROM {stored}").fetchall()] if old else []
    if before != [*columns, "created"]:
        connected.execute(f"CREATE OR REPLACE VIEW dated AS SELECT *, {sql.timestamp(now)} AS created FROM result")
        found = connected.execute(f"SELECT DISTINCT {_DAY} FROM result").fetchall()
        return _dates(found) | set(old)
    values = ", ".join(c for c in columns if c not in (key, "event_timestamp")) or "1"
    connected.execute(
        f"CREATE OR REPLACE TABLE dated AS SELECT r.*, CASE WHEN (SELECT row({values}) FROM (SELECT r.*)) "
        f"IS NOT DISTINCT FROM o.stored_values THEN o.created END AS created FROM result r LEFT JOIN "
        f"(SELECT {key}, event_timestamp, created, row({values}) AS stored_values FROM {stored}) o "
        f"USING ({key}, event_timestamp) {_order(key)}"
    )
    found = connected.execute(
        f"SELECT coalesce(n.day, o.day) FROM (SELECT {_DAY} AS day, count(*) AS n, count(created) AS kept FROM dated "
        f"GROUP BY 1) n FULL JOIN (SELECT {_DAY} AS day, count(*) AS n FROM {stored} GROUP BY 1) o USING (day) "
        "WHERE n.n IS DISTINCT FROM o.n OR n.kept IS DISTINCT FROM o.n"
    ).fetchall()
    connected.execute(f"UPDATE dated SET created = {sql.timestamp(now)} WHERE created IS NULL")
    return _dates(found)


def _dates(found: list[tuple[int]]) -> set[date]:
    return {date.fromordinal(_FIRST_DAY + day) for (day,) in found}


def _order(key: str) -> str:
    return f"ORDER BY event_timestamp, {key}"


def _write(connected: duckdb.DuckDBPyConnection, scratch: Path, key: str, changed: set[date]) -> dict[date, Path]:
    """The file of each changed day that has rows. The rows lie in order, so a day is a stretch of them, and as many
    threads write as DuckDB has: its own partitioned COPY makes one file a day on one thread only."""
    filled = _dates(connected.execute(f"SELECT DISTINCT {_DAY} FROM dated").fetchall())
    parts = {day: scratch / day.isoformat() for day in sorted(filled & changed)}
    (threads,) = connected.execute("SELECT current_setting('threads')::BIGINT").fetchone() or (1,)

    def write(share: int) -> None:
        with connected.cursor() as own:
            for day in list(parts)[share::threads]:
                begin = datetime.combine(day, time.min, UTC)
                first, after = sql.timestamp(begin), sql.timestamp(begin + timedelta(days=1))
                rows = f"event_timestamp >= {first} AND event_timestamp < {after}"
                target = f"{sql.literal(parts[day])} (FORMAT parquet, COMPRESSION zstd)"
                own.execute(f"COPY (FROM dated WHERE {rows} {_order(key)}) TO {target}")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(threads)))
    return parts
