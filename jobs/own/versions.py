"""Which of the rows that come in are new, which are duplicates, and which change a row that is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from features.windows.raw import CREATED, RawTable
from jobs import sql
from jobs.own.mapping import columns_of
from jobs.own.rows import LINE, PLACE, schema


@dataclass(frozen=True)
class Sorted:
    """`kept` has the columns of `rows.schema` and PLACE. `changes` is how many of them change an earlier row.
    `duplicates` has the places of rows that are there already, `refused` place → what is wrong."""

    kept: pa.Table
    changes: int
    duplicates: list[int]
    refused: dict[int, str]


def sort(raw: RawTable, incoming: Sequence[pa.Table], existing: Sequence[Path], now: datetime) -> Sorted:
    """`incoming`: the rows of each file, in the order of the files. `existing`: the files that were imported before.

    A row whose values are all there already is a duplicate. A table without an id has no duplicates here. A row with
    the id of another row and other values changes it, if the table says when a row was known: a stream's row is then
    dated `created`, by `now`. Else it is refused, and so are two of one file.
    """
    names = columns_of(raw)
    table = pa.concat_tables(
        [t.append_column(":file", pa.array([n] * len(t), pa.int64())) for n, t in enumerate(incoming)]
    )
    if raw.id is None:
        return Sorted(table.select([*schema(raw).names, PLACE]), 0, [], {})
    with sql.connect() as connection:
        connection.register("incoming", table)
        connection.execute(f"CREATE TEMP TABLE there AS {_existing(raw, existing)}")
        values = ", ".join(map(sql.identifier, names))
        same = " AND ".join(f"t.{sql.identifier(n)} IS NOT DISTINCT FROM i.{sql.identifier(n)}" for n in names)
        key, time = sql.identifier(raw.id), sql.identifier(raw.time)
        place, line = sql.identifier(PLACE), sql.identifier(LINE)
        connection.execute(
            f"CREATE TEMP TABLE numbered AS SELECT i.*, row_number() OVER (PARTITION BY {values} ORDER BY {place}) > 1 "
            f"OR EXISTS (FROM there t WHERE t.{key} = i.{key} AND {same}) AS is_duplicate FROM incoming i"
        )
        connection.execute(
            f"CREATE TEMP TABLE versions AS SELECT n.*, "
            f"first_value({line}) OVER in_file AS first_line, row_number() OVER in_file AS nth_in_file, "
            f"first_value({time}) OVER earlier AS first_time, row_number() OVER earlier AS nth, "
            f"(SELECT min(t.{time}) FROM there t WHERE t.{key} = n.{key}) AS there_time FROM numbered n "
            f'WHERE NOT is_duplicate WINDOW in_file AS (PARTITION BY {key}, ":file" ORDER BY {place}), '
            f"earlier AS (PARTITION BY {key} ORDER BY {place})"
        )
        is_change = "(nth > 1 OR there_time IS NOT NULL)"
        refused = {} if raw.created else dict(connection.execute(
            f"SELECT {place}, CASE WHEN nth_in_file > 1 THEN 'is in line ' || first_line || ', too, with other values' "
            + (f"WHEN {is_change} AND coalesce(there_time, first_time) <> {time} THEN "
               f"{sql.literal(f'was imported with another {raw.time}')} " if raw.is_live else
               f"WHEN {is_change} THEN 'was imported with other values' ")
            + "END AS fault FROM versions WHERE fault IS NOT NULL"
        ).fetchall())  # fmt: skip
        duplicates = [p for (p,) in connection.execute(f"SELECT {place} FROM numbered WHERE is_duplicate").fetchall()]
        query = f"SELECT *, {is_change} AS is_change FROM versions ORDER BY {place}"
        rows: pa.Table = connection.sql(query).to_arrow_table()
    bad = pa.array(list(refused), pa.int64())
    rows = rows.filter(pc.invert(pc.is_in(rows[PLACE], value_set=bad)))
    is_changes = rows["is_change"].to_pylist()
    kept = rows.select([*schema(raw).names, PLACE])
    if raw.is_live:  # a version of its own timestamp each, so that the newest is known
        created = [now + n * timedelta(microseconds=1) if is_one else None for n, is_one in enumerate(is_changes)]
        field = schema(raw).field(CREATED)
        kept = kept.set_column(kept.schema.get_field_index(CREATED), field, pa.array(created, field.type))
    return Sorted(kept.cast(schema(raw).append(pa.field(PLACE, pa.int64()))), sum(is_changes), duplicates, refused)


def _existing(raw: RawTable, files: Sequence[Path]) -> str:
    """SQL of the rows that are there, with the columns that a file may bring. A column may be newer than a file."""
    empty = sql.identifier("incoming")
    if not files:
        return f"SELECT * FROM {empty} LIMIT 0"
    columns = ", ".join(map(sql.identifier, columns_of(raw)))
    return (
        f"SELECT {columns} FROM ((SELECT * FROM {empty} LIMIT 0) UNION ALL BY NAME "
        f"FROM {sql.parquet(files, ', union_by_name = true')})"
    )
