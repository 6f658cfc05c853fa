"""Their file, whatever its form → batches of cells as they are in it, with their lines. Nothing is interpreted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as pq

from errors import SHOWN_CHARACTERS, BadInput
from jobs.own.mapping import Mapping
from jobs.raw.csv_files import LINE, RAGGED, CsvFile

BATCH_ROWS = 50_000
LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class Batch:
    """Some rows of a file. `lines` counts from 1, the header included; of a Parquet file it is the number of the row.
    `cells` is column → a cell a row. `ragged` is number of a row in the batch → the text of a row that has not as many
    cells as the header; its cells are None."""

    lines: list[int]
    cells: dict[str, list[Any]]
    ragged: dict[int, str]


@dataclass(frozen=True)
class TheirFile:
    """A file with its header, and a function that reads it from the beginning."""

    path: Path
    header: list[str]
    batches: Callable[[], Iterator[Batch]]


@dataclass(frozen=True)
class CellError:
    """A cell that holds no value but an error of its program, such as `#N/A`."""

    text: str

    def __str__(self) -> str:
        return self.text


def open_file(path: Path, mapping: Mapping) -> TheirFile:
    """Raises BadInput where the file cannot be read, is of an unknown form, or has a column name twice."""
    if path.suffix.lower() not in _OPENERS:
        raise BadInput(f"{path} ends in none of {', '.join(_OPENERS)}. Rename it after what it is, or convert it.")
    if not path.is_file():
        raise BadInput(f"{path} is not there, or is no file. Give a CSV, Parquet or Excel file.")
    file = _OPENERS[path.suffix.lower()](path, mapping)
    header = [_plain_name(name) for name in file.header]
    if again := [name for name in header if name and header.count(name) > 1]:
        raise BadInput(f"{path} has two columns {again[0]!r}. Rename one of them.")

    def batches() -> Iterator[Batch]:
        for batch in file.batches():
            yield replace(batch, cells={_plain_name(name): cells for name, cells in batch.cells.items()})

    return TheirFile(path, header, batches)


def _plain_name(name: str) -> str:
    """Some programs write `ä` as two characters, and people type one. Neither sees blanks around a name."""
    return normalize("NFC", name).strip()


def _csv(path: Path, mapping: Mapping) -> TheirFile:
    file = CsvFile(path, mapping.dialect)
    _check_delimiter(file)

    def batches() -> Iterator[Batch]:
        for table in file.tables(keeps_ragged=True):
            cells = {name: table[name].to_pylist() for name in table.column_names}
            lines, ragged = cells.pop(LINE), cells.pop(RAGGED)
            yield Batch(lines, cells, {number: text for number, text in enumerate(ragged) if text is not None})

    return TheirFile(path, file.header, batches)


def _check_delimiter(file: CsvFile) -> None:
    """The first line shows a wrong delimiter best: every row below is broken then, each in its own way."""
    with file.path.open("rb") as opened:
        first = opened.readline(LONGEST_HEADER).decode(file.dialect.encoding, "replace").strip()
    other = next((mark for mark in (";", "\t", "|", ",") if mark in first), "")
    if other and file.dialect.delimiter not in first:
        raise BadInput(
            f"{file.path}, line 1: {first[:SHOWN_CHARACTERS]!r} has {other!r} and no {file.dialect.delimiter!r} in it. "
            f"State the delimiter: --delimiter {other!r}"
        )


def _parquet(path: Path, mapping: Mapping) -> TheirFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} is no Parquet file: {str(error).splitlines()[0]} Give one that is.") from error

    def batches() -> Iterator[Batch]:
        first = 1
        for batch in file.iter_batches(BATCH_ROWS):
            cells = {name: _plain(batch[name]) for name in batch.schema.names}
            yield Batch(list(range(first, first + len(batch))), cells, {})
            first += len(batch)

    return TheirFile(path, list(file.schema_arrow.names), batches)


def _plain(column: pa.Array) -> list[Any]:
    """Values of Python; timestamps to the microsecond, as Python has them."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column.to_pylist()  # type: ignore[no-any-return]


def _excel(path: Path, mapping: Mapping) -> TheirFile:
    import zipfile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        workbook = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError) as error:
        raise BadInput(f"{path} is no Excel workbook: {error}. Save it as .xlsx.") from error
    names = ", ".join(workbook.sheetnames)
    if mapping.sheet is None and len(workbook.sheetnames) > 1:
        raise BadInput(f"{path} has the sheets {names}. State one: --sheet NAME")
    if mapping.sheet is not None and mapping.sheet not in workbook.sheetnames:
        raise BadInput(f"{path} has no sheet {mapping.sheet!r}. State one of: {names}")
    sheet = workbook[mapping.sheet or workbook.sheetnames[0]]
    sheet.reset_dimensions()  # some programs state too few
    rows = sheet.iter_rows()
    header = ["" if cell.value is None else str(cell.value) for cell in next(rows, ())]
    while header and not header[-1]:
        header.pop()

    def batches() -> Iterator[Batch]:
        numbered = ((line, row) for line, row in enumerate(sheet.iter_rows(min_row=2), 2) if _is_filled(row))
        while part := list(islice(numbered, BATCH_ROWS)):
            columns = zip(*(_padded([_excel_value(cell) for cell in row], len(header)) for _, row in part), strict=True)
            cells = {name: list(values) for name, values in zip(header, columns, strict=True) if name}
            beyond = {number: text for number, (_, row) in enumerate(part) if (text := _beyond(row, len(header)))}
            yield Batch([line for line, _ in part], cells, beyond)

    return TheirFile(path, header, batches)


def _is_filled(row: tuple[Any, ...]) -> bool:
    """A sheet has empty rows below its last one, where somebody once was."""
    return any(cell.value is not None for cell in row)


def _padded(values: list[Any], length: int) -> list[Any]:
    return [*values[:length], *[None] * (length - len(values))]


def _beyond(row: tuple[Any, ...], length: int) -> str | None:
    """The text of a row that has more cells than the header."""
    is_longer = any(cell.value is not None for cell in row[length:])
    return ", ".join("" if cell.value is None else str(cell.value) for cell in row) if is_longer else None


def _excel_value(cell: Any) -> Any:
    if cell.value is not None and cell.data_type == "e":
        return CellError(str(cell.value))
    return cell.value


_OPENERS: dict[str, Callable[[Path, Mapping], TheirFile]] = {
    ".csv": _csv,
    ".txt": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".xlsx": _excel,
    ".xlsm": _excel,
}
