"""A file and its mapping → rows of the declared types, and every row that is none with its reason."""

import json
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import Any

import pyarrow as pa

from choices import listed, unknown
from errors import BadInput, BadParameter
from features.identifiers import masked
from features.utc import as_utc
from features.windows.raw import CREATED, Column, RawTable
from jobs.own.cells import Convert, Fault, converter
from jobs.own.forms.batches import Batch, TheirFile
from jobs.own.mapping import Mapping, columns_of
from jobs.raw.offline_log import ARROW_TYPES

#: Columns beside those of the raw table: the place of a row among all that are imported, and its line in its file.
PLACE, LINE = ":place", ":line"
#: So many cells of a column are kept, and so many of a kind of fault are looked at.
MOST_CELLS = 200


@dataclass(frozen=True)
class BadRow:
    """A row that is no row of the table. `faults` is (our column, what is wrong with it, the cell as text) each."""

    line: int
    faults: tuple[tuple[str, str, str], ...]
    row: str

    @property
    def reason(self) -> str:
        """In words: `amount is no number; user_id is empty`."""
        return "; ".join(f"{column} {fault}".strip() for column, fault, _ in self.faults)


@dataclass(frozen=True)
class Rows:
    """What a file has. `good` has the columns of `schema`, and PLACE and LINE. `cells` are the first of each column of
    ours that were read, as they are in the file. `unread` are their columns that are none of ours. `empty` are columns
    of ours that the file lacks, each with the nearest of those, if one is near."""

    good: pa.Table
    bad: list[BadRow]
    cells: dict[str, list[Any]]
    unread: list[str]
    empty: dict[str, str | None]

    @property
    def count(self) -> int:
        """How many rows the file has."""
        return len(self.good) + len(self.bad)


def schema(raw: RawTable) -> pa.Schema:
    """The columns of an imported file. A stream's has `created`: when a change of an earlier row was imported."""
    columns = [(name, ARROW_TYPES[raw.column(name).dtype]) for name in columns_of(raw)]
    return pa.schema([*columns, *([(CREATED, ARROW_TYPES["timestamp"])] if raw.is_live else [])])


def check_header(raw: RawTable, mapping: Mapping, file: TheirFile) -> dict[str, str]:
    """Our column → their column, of all that the file has. Raises BadInput where it lacks one that is mapped or
    needed, with theirs and the nearest."""
    theirs: dict[str, str] = {}
    missing: list[str] = []
    for name in columns_of(raw):
        if name in _made(raw, mapping):
            continue
        if mapping.theirs(name) in file.header:
            theirs[name] = mapping.theirs(name)
        elif name in mapping.columns:
            error = unknown("column", mapping.columns[name], file.header, "It has no columns.")
            raise BadInput(f"{file.path}: {error.message} It is mapped to {name}.")
        elif name == raw.id or not raw.column(name).is_optional:
            missing.append(name)
    if missing:
        near = "".join(f" {name} may be {their!r}." for name in missing if (their := _nearest(name, file.header)))
        has = listed(file.header, missing[0])
        raise BadInput(
            f"{file.path} lacks {', '.join(missing)}, which {raw.name} needs. It has: {has}.{near} "
            f"State which of them it is: --map {missing[0]}=THEIRS{_or_made(raw, missing)}"
        )
    return theirs


def _made(raw: RawTable, mapping: Mapping) -> set[str | None]:
    """The columns that are made from others, and are read in no file."""
    return {*mapping.happened, *([raw.id] if mapping.id else [])}


def _nearest(name: str, header: Sequence[str]) -> str | None:
    """`user_id` is near to `User ID`."""
    by_letters = {re.sub(r"\W|_", "", theirs).lower(): theirs for theirs in header}
    close = get_close_matches(name.replace("_", ""), by_letters, n=1)
    return by_letters[close[0]] if close else None


def _or_made(raw: RawTable, missing: Sequence[str]) -> str:
    others = [name for name in (*(c.name for c in raw.columns if not c.is_optional), raw.time) if name != raw.id]
    return f", or make the id of others: --id {','.join(others[:2])}" if raw.id in missing and others else ""


def read(
    raw: RawTable, mapping: Mapping, file: TheirFile, now: datetime, hash_key: bytes, first_place: int = 0
) -> Rows:
    """All rows of the file. The good ones are sealed, and get places from `first_place` on. Raises BadInput."""
    theirs = check_header(raw, mapping, file)
    reader = _Reader(raw, mapping, theirs, now, hash_key)
    tables, bad, place = [], list[BadRow](), first_place
    for batch in file.batches():
        good, batch_bad = reader.rows(batch)
        good[PLACE] = list(range(place, place + len(good[LINE])))
        place += len(good[LINE])
        tables.append(pa.table(good, schema=reader.schema))
        bad += batch_bad
    unread = [name for name in file.header if name and name not in theirs.values()]
    empty, rest = dict[str, str | None](), unread.copy()
    for name in columns_of(raw):
        if name not in {*theirs, *_made(raw, mapping)}:
            empty[name] = _nearest(name, rest)
            rest = [other for other in rest if other != empty[name]]  # one of theirs is no two of ours
    return Rows(pa.concat_tables([reader.schema.empty_table(), *tables]), bad, reader.cells, unread, empty)


class _Reader:
    def __init__(self, raw: RawTable, mapping: Mapping, theirs: dict[str, str], now: datetime, hash_key: bytes) -> None:
        self._raw, self._mapping, self._theirs, self._hash_key = raw, mapping, theirs, hash_key
        self._columns = [_required(raw, name) for name in theirs]
        self._converters: dict[str, Convert] = {c.name: converter(c, mapping, now) for c in self._columns}
        self.cells: dict[str, list[Any]] = {c.name: [] for c in self._columns}
        self.schema = schema(raw).append(pa.field(PLACE, pa.int64())).append(pa.field(LINE, pa.int64()))

    def rows(self, batch: Batch) -> tuple[dict[str, list[Any]], list[BadRow]]:
        faults: dict[int, list[tuple[str, str, str]]] = {
            number: [("", "the row has not as many cells as the header", self._safe(text))]
            for number, text in batch.ragged.items()
        }
        values: dict[str, list[Any]] = {}
        for name, theirs in self._theirs.items():
            seal = partial(self._raw.column(name).seal, hash_key=self._hash_key)
            values[name] = list(map(seal, self._converted(name, batch.cells[theirs], batch.ragged, faults)))
        self._add_made(values, faults, len(batch.lines))
        kept = [number for number in range(len(batch.lines)) if number not in faults]
        good = {name: [values[name][n] for n in kept] if name in values else [None] * len(kept)
                for name in schema(self._raw).names}  # fmt: skip
        good[LINE] = [batch.lines[n] for n in kept]
        return good, [BadRow(batch.lines[n], tuple(faults[n]), self._safe(_as_json(batch, n))) for n in sorted(faults)]

    def _safe(self, text: str) -> str:
        """A text of an invalid row. Nobody knows where a secret is in it."""
        return masked(text) if self._raw.sealed_columns else text

    def _converted(
        self, name: str, cells: list[Any], ragged: Container[int], faults: dict[int, list[tuple[str, str, str]]]
    ) -> Iterator[Any]:
        convert, read_cells = self._converters[name], self.cells[name]
        for number, cell in enumerate(cells):
            try:
                value = None if number in ragged else convert(cell)
                if value is not None and len(read_cells) < MOST_CELLS:
                    read_cells.append(cell)
                yield value
            except Fault as fault:
                faults.setdefault(number, []).append((name, str(fault), "" if cell is None else self._safe(str(cell))))
                yield None

    def _add_made(self, values: dict[str, list[Any]], faults: dict[int, Any], count: int) -> None:
        """The columns that are made from others. A part of an id must be filled, whatever its column declares."""
        time = values[self._raw.time]
        for name, flag in self._mapping.happened.items():
            flags = values.get(flag, [None] * count)
            values[name] = [when if is_one == 1 else None for when, is_one in zip(time, flags, strict=True)]
        if self._mapping.id and self._raw.id:
            parts = [values.get(name, [None] * count) for name in self._mapping.id]
            ids = []
            for number, row in enumerate(zip(*parts, strict=True)):
                ids.append(None if None in row else made_id(row))
                if None in row and number not in faults:
                    name = self._mapping.id[row.index(None)]
                    faults[number] = [(name, f"is empty, and {self._raw.id} is made of it", "")]
            values[self._raw.id] = ids


def _required(raw: RawTable, name: str) -> Column:
    """The column; an id and the event time are filled in every row."""
    column = raw.column(name)
    return replace(column, is_optional=False) if name in (raw.id, raw.time) else column


def made_id(values: Iterable[Any]) -> str:
    r"""The id of an event from what names it. Different values give different ids.

    >>> made_id(["k|1", 7]), made_id(["k", "1|7"])
    ('k\\|1|7', 'k|1\\|7')
    """
    return "|".join(_part(value) for value in values)


def _part(value: Any) -> str:
    text = as_utc(value).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _as_json(batch: Batch, number: int) -> str:
    """The row as it was, so that somebody can mend it."""
    if number in batch.ragged:
        return batch.ragged[number]
    row = {name: cells[number] for name, cells in batch.cells.items()}
    return json.dumps(row, ensure_ascii=False, default=str)


def check_id(raw: RawTable, mapping: Mapping) -> None:
    """Raises BadParameter where the id would be made of values that are no text."""
    if mapping.id and raw.id and raw.column(raw.id).dtype != "string":
        raise BadParameter(f"{raw.id} is a number, so it cannot be made of {', '.join(mapping.id)}. Map a column.")
