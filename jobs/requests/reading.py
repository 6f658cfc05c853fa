"""The requests in a CSV, Parquet or JSON lines file, checked as the API checks them. A file is read piece by piece."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from pydantic_core import to_json

from choices import did_you_mean, listed
from errors import BadInput, BadRequest
from features.fields import fault_of, first_fault
from features.identifiers import shape
from features.risk import Risk, RiskRequest
from jobs.raw.csv_files import RAGGED, CsvFile
from jobs.raw.forms.arrow_values import CellError, values
from serving import strict_json

SUFFIXES = (".csv", ".parquet", ".jsonl")


@dataclass(frozen=True)
class Read:
    """One row of the file. `number` counts rows from 1 on. `request` is None where the row is invalid, for a `reason`.
    `text` is what the file has: JSON, or the cells as JSON."""

    number: int
    request: RiskRequest | None
    reason: str
    text: str


def read(path: Path, risk: Risk) -> Iterator[Read]:
    """Every row of the file. Raises BadInput where the file itself cannot be read, or has columns that are no fields of
    the request."""
    kinds = {".csv": _csv, ".parquet": _parquet, ".jsonl": _json_lines}
    if path.suffix not in kinds:
        raise BadInput(f"{path} ends in none of {', '.join(SUFFIXES)}. Give a file that does.")
    try:
        yield from kinds[path.suffix](path, risk)
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}. Give one of requests, a row each.") from None
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise BadInput(f"{path} cannot be read: {error}. Mend it.") from error


def pieces(rows: Iterator[Read], size: int) -> Iterator[list[Read]]:
    """The rows, so many at a time."""
    while piece := list(islice(rows, size)):
        yield piece


def _csv(path: Path, risk: Risk) -> Iterator[Read]:
    """An empty cell is a field that the request does not have."""
    file = CsvFile(path)
    _check_columns(path, risk, file.header)
    numbers = count(1)
    for table in file.tables(keeps_ragged=True):
        columns = [table[name].to_pylist() for name in (*file.header, RAGGED)]
        for *cells, ragged in zip(*columns, strict=True):
            if ragged is not None:
                yield Read(next(numbers), None, "is longer or shorter than the header", ragged)
                continue
            fields = {name: cell for name, cell in zip(file.header, cells, strict=True) if cell.strip()}
            yield _checked(risk, next(numbers), fields, _text(cells), is_text=True)


def _parquet(path: Path, risk: Risk) -> Iterator[Read]:
    """A null is a field that the request does not have."""
    with pq.ParquetFile(path) as file:
        _check_columns(path, risk, file.schema_arrow.names)
        numbers = iter(range(1, file.metadata.num_rows + 1))
        for batch in file.iter_batches(batch_size=10_000):
            for cells in zip(*(values(column) for column in batch.columns), strict=True):
                row = {name: v for name, v in zip(batch.schema.names, cells, strict=True) if v is not None}
                fields, text = {name: _json_value(value) for name, value in row.items()}, _text(row)
                wrong = [f"{name} {value.fault}" for name, value in row.items() if isinstance(value, CellError)]
                number = next(numbers)
                yield Read(number, None, wrong[0], text) if wrong else _checked(risk, number, fields, text)


def _json_lines(path: Path, risk: Risk) -> Iterator[Read]:
    """One JSON object a line. Blank lines are no rows."""
    with path.open("rb") as file:
        for number, line in enumerate((line for line in file if line.strip()), 1):
            text = line.decode(errors="replace").strip()
            try:
                fields = strict_json.parse(line)
            except strict_json.NotStrict as error:
                yield Read(number, None, f"is no JSON: {error}", text)
                continue
            if isinstance(fields, dict):
                yield _checked(risk, number, fields, text)
            else:
                yield Read(number, None, "is no JSON object", text)


def _check_columns(path: Path, risk: Risk, names: list[str]) -> None:
    """Raises BadInput."""
    fields = risk.request.model_fields
    if unknown := [name for name in names if name not in fields]:
        hint = f"{did_you_mean(unknown[0], fields)}A request has {listed(fields, unknown[0])}. Remove the column."
        raise BadInput(f"{path} has the column {unknown[0]!r}, which is no field of a request. {hint}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"{path} has the column {twice[0]!r} twice. Keep one of them.")
    if missing := [name for name, field in fields.items() if field.is_required() and name not in names]:
        raise BadInput(f"{path} has no column {', '.join(missing)}. Add it: every request has it.")


def _checked(risk: Risk, number: int, fields: Mapping[str, Any], text: str, is_text: bool = False) -> Read:
    """`is_text`: the values are cells, which the request's own types parse."""
    try:
        request = risk.request.from_texts(fields) if is_text else risk.request.model_validate(fields)
    except ValidationError as error:
        first = first_fault(error)
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(field, risk.request.model_fields)
            return Read(number, None, f"{shape(field)} is no field of a request. {hint}Remove it".strip(), text)
        return Read(number, None, f"{field} {fault_of(first)}".replace(" is invalid: ", ": ", 1), text)
    except BadRequest as error:
        return Read(number, None, error.message, text)
    return Read(number, request, "", text)


def _json_value(value: Any) -> Any:
    """A value of Parquet as JSON has it: a date and a timestamp are texts."""
    return value.isoformat() if isinstance(value, date) else value


def _text(value: Any) -> str:
    return to_json(value, fallback=str, bytes_mode="hex").decode()
