"""The rows of CSV files, read on the executors by the reader that DuckDB has too: Spark's own accepts rows of a broken
form, and does not say where a row is. A file is one task, because nobody knows where a row begins in the middle."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.raw.csv_files import CsvFile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: The column with the path of a row's file.
PATH = "path"


def frame(spark: "SparkSession", paths: list[Path], columns: list[str]) -> "DataFrame":
    """The rows of files that have one header: `columns` for its names, then `PATH`, the line, and the text of a ragged
    row, as `CsvFile.tables` has them."""
    texts = ", ".join(f"`{name}` STRING" for name in columns)
    tasks = spark.sparkContext.parallelize([(str(path),) for path in paths], len(paths)).toDF(f"{PATH} STRING")
    return tasks.mapInArrow(_rows, f"{texts}, {PATH} STRING, line BIGINT, ragged STRING")


def _rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for path in batch.column(0).to_pylist():
            for table in CsvFile(Path(path)).tables(keeps_ragged=True):
                cells = table.columns[:-2]
                columns = [*cells, pa.repeat(path, len(table)), *table.columns[-2:]]
                names = [*(f"c{number}" for number in range(len(cells))), PATH, "line", "ragged"]
                yield from pa.table(columns, names=names).combine_chunks().to_batches()
