"""Raw files as relations in SQL, with the columns that they have. DuckDB never sees a column's name: it folds case, and
renames one of two names that differ in case only, so that another column answers."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from errors import BadInput
from files import fault, is_file_fault
from jobs import sql
from jobs.raw.csv_files import LINE, RAGGED, CsvFile

#: What a column is stored as. `local` is a timestamp without a time zone, `null` has no values at all.
Kind = Literal["text", "int", "float", "decimal", "timestamp", "local", "null", "other"]
#: Columns of `Scan.rows` beside those of the files: the path of the file, and the row or line in it, from 1 on.
FILE, PLACE = ":file", ":place"
#: What begins the name of a table of Hive, in the place of a file's path.
HIVE = "hive:"


@dataclass(frozen=True)
class Stored:
    """A column of a file: its SQL in `Scan.rows`, its kind, and its type in words."""

    cell: str
    kind: Kind
    dtype: str


@dataclass(frozen=True)
class Scan:
    """Files with the same columns.

    rows     relation: the cells, `FILE`, `PLACE`, and `RAGGED`, the text of a row that has other cells than the header
    columns  name → the column
    unit     what `PLACE` counts: rows, or lines
    """

    rows: str
    columns: Mapping[str, Stored]
    unit: Literal["row", "line"]


@contextmanager
def readable(files: list[Path]) -> Iterator[None]:
    """Inside, what DuckDB says of a file that it cannot read is raised as BadInput. Our queries convert with TRY_CAST,
    so a value that cannot be converted is one of the file."""
    try:
        yield
    except duckdb.Error as error:
        if not (is_file_fault(error) or isinstance(error, duckdb.ConversionException)):
            raise
        file = next((file for file in files if not _is_readable(file)), files[0])
        raise BadInput(f"{file} cannot be read: {fault(error, damaged='Mend it.')}") from error


def _is_readable(file: Path) -> bool:
    """Whether DuckDB can read every value of a Parquet file; true of a CSV file, which it does not read."""
    try:
        with sql.connect() as connection:
            connection.execute("" if is_csv(file) else f"SELECT bit_xor(hash(COLUMNS(*))) FROM {sql.parquet([file])}")
    except duckdb.Error:
        return False
    return True


def scans(connection: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> list[Scan]:
    """Every row of the files. CSV files are RFC 4180 in UTF-8, and each becomes a temporary table. Raises BadInput."""
    paths = list(files)
    parquet = [path for path in paths if not is_csv(path)]
    return [*_parquet(parquet), *(_csv(connection, path) for path in paths if is_csv(path))]


def is_csv(path: Path) -> bool:
    """Whether a file is CSV; else it is Parquet."""
    return path.suffix.lower() == ".csv" and not is_hive(path)


def is_hive(path: Path) -> bool:
    """Whether a path is no file, but names a table of Hive: `hive:shop.orders`. Only Spark reads it."""
    return str(path).startswith(HIVE)


def alike(paths: Iterable[Path]) -> Iterator[tuple[list[Path], pa.Schema]]:
    """Parquet files with the same columns together, and their schema. Raises BadInput."""
    by_columns: dict[str, list[tuple[Path, pa.Schema]]] = {}
    for path in paths:
        schema = _schema(path)
        names = schema.names
        # DuckDB matches the columns of several files by name, without case.
        is_plain = len({name.lower() for name in names}) == len(names)
        columns = repr(list(zip(names, map(str, schema.types), strict=True)))
        by_columns.setdefault(columns if is_plain else f"{columns} {path}", []).append((path, schema))
    for of_schema in by_columns.values():
        yield [path for path, _ in of_schema], of_schema[0][1]


def _parquet(files: list[Path]) -> Iterator[Scan]:
    for paths, schema in alike(files):
        cells = [f"c{number}" for number in range(len(schema))]
        read = f"{sql.parquet(paths)} AS t({', '.join(cells)})"
        rows = (
            f"(SELECT {', '.join(cells)}, filename AS {sql.identifier(FILE)}, file_row_number + 1 AS "
            f"{sql.identifier(PLACE)}, NULL::VARCHAR AS {sql.identifier(RAGGED)} FROM {read})"
        )
        yield Scan(rows, stored(schema), "row")


def stored(schema: pa.Schema) -> dict[str, Stored]:
    """Name → column; its SQL is `c` and its number."""
    return {
        field.name: Stored(f"c{number}", kind_of(field.type), str(field.type)) for number, field in enumerate(schema)
    }


def _schema(path: Path) -> pa.Schema:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} cannot be read as Parquet: {fault(error, damaged='Write it again.')}") from error
    names = schema.names
    if again := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"{path} has the column {again[0]!r} twice. Give each column a name of its own.")
    if not names:
        raise BadInput(f"{path} has no columns. Write it again.")
    return schema


def _csv(connection: duckdb.DuckDBPyConnection, path: Path) -> Scan:
    stat, file = path.stat(), CsvFile(path)
    version = f"{path} {stat.st_mtime_ns} {stat.st_size}"
    table = sql.identifier(f"csv_{hashlib.sha256(version.encode()).hexdigest()}")
    cells = [f"c{number}" for number in range(len(file.header))]
    columns = ", ".join(f"{cell} VARCHAR" for cell in cells)
    places = f"{sql.identifier(LINE)} BIGINT, {sql.identifier(RAGGED)} VARCHAR"
    try:
        connection.execute(f"CREATE TEMP TABLE {table} ({columns}, {places})")
    except duckdb.CatalogException:  # the same file, which this connection has read
        pass
    else:
        _load(connection, file, table, cells)
    rows = (
        f"(SELECT {', '.join(cells)}, {sql.literal(path)} AS {sql.identifier(FILE)}, {sql.identifier(LINE)} AS "
        f"{sql.identifier(PLACE)}, {sql.identifier(RAGGED)} FROM {table})"
    )
    return Scan(rows, stored(pa.schema([(name, pa.string()) for name in file.header])), "line")


def _load(connection: duckdb.DuckDBPyConnection, file: CsvFile, table: str, cells: list[str]) -> None:
    try:
        for rows in file.tables(keeps_ragged=True):
            connection.register("csv_rows", rows.rename_columns([*cells, LINE, RAGGED]))
            connection.execute(f"INSERT INTO {table} FROM csv_rows")
        connection.unregister("csv_rows")
    except BaseException:
        connection.execute(f"DROP TABLE {table}")
        raise


def kind_of(dtype: pa.DataType) -> Kind:
    """
    >>> kind_of(pa.large_string()), kind_of(pa.decimal128(38, 0)), kind_of(pa.timestamp("ns")), kind_of(pa.bool_())
    ('text', 'int', 'local', 'other')
    """
    if types.is_dictionary(dtype):
        return kind_of(dtype.value_type)
    if types.is_timestamp(dtype):
        return "timestamp" if dtype.tz else "local"
    if types.is_decimal128(dtype) or types.is_decimal32(dtype) or types.is_decimal64(dtype):
        return "int" if dtype.scale == 0 else "decimal"
    tests: dict[Kind, bool] = {
        "text": types.is_string(dtype) or types.is_large_string(dtype) or types.is_string_view(dtype),
        "int": types.is_integer(dtype),
        "float": types.is_floating(dtype),
        "local": types.is_date(dtype),
        "null": types.is_null(dtype),
    }
    return next((kind for kind, is_of_it in tests.items() if is_of_it), "other")
