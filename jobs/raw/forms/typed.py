"""The rows of raw files as one relation of typed columns, each with what is wrong with its cell."""

from collections.abc import Iterable
from dataclasses import replace

from features.windows.raw import CREATED, Column, RawTable
from jobs import sql
from jobs.raw.csv_files import RAGGED
from jobs.raw.forms import cells
from jobs.raw.forms.scans import FILE, PLACE, Scan


def reason_of(name: str) -> str:
    """The column with what is wrong with a cell of a column; null where the cell is good."""
    return sql.identifier(f"{name}?")


def text_of(name: str) -> str:
    """The column with the text of a cell of a column, null where it is empty."""
    return sql.identifier(f"{name}=")


def columns_of(source: RawTable) -> list[Column]:
    """The columns that a file of a raw table may have."""
    names = [source.time, *(column.name for column in source.columns), source.created_column]
    if source.is_live:
        names.append(CREATED)
    return [source.column(name) for name in dict.fromkeys(filter(None, names))]


def relation(source: RawTable, scans: Iterable[Scan]) -> str:
    """The rows of all scans: each column as its declared type, its `reason_of` and its `text_of`; `FILE`, `PLACE` and
    `RAGGED`."""
    return f"({' UNION ALL '.join(rows(source, scan) for scan in scans)})"


def rows(source: RawTable, scan: Scan, cells_too: bool = False) -> str:
    """SELECT of the rows of one scan. With `cells_too`, it has the cells of the file, too, in front."""
    columns = columns_of(source)
    own = {column.name: scan.columns.get(column.name) for column in columns}
    texts = {name: replace(stored, cell=text_of(name)) for name, stored in own.items() if stored}
    beside = ", ".join(map(sql.identifier, (FILE, PLACE, RAGGED)))
    if cells_too:
        beside = f"{', '.join(stored.cell for stored in scan.columns.values())}, {beside}"
    filled = "".join(f", {cells.filled(stored)} AS {text_of(name)}" for name, stored in own.items() if stored)
    typed = "".join(f", {cells.value(c, texts.get(c.name))} AS {sql.identifier(c.name)}" for c in columns)
    is_whole = f"{sql.identifier(RAGGED)} IS NULL"
    chosen = "".join(
        f", {sql.identifier(c.name)}, CASE WHEN {is_whole} THEN "
        f"{cells.fault(c, texts.get(c.name), sql.identifier(c.name))} END AS {reason_of(c.name)}, "
        f"{text_of(c.name) + '::VARCHAR' if c.name in texts else 'NULL::VARCHAR'} AS {text_of(c.name)}"
        for c in columns
    )
    first = f"SELECT {beside}{filled} FROM {scan.rows}"
    return f"SELECT {beside}{chosen} FROM (SELECT *{typed} FROM ({first}))"
