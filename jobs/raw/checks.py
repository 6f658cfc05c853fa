"""Whether every row that a job reads is what its table declares.

The job guesses nothing and drops nothing silently. An invalid row stops the job, or goes to the quarantine with its
reason. An event that is there twice counts once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from choices import listed
from errors import SHOWN_CHARACTERS, BadInput, NoData
from features.windows.folds import LARGEST
from features.windows.raw import CREATED, Column, RawTable
from jobs import sql
from jobs.raw.csv_files import RAGGED
from jobs.raw.forms import quarantines, scans, typed
from jobs.raw.forms.readers import Reader
from jobs.raw.forms.scans import FILE, PLACE, Scan, is_hive
from jobs.raw.forms.typed import reason_of, text_of


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with rows. `column` names what it is wrong with, `test` is SQL, true for these rows, and
    `text` is SQL of what they have there."""

    column: str
    reason: str
    test: str
    text: str


@dataclass(frozen=True)
class Counts:
    """How many `rows` the input has; how many of these were invalid and are `quarantined`, and how many are `repeated`
    events. `absent` names the optional columns that the input lacks."""

    rows: int
    quarantined: int
    repeated: int
    absent: tuple[str, ...]


#: It gets the relation of all rows, and SQL of each column's value in it, and returns a relation of some of its rows.
Keep = Callable[[str, Mapping[str, str]], str]


@dataclass(frozen=True)
class Checked:
    """The valid rows of an input, as its reader reads them: every version of every event.

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


def check(
    reader: Reader,
    source: RawTable,
    files: list[Path],
    needed: Iterable[str],
    used: Iterable[str],
    quarantine: Path | None = None,
    summed: Iterable[str] = (),
    keep: Keep | None = None,
) -> Checked:
    """Check the columns that a job reads. Invalid rows are written to `quarantine`, `.csv` or Parquet.

    `needed` columns must be filled in every row. Of the columns that are only `used`, the optional ones may be empty.
    The values of `summed` columns must be within what a sum can hold. With `keep`, the rows are those that it keeps;
    the whole input is checked and counted all the same. Raises NoData on an input without rows, or without valid ones,
    and BadInput on a file that cannot be read, a missing column or, without a quarantine, an invalid row.
    """
    if quarantine and quarantine.resolve() in {file.resolve() for file in files}:
        raise BadInput(f"{quarantine} is both an input and the quarantine. Give the quarantine a name of its own.")
    needed = {*needed, *(name for name in (source.id, source.created) if name)}
    file_input = _Input(reader, source, tuple(files), frozenset(needed), frozenset(used))
    columns, values = file_input.columns(), file_input.values
    unique = f"count(DISTINCT {sql.identifier(source.id)})" if source.id else "count(*)"
    # Each cell of a float is checked for it already.
    bounded = {column.name for column in source.columns if column.dtype == "float"}
    beyond = [_beyond(name, values[name]) for name in sorted(set(summed) - bounded)]
    faults = [_RAGGED, *beyond, *(_any(column.name) for column in columns)]
    rows, different, *counts = file_input.count(
        ["count(*)", unique, *(f"count(*) FILTER (WHERE {fault.test})" for fault in faults)]
    )
    if not rows:
        raise NoData(f"{files[0]} holds no rows. Nothing was changed; bring events.")
    present = [fault for fault, count in zip(faults, counts, strict=True) if count]
    quarantined, where = 0, ""
    if present and quarantine is None:
        texts = "; ".join(text for fault in present for text in file_input.describe(fault))
        raise BadInput(
            f"{texts}. Mend the input. To go on without bad rows, give --quarantine PATH to `execute` or `train`."
        )
    if present and quarantine:
        is_invalid = " OR ".join(f"coalesce({fault.test}, false)" for fault in present)
        reasons = [
            f"CASE WHEN {fault.test} THEN {sql.literal(f'{fault.column} is ')} || {fault.reason} END"
            for fault in present
        ]
        reason = f"concat_ws('; ', {', '.join(reasons)})"
        quarantined = quarantines.write(reader, source, file_input.scans, reason, is_invalid, quarantine)
        if quarantined == rows:
            raise NoData(f"No row of {files[0]} is valid. Nothing was changed; {quarantine} has the rows and reasons.")
        where = f" WHERE NOT ({is_invalid})"
        ((different,),) = reader.rows(f"SELECT {unique} FROM {file_input.relation}{where}")
    cells_by_name = {column.name: sql.identifier(column.name) for column in columns}
    if source.is_live:
        cells_by_name[CREATED] = f"coalesce({cells_by_name[CREATED]}, {cells_by_name[source.time]})"
    selected = ", ".join(f"{cell} AS {sql.identifier(name)}" for name, cell in cells_by_name.items())
    kept = file_input.relation if keep is None else keep(file_input.relation, values)
    return Checked(
        rows=f"(SELECT {selected} FROM {kept}{where})",
        columns=tuple(cells_by_name),
        values=values,
        counts=Counts(rows, quarantined, rows - quarantined - different, file_input.absent),
    )


#: A row of a CSV file that has not the cells of the header.
_RAGGED = Fault(
    "row", "'longer or shorter than the header'", f"{sql.identifier(RAGGED)} IS NOT NULL", sql.identifier(RAGGED)
)


def _any(name: str) -> Fault:
    """Whatever is wrong with the cells of a column."""
    return Fault(name, reason_of(name), f"{reason_of(name)} IS NOT NULL", text_of(name))


def _beyond(name: str, value: str) -> Fault:
    """A number that a sum cannot hold."""
    reason = sql.literal(f"beyond ±{LARGEST:.0e}, which a sum cannot hold")
    return Fault(name, reason, f"abs(({value})::DOUBLE) > {LARGEST}", f"{value}::VARCHAR")


@lru_cache(maxsize=8)
def _known_counts(relation: str, versions: tuple[tuple[int, int], ...]) -> dict[str, int]:
    """SQL of a count → its result, for files as they are now: a file that changes is another input."""
    return {}


@dataclass(frozen=True)
class _Input:
    """Files of one raw table, as they are."""

    reader: Reader
    source: RawTable
    files: tuple[Path, ...]
    needed: frozenset[str]
    used: frozenset[str]

    @cached_property
    def scans(self) -> list[Scan]:
        """The files, those with the same columns together."""
        return self.reader.scans(self.files)

    @cached_property
    def relation(self) -> str:
        """The rows as `typed.relation` has them."""
        return typed.relation(self.source, self.scans)

    @property
    def names(self) -> list[str]:
        """The columns of all the files."""
        return list(dict.fromkeys(name for scan in self.scans for name in scan.columns))

    def columns(self) -> list[Column]:
        """The columns that are read. Raises BadInput if one that must be there is missing."""
        names = self.needed | self.used | ({CREATED} if self.source.is_live else set())
        derived = {d.name: set(d.columns) for d in self.source.derived}
        names = (names - derived.keys()) | {name for d in names & derived.keys() for name in derived[d]}
        columns = [self.source.column(name) for name in sorted(names)]
        required = [c.name for c in typed.columns_of(self.source) if not c.is_optional]
        if missing := [name for name in required if name not in self.names]:
            raise BadInput(
                f"{self.files[0]} has no column {', '.join(missing)}; it has {listed(self.names, missing[0])}. "
                f"{self.source.name} needs {', '.join(required)}."
            )
        return columns

    @property
    def absent(self) -> tuple[str, ...]:
        """The columns that are read and that no file has."""
        return tuple(c.name for c in self.columns() if c.name not in {*self.names, CREATED})

    @property
    def values(self) -> dict[str, str]:
        """Column → SQL of its value; derived columns have one, too."""
        values = {column.name: sql.identifier(column.name) for column in typed.columns_of(self.source)}
        return values | {d.name: d.sql(values) for d in self.source.derived}

    def count(self, counts: list[str]) -> list[int]:
        """The results of SQL counts over the input. A count that another table took of the same files is remembered."""
        versions = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in self.files if not is_hive(file))
        known = {} if len(versions) < len(self.files) else _known_counts(self.relation, versions)
        if new := [count for count in counts if count not in known]:
            (results,) = self.reader.rows(f"SELECT {', '.join(new)} FROM {self.relation}")
            known |= dict(zip(new, results, strict=True))
        return [known[count] for count in counts]

    def describe(self, fault: Fault) -> Iterator[str]:
        """In words, for each reason, with the first row that has it."""
        first = f"row({sql.identifier(FILE)}, {sql.identifier(PLACE)}, {fault.text})"
        query = (
            f"SELECT reason, count(*), min(first) FROM (SELECT {fault.reason} AS reason, {first} AS first "
            f"FROM {self.relation} WHERE {fault.test}) GROUP BY reason ORDER BY 3"
        )
        for reason, count, (file, place, text) in self.reader.rows(query):
            shown = f" ({text[:SHOWN_CHARACTERS]})" if text and not self._is_secret(fault.column) else ""
            yield (
                f"{fault.column}: {count:,} {'row is' if count == 1 else 'rows are'} {reason}, "
                f"the first is {self._place(file, place)}{shown}"
            )

    def _is_secret(self, name: str) -> bool:
        """Whether no message shows what a column has; of a whole row, whether one of its columns is secret."""
        return any(column.is_secret for column in self.source.columns if name in (column.name, _RAGGED.column))

    def _place(self, file: str, place: int | None) -> str:
        if place is None:
            return f"in {file}"
        if not scans.is_csv(Path(file)):
            return f"row {place:,} of {Path(file).name}"
        before = f"{sql.identifier(FILE)} = {sql.literal(file)} AND {sql.identifier(PLACE)} <= {place}"
        ((row,),) = self.reader.rows(f"SELECT count(*) FROM {self.relation} WHERE {before}")
        return f"row {row:,} of {Path(file).name}, line {place:,}"
