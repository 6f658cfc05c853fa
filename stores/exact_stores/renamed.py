"""Parquet files whose columns DuckDB would take for each other.

DuckDB ignores case in names. Of `Amount` and `amount` it renames one to `amount_1`, which may be a third column's name.
A Hive key hides a column of its name. Such files are read as Arrow, into memory, and DuckDB gets their columns under
numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

#: DuckDB's own columns that say where a row lies. A file may have columns of these names.
ROW_PLACE = ("file_index", "file_row_number", "filename")
_numbers = count()


def are_alike(names: Iterable[str]) -> bool:
    """Whether two of the names differ in nothing but case, or not at all.

    >>> are_alike(["amount", "Amount"]), are_alike(["amount", "amount_1"])
    (True, False)
    """
    folded = [name.casefold() for name in names]
    return len(set(folded)) < len(folded)


@dataclass(frozen=True)
class Renamed:
    """`relation` is the table's name in DuckDB. `names` maps a column of the files to its name there."""

    relation: str
    names: Mapping[str, str]

    @staticmethod
    def of_files(partitions: Mapping[str, Mapping[str, Any]], connection: duckdb.DuckDBPyConnection) -> "Renamed":
        """Read the files into memory. `partitions` maps each file to its Hive keys and their values. A file's column
        hides the Hive key of its name. Raises ValueError for a file that has one name twice."""
        names: dict[str, str] = {}
        for file, keys in partitions.items():
            for name in (*_columns(file), *keys):
                names.setdefault(name, f"column {len(names)}")
        tables = [_read(file, keys, names, index) for index, (file, keys) in enumerate(partitions.items())]
        relation = f"renamed_{next(_numbers)}"
        connection.register(relation, pa.concat_tables(tables, promote_options="permissive"))
        return Renamed(relation, names)


def _columns(file: str) -> list[str]:
    columns: list[str] = pq.read_schema(file).names
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise ValueError(f"{file} has these columns twice: {', '.join(twice)}. Write each name once.")
    return columns


def _read(file: str, partitions: Mapping[str, Any], names: Mapping[str, str], index: int) -> pa.Table:
    table = pq.read_table(file, partitioning=None)
    own = table.rename_columns([names[name] for name in table.column_names])
    for key in [key for key in partitions if key not in table.column_names]:
        own = own.append_column(names[key], pa.repeat(pa.scalar(partitions[key]), len(table)))
    own = own.append_column(ROW_PLACE[0], pa.repeat(pa.scalar(index), len(table)))
    return own.append_column(ROW_PLACE[1], pa.array(range(len(table)), pa.int64()))
