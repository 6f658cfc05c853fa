"""Raw files and tables of Hive, read by Spark."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from errors import BadInput
from jobs import sql
from jobs.batch.spark import csv_rows
from jobs.batch.spark.dialect import in_spark
from jobs.raw.csv_files import RAGGED, CsvFile
from jobs.raw.forms import scans
from jobs.raw.forms.readers import TEXTS
from jobs.raw.forms.scans import FILE, HIVE, PLACE, Scan
from jobs.raw.forms.text_files import TextFile

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: What Hadoop takes for a pattern in a path.
_PATTERN = re.compile(r"([\\*?\[\]{}])")
_DAMAGED = re.compile(r"\[FAILED_READ_FILE.*? reading file (?:file:/+)?(/?\S+?)\.? ")
_OUR_ERROR = re.compile(r"^errors\.\w+\.BadInput: (.*)$", re.MULTILINE)


def unpatterned(path: Path) -> str:
    """A path for Hadoop, which takes `*`, `?` and brackets in it for a pattern."""
    return "file://" + _PATTERN.sub(r"\\\1", str(path))


@dataclass(frozen=True)
class SparkReader:
    """A `jobs.raw.forms.readers.Reader`. Every path must be the same on the driver and on all executors."""

    spark: "SparkSession"

    def scans(self, files: Iterable[Path]) -> list[Scan]:
        """As `Reader`; a path may be a table of Hive, `hive:shop.orders`."""
        paths = list(files)
        if any(map(scans.is_hive, paths)):
            return [self._hive(path) for path in paths]
        csv = sorted((CsvFile(path).header, path) for path in paths if scans.is_csv(path))
        parquet = [path for path in paths if not scans.is_csv(path)]
        return [
            *(self._parquet(group, schema) for group, schema in scans.alike(parquet)),
            *(self._csv(header, [path for _, path in group]) for header, group in groupby(csv, lambda pair: pair[0])),
        ]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """As `Reader`."""
        return list(self.frame(query).collect())

    def frame(self, query: str) -> "DataFrame":
        """The rows of a query in DuckDB's SQL."""
        return self.spark.sql(in_spark(query))

    def view(self, name: str, query: str) -> None:
        """Make a temporary view of a query in DuckDB's SQL."""
        self.frame(query).createOrReplaceTempView(name)

    def write(self, queries: Sequence[str], target: TextFile) -> int:
        """As `Reader`. One task of an executor writes the file."""
        columns = ", ".join(f"q{number} STRING" for number in range(len(target.names)))
        places = f"`{FILE}` STRING, `{PLACE}` BIGINT"
        texts = [
            self.frame(f"SELECT {number} AS query, * FROM ({query})").mapInArrow(
                _as_texts, f"query INT, {columns}, {places}"
            )
            for number, query in enumerate(queries)
        ]
        rows = reduce(lambda frame, other: frame.unionAll(other), texts)
        ordered = rows.coalesce(1).sortWithinPartitions("query", f"`{FILE}`", f"`{PLACE}`")
        names = [f"q{number}" for number in range(len(target.names))]

        def written(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            count = target.write(batch.select(names) for batch in batches)
            yield pa.record_batch([pa.array([count], pa.int64())], ["rows"])

        return sum(row["rows"] for row in ordered.mapInArrow(written, "rows BIGINT").collect())

    def _parquet(self, paths: list[Path], schema: pa.Schema) -> Scan:
        from pyspark.sql import functions as f

        frame = self.spark.read.parquet(*map(unpatterned, paths))
        for field in schema:
            if pa.types.is_timestamp(field.type) and field.type.unit == "ns":  # `session.FIXED`
                micros = f.timestamp_micros(f.expr(f"{_quoted(field.name)} DIV 1000"))
                frame = frame.withColumn(field.name, micros if field.type.tz else micros.cast("timestamp_ntz"))
        file = f.url_decode(f.replace(f.col("_metadata.file_path"), f.lit("+"), f.lit("%2B")))
        file = f.regexp_replace(file, "^file:/+", "/")
        view = self._view(paths, frame, file, f.col("_metadata.row_index") + 1, f.lit(None).cast("string"))
        return Scan(view, scans.stored(schema), "row")

    def _csv(self, header: list[str], paths: list[Path]) -> Scan:
        from pyspark.sql import functions as f

        columns = [f"c{number}" for number in range(len(header))]
        frame = csv_rows.frame(self.spark, paths, columns)
        view = self._view(paths, frame, f.col(csv_rows.PATH), f.col("line"), f.col("ragged"), len(header))
        return Scan(view, scans.stored(pa.schema([(name, pa.string()) for name in header])), "line")

    def _hive(self, path: Path) -> Scan:
        from pyspark.errors import AnalysisException
        from pyspark.sql import functions as f
        from pyspark.sql.pandas.types import to_arrow_schema

        name = str(path).removeprefix(HIVE)
        try:
            frame = self.spark.table(name)
        except AnalysisException as error:
            raise BadInput(f"There is no table {name} in Hive. Name one as {HIVE}database.table.") from error
        nothing = f.lit(None)
        view = self._view([path], frame, f.lit(str(path)), nothing.cast("bigint"), nothing.cast("string"))
        return Scan(view, scans.stored(to_arrow_schema(frame.schema, timezone="UTC")), "row")

    def _view(
        self, paths: list[Path], frame: "DataFrame", file: "Column", place: "Column", ragged: "Column", width: int = 0
    ) -> str:
        from pyspark.sql import functions as f

        names = frame.columns[:width] if width else frame.columns
        cells = [f.col(_quoted(name)).alias(f"c{number}") for number, name in enumerate(names)]
        name = f"raw_{hashlib.sha256(repr(paths).encode()).hexdigest()}"
        frame.select(*cells, file.alias(FILE), place.alias(PLACE), ragged.alias(RAGGED)).createOrReplaceTempView(name)
        return name


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _as_texts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """DuckDB writes the texts here too, so that a number looks the same, whatever read it."""
    with sql.connect() as connection:
        for batch in batches:
            connection.register("batch", batch)
            places = ", ".join(map(sql.identifier, (FILE, PLACE)))
            query = f"SELECT query, {TEXTS.replace('EXCLUDE (', 'EXCLUDE (query, ')}, {places} FROM batch"
            yield from connection.sql(query).to_arrow_table().combine_chunks().to_batches()


@contextmanager
def readable() -> Iterator[None]:
    """Inside, what Spark says of a file that it cannot read is raised as BadInput."""
    try:
        yield
    except Exception as error:  # two libraries raise what Java says
        if ours := _OUR_ERROR.search(str(error)):
            raise BadInput(ours[1]) from error
        if damaged := _DAMAGED.search(str(error)):
            raise BadInput(f"{damaged[1]} cannot be read: a page of it is damaged. Mend it.") from error
        raise
