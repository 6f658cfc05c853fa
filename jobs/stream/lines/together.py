"""Turns many lines into events at once: decoded by msgspec, and checked column by column, each different value once.

It never says that a line is invalid, and it takes no line that `one` would refuse: the decoder knows the columns and
their types, and a column is checked by the schema that `one` has for it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import repeat
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import UNSET, UnsetType
from pydantic import TypeAdapter, ValidationError

from features.domains import Stream
from features.windows import events
from features.windows.events import Row
from features.windows.raw import Column, RawTable
from jobs.raw.offline_log import ARROW_TYPES
from jobs.stream.lines.one import is_surely_strict

#: Type of a column → what JSON has. A timestamp is a text, which is checked like the texts of `one`.
_JSON: dict[str, Any] = {"string": str, "int": int, "float": float, "timestamp": str}
_MISSING = frozenset((None, UNSET))
#: What `is_surely_strict` looks for, and what all of these have in them, which is sooner seen.
_UNUSUAL, _PARTS = (b"\\", b'" ', b'"\t', b'"\r', b'"\n'), (b"\\", b" ", b"\t", b"\r", b"\n")


#: Values → what a row has of each, and the places of the invalid ones, of which it is None.
Check = Callable[[Sequence[Any]], tuple[list[Any], set[int]]]


class Together:
    """Reads lines of a stream. `summed` and `dated` are columns that its tables add up, and that date something."""

    def __init__(self, raw: RawTable, summed: frozenset[str], dated: tuple[str, ...]) -> None:
        self._raw, self._dated = raw, dated
        self._columns = events.columns(raw.stored)
        self._names = (*(column.name for column in self._columns), *(derived.name for derived in raw.derived))
        self._check = {c.name: _check_of(c, c.name in summed) for c in self._columns}
        # A column may be called what is no name in Python.
        fields = [
            (f"c{n}", _type_of(c), UNSET) if c.is_optional else (f"c{n}", _type_of(c))
            for n, c in enumerate(self._columns)
        ]
        names = {f"c{n}": column.name for n, column in enumerate(self._columns)}
        struct = msgspec.defstruct("Event", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(struct).decode

    def rows(self, texts: Sequence[bytes], latest: int, hash_key: bytes) -> list[Row | None]:
        """The row of each line, sealed; None where the line may be invalid, has an unusual form, or has a timestamp
        after `latest`, in µs since 1970."""
        decode, decoded, places = self._decode, [], []
        for place, text in enumerate(texts):
            try:
                decoded.append(decode(text))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            places.append(place)
        rows: list[Row | None] = [None] * len(texts)
        if not decoded:
            return rows
        as_sent = zip(*map(msgspec.structs.astuple, decoded), strict=True)
        columns: dict[str, Sequence[Any]] = {c.name: values for c, values in zip(self._columns, as_sent, strict=True)}
        doubtful = self._not_strict([texts[place] for place in places], columns)
        for column in self._columns:
            columns[column.name] = self._checked(column, columns[column.name], doubtful)
        for name in self._dated:
            doubtful |= {n for n, value in enumerate(columns[name]) if value is not None and value > latest}
        for column in self._raw.sealed_columns:
            seal = column.sealer(hash_key)
            columns[column.name] = [None if text is None else seal(text) for text in columns[column.name]]
        for derived in self._raw.derived:
            columns[derived.name] = derived.values(columns)
        names = self._names
        whole = zip(*(columns[name] for name in names), strict=True)
        made: list[Row | None] = list(map(dict, map(zip, repeat(names), whole)))
        for n in doubtful:
            made[n] = None
        if len(made) == len(rows):
            return made
        for place, row in zip(places, made, strict=True):
            rows[place] = row
        return rows

    def _not_strict(self, texts: Sequence[bytes], columns: Mapping[str, Sequence[Any]]) -> set[int]:
        """The lines that may have a key twice, or an escape."""
        keys = [sum(not column.is_optional for column in self._columns)] * len(texts)
        for column in self._columns:
            if column.is_optional and {*columns[column.name]} != {UNSET}:
                keys = [n + (value is not UNSET) for n, value in zip(keys, columns[column.name], strict=True)]
        together = b",".join(texts)
        is_usual = not (any(part in together for part in _PARTS) and any(text in together for text in _UNUSUAL))
        if is_usual and keys == [text.count(b'":') for text in texts]:
            return set()
        return {n for n, (text, count) in enumerate(zip(texts, keys, strict=True)) if not is_surely_strict(text, count)}

    def _checked(self, column: Column, values: Sequence[Any], doubtful: set[int]) -> Sequence[Any]:
        """The values of a column, as a row has them. The lines with an invalid one become doubtful."""
        check, different = self._check[column.name], {*values}
        if different <= _MISSING:
            return [None] * len(values)
        if 2 * len(different) > len(values):
            places = [n for n, value in enumerate(values) if value is not None and value is not UNSET]
            checked, invalid = check([values[place] for place in places])
            doubtful |= {places[n] for n in invalid}
            if len(checked) == len(values):
                return checked
            by_place = dict(zip(places, checked, strict=True))
            return [by_place.get(n) for n in range(len(values))]
        different -= _MISSING
        checked, invalid = check(values_once := list(different))
        if invalid:
            wrong = {values_once[n] for n in invalid}
            doubtful |= {n for n, value in enumerate(values) if value in wrong}
        valid = dict.fromkeys(_MISSING) | dict(zip(values_once, checked, strict=True))
        return [valid[value] for value in values]


def together(stream: Stream) -> Together:
    """The reader of a stream, made once."""
    return _made(stream.raw, stream.summed_columns, events.timestamp_columns(stream.raw, stream.tables))


_made = cache(Together)


def _type_of(column: Column) -> Any:
    kind = str | int if column.from_number else _JSON[column.dtype]
    return kind | None | UnsetType if column.is_optional else kind


def _check_of(column: Column, is_summed: bool) -> Check:
    of_column: Any = list[events.field_type(column, is_summed)]  # type: ignore[misc]
    validate = TypeAdapter(of_column).validator.validate_python
    timestamp = ARROW_TYPES["timestamp"]

    def check(values: Sequence[Any]) -> tuple[list[Any], set[int]]:
        invalid = set[int]()
        try:
            checked = validate(values)
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False, include_context=False)
            invalid = {int(fault["loc"][0]) for fault in faults}
            valid = iter(validate([value for n, value in enumerate(values) if n not in invalid]))
            checked = [None if n in invalid else next(valid) for n in range(len(values))]
        if column.dtype == "float":
            checked = [None if value is None else value + 0.0 for value in checked]  # -0.0 becomes 0.0
        if column.dtype == "timestamp":
            checked = pa.array(checked, timestamp).cast(pa.int64()).to_pylist()
        return checked, invalid

    return check
