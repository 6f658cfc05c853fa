"""Checked raw rows as relations: the events that a feature table folds, and whole rows for datasets."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from features.windows.folds import ROOT_UNITS, UNITS
from features.windows.raw import RawTable
from features.windows.tables import AggregationTable, Table
from jobs import sql
from jobs.raw.checks import Checked, Counts, check, readable

#: Whole numbers that a fold may add instead of a column's floats → how many of them make 1.
SCALES = {"units": UNITS, "root_units": ROOT_UNITS}


def cell(column: str, scale: str | None = None) -> str:
    """The column of the relation `event` with the value of a raw column: as it is, or in whole numbers of `SCALES`."""
    return f"c_{column}" if scale is None else f"c_{column}_{scale}"


def open_events(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: list[Path],
    until: datetime,
    first: int | None = None,
    quarantine: Path | None = None,
    versions: bool = False,
) -> Counts:
    """Check the input and make the view `event` of it, with these columns:

    key              the table's key; of several, a list of text
    t, created       when the event happened, and when we knew it, µs since 1970
    tie              its id, which orders the events of one time; null where the raw table has none
    `cell(column)`   the values that the definitions name; an outcome as µs since 1970
    superseded       when the next version was known, µs; null for the newest

    The view has the events that were known and had happened before `until`, from `first` (µs) on: the newest version of
    each, or with `versions` all of them. Raises BadInput, NoData.
    """
    with readable(files):
        used = {table.event_time, *table.folded_columns}
        checked = check(connection, table.source, files, {*table.keys, table.source.time}, used, quarantine)
        versions = versions and bool(table.source.id and table.source.created_column)
        query = _event(checked, table, until, first, versions)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW event AS {query}")
    return checked.counts


def open_rows(
    connection: duckdb.DuckDBPyConnection, source: RawTable, files: list[Path], until: datetime, quarantine: Path | None
) -> Counts:
    """Check a raw table whole and make the view `raw_row` of it: the declared and derived columns, and
    `event_timestamp`. It has the rows that were known and had happened before `until`. Raises BadInput, NoData."""
    with readable(files):
        names = [column.name for column in source.columns]
        checked = check(connection, source, files, [source.time], names, quarantine)
        values, time = checked.values, checked.values[source.time]
        columns = ", ".join(f"{values[name]} AS {sql.identifier(name)}" for name in names)
        columns += "".join(f", {values[derived.name]} AS {derived.name}" for derived in source.derived)
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW raw_row AS SELECT {columns}, {time} AS event_timestamp FROM {checked.events} "
            f"WHERE {time} < {sql.timestamp(until)} AND {_created(checked, source, time)} <= {sql.timestamp(until)}"
        )
    return checked.counts


def _created(checked: Checked, source: RawTable, time: str) -> str:
    """SQL of when we knew an event; `time` is SQL of when it happened."""
    return checked.values[source.created_column] if source.created_column else time


def _event(checked: Checked, table: Table, until: datetime, first: int | None, versions: bool) -> str:
    values, source = checked.values, table.source
    time = values[table.event_time]
    created = _created(checked, source, time)
    columns = "".join(f", {value} AS {name}" for name, value in _cells(table, values))
    since = "" if first is None else f" AND t >= {first}"
    tie = values[source.id] if source.id else "NULL::VARCHAR"
    last = f"epoch_us({sql.timestamp(until)})"
    keys = [values[name] for name in table.keys]
    is_whole = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    key = keys[0] if len(keys) == 1 else f"CASE WHEN {is_whole} THEN [{', '.join(keys)}] END"
    superseded = f"lead(epoch_us({created})) OVER (PARTITION BY {tie} ORDER BY {checked.rank})" if versions else "NULL"
    return (
        f"FROM (SELECT {key} AS key, epoch_us({time}) AS t, epoch_us({created}) AS created, {tie} AS tie{columns}, "
        f"{superseded} AS superseded FROM {checked.versions if versions else checked.events}) "
        f"WHERE key IS NOT NULL AND t < {last} AND created <= {last}{since}"
    )


def _cells(table: Table, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name → SQL of each column that a fold takes: as it is, in whole numbers for sums, in µs for outcomes."""
    outcomes, kept = set[str](), set[tuple[str, str]]()
    if isinstance(table, AggregationTable):
        outcomes = {a.outcome for a in table.aggregations if a.outcome}
        kept = {(a.column, scale) for a in table.aggregations if a.column for scale in a.record.keeps}
    for column in table.folded_columns:
        yield cell(column), f"epoch_us({values[column]})" if column in outcomes else values[column]
        for scale, factor in SCALES.items():
            if (column, scale) in kept:
                yield cell(column, scale), f"CAST({values[column]} * {factor} AS BIGINT)"
