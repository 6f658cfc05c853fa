"""Whether every row that a job reads is what its table declares.

The job guesses nothing and drops nothing silently. An invalid row stops the job, or goes to the quarantine with its
reason. An event that is there twice counts once.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import duckdb

from errors import BadInput, NoData
from features.windows.raw import CREATED, Column, RawTable
from files import replacing
from jobs import sql
from jobs.raw import cells
from jobs.raw.cells import Fault
from jobs.raw.places import relation


@dataclass(frozen=True)
class Counts:
    """How many `rows` the input has; how many of these were invalid and are `quarantined`, and how many are `repeated`
    events. `absent` names the optional columns that the input lacks."""

    rows: int
    quarantined: int
    repeated: int
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """The valid rows of an input, as DuckDB reads them: every version of every event.

    rows     relation: the `columns` as their declared types, null where a cell is empty
    values   column → SQL of its value in `rows`; derived columns have one, too
    """

    rows: str
    columns: tuple[str, ...]
    values: Mapping[str, str]
    counts: Counts

    @property
    def has_versions(self) -> bool:
        """Whether an event may have several versions here."""
        return self.counts.repeated > 0


@contextmanager
def readable(files: list[Path]) -> Iterator[None]:
    """Inside, what DuckDB says of a file that it cannot read is raised as BadInput."""
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        raise BadInput(f"{files[0]} cannot be read: {str(error).splitlines()[0]} Mend it.") from error


def check(
    connection: duckdb.DuckDBPyConnection,
    source: RawTable,
    files: list[Path],
    needed: Iterable[str],
    used: Iterable[str],
    quarantine: Path | None = None,
) -> Checked:
    """Check the columns that a job reads. Invalid rows are written to `quarantine`, `.csv` or Parquet.

    `needed` columns must be filled in every row. Of the columns that are only `used`, the optional ones may be empty.
    Raises NoData on an input without rows, and BadInput on a missing column or, without a quarantine, an invalid row.
    """
    needed = {*needed, *(name for name in (source.id, source.created) if name)}
    file_input = _Input(connection, source, tuple(files), frozenset(needed), frozenset(used))
    columns = file_input.columns()
    faults = file_input.faults(columns)
    unique = f"count(DISTINCT {sql.identifier(source.id)})" if source.id else "count(*)"
    rows, different, *fault_counts = file_input.count(
        ["count(*)", unique, *(f"count(*) FILTER (WHERE {fault.test})" for fault in faults)]
    )
    if not rows:
        raise NoData(f"{files[0]} holds no rows. Nothing was changed; bring events.")
    present = {fault: count for fault, count in zip(faults, fault_counts, strict=True) if count}
    quarantined, valid = 0, file_input.relation
    if present and quarantine is None:
        texts = "; ".join(file_input.describe(fault, count) for fault, count in present.items())
        raise BadInput(f"{texts}. Mend the input, or give --quarantine PATH: bad rows go there, the job goes on.")
    if present and quarantine:
        is_invalid = " OR ".join(f"coalesce({fault.test}, false)" for fault in present)
        quarantined = file_input.write_invalid(present, is_invalid, quarantine)
        valid = f"{file_input.relation} WHERE NOT ({is_invalid})"
        (different,) = sql.row(connection, f"SELECT {unique} FROM {valid}")
    cells_by_name = file_input.cells(columns)
    typed = ", ".join(f"{cell} AS {sql.identifier(name)}" for name, cell in cells_by_name.items())
    values = {name: sql.identifier(name) for name in cells_by_name}
    absent = tuple(c.name for c in columns if c.name not in {*file_input.types, CREATED})
    return Checked(
        rows=f"(SELECT {typed} FROM {valid})",
        columns=tuple(cells_by_name),
        values=values | {d.name: d.sql(values) for d in source.derived if values.keys() >= set(d.columns)},
        counts=Counts(rows, quarantined, rows - quarantined - different, absent),
    )


@lru_cache(maxsize=8)
def _known_counts(relation: str, versions: tuple[tuple[int, int], ...]) -> dict[str, int]:
    """SQL of a count → its result, for files as they are now: a file that changes is another input."""
    return {}


@dataclass(frozen=True)
class _Input:
    """Files of one raw table, as they are."""

    connection: duckdb.DuckDBPyConnection
    source: RawTable
    files: tuple[Path, ...]
    needed: frozenset[str]
    used: frozenset[str]

    @cached_property
    def relation(self) -> str:
        return relation(list(self.files))

    @cached_property
    def types(self) -> dict[str, str]:
        """Column → DuckDB's type."""
        return {name: dtype for name, dtype, *_ in self.connection.execute(f"DESCRIBE FROM {self.relation}").fetchall()}

    @property
    def own_columns(self) -> list[str]:
        return [name for name in self.types if name != "filename"]

    def columns(self) -> list[Column]:
        """The columns that are read. Raises BadInput if one that must be there is missing."""
        names = self.needed | self.used | ({CREATED} if self.source.is_live else set())
        derived = {d.name: set(d.columns) for d in self.source.derived}
        names = (names - derived.keys()) | {name for d in names & derived.keys() for name in derived[d]}
        columns = [self.source.column(name) for name in sorted(names)]
        declared = [*columns, *self.source.columns]
        missing = sorted({c.name for c in declared if not c.is_optional and c.name not in self.types})
        if missing:
            raise BadInput(
                f"{self.files[0]} has no column {', '.join(missing)}; it has {', '.join(self.own_columns) or 'none'}. "
                f"{self.source.name} needs {', '.join(c.name for c in declared if not c.is_optional)}."
            )
        return columns

    def count(self, counts: list[str]) -> list[int]:
        """The results of SQL counts over the input. A count that another table took of the same files is remembered."""
        versions = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in self.files)
        known = _known_counts(self.relation, versions)
        if new := [count for count in counts if count not in known]:
            results = sql.row(self.connection, f"SELECT {', '.join(new)} FROM {self.relation}")
            known |= dict(zip(new, results, strict=True))
        return [known[count] for count in counts]

    def cells(self, columns: list[Column]) -> dict[str, str]:
        """Column → SQL of its cell; `created`, too, where it is recorded or the table is a stream's."""
        values = {column.name: cells.value(column, self.types.get(column.name)) for column in columns}
        if self.source.is_live:
            values[CREATED] = f"coalesce({values[CREATED]}, {values[self.source.time]})"
        return values

    def faults(self, columns: list[Column]) -> list[Fault]:
        """Everything that can be wrong with a row."""
        present = (column for column in columns if column.name in self.types)
        return [f for c in present for f in cells.faults(c, self.types[c.name], c.name in self.needed)]

    def describe(self, fault: Fault, count: int) -> str:
        """In words, with the first row that has it."""
        # One thread, in the order of the file: else the first row that DuckDB sees is not the first.
        self.connection.execute("SET threads = 1; SET preserve_insertion_order = true")
        cell = f"{sql.identifier(fault.column)}::VARCHAR"
        row = f"SELECT filename, row_number() OVER () AS n, {cell} AS cell, {fault.test} AS is_invalid"
        numbered = f"SELECT *, min(n) OVER (PARTITION BY filename) AS first FROM ({row} FROM {self.relation})"
        first = f"SELECT filename, n - first + 1, left(cell, 40) FROM ({numbered}) WHERE is_invalid ORDER BY n LIMIT 1"
        file, number, text = sql.row(self.connection, first)
        is_hidden = text is None or self.source.column(fault.column).is_secret
        shown = "" if is_hidden else f" ({text})"
        return (
            f"{fault.column}: {count:,} {'row is' if count == 1 else 'rows are'} {fault.reason}, "
            f"the first is row {number:,} of {Path(file).name}{shown}"
        )

    def write_invalid(self, faults: Iterable[Fault], is_invalid: str, target: Path) -> int:
        """Write the invalid rows with their `reason`. Returns how many they are."""
        reasons = ", ".join(f"CASE WHEN {f.test} THEN {sql.literal(f'{f.column} is {f.reason}')} END" for f in faults)
        columns = ", ".join(map(sql.identifier, self.own_columns))
        form = "CSV, HEADER" if target.suffix == ".csv" else "PARQUET"
        with replacing(target) as beside:
            (count,) = sql.row(
                self.connection,
                f"COPY (SELECT {columns}, concat_ws('; ', {reasons}) AS reason FROM {self.relation} "
                f"WHERE {is_invalid}) TO {sql.literal(beside)} (FORMAT {form})",
            )
        return int(count)
