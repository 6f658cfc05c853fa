"""A Parquet file → batches of values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from errors import BadInput
from features.utc import EARLIEST, LATEST
from files import fault
from jobs.own.forms.batches import BATCH_ROWS, Batch, CellError, TheirFile
from jobs.own.mapping import Mapping

#: Of a timestamp that no calendar of Python has.
_FAR = f"is not in the years {EARLIEST.year} to {LATEST.year - 1}"


def open_parquet(path: Path, mapping: Mapping) -> TheirFile:
    """Raises BadInput."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} is no Parquet file: {fault(error, damaged='Give one that is.')}") from error

    def batches() -> Iterator[Batch]:
        first = 1
        for batch in _read(path, file):
            cells = {name: _plain(batch[name]) for name in batch.schema.names}
            yield Batch(list(range(first, first + len(batch))), cells, {})
            first += len(batch)

    return TheirFile(path, list(file.schema_arrow.names), batches)


def _read(path: Path, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(BATCH_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} cannot be read: {fault(error, damaged='Write it again.')}") from error


def _plain(column: pa.Array) -> list[Any]:
    """Values of Python; timestamps to the microsecond, as Python has them. A value that Python cannot have is a
    CellError."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (OverflowError, ValueError, LookupError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except OverflowError:
        return CellError(_shown(scalar), _FAR)
    except (ValueError, LookupError) as error:  # a text that is no UTF-8, a time zone that there is not
        return CellError(_shown(scalar), f"cannot be read: {error}")


def _shown(scalar: pa.Scalar) -> str:
    return f"{getattr(scalar, 'value', 'a value')} as {scalar.type}"
