"""An event of a stream as it comes: one JSON object, checked against what its raw table declares. Pure."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from operator import itemgetter
from typing import Annotated, Any, NotRequired

from pydantic import AwareDatetime, Field, Strict, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from features.utc import EPOCH, since_1970
from features.windows.aggregation import AggregationTable
from features.windows.folds import LARGEST
from features.windows.raw import Column, RawTable
from features.windows.state import NO_OUTCOME, Entry, LiveTable

LONGEST_STRING = 10_000
#: SQLite would cut it at a NUL.
ANY = "[^\\x00]*"
#: Who sent an event, and which of theirs it is, counted from 1: by this the stream job finds what was lost on the way.
PRODUCER, NUMBER = "producer", "number"
#: When the service took it.
ACCEPTED = "accepted_at"
ENVELOPE = (
    Column(PRODUCER, "string", is_optional=True),
    Column(NUMBER, "int", is_optional=True, minimum=1),
    Column(ACCEPTED, "timestamp", is_optional=True),
)

Row = dict[str, Any]
Key = tuple[Any, ...]


@cache
def schema(stream: RawTable) -> TypeAdapter[Row]:
    """`validate_json` answers the declared columns (moments as datetimes); others are left out. Raises
    pydantic.ValidationError."""
    moment = Column(stream.time, "timestamp")
    columns = {c.name: c for c in (moment, *stream.columns, *ENVELOPE)}
    fields: dict[str, Any] = {name: _field(column) for name, column in columns.items()}
    return TypeAdapter(TypedDict("Event", fields))  # type: ignore[operator]


def _field(column: Column) -> Any:
    kinds: dict[str, Any] = {
        "string": Annotated[
            str,
            Strict(),
            # Without blanks around it, as `jobs/raw/checks.py` reads the log.
            StringConstraints(
                strip_whitespace=True,
                min_length=1,
                max_length=LONGEST_STRING,
                pattern=f"^(?:{column.pattern or ANY})$",
            ),
        ],
        "int": Annotated[int, Strict(), Field(ge=_least(column), le=_most(column))],
        "float": Annotated[float, Strict(), Field(ge=_least(column), le=_most(column), allow_inf_nan=False)],
        "timestamp": Annotated[AwareDatetime, Strict(), Field(ge=EPOCH)],
    }
    kind = kinds[column.dtype]
    return NotRequired[kind | None] if column.is_optional else kind


def _least(column: Column) -> float:
    return -LARGEST if column.minimum is None else column.minimum


def _most(column: Column) -> float:
    return LARGEST if column.maximum is None else column.maximum


def plain(stream: RawTable, event: Mapping[str, Any]) -> Row:
    """The row of one event, as `row_of` makes it."""
    return row_of(stream)(event)


@cache
def row_of(stream: RawTable) -> Callable[[Mapping[str, Any]], Row]:
    """A function of what `schema` answered, which makes a row of it: every column, moments in µs since 1970, and the
    derived ones. (A function for a stream, not of it: it runs forty thousand times a second.)"""
    columns = (Column(stream.time, "timestamp"), *stream.columns, *ENVELOPE)
    nothing = dict.fromkeys(column.name for column in columns) | {NO_OUTCOME: 0}
    moments = tuple(dict.fromkeys(column.name for column in columns if column.dtype == "timestamp"))

    def row(event: Mapping[str, Any]) -> Row:
        made = {**nothing, **event}
        for name in moments:
            if (moment := made[name]) is not None:
                made[name] = since_1970(moment)
        for derived in stream.derived:
            made[derived.name] = derived.value(made)
        return made

    return row


def moments(stream: RawTable, tables: tuple[AggregationTable, ...]) -> tuple[str, ...]:
    """The columns whose moments a row brings: when it happened, and what became of it. A row of an event that was known
    may bring one that was not."""
    used = (stream.time, *(t.event_time for t in tables), *(t.outcome for t in tables if t.outcome))
    return tuple(dict.fromkeys(used))


def entries(live: LiveTable, row: Row, new: Collection[str]) -> list[Entry]:
    """What one row is to a table."""
    return next(iter(by_key(live, [(row, new)]).values()), [])


def by_key(live: LiveTable, fresh: Iterable[tuple[Row, Collection[str]]]) -> dict[Key, list[Entry]]:
    """What rows are to a table, by key; of their moments those that are new."""
    table, entry_of, outcome = live.table, live.entry, live.table.outcome
    time, keys = table.event_time, table.keys
    key_of: Callable[[Row], Key] = itemgetter(*keys) if len(keys) > 1 else lambda row: (row[keys[0]],)
    found: dict[Key, list[Entry]] = defaultdict(list)
    for row, new in fresh:
        entry, key = entry_of(row), key_of(row)
        if entry[0] is None or None in key:
            continue
        if time in new:
            found[key].append(entry)
        if outcome in new:
            found[key].append((*entry[:2], row[outcome or ""], *entry[3:]))
    return found
