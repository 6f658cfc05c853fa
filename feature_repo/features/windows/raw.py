"""What a raw table must look like, as data. `jobs/raw/checks.py` checks every input against it, and
`features/windows/events.py` checks every live event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Dtype = Literal["string", "int", "float", "timestamp"]
#: When the stream job took an event in: the column that it adds to each in its log.
CREATED = "created"


@dataclass(frozen=True)
class Column:
    """`is_optional`: an input may lack it, or leave it empty; what rests on it is missing then.
    `minimum`, `maximum`: the smallest and the largest value that can be. `pattern`: a regular expression that the whole
    of a string matches."""

    name: str
    dtype: Dtype
    is_optional: bool = False
    minimum: float | None = None
    pattern: str | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Derived:
    """A column that is worked out of others of its row, in SQL as in Python.

    product   of two numbers; missing where one is
    head      of a string, without its last `cut` characters
    first     of numbers: the first that is not missing
    """

    name: str
    function: Literal["product", "head", "first"]
    of: tuple[str, ...]
    cut: int = 0

    @property
    def dtype(self) -> Dtype:
        return "string" if self.function == "head" else "float"

    def value(self, row: Mapping[str, Any]) -> Any:
        given: list[Any] = [row.get(name) for name in self.of]
        if self.function == "first":
            return next((value for value in given if value is not None), None)
        if None in given:
            return None
        return given[0] * given[1] if self.function == "product" else given[0][: -self.cut]

    def sql(self, given: Mapping[str, str]) -> str:
        """`given`: the SQL of each column."""
        if self.function == "product":
            return f"({given[self.of[0]]} * {given[self.of[1]]})"
        if self.function == "first":
            return f"coalesce({', '.join(given[name] for name in self.of)})"
        return f"left({given[self.of[0]]}, -{self.cut})"


@dataclass(frozen=True)
class RawTable:
    """One kind of event, `raw/<name>`. Every timestamp says its time zone.

    `time` is when it happened. `id` names an event: of several rows with the same one, one counts. `created` is when
    we learned of it, where that is recorded; elsewhere it was known at once. `is_live`: it is a stream too, whose
    events the job `stream` logs with when it took them in; those of the history were known at once.
    """

    name: str
    columns: tuple[Column, ...] = ()
    time: str = "event_timestamp"
    id: str | None = None
    created: str | None = None
    is_live: bool = False
    derived: tuple[Derived, ...] = ()

    @property
    def learned(self) -> str | None:
        """The column that says when we learned of a row, if one does."""
        return CREATED if self.is_live else self.created

    def column(self, name: str) -> Column:
        """Raises KeyError."""
        moments = [Column(name, "timestamp") for name in (self.time, self.created) if name]
        moments += [Column(CREATED, "timestamp", is_optional=True)] if self.is_live else []
        declared = {c.name: c for c in (*self.columns, *moments)}
        declared |= {d.name: Column(d.name, d.dtype, is_optional=True) for d in self.derived}
        return declared[name]
