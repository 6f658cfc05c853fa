"""A CSV file of a stated dialect → batches of texts."""

from collections.abc import Iterator
from pathlib import Path

from errors import SHOWN_CHARACTERS, BadInput
from jobs.own.forms.batches import Batch, TheirFile
from jobs.own.mapping import Mapping
from jobs.raw.csv_files import LINE, RAGGED, CsvFile

LONGEST_HEADER = 1 << 20


def open_csv(path: Path, mapping: Mapping) -> TheirFile:
    """Raises BadInput."""
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
