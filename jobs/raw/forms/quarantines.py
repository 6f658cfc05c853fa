"""Writes the invalid rows of raw files, each with the reason, to a file."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from features.windows.raw import RawTable
from files import replacing
from jobs import sql
from jobs.raw.csv_files import RAGGED
from jobs.raw.forms import typed
from jobs.raw.forms.scans import PLACE, Scan

REASON = "reason"
_BATCH_ROWS = 100_000


def write(
    connection: duckdb.DuckDBPyConnection,
    source: RawTable,
    scans: Iterable[Scan],
    reason: str,
    is_invalid: str,
    target: Path,
) -> int:
    """Write the rows for which the SQL `is_invalid` is true, as text, with the columns of their files and a last column
    `reason`, which `reason` is SQL of. A row that is longer or shorter than its header is in the reason as it stands in
    the file. Returns how many rows they are."""
    scans = list(scans)
    names = list(dict.fromkeys(name for scan in scans for name in scan.columns))
    schema = pa.schema([(name, pa.string()) for name in (*names, REASON)])
    ragged, place = sql.identifier(RAGGED), sql.identifier(PLACE)
    whole = f"CASE WHEN {ragged} IS NULL THEN {reason} ELSE {reason} || ', line ' || {place} || ': ' || {ragged} END"
    count = 0
    result: pa.RecordBatchReader
    with replacing(target) as beside, _writer(beside, target.suffix, schema) as writer:
        for scan in scans:
            cells = "".join(f"{stored.cell}::VARCHAR, " for stored in scan.columns.values())
            rows = f"({typed.rows(source, scan, cells_too=True)})"
            query = f"SELECT {cells}{whole} FROM {rows} WHERE {is_invalid} ORDER BY {place}"
            connection.complete()  # the result of a query that was read by fetchone
            result = connection.sql(query).to_arrow_reader(_BATCH_ROWS)
            for batch in result:
                columns = dict(zip((*scan.columns, REASON), batch.columns, strict=True))
                empty = pa.nulls(len(batch), pa.string())
                writer.write_table(pa.table([columns.get(name, empty) for name in schema.names], schema))
                count += len(batch)
    return count


def _writer(path: Path, suffix: str, schema: pa.Schema) -> pq.ParquetWriter | arrow_csv.CSVWriter:
    return arrow_csv.CSVWriter(path, schema) if suffix == ".csv" else pq.ParquetWriter(path, schema, compression="zstd")
