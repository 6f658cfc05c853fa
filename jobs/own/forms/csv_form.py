"""A CSV file of a stated dialect → batches of texts."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from errors import SHOWN_CHARACTERS, BadInput
from jobs.own.forms.batches import Batch, TheirFile
from jobs.own.mapping import Mapping
from jobs.raw.csv_files import LINE, RAGGED, CsvFile

LONGEST_HEADER = 1 << 20
BLOCK_BYTES = 8 << 20


def open_csv(path: Path, mapping: Mapping) -> TheirFile:
    """Raises BadInput."""
    file = CsvFile(path, mapping.dialect)
    if fault := undecodable(path, mapping.encoding):
        raise BadInput(fault)
    _check_delimiter(file)

    def batches() -> Iterator[Batch]:
        for table in file.tables(keeps_ragged=True):
            cells = {name: table[name].to_pylist() for name in table.column_names}
            lines, ragged = cells.pop(LINE), cells.pop(RAGGED)
            yield Batch(lines, cells, {number: text for number, text in enumerate(ragged) if text is not None})

    return TheirFile(path, file.header, batches)


def undecodable(path: Path, encoding: str) -> str:
    """Where a text file is not in this encoding, and which one to state; "" where all of it is. Before anything else is
    read of the file: with another encoding, every name and every cell may be another one."""
    line, decoder = 1, codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as opened:
        while True:
            chunk = opened.read(BLOCK_BYTES)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                byte = f"the byte 0x{error.object[error.start]:02X}"
                advice = f"State the encoding: --encoding {_other(path, encoding)}"
                return f"{path}, line {line:,}: {byte} is not {encoding}. {advice}"
            if not chunk:
                return ""
            line += chunk.count(b"\n")


def _other(path: Path, encoding: str) -> str:
    """The encoding that it most likely has: Excel's Unicode text, or that of Windows in the west."""
    with path.open("rb") as opened:
        head = opened.read(4)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "latin-1" if codecs.lookup(encoding).name == "cp1252" else "cp1252"


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
