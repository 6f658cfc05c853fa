"""Their file, whatever its form → batches of cells as they are in it, with their lines. Nothing is interpreted."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

from errors import BadInput
from jobs.own.forms.batches import Batch, TheirFile
from jobs.own.forms.csv_form import open_csv
from jobs.own.forms.excel_form import open_excel
from jobs.own.forms.parquet_form import open_parquet
from jobs.own.mapping import Mapping

_OPENERS: dict[str, Callable[[Path, Mapping], TheirFile]] = {
    ".csv": open_csv,
    ".txt": open_csv,
    ".tsv": open_csv,
    ".parquet": open_parquet,
    ".xlsx": open_excel,
    ".xlsm": open_excel,
}


def open_file(path: Path, mapping: Mapping) -> TheirFile:
    """Raises BadInput where the file cannot be read, is of an unknown form, or has a column name twice."""
    if not path.is_file():
        raise BadInput(f"{path} is not there, or is no file. Give a CSV, Parquet or Excel file.")
    if path.suffix.lower() not in _OPENERS:
        raise BadInput(f"{path} ends in none of {', '.join(_OPENERS)}. Rename it after what it is, or convert it.")
    file = _OPENERS[path.suffix.lower()](path, mapping)
    header = [_plain_name(name) for name in file.header]
    if not any(header):
        raise BadInput(f"{path}, line 1: no column has a name. Put the names of the columns into the first line.")
    if again := [name for name in header if name and header.count(name) > 1]:
        raise BadInput(f"{path} has two columns {again[0]!r}. Rename one of them.")

    def batches() -> Iterator[Batch]:
        for batch in file.batches():
            yield replace(batch, cells={_plain_name(name): cells for name, cells in batch.cells.items()})

    return TheirFile(path, header, batches)


def _plain_name(name: str) -> str:
    """Some programs write `ä` as two characters, and people type one. Neither sees blanks around a name."""
    return normalize("NFC", name).strip()
