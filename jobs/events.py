"""Checked raw rows as relations: the events that a feature table folds, and whole rows for datasets."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb

from features.aggregation import AggregationTable, Table
from features.folds import ROOT_UNITS, UNITS
from features.raw import RawTable
from jobs.inputs import Events, Reader, moment, name_of, readable


def open_events(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: list[Path],
    until: datetime,
    first: int | None = None,
    quarantine: Path | None = None,
) -> Events:
    """Check the input and make the view `event` of it: `key`, `t` (µs), `created` (µs), `tie`, and `c_<column>` for
    each column. It holds what was known and had happened before `until`, from `first` (µs) on. Raises BadInput, NoData.
    """
    with readable(files):
        reader = Reader(connection, table.source, files, [table.key, table.source.time], _used(table))
        events = reader.check(quarantine)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW event AS {_event(reader, table, until, first)}")
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
        values = ", ".join(f"{by_name[c.name]} AS {name_of(c.name)}" for c in source.columns)
        at, created = by_name[source.time], by_name.get(source.created or "", by_name[source.time])
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW raw_row AS SELECT {values}, {at} AS event_timestamp FROM {reader.good} "
            f"WHERE {at} < {moment(until)} AND {created} <= {moment(until)}"
        )
    return events


def _used(table: Table) -> set[str]:
    if not isinstance(table, AggregationTable):
        return {table.value}
    return {table.event_time, *(name for a in table.aggregations for name in (a.column, *a.where) if name)}


def _event(reader: Reader, table: Table, until: datetime, first: int | None) -> str:
    by_name, source = reader.values(), table.source
    at = by_name[table.event_time]
    created = by_name.get(source.created or "", at)
    values = "".join(f", {sql} AS c_{name}" for name, sql in _cells(table, by_name))
    since = "" if first is None else f" AND t >= {first}"
    tie = by_name[source.id] if source.id else "NULL::VARCHAR"
    last = f"epoch_us({moment(until)})"
    return (
        f"FROM (SELECT {by_name[table.key]} AS key, epoch_us({at}) AS t, epoch_us({created}) AS created, {tie} AS tie"
        f"{values} FROM {reader.good}) WHERE key IS NOT NULL AND t < {last} AND created <= {last}{since}"
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
