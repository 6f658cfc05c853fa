"""A Parquet file → batches of values."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from errors import BadInput
from files import fault
from jobs.own.forms.batches import BATCH_ROWS, Batch, TheirFile
from jobs.own.mapping import Mapping
from jobs.raw.forms.arrow_values import values


def open_parquet(path: Path, mapping: Mapping) -> TheirFile:
    """Raises BadInput."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} is no Parquet file: {fault(error, damaged='Give one that is.')}") from error

    def batches() -> Iterator[Batch]:
        first = 1
        for batch in _read(path, file):
            cells = {name: values(batch[name]) for name in batch.schema.names}
            yield Batch(list(range(first, first + len(batch))), cells, {})
            first += len(batch)

    return TheirFile(path, list(file.schema_arrow.names), batches)


def _read(path: Path, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(BATCH_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} cannot be read: {fault(error, damaged='Write it again.')}") from error
