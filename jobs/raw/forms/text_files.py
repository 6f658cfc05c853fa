"""Writes a file of text columns: what is kept of rows that nobody could read as what they should be."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv


@dataclass(frozen=True)
class TextFile:
    """A CSV or Parquet file that is written at `path`, with columns of these names."""

    path: Path
    is_csv: bool
    names: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """Every column is text."""
        return pa.schema([(name, pa.string()) for name in self.names])

    def write(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Write the file whole, from batches of text columns in the order of `names`. Returns how many rows it has."""
        count = 0
        with self._writer() as writer:
            for batch in batches:
                writer.write_table(pa.Table.from_batches([batch]).rename_columns(self.names).cast(self.schema))
                count += len(batch)
        return count

    def _writer(self) -> pq.ParquetWriter | arrow_csv.CSVWriter:
        if self.is_csv:
            return arrow_csv.CSVWriter(self.path, self.schema)
        return pq.ParquetWriter(self.path, self.schema, compression="zstd")
