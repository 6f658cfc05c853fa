"""Whether every row that a job reads can be what its table declares.

Nothing is guessed and nothing is dropped silently. A bad row stops the job, or is written to the quarantine with its
reason; the same event twice counts once; an event without the moment that dates it is none of this table's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb

from errors import BadInput, NoData
from features.windows.folds import LARGEST
from features.windows.raw import CREATED, Column, RawTable
from files import replacing
from jobs import sql
from jobs.raw.places import relation

_ZONE = r"(?i)[0-9](z|utc|[+-][0-9]{2}(:?[0-9]{2})?)$"


@dataclass(frozen=True)
class Events:
    """`rows` came in; of these `quarantined` were bad, `repeated` came before; `absent` names optional columns that
    the input lacks."""

    rows: int
    quarantined: int
    repeated: int
    absent: tuple[str, ...]


@dataclass(frozen=True)
class _Fault:
    column: str
    what: str
    sql: str


@lru_cache(maxsize=8)
def _counted(relation: str, state: tuple[tuple[int, int], ...]) -> dict[str, int]:
    """Count → result, for files as they are now: a file that changes is another input."""
    return {}


@contextmanager
def readable(files: list[Path]) -> Iterator[None]:
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        raise BadInput(f"{files[0]} cannot be read: {str(error).splitlines()[0]} Mend it.") from error


class Reader:
    """`needed` columns must be filled in every row; of `used` ones the optional may be empty, but not wrong."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: RawTable,
        files: list[Path],
        needed: list[str],
        used: set[str],
    ) -> None:
        self.connection, self.source, self.files, self.input = connection, source, files, relation(files)
        self.types = {name: dtype for name, dtype, *_ in connection.execute(f"DESCRIBE FROM {self.input}").fetchall()}
        self.needed = {*needed, *(name for name in (source.id, source.created) if name)}
        self.columns = self._columns(self.needed | used | ({CREATED} if source.is_live else set()))
        self.absent = tuple(c.name for c in self.columns if c.name not in {*self.types, CREATED})
        #: The rows that may be used, as SQL reads them: each event once, and every version of each.
        self.good = self.every = self.input
        #: The newest version of an event has the highest, as SQL reads it.
        self.rank = self._rank()

    def check(self, quarantine: Path | None) -> Events:
        faults = list(self._faults())
        unique = f"count(DISTINCT {sql.identifier(self.source.id)})" if self.source.id else "count(*)"
        rows, different, *found = self._count(
            ["count(*)", unique, *(f"count(*) FILTER (WHERE {fault.sql})" for fault in faults)]
        )
        if not rows:
            raise NoData(f"{self.files[0]} holds no rows. Nothing was changed; bring events.")
        seen = [(fault, count) for fault, count in zip(faults, found, strict=True) if count]
        bad = " OR ".join(f"coalesce({fault.sql}, false)" for fault, _ in seen)
        if seen and quarantine is None:
            said = "; ".join(self._say(fault, count) for fault, count in seen)
            raise BadInput(f"{said}. Mend the input, or give --quarantine PATH: bad rows go there, the job goes on.")
        quarantined, good = 0, self.input
        if seen and quarantine:
            quarantined, good = self._quarantine(seen, bad, quarantine), f"{self.input} WHERE NOT ({bad})"
            (different,) = self.connection.execute(f"SELECT {unique} FROM {good}").fetchone() or (0,)
        repeated = rows - quarantined - different
        self.every = f"(SELECT * FROM {good})"
        event = sql.identifier(self.source.id or "")
        newest = f" QUALIFY row_number() OVER (PARTITION BY {event} ORDER BY {self.rank} DESC) = 1"
        self.good = f"(SELECT * FROM {good}{newest if repeated else ''})"
        return Events(rows, quarantined, repeated, self.absent)

    def _count(self, counts: list[str]) -> list[int]:
        """The counts over the input. What another table has asked of the same files is not counted again."""
        known = _counted(self.input, tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in self.files))
        if asked := [count for count in counts if count not in known]:
            found = self.connection.execute(f"SELECT {', '.join(asked)} FROM {self.input}").fetchone() or ()
            known |= dict(zip(asked, found, strict=True))
        return [known[count] for count in counts]

    def values(self) -> dict[str, str]:
        """The SQL of each column; `created` is there where it is recorded, or the input is a stream's."""
        found = {c.name: self._value(c) for c in self.columns}
        if self.source.is_live:
            found[CREATED] = f"coalesce({found[CREATED]}, {found[self.source.time]})"
        return found | {d.name: d.sql(found) for d in self.source.derived if found.keys() >= set(d.of)}

    def _columns(self, used: set[str]) -> list[Column]:
        """Raises BadInput on a column that must be there and is not."""
        derived = {d.name: set(d.of) for d in self.source.derived}
        given = (used - derived.keys()) | {name for d in used & derived.keys() for name in derived[d]}
        columns = [self.source.column(name) for name in sorted(given)]
        declared = [*columns, *self.source.columns]
        missing = sorted({c.name for c in declared if not c.is_optional and c.name not in self.types})
        if missing:
            raise BadInput(
                f"{self.files[0]} has no column {', '.join(missing)}; it has {', '.join(self._own()) or 'none'}. "
                f"{self.source.name} needs {', '.join(c.name for c in declared if not c.is_optional)}."
            )
        return columns

    def _own(self) -> list[str]:
        return [name for name in self.types if name != "filename"]

    def _value(self, column: Column) -> str:
        """A cell as its declared type; null where it is empty, or cannot be that type."""
        if column.name not in self.types:
            return "NULL::" + {"string": "VARCHAR", "int": "BIGINT", "float": "DOUBLE"}.get(column.dtype, "TIMESTAMPTZ")
        name, text = sql.identifier(column.name), self.types[column.name] == "VARCHAR"
        cell = f"nullif(trim({name}), '')" if text else name
        if column.dtype == "timestamp":
            cell = f"CASE WHEN regexp_matches({cell}, '{_ZONE}') THEN {cell} END" if text else cell
            return f"TRY_CAST({cell} AS TIMESTAMPTZ)"
        if column.dtype == "float":
            number = f"TRY_CAST({cell} AS DOUBLE)"
            return f"CASE WHEN NOT isnan({number}) THEN {number} END"
        if column.dtype == "string":
            return f"TRY_CAST({cell} AS VARCHAR)"
        whole = f"TRY_CAST({cell} AS BIGINT)"
        if "INT" in self.types[column.name]:
            return whole
        # DuckDB makes 2 or 3 of 2.5
        return f"CASE WHEN {whole} = TRY_CAST({cell} AS DOUBLE) THEN {whole} END"

    def _faults(self) -> Iterator[_Fault]:
        """Everything that can be wrong with a row."""
        for column in self.columns:
            if column.name in self.types:
                yield from self._faults_of(column)

    def _faults_of(self, column: Column) -> Iterator[_Fault]:
        name, value, dtype = sql.identifier(column.name), self._value(column), self.types[column.name]
        filled = f"nullif(trim({name}), '') IS NOT NULL" if dtype == "VARCHAR" else f"{name} IS NOT NULL"
        if not column.is_optional:
            nothing = f"{value} IS NULL AND isnan(TRY_CAST({name} AS DOUBLE))" if column.dtype == "float" else "false"
            yield _Fault(column.name, "empty", f"NOT ({filled}) OR coalesce({nothing}, false)")
        if column.dtype == "timestamp":
            zoned = f"NOT ({filled}) OR regexp_matches(trim({name}), '{_ZONE}')" if dtype == "VARCHAR" else "true"
            if dtype != "VARCHAR" and "TIME ZONE" not in dtype and "TZ" not in dtype:
                zoned = f"NOT ({filled})"
            yield _Fault(column.name, "without a time zone", f"NOT ({zoned})")
            yield _Fault(column.name, "no timestamp", f"{filled} AND ({zoned}) AND {value} IS NULL")
            if column.name in self.needed:
                yield _Fault(column.name, "before 1970", f"{value} < TIMESTAMPTZ '1970-01-01 00:00:00+00'")
        elif column.dtype in ("int", "float"):
            nan = f" AND NOT coalesce(isnan(TRY_CAST({name} AS DOUBLE)), false)" if column.dtype == "float" else ""
            yield _Fault(column.name, f"no {column.dtype}", f"{filled} AND {value} IS NULL{nan}")
            yield _Fault(column.name, f"beyond ±{LARGEST:.0e}", f"abs({value}::DOUBLE) > {LARGEST}")
        if column.pattern is not None:
            yield _Fault(
                column.name, f"not like {column.pattern}", f"NOT regexp_full_match({value}, '{column.pattern}')"
            )
        if column.minimum is not None:
            yield _Fault(column.name, f"under {column.minimum:g}", f"{value} < {column.minimum}")
        if column.maximum is not None:
            yield _Fault(column.name, f"over {column.maximum:g}", f"{value} > {column.maximum}")

    def _say(self, fault: _Fault, count: int) -> str:
        # One thread, in the order of the file: else the first to be found is not the first.
        self.connection.execute("SET threads = 1; SET preserve_insertion_order = true")
        cell = f"{sql.identifier(fault.column)}::VARCHAR"
        row = f"SELECT filename, row_number() OVER () AS n, {cell} AS cell, {fault.sql} AS bad"
        numbered = f"SELECT *, min(n) OVER (PARTITION BY filename) AS first FROM ({row} FROM {self.input})"
        file, number, cell = self.connection.execute(
            f"SELECT filename, n - first + 1, left(cell, 40) FROM ({numbered}) WHERE bad ORDER BY n LIMIT 1"
        ).fetchone() or ("", 0, "")
        shown = "" if cell is None else f" ({cell})"
        return (
            f"{fault.column}: {count:,} {'row is' if count == 1 else 'rows are'} {fault.what}, "
            f"the first is row {number:,} of {Path(file).name}{shown}"
        )

    def _quarantine(self, seen: list[tuple[_Fault, int]], bad: str, to: Path) -> int:
        """Write the bad rows with the `reason`; how many."""
        reasons = ", ".join(f"CASE WHEN {f.sql} THEN '{f.column} is {f.what}' END" for f, _ in seen)
        own = ", ".join(map(sql.identifier, self._own()))
        form = "CSV, HEADER" if to.suffix == ".csv" else "PARQUET"
        with replacing(to) as beside:
            (count,) = self.connection.execute(
                f"COPY (SELECT {own}, concat_ws('; ', {reasons}) AS reason FROM {self.input} WHERE {bad}) "
                f"TO {sql.literal(beside)} (FORMAT {form})"
            ).fetchone() or (0,)
        return int(count)

    def _rank(self) -> str:
        names = (self.source.learned, *(c.name for c in self.source.columns), self.source.time)
        own = [self.source.column(name) for name in names if name and name in self.types]
        return f"row({', '.join(f'{self._value(c)} IS NOT NULL, {self._value(c)}' for c in own)})"
