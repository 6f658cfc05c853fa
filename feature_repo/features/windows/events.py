"""An event of a stream as it arrives: one JSON object, checked against what its raw table declares, and numbered by its
producer. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Annotated, Any, NamedTuple, NotRequired

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    Strict,
    StringConstraints,
    TypeAdapter,
    with_config,
)
from pydantic_core import core_schema
from typing_extensions import TypedDict

from choices import did_you_mean
from features.utc import EARLIEST, EPOCH, LATEST, MOMENT, ZONE, whole_offset
from features.windows.folds import LARGEST
from features.windows.raw import Column, RawTable
from features.windows.state import LiveTable
from features.windows.tables import AggregationTable
from features.windows.tiles import TIME, Entry, outcome_entry

LONGEST_STRING = 10_000
#: A whole number from here on is not exact as a float.
LARGEST_EXACT_FLOAT = 2**53
#: The pattern of a string without one of its own: SQLite would cut it at a NUL.
ANY = "[^\\x00]*"
#: Who sent an event, and its number among theirs, from 1 on: by these the stream job finds what was lost on the way.
PRODUCER, NUMBER = "producer", "number"
#: When the service accepted the event.
ACCEPTED = "accepted_at"
ENVELOPE = (
    Column(PRODUCER, "string", is_optional=True),
    Column(NUMBER, "int", is_optional=True, minimum=1, maximum=LARGEST),
    Column(ACCEPTED, "timestamp", is_optional=True),
)

#: A text with a time and a zone. pydantic alone would read digits, `"1769860740"` too, as seconds or milliseconds.
_TIMESTAMP = core_schema.chain_schema(
    [
        core_schema.custom_error_schema(
            core_schema.str_schema(strict=True, pattern=f"^{MOMENT}(?:{ZONE})?$"),
            custom_error_type="timestamp_type",
            custom_error_message="Input should be a text with a time and a zone, such as 2026-01-31T12:00:00Z",
        ),
        core_schema.no_info_plain_validator_function(whole_offset),
        core_schema.datetime_schema(tz_constraint="aware", ge=EARLIEST, lt=LATEST),
    ]
)

#: Column → value, timestamps in µs since 1970.
Row = dict[str, Any]
#: The values of a table's keys.
Key = tuple[Any, ...]
#: The row of an event before a change, None for a new event; and after it. In the rows of one key, None also where the
#: event has another key.
Change = tuple[Row | None, Row | None]


def columns(stream: RawTable) -> tuple[Column, ...]:
    """What an event may have: the event time, the declared columns, and those of `ENVELOPE`."""
    time = Column(stream.time, "timestamp")
    return tuple({c.name: c for c in (time, *stream.columns, *ENVELOPE)}.values())


@cache
def schema(stream: RawTable, summed: frozenset[str] = frozenset()) -> TypeAdapter[Row]:
    """`validate_json` returns the declared columns, timestamps as datetimes, and refuses any other. A whole number has
    at most 64 bits, in a `summed` column at most `LARGEST`. Raises pydantic.ValidationError."""
    fields: dict[str, Any] = {}
    for column in columns(stream):
        kind = field_type(column, column.name in summed)
        fields[column.name] = NotRequired[kind | None] if column.is_optional else kind
    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(TypedDict("Event", fields)))  # type: ignore[operator]


def undeclared(stream: RawTable, name: str) -> str:
    """What to do about a field of an event that is no column.

    >>> undeclared(RawTable("orders", (Column("amount", "float"),)), "amuont")
    "Did you mean 'amount'? Leave it out, or declare it: an optional column of orders"
    """
    names = [stream.time, *(column.name for column in (*stream.columns, *ENVELOPE))]
    return f"{did_you_mean(name, names)}Leave it out, or declare it: an optional column of {stream.name}"


def digits(value: Any) -> Any:
    """The text of a whole number, as an id; any other value as it is.

    >>> digits(42), digits("042"), digits(4.5), digits(True)
    ('42', '042', 4.5, True)
    """
    is_whole = type(value) is int or (type(value) is float and value.is_integer() and abs(value) < LARGEST_EXACT_FLOAT)
    return str(int(value)) if is_whole else value


def field_type(column: Column, is_summed: bool) -> Any:
    """The type of a column's values to pydantic, with all that is checked of one that is there. A `summed` column has
    other bounds."""
    smallest, largest = (-(2**63), 2**63 - 1) if column.dtype == "int" and not is_summed else (-LARGEST, LARGEST)
    least = smallest if column.minimum is None else column.minimum
    most = largest if column.maximum is None else column.maximum
    kinds: dict[str, Any] = {
        "string": Annotated[
            str,
            Strict(),
            # Without blanks around it, as `jobs/raw/forms/cells.py` reads the log.
            StringConstraints(
                strip_whitespace=True,
                min_length=1,
                max_length=LONGEST_STRING,
                pattern=f"^(?:{column.pattern or ANY})$",
            ),
        ],
        "int": Annotated[int, Strict(), Field(ge=least, le=most)],
        "float": Annotated[float, Strict(), Field(ge=least, le=most, allow_inf_nan=False)],
        "timestamp": Annotated[datetime, GetPydanticSchema(lambda _source, _handler: _TIMESTAMP)],
    }
    kind = kinds[column.dtype]
    return Annotated[kind, BeforeValidator(digits)] if column.from_number else kind


def plain(stream: RawTable, event: Mapping[str, Any]) -> Row:
    """The row of one event, as `row_of` makes it."""
    return row_of(stream)(event)


@cache
def row_of(stream: RawTable) -> Callable[[Mapping[str, Any]], Row]:
    """A function from what `schema` returns to a row: every column, and the derived ones. It is made once for each
    stream, because it runs for every event."""
    missing = dict.fromkeys(column.name for column in columns(stream))
    timestamps = tuple(column.name for column in columns(stream) if column.dtype == "timestamp")
    floats = tuple(column.name for column in columns(stream) if column.dtype == "float")

    def row(event: Mapping[str, Any]) -> Row:
        values = {**missing, **event}
        for name in timestamps:
            if (timestamp := values[name]) is not None:
                since = timestamp - EPOCH  # `since_1970`, without a call: it runs for every event
                values[name] = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        for name in floats:
            if values[name] == 0:
                values[name] = 0.0  # -0.0 is equal, and would be other bytes
        for derived in stream.derived:
            values[derived.name] = derived.value(values)
        return values

    return row


def timestamp_columns(stream: RawTable, tables: tuple[AggregationTable, ...]) -> tuple[str, ...]:
    """The columns that date something for the tables: the event, and its outcome."""
    names = (stream.time, *(t.event_time for t in tables), *(t.outcome for t in tables if t.outcome))
    return tuple(dict.fromkeys(names))


def newest(stream: RawTable, tables: tuple[AggregationTable, ...]) -> Callable[[Row], int]:
    """A function from a row to the newest of its timestamps, µs since 1970."""
    first, *others = timestamp_columns(stream, tables)
    if not others:
        return itemgetter(first)
    return lambda row: max(row[first], *[row[name] for name in others if row[name] is not None], 0)


def entries(live: LiveTable, row: Row) -> list[Entry]:
    """What an event is to a table: one entry, and one more for its outcome if that is known. None where the row lacks
    the event time or a part of the key."""
    return [entry for _, entry in _keyed(live, row)]


def by_key(live: LiveTable, changes: Iterable[Change]) -> tuple[dict[Key, list[Entry]], dict[Key, list[Entry]]]:
    """Key → the entries that the changes add to it; and key → the entries of it that are no longer right."""
    added: dict[Key, list[Entry]] = defaultdict(list)
    removed: dict[Key, list[Entry]] = defaultdict(list)
    for before, after in changes:
        if before is None and after is not None:
            entry, key = live.entry(after), live.key(after)
            if entry[TIME] is None or None in key:
                continue
            added[key].append(entry)
            if live.outcome and (outcome := after[live.outcome]) is not None:
                added[key].append(outcome_entry(entry, outcome))
            continue
        old, new = _keyed(live, before), _keyed(live, after)
        for key, entry in new:
            if (key, entry) not in old:
                added[key].append(entry)
        for key, entry in old:
            if (key, entry) not in new:
                removed[key].append(entry)
    return added, removed


def _keyed(live: LiveTable, row: Row | None) -> list[tuple[Key, Entry]]:
    """The entries of an event, each with its key."""
    if row is None:
        return []
    entry, key = live.entry(row), live.key(row)
    if entry[TIME] is None or None in key:
        return []
    outcome = row[live.outcome] if live.outcome else None
    return [(key, entry)] if outcome is None else [(key, entry), (key, outcome_entry(entry, outcome))]


class Event(NamedTuple):
    """What is known of an event: the last known value of each column, and when these values became known, µs since
    1970; a dict if the columns differ in it."""

    row: Row
    known: int | dict[str, int]

    def with_version(self, stream: RawTable, version: Row, known: int, is_arriving: bool) -> "Event | None":
        """The event after one more version, which became known at `known`; None if that changes nothing.

        A version corrects the columns that it fills. A version that is arriving was known after every other. A version
        of the history may be older than what is known: of two values that became known at the same time, the greater
        one counts, as in `jobs/raw/relations.py`.

        >>> stream = RawTable("orders", (Column("shop", "string"), Column("amount", "float")), time="at", id="id")
        >>> order = Event({"at": 5, "shop": "s1", "amount": 10.0}, 100)
        >>> order.with_version(stream, {"at": 5, "shop": None, "amount": 8.0}, 200, True).row
        {'at': 5, 'shop': 's1', 'amount': 8.0}
        >>> order.with_version(stream, {"at": 5, "shop": None, "amount": 8.0}, 50, False)
        """
        row, before = self.row, self.known
        newer: dict[str, int] = {}
        for name in stream.sent_columns:
            value, old = version[name], row[name]
            if value is None:
                continue
            old_known = before if isinstance(before, int) else before[name]
            is_newer = old is None or known > old_known
            if is_newer or (known == old_known and old != value and (is_arriving or value > old)):
                newer[name] = known
        if not newer or (is_arriving and all(version[name] == row[name] for name in newer)):
            return None
        merged = {**row, **{name: version[name] for name in newer}}
        merged |= {derived.name: derived.value(merged) for derived in stream.derived}
        by_column = dict.fromkeys(stream.sent_columns, before) if isinstance(before, int) else before
        return Event(merged, {**by_column, **newer})
