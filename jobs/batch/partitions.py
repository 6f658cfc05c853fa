"""Hive-partitioned tables, `<table>/year=2026/month=01/day=31/part.parquet`: zstd, timestamps in µs and UTC.

A run for an interval replaces those days of the interval whose rows differ. A day is one file, which is replaced as a
whole: a reader sees its old rows or its new ones, also after a crash in the middle.
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
from features.utc import utc_day
from jobs import sql

PART = "part.parquet"
#: DuckDB spills to disk what needs more.
MEMORY = "2GB"
#: Days since 1970. As a number: turning timestamps into text takes longer than writing the rows.
DAY = "epoch_us(event_timestamp) // 86_400_000_000"
_FIRST_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Replaced:
    """The interval now has `rows`. `replaced` days were written or removed, `unchanged` ones were not touched."""

    rows: int
    replaced: int
    unchanged: int


@contextmanager
def locked(table: Path) -> Iterator[None]:
    """Hold the lock on a table: no other run works on the table meanwhile. Raises Busy."""
    busy = Busy(f"Another run is at work on {table}. Wait for it, or set RISK_DATA to another root.")
    with files.locked(table.parent / f".{table.name}.lock", busy):
        for leftover in table.parent.glob(f".{table.name}-*"):  # of a run that was killed
            shutil.rmtree(leftover, ignore_errors=True)  # a Spark of that run may still write to it for a moment
        yield


@contextmanager
def beside(table: Path, purpose: str = "") -> Iterator[Path]:
    """A folder beside a table, on its file system, that goes with the block. The caller has the lock on the table."""
    with tempfile.TemporaryDirectory(
        prefix=f".{table.name}-{purpose}", dir=table.parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


@contextmanager
def connection(table: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in UTC, and the lock on a table. Raises Busy."""
    with locked(table), beside(table, "spill-") as spill, sql.connect() as db:
        db.execute(f"SET memory_limit = {sql.literal(MEMORY)}")
        db.execute(f"SET temp_directory = {sql.literal(spill)}")
        yield db


def partition_day(partition: Path) -> date:
    """The day of the folder of a partition."""
    year, month, day = (int(part.split("=")[1]) for part in partition.parts[-3:])
    return date(year, month, day)


def days(table: Path, since: date, until: date) -> dict[date, Path]:
    """The partitions from `since` to `until`, both included: day → folder, in order."""
    by_day = {partition_day(p): p for p in table.glob("year=*/month=*/day=*") if (p / PART).exists()}
    return {day: path for day, path in sorted(by_day.items()) if since <= day <= until}


def replace(
    db: duckdb.DuckDBPyConnection,
    query: str,
    table: Path,
    key: str,
    since: datetime | None,
    until: datetime,
    now: datetime,
) -> Replaced:
    """Replace the rows of a table dated from `since` to `until`, both included, by those of a query; without `since`,
    all up to `until`. The other rows of the first and the last day stay, unless the table had other columns.

    `key` and `event_timestamp` identify a row; the day of its `event_timestamp` is its partition. A row gets a last
    column `created`: `now`, or where the table has the row with the same values, the `created` that it has there.
    """
    db.execute(f"CREATE OR REPLACE TABLE result AS FROM ({query}) {_order(key)}")
    stored = days_between(table, since, until)
    changed = _add_created(db, key, stored, outside(since, until), now)
    with beside(table) as scratch:
        parts = _write(db, scratch, key, changed)
        replaced = swap_in(table, parts, [path for day, path in stored.items() if day in changed and day not in parts])
    rows, filled_days = sql.row(db, f"SELECT count(*), count(DISTINCT {DAY}) FROM dated")
    return Replaced(rows, replaced, filled_days - len(parts))


def days_between(table: Path, since: datetime | None, until: datetime) -> dict[date, Path]:
    """The partitions with rows dated from `since` to `until`: day → folder, in order."""
    return days(table, date.min if since is None else utc_day(since), utc_day(until))


def outside(since: datetime | None, until: datetime) -> str:
    """Whether a row is dated before `since` or after `until`."""
    before = "" if since is None else f"event_timestamp < {sql.timestamp(since)} OR "
    return f"{before}event_timestamp > {sql.timestamp(until)}"


def swap_in(table: Path, parts: dict[date, Path], emptied: list[Path]) -> int:
    """Rename each day's new file to its place, and remove the folders of days without rows. Returns how many days these
    are."""
    files.replace({part: table / f"year={day:%Y}/month={day:%m}/day={day:%d}/{PART}" for day, part in parts.items()})
    for path in emptied:
        (path / PART).unlink()
        path.rmdir()
    files.sync(*{path.parent for path in emptied})
    return len(parts) + len(emptied)


def _add_created(
    db: duckdb.DuckDBPyConnection, key: str, stored: dict[date, Path], stays: str, now: datetime
) -> set[date]:
    """Make the relation `dated`: `result` and the stored rows that stay, with `created`. Returns the days that differ
    from the stored ones."""
    columns = [name for name, *_ in db.execute("DESCRIBE result").fetchall()]
    table = sql.parquet(path / PART for path in stored.values())
    before = [name for name, *_ in db.execute(f"DESCRIBE FROM {table}").fetchall()] if stored else []
    if before != [*columns, "created"]:
        db.execute(f"CREATE OR REPLACE VIEW dated AS SELECT *, {sql.timestamp(now)} AS created FROM result")
        return dates(db.execute(f"SELECT DISTINCT {DAY} FROM result").fetchall()) | set(stored)
    name = sql.identifier(key)
    values = ", ".join(sql.identifier(c) for c in columns if c not in (key, "event_timestamp")) or "1"
    db.execute(
        f"CREATE OR REPLACE TABLE dated AS SELECT r.*, CASE WHEN (SELECT row({values}) FROM (SELECT r.*)) "
        f"IS NOT DISTINCT FROM o.stored_values THEN o.created END AS created FROM "
        f"(FROM result UNION ALL SELECT * EXCLUDE created FROM {table} WHERE {stays}) r LEFT JOIN "
        f"(SELECT {name}, event_timestamp, created, row({values}) AS stored_values FROM {table}) o "
        f"USING ({name}, event_timestamp) {_order(key)}"
    )
    changed = db.execute(
        f"SELECT coalesce(n.day, o.day) FROM (SELECT {DAY} AS day, count(*) AS n, count(created) AS kept FROM dated "
        f"GROUP BY 1) n FULL JOIN (SELECT {DAY} AS day, count(*) AS n FROM {table} GROUP BY 1) o USING (day) "
        "WHERE n.n IS DISTINCT FROM o.n OR n.kept IS DISTINCT FROM o.n"
    ).fetchall()
    db.execute(f"UPDATE dated SET created = {sql.timestamp(now)} WHERE created IS NULL")
    return dates(changed)


def dates(rows: list[tuple[int]]) -> set[date]:
    """Dates of rows of one number, the days since 1970."""
    return {date.fromordinal(_FIRST_DAY + day) for (day,) in rows}


def number(day: date) -> int:
    """The days since 1970."""
    return day.toordinal() - _FIRST_DAY


def _order(key: str) -> str:
    return f"ORDER BY event_timestamp, {sql.identifier(key)}"


def _write(db: duckdb.DuckDBPyConnection, scratch: Path, key: str, changed: set[date]) -> dict[date, Path]:
    """Write a file for each changed day that has rows. Returns day → file.

    The rows are in order, so the rows of a day are next to each other. As many threads write as DuckDB has: its own
    partitioned COPY makes one file a day on one thread only.
    """
    filled = dates(db.execute(f"SELECT DISTINCT {DAY} FROM dated").fetchall())
    parts = {day: scratch / day.isoformat() for day in sorted(filled & changed)}
    (threads,) = sql.row(db, "SELECT current_setting('threads')::BIGINT")

    def write(share: int) -> None:
        with db.cursor() as own:
            for day in list(parts)[share::threads]:
                begin = datetime.combine(day, time.min, UTC)
                first, after = sql.timestamp(begin), sql.timestamp(begin + timedelta(days=1))
                rows = f"event_timestamp >= {first} AND event_timestamp < {after}"
                target = f"{sql.literal(parts[day])} (FORMAT parquet, COMPRESSION zstd)"
                own.execute(f"COPY (FROM dated WHERE {rows}) TO {target}")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(threads)))
    return parts
