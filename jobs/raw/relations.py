"""Checked raw rows as relations: the events that a feature table folds, and whole rows for datasets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from features.windows.folds import ROOT_UNITS, UNITS
from features.windows.raw import RawTable
from features.windows.tables import AggregationTable, Table
from jobs import sql
from jobs.raw.checks import Checked, Counts, Keep, check
from jobs.raw.forms.readers import DuckdbReader, Reader
from jobs.raw.forms.scans import readable

#: Whole numbers that a fold may add instead of a column's floats → how many of them make 1.
SCALES = {"units": UNITS, "root_units": ROOT_UNITS}
#: The column of `_as_known` with the timestamp at which the next version was known.
SUPERSEDED = "superseded"
#: What a fold may take of a column beside its values.
KINDS = (*SCALES, "hash")
#: Type → the text of a value, as `features.windows.folds.hashed` hashes it.
_TEXTS = {
    "string": "{}", "int": "CAST({} AS VARCHAR)", "float": "printf('%.17g', {} + 0.0)",
    "timestamp": "CAST(epoch_us({}) AS VARCHAR)",
}  # fmt: skip


def cell(column: str, kind: str | None = None) -> str:
    """The column of the relation `event` with the value of a raw column: as it is, or as one of `KINDS`."""
    return f"c_{column}" if kind is None else f"c_{column}_{kind}"


def key_of(parts: Sequence[str]) -> str:
    """SQL of a key: its only part, or a row of its parts, each of which keeps its type."""
    return parts[0] if len(parts) == 1 else f"row({', '.join(parts)})"


def open_events(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: list[Path],
    until: datetime,
    first: int | None = None,
    quarantine: Path | None = None,
    versions: bool = False,
    only: tuple[str | int | float, ...] | None = None,
    keep: Keep | None = None,
) -> Counts:
    """Check the input and make the view `event` of it, with these columns:

    key              the table's key, as `key_of` has it
    t, created       when the event happened, and when we knew it, µs since 1970
    tie              its id, which orders the events of one time; null where the raw table has none
    `cell(column)`   the values that the definitions name; an outcome as µs since 1970
    superseded       when the next version was known, µs; null for the newest

    The view has the events that were known and had happened before `until`, from `first` (µs) on: each once, as it was
    known at `until`, or with `versions` once for each version, as it was known from then on. With `only`, the view has
    at least the events of that key, and is faster. `keep` is that of `check`. Raises BadInput, NoData.
    """
    with readable(files):
        reader = DuckdbReader(connection)
        counts, query = events(reader, table, files, until, first, quarantine, versions, only, keep)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW event AS {query}")
    return counts


def events(
    reader: Reader,
    table: Table,
    files: list[Path],
    until: datetime,
    first: int | None = None,
    quarantine: Path | None = None,
    versions: bool = False,
    only: tuple[str | int | float, ...] | None = None,
    keep: Keep | None = None,
) -> tuple[Counts, str]:
    """Check the input by any reader. Returns what it holds, and the query of the view that `open_events` makes. Raises
    BadInput, NoData."""
    used = {table.event_time, *table.folded_columns}
    summed = table.summed_columns if isinstance(table, AggregationTable) else ()
    needed = {*table.keys, table.source.time}
    checked = check(reader, table.source, files, needed, used, quarantine, summed, keep)
    checked = checked if only is None else replace(checked, rows=_of_key(checked, table, only))
    return checked.counts, _event(checked, table, until, first, versions)


def open_rows(
    connection: duckdb.DuckDBPyConnection, source: RawTable, files: list[Path], until: datetime, quarantine: Path | None
) -> Counts:
    """Check a raw table whole and make two views of it. `raw_row` has the declared and derived columns, and
    `event_timestamp`: the events that had happened before `until`, each as it was known at `until`. `raw_version` has
    every version of these events that was known by then, with the declared columns, `event_timestamp`, and `known`:
    when it was known. Raises BadInput, NoData."""
    with readable(files):
        names = [column.name for column in source.columns]
        checked = check(DuckdbReader(connection), source, files, [source.time], names, quarantine)
        values, time, last = checked.values, checked.values[source.time], sql.timestamp(until)
        declared = ", ".join(f"{values[name]} AS {sql.identifier(name)}" for name in names)
        derived = "".join(f", {values[derived.name]} AS {derived.name}" for derived in source.derived)
        known = _created(checked, source, source.time)
        happened = f"{time} AS event_timestamp FROM {{}} WHERE {time} < {last} AND {known} <= {last}"
        newest = happened.format(_events(checked, source, until))
        versions = happened.format(checked.rows)
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW raw_row AS SELECT {declared}{derived}, {newest};"
            f"CREATE OR REPLACE TEMP VIEW raw_version AS SELECT {declared}, {known} AS known, {versions}"
        )
    return checked.counts


def _of_key(checked: Checked, table: Table, key: tuple[str | int | float, ...]) -> str:
    """Relation: every version of the events of which a version has the key. A version may change the key of an event,
    or not name it."""
    parts = [f"{checked.values[name]} = {sql.literal(value)}" for name, value in zip(table.keys, key, strict=True)]
    if not (table.source.id and checked.has_versions):
        return f"(FROM {checked.rows} WHERE {' AND '.join(parts)})"
    return f"({with_versions(checked.rows, table.source, parts)})"  # two versions may have a part of the key each


def with_versions(rows: str, source: RawTable, conditions: Iterable[str]) -> str:
    """SELECT the rows of which one of the conditions (SQL) is true, and the other versions of these events."""
    is_named = " OR ".join(conditions)
    if source.id is None:
        return f"FROM {rows} WHERE {is_named}"
    name = sql.identifier(source.id)
    return f"FROM {rows} WHERE {name} IN (SELECT {name} FROM {rows} WHERE {is_named})"


def _events(checked: Checked, source: RawTable, until: datetime) -> str:
    """Relation: each event once, as it was known at `until`."""
    if source.id and checked.has_versions:
        return _latest(checked.rows, checked.columns, source, sql.timestamp(until))
    return checked.rows


def _created(checked: Checked, source: RawTable, time: str) -> str:
    """SQL of when we knew an event; `time` is the column that says when it happened."""
    return checked.values[source.created_column or time]


def _event(checked: Checked, table: Table, until: datetime, first: int | None, versions: bool) -> str:
    values, source = checked.values, table.source
    columns = "".join(f", {value} AS {name}" for name, value in cells(table, values))
    since = "" if first is None else f" AND t >= {first}"
    tie = values[source.id] if source.id else "NULL::VARCHAR"
    last = f"epoch_us({sql.timestamp(until)})"
    keys = [values[name] for name in table.keys]
    is_whole = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    key = keys[0] if len(keys) == 1 else f"CASE WHEN {is_whole} THEN {key_of(keys)} END"
    rows, superseded = _events(checked, source, until), "NULL"
    if versions and source.id and source.created_column and checked.has_versions:
        rows, superseded = _as_known(checked.rows, checked.columns, source), f"epoch_us({SUPERSEDED})"
    return (
        f"FROM (SELECT {key} AS key, epoch_us({values[table.event_time]}) AS t, "
        f"epoch_us({_created(checked, source, table.event_time)}) AS created, {tie} AS tie{columns}, "
        f"{superseded} AS superseded FROM {rows}) WHERE key IS NOT NULL AND t < {last} AND created <= {last}{since}"
    )


def cells(table: Table, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name → SQL of each column that a fold takes: as it is, in whole numbers for sums, hashed, in µs for outcomes."""
    outcomes, kept = set[str](), set[tuple[str, str]]()
    if isinstance(table, AggregationTable):
        outcomes = {a.outcome for a in table.aggregations if a.outcome}
        kept = {(a.column, kind) for a in table.aggregations if a.column for kind in a.record.keeps}
    for column in table.folded_columns:
        yield cell(column), f"epoch_us({values[column]})" if column in outcomes else values[column]
        for scale, factor in SCALES.items():
            if (column, scale) in kept:
                yield cell(column, scale), f"CAST({values[column]} * {factor} AS BIGINT)"
        if (column, "hash") in kept:
            text = _TEXTS[table.source.column(column).dtype].format(values[column])
            yield cell(column, "hash"), f"md5_number_lower({text})"


# The versions of an event are the rows with one id. A later row corrects the columns that it fills, and leaves the
# others as they were. `Event` in features/windows/events.py has the same in Python, for the events of a stream.


def _latest(rows: str, columns: Iterable[str], source: RawTable, until: str) -> str:
    """Each event once, from what was known at `until` (SQL of a timestamp). `rows` is a relation with the `columns` as
    their declared types. Of two values of a column that became known at the same time, the greater one counts."""
    known = _known(source)
    values = ", ".join(f"{_last(name, known)} AS {sql.identifier(name)}" for name in columns)
    was_known = f"WHERE {known} <= {until}" if source.created_column else ""
    return f"(SELECT {values} FROM {rows} r {was_known} GROUP BY r.{sql.identifier(source.id_column)})"


def _as_known(rows: str, columns: Iterable[str], source: RawTable) -> str:
    """Each version of each event, as the event was known from then on, and when the next version was known:
    `superseded`, null for the newest. The table must say when events were known."""
    known, version = _known(source), f"PARTITION BY r.{sql.identifier(source.id_column)} ORDER BY {_known(source)}"
    # RANGE: versions that became known at the same time are the same from then on.
    window = f"OVER ({version} RANGE UNBOUNDED PRECEDING)"
    values = ", ".join(
        f"{known if name == source.created_column else _last(name, known, window)} AS {sql.identifier(name)}"
        for name in columns
    )
    return f"(SELECT {values}, lead({known}) OVER ({version}) AS {SUPERSEDED} FROM {rows} r)"


def _known(source: RawTable) -> str:
    """SQL of when a version was known."""
    return f"r.{sql.identifier(source.created_column or source.time)}"


def _last(column: str, known: str, window: str = "") -> str:
    """SQL of the last value of a column."""
    value = f"r.{sql.identifier(column)}"
    return (
        f"struct_extract(max(struct_pack(c := {known}, v := {value})) FILTER (WHERE {value} IS NOT NULL) {window}, 'v')"
    )
