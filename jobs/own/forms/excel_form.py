"""A sheet of an Excel workbook → batches of values. What a sheet shows and does not hold is a CellError: a formula that
no program has computed, a cell that is merged with others, the digits after the fifteenth."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from errors import BadInput
from jobs.own.forms.batches import BATCH_ROWS, Batch, TheirFile
from jobs.own.mapping import Mapping
from jobs.raw.forms.arrow_values import CellError

#: Excel keeps the first 15 digits of a number, and makes the others 0.
TOO_LARGE = 10**15
PROGRAM = "is an error of its program"
FORMULA = "is a formula without a value: open and save the file in its program"
MERGED = "is merged with other cells: separate them"
DIGITS = "is a number of more than 15 digits, of which a sheet keeps 15: store it as text"
_TAGS = re.compile(rb"<(?:\w+:)?(f|mergeCell)[\s/>]")
_LONGEST_TAG = 64
_PIECE_BYTES = 1 << 20
#: A number that is shown as 00042.
_PADDED = re.compile("0{2,}")


def open_excel(path: Path, mapping: Mapping) -> TheirFile:
    """Raises BadInput."""
    from openpyxl import load_workbook

    with _explained(path, "is no Excel workbook", "Save it as .xlsx."):
        workbook = load_workbook(path, read_only=True, data_only=True)
        tags = _tags(path)
    titles = [sheet.title for sheet in workbook.worksheets]
    if mapping.sheet is not None and mapping.sheet not in titles:
        raise BadInput(f"{path} has no sheet {mapping.sheet!r}. State one of: {', '.join(titles)}")
    if mapping.sheet is None and len(titles) != 1:
        raise BadInput(f"{path} has the sheets {', '.join(titles)}. State one: --sheet NAME")
    title = mapping.sheet or titles[0]
    header = ["" if cell.value is None else str(cell.value) for cell in next(_rows(path, workbook[title], 1), ())]
    while header and not header[-1]:
        header.pop()

    def batches() -> Iterator[Batch]:
        rows = _rows(path, workbook[title], 2)
        formulas = _rows(path, load_workbook(path, read_only=True)[title], 2) if b"f" in tags else None
        merged = _merged(path, title) if b"mergeCell" in tags else {}
        lines = enumerate(_values(rows, formulas, merged), 2)
        filled = ((line, row) for line, row in lines if any(value is not None for value in row))
        while part := list(islice(filled, BATCH_ROWS)):
            columns = zip(*(_padded(row, len(header)) for _, row in part), strict=True)
            cells = {name: list(values) for name, values in zip(header, columns, strict=True) if name}
            beyond = {number: text for number, (_, row) in enumerate(part) if (text := _beyond(row, len(header)))}
            yield Batch([line for line, _ in part], cells, beyond)

    return TheirFile(path, header, batches)


@contextmanager
def _explained(path: Path, words: str, advice: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # openpyxl raises what it happens to meet in a broken file
        raise BadInput(f"{path} {words}: {error or type(error).__name__}. {advice}") from error


def _rows(path: Path, sheet: Any, first: int) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # some programs state too few
    with _explained(path, "cannot be read", "Save it again."):
        yield from sheet.iter_rows(min_row=first)


def _values(
    rows: Iterator[tuple[Any, ...]], formulas: Iterator[tuple[Any, ...]] | None, merged: dict[int, list[int]]
) -> Iterator[list[Any]]:
    """The rows from the second on. `formulas`: the same rows, with the formulas themselves. `merged`: row → the columns
    in which its cell lies below another one."""
    for line, row in enumerate(rows, 2):
        values = [_value(cell) for cell in row]
        if None in values and formulas is not None:
            for number, cell in enumerate(next(formulas, ())):
                if cell.value is not None and values[number] is None:
                    values[number] = CellError(str(cell.value), FORMULA)
        elif formulas is not None:
            next(formulas, ())
        for place in merged.get(line, ()) if any(value is not None for value in values) else ():
            values = _padded(values, max(place, len(values)))
            if values[place - 1] is None:
                values[place - 1] = CellError("", MERGED)
        yield values


def _value(cell: Any) -> Any:
    value = cell.value
    if value is not None and cell.data_type == "e":
        return CellError(str(value), PROGRAM)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) >= TOO_LARGE:
            return CellError(str(value), DIGITS)
        if isinstance(value, int) and value >= 0 and _PADDED.fullmatch(cell.number_format):
            return str(value).zfill(len(cell.number_format))
    return value


def _padded(values: list[Any], length: int) -> list[Any]:
    return [*values[:length], *[None] * (length - len(values))]


def _beyond(row: list[Any], length: int) -> str | None:
    """The text of a row that has more cells than the header."""
    is_longer = any(value is not None for value in row[length:])
    return ", ".join("" if value is None else str(value) for value in row) if is_longer else None


def _tags(path: Path) -> set[bytes]:
    """Which of `_TAGS` are in the sheets. Few files have one, and to look at each cell for them takes long."""
    seen: set[bytes] = set()
    with ZipFile(path) as archive:
        for name in archive.namelist():
            if "worksheets/" in name and name.endswith(".xml"):
                with archive.open(name) as sheet:
                    end = b""
                    while piece := sheet.read(_PIECE_BYTES):
                        seen.update(_TAGS.findall(end + piece))
                        end = piece[-_LONGEST_TAG:]
    return seen


def _merged(path: Path, title: str) -> dict[int, list[int]]:
    """Row → the columns of its merged cells, but of the first of each range, which has the value."""
    from openpyxl import load_workbook

    with _explained(path, "cannot be read", "Save it again."):
        ranges = load_workbook(path)[title].merged_cells.ranges
    columns: dict[int, list[int]] = defaultdict(list)
    for area in ranges:
        for row, column in list(area.cells)[1:]:
            columns[row].append(column)
    return columns
