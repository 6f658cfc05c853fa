"""What a raw table must look like, as data. `jobs/raw/checks.py` checks every file against it, and
`features/windows/events.py` checks every live event."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from features.identifiers import HASH, keyed_hasher, sealed

Dtype = Literal["string", "int", "float", "timestamp"]
#: The column that the stream job adds to each event in its log: when it took the event in.
CREATED = "created"


@dataclass(frozen=True)
class Column:
    """A column of a raw table.

    is_optional        an input may lack it, or leave it empty; a feature that needs it is missing then
    minimum, maximum   the smallest and the largest valid value
    pattern            a regular expression that matches the whole of a valid string
    earliest           the earliest valid timestamp, where that is not `features.utc.EARLIEST`: a date of birth
    from_number        of a string: an event may give it as a whole number, 42, which is the text 42. Many programs keep
                       their ids as numbers
    is_secret          no message shows a value, not even an invalid one: it may be what should have been hashed
    sealed             of a string: how many characters at its end are a secret, as of a code that is worth money. A
                       sender gives the whole string, which `pattern` matches; every file of ours has `seal` of it
    """

    name: str
    dtype: Dtype
    is_optional: bool = False
    minimum: float | None = None
    pattern: str | None = None
    maximum: float | None = None
    is_secret: bool = False
    earliest: datetime | None = None
    from_number: bool = False
    sealed: int = 0

    @property
    def stored_pattern(self) -> str | None:
        """The pattern of a string in a file. A file of others, or of an older version, may have what is not sealed."""
        return f"{self.pattern}|.*{HASH}" if self.sealed else self.pattern

    def seal(self, text: str | None, hash_key: bytes) -> str | None:
        """A value as a file of ours has it. What is sealed stays as it is.

        >>> code = Column("code", "string", pattern="[0-9]{4}-[0-9]{4}", sealed=4)
        >>> code.seal("1234-5678", b"key") == code.seal(code.seal("1234-5678", b"key"), b"key")
        True
        """
        if not self.sealed or text is None or not re.fullmatch(self.pattern or "", text):
            return text
        return sealed(self.name, text, self.sealed, hash_key)

    def sealer(self, hash_key: bytes) -> Callable[[str], str]:
        """`seal`, for many values of a column that is sealed.

        >>> code = Column("code", "string", pattern="[0-9]{4}-[0-9]{4}", sealed=4)
        >>> code.sealer(b"key")("1234-5678") == code.seal("1234-5678", b"key")
        True
        """
        is_secret, hashed, cut = (
            re.compile(self.pattern or "").fullmatch,
            keyed_hasher(self.name, hash_key),
            -self.sealed,
        )
        return lambda text: text[:cut] + hashed(text) if is_secret(text) else text


@dataclass(frozen=True)
class Derived:
    """A column that is computed from other `columns` of its row, in SQL as in Python.

    product   of two numbers, as floats; missing where one is missing
    head      of a string, its first `length` characters
    first     of numbers: the first that is not missing, as a float

    >>> amount = Derived("amount", "product", ("price", "quantity"))
    >>> amount.value({"price": 2.5, "quantity": 4}), amount.value({"price": 0, "quantity": -4})
    (10.0, 0.0)
    >>> Derived("prefix", "head", ("code",), length=5).value({"code": "1234-5678"})
    '1234-'
    """

    name: str
    function: Literal["product", "head", "first"]
    columns: tuple[str, ...]
    length: int = 0

    def __repr__(self) -> str:
        """The version of a live state rests on this text. So its form never changes."""
        return f"Derived(name={self.name!r}, function={self.function!r}, of={self.columns!r}, cut={self.length!r})"

    @property
    def dtype(self) -> Dtype:
        """The type of the value."""
        return "string" if self.function == "head" else "float"

    def value(self, row: Mapping[str, Any]) -> Any:
        """The value for a row, by column; missing if a column that it needs is missing."""
        values: list[Any] = [row.get(name) for name in self.columns]
        if self.function == "first":
            return next((float(value) for value in values if value is not None), None)
        if None in values:
            return None
        # 0.0 makes 0.0 of -0.0, as an event has it.
        return float(values[0]) * values[1] + 0.0 if self.function == "product" else values[0][: self.length]

    def values(self, columns: Mapping[str, Sequence[Any]]) -> list[Any]:
        """The value for each row of columns."""
        if self.function == "head":
            return [None if text is None else text[: self.length] for text in columns[self.columns[0]]]
        rows = zip(*(columns[name] for name in self.columns), strict=True)
        return [self.value(dict(zip(self.columns, row, strict=True))) for row in rows]

    def sql(self, by_name: Mapping[str, str]) -> str:
        """`by_name`: column → its SQL."""
        columns = [by_name[name] for name in self.columns]
        if self.function == "product":
            return f"({columns[0]}::DOUBLE * {columns[1]})"
        if self.function == "first":
            return f"coalesce({', '.join(columns)})::DOUBLE"
        return f"left({columns[0]}, {self.length})"


@dataclass(frozen=True)
class RawTable:
    """One kind of event, `raw/<name>`. Every timestamp has a time zone.

    time      the column of the event time
    id        the column that names an event; several rows with the same id are versions of it, and count once: column
              by column, the last value that was known
    created   the column that says when we knew the event; without one, we knew it at once
    is_live   it is a stream, too. The stream job logs its events with the time at which it took them in; events of the
              history were known at once.
    """

    name: str
    columns: tuple[Column, ...] = ()
    time: str = "event_timestamp"
    id: str | None = None
    created: str | None = None
    is_live: bool = False
    derived: tuple[Derived, ...] = ()

    @property
    def created_column(self) -> str | None:
        """The column that says when we knew an event, if there is one."""
        return CREATED if self.is_live else self.created

    @property
    def id_column(self) -> str:
        """The column that names an event. Raises ValueError if the table has none."""
        if self.id is None:
            raise ValueError(f"{self.name} names no events. Declare the column that does, as id.")
        return self.id

    @cached_property
    def sent_columns(self) -> tuple[str, ...]:
        """The declared columns of an event, the event time first."""
        return tuple(dict.fromkeys((self.time, *(column.name for column in self.columns))))

    @cached_property
    def sealed_columns(self) -> tuple[Column, ...]:
        """The columns that are stored sealed."""
        return tuple(column for column in self.columns if column.sealed)

    @cached_property
    def stored(self) -> "RawTable":
        """The table as files have it: a sealed column may be sealed, or not yet."""
        return replace(self, columns=tuple(replace(c, pattern=c.stored_pattern) for c in self.columns))

    def seal(self, event: dict[str, Any], hash_key: bytes) -> dict[str, Any]:
        """Seal an event, by column, in place, and return it. Every door does so: what is behind never sees a secret."""
        for column in self.sealed_columns:
            if (text := event.get(column.name)) is not None:
                event[column.name] = column.seal(text, hash_key)
        return event

    @cached_property
    def stored_columns(self) -> tuple[str, ...]:
        """What a stream job remembers of an event: the declared columns, and those that are computed from them."""
        return (*self.sent_columns, *(derived.name for derived in self.derived))

    def column(self, name: str) -> Column:
        """Raises KeyError."""
        timestamps = [Column(name, "timestamp") for name in (self.time, self.created) if name]
        timestamps += [Column(CREATED, "timestamp", is_optional=True)] if self.is_live else []
        by_name = {column.name: column for column in (*self.columns, *timestamps)}
        by_name |= {d.name: Column(d.name, d.dtype, is_optional=True) for d in self.derived}
        return by_name[name]
