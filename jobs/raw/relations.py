"""Checked raw rows as relations: the events that a feature table folds, and whole rows for datasets."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb

from features.windows.aggregation import AggregationTable, Table
from features.windows.folds import ROOT_UNITS, UNITS
from features.windows.raw import RawTable
from jobs import sql
from jobs.raw.checks import Events, Reader, readable


def open_events(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: list[Path],
    until: datetime,
    first: int | None = None,
    quarantine: Path | None = None,
    versions: bool = False,
) -> Events:
    """Check the input and make the view `event` of it: `key`, `t` (µs), `created` (µs), `tie`, and `c_<column>` for
    each column. It holds what was known and had happened before `until`, from `first` (µs) on: of an event the newest
    version; with `versions` all of them, each with when the next came, `superseded` (µs). Raises BadInput, NoData.
    """
    with readable(files):
        keys = table.keys if isinstance(table, AggregationTable) else (table.key,)
        reader = Reader(connection, table.source, files, [*keys, table.source.time], _used(table))
        events = reader.check(quarantine)
        versions = versions and bool(table.source.id and table.source.learned)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW event AS {_event(reader, table, until, first, versions)}")
    return events


def open_rows(
    connection: duckdb.DuckDBPyConnection, source: RawTable, files: list[Path], until: datetime, quarantine: Path | None
) -> Events:
    """Check a raw table whole and make the view `raw_row` of it: the declared columns, and `event_timestamp`. It holds
    what was known and had happened before `until`. Raises BadInput, NoData."""
    with readable(files):
        names = {c.name for c in source.columns}
        reader = Reader(connection, source, files, [source.time], names)
        events = reader.check(quarantine)
        by_name = reader.values()
        values = ", ".join(f"{by_name[c.name]} AS {sql.identifier(c.name)}" for c in source.columns)
        at = by_name[source.time]
        values += "".join(f", {by_name[d.name]} AS {d.name}" for d in source.derived)
        created = by_name.get(source.learned or "", at)
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW raw_row AS SELECT {values}, {at} AS event_timestamp FROM {reader.good} "
            f"WHERE {at} < {sql.timestamp(until)} AND {created} <= {sql.timestamp(until)}"
        )
    return events


def _used(table: Table) -> set[str]:
    if not isinstance(table, AggregationTable):
        return {table.value}
    return {table.event_time, *(name for a in table.aggregations for name in (a.column, *a.where) if name)}


def _event(reader: Reader, table: Table, until: datetime, first: int | None, versions: bool) -> str:
    by_name, source = reader.values(), table.source
    at = by_name[table.event_time]
    created = by_name.get(source.learned or "", at)
    values = "".join(f", {sql} AS c_{name}" for name, sql in _cells(table, by_name))
    since = "" if first is None else f" AND t >= {first}"
    tie = by_name[source.id] if source.id else "NULL::VARCHAR"
    last = f"epoch_us({sql.timestamp(until)})"
    keys = [by_name[name] for name in (table.keys if isinstance(table, AggregationTable) else (table.key,))]
    whole = " AND ".join(f"{part} IS NOT NULL" for part in keys)
    key = keys[0] if len(keys) == 1 else f"CASE WHEN {whole} THEN [{', '.join(keys)}] END"
    superseded = f"lead(epoch_us({created})) OVER (PARTITION BY {tie} ORDER BY {reader.rank})" if versions else "NULL"
    return (
        f"FROM (SELECT {key} AS key, epoch_us({at}) AS t, epoch_us({created}) AS created, {tie} AS tie{values}, "
        f"{superseded} AS superseded FROM {reader.every if versions else reader.good}) "
        f"WHERE key IS NOT NULL AND t < {last} AND created <= {last}{since}"
    )


def _cells(table: Table, by_name: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Name → SQL of each value that a fold takes: as it is, in whole units for sums, in microseconds for outcomes."""
    if not isinstance(table, AggregationTable):
        yield table.value, by_name[table.value]
        return
    functions: dict[str, set[str]] = {name: set() for a in table.aggregations for name in a.where}
    for a in table.aggregations:
        if a.column:
            functions.setdefault(a.column, set()).add(a.function)
    for name, used in functions.items():
        yield name, f"epoch_us({by_name[name]})" if "rate" in used else by_name[name]
        if used & {"sum", "mean", "last_n_mean", "last_n_sum"}:
            yield f"{name}_units", f"CAST({by_name[name]} * {UNITS} AS BIGINT)"
        if "stddev" in used:
            yield f"{name}_root_units", f"CAST({by_name[name]} * {ROOT_UNITS} AS BIGINT)"
