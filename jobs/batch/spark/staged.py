"""Replaces days of a feature table on storage that the driver and all executors share. Executors join what is stored,
to keep `created`, and write a file for each day that differs to a folder beside the table. The driver renames each to
its place: it sees how many rows a day has, and no row."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import sql
from jobs.batch import partitions
from jobs.batch.spark.reader import SparkReader, unpatterned

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: The column with a row's day as a number. No feature has such a name.
_NUMBER = "day-number"


def replace(
    reader: SparkReader, query: str, table: Path, key: str, since: datetime | None, until: datetime, now: datetime
) -> partitions.Replaced:
    """As `jobs.batch.partitions.replace`."""
    stored = partitions.days_between(table, since, until)
    files = [path / partitions.PART for path in stored.values()]
    dated = _dated(reader, query, key, files, partitions.outside(since, until)).persist()
    try:
        dated.createOrReplaceTempView("dated")
        counts = _counts(reader)
        filled = partitions.dates([(day,) for day, rows, _ in counts if rows])
        changed = partitions.dates([(day,) for day, _, differs in counts if differs])
        with partitions.beside(table) as scratch:
            parts = _staged(reader, scratch, key, filled & changed, now)
            emptied = [path for day, path in stored.items() if day in changed and day not in parts]
            replaced = partitions.swap_in(table, parts, emptied)
    finally:
        dated.unpersist()
    return partitions.Replaced(sum(rows for _, rows, _ in counts), replaced, len(filled) - len(parts))


def _dated(reader: SparkReader, query: str, key: str, files: list[Path], stays: str) -> "DataFrame":
    """The rows of the query and the stored ones that stay, with the numbers of their days, and `created` where the
    table has the row with the same values, else null. Makes the view `stored` of what the table has."""
    reader.view("result", query)
    columns, by = reader.spark.table("result").columns, (key, "event_timestamp")
    before: list[str] = []
    if files:
        table = reader.spark.read.parquet(*map(unpatterned, files))
        table.createOrReplaceTempView("stored")
        before = table.columns
    else:
        reader.view("stored", "SELECT event_timestamp FROM result WHERE false")
    dated = "SELECT *, NULL::TIMESTAMPTZ AS created FROM result"
    if before == [*columns, "created"]:
        same = " AND ".join(f"r.{name} = o.{name}" for name in map(sql.identifier, by))
        alike = [f"r.{name} IS NOT DISTINCT FROM o.{name}" for name in map(sql.identifier, columns) if name not in by]
        kept = f"CASE WHEN {' AND '.join(alike)} THEN o.created END AS created"
        names = ", ".join(map(sql.identifier, columns))
        rows = f"SELECT {names} FROM result UNION ALL SELECT {names} FROM stored WHERE {stays}"
        dated = f"SELECT r.*, {kept} FROM ({rows}) r LEFT JOIN stored o ON {same}"
    return reader.frame(f"SELECT *, {partitions.DAY} AS {sql.identifier(_NUMBER)} FROM ({dated})")


def _counts(reader: SparkReader) -> list[tuple[int, int, bool]]:
    """Of each day, its number, how many rows it has now, and whether these differ from the stored ones."""
    day = sql.identifier(_NUMBER)
    return reader.rows(  # type: ignore[return-value]
        f"SELECT coalesce(n.{day}, o.{day}), coalesce(n.n, 0), n.n IS DISTINCT FROM o.n OR n.kept IS DISTINCT FROM o.n "
        f"FROM (SELECT {day}, count(*) AS n, count(created) AS kept FROM dated GROUP BY {day}) n FULL JOIN "
        f"(SELECT {partitions.DAY} AS {day}, count(*) AS n FROM stored GROUP BY 1) o ON n.{day} = o.{day}"
    )


def _staged(reader: SparkReader, scratch: Path, key: str, days: set[date], now: datetime) -> dict[date, Path]:
    """Write a file for each of the days. Returns day → file."""
    if not days:
        return {}
    day, numbers = sql.identifier(_NUMBER), {partitions.number(day): day for day in days}
    chosen = f"WHERE {day} IN ({', '.join(map(str, sorted(numbers)))})"
    values = [sql.identifier(name) for name in reader.spark.table("result").columns]
    rows = reader.frame(
        f"SELECT {', '.join(values)}, coalesce(created, {sql.timestamp(now)}) AS created, {day} FROM dated {chosen}"
    )
    tasks = min(len(days), int(reader.spark.conf.get("spark.sql.shuffle.partitions") or 1))
    rows = rows.repartition(tasks, f"`{_NUMBER}`").sortWithinPartitions(f"`{_NUMBER}`", "event_timestamp", key)
    staged = scratch / "days"
    rows.write.partitionBy(_NUMBER).option("compression", "zstd").parquet(f"file://{staged}")
    parts = {}
    for number, written in numbers.items():
        (parts[written],) = (staged / f"{_NUMBER}={number}").glob("*.parquet")  # a day is in one task
    return parts
