"""An event of a stream as it comes: one JSON object, checked against what its raw table declares. Pure."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, NotRequired

from pydantic import AwareDatetime, Field, Strict, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from features.aggregation import AggregationTable
from features.folds import LARGEST
from features.live import NO_OUTCOME, Entry, LiveTable
from features.moments import EPOCH, since_1970
from features.raw import Column, RawTable

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
            # Without blanks around it, as `jobs/inputs.py` reads the log.
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
    """What `schema` answered, with its moments in µs since 1970 and the derived columns."""
    row = {**blank(stream), **event}
    for name in _moments(stream):
        if (moment := row[name]) is not None:
            row[name] = since_1970(moment)
    for derived in stream.derived:
        row[derived.name] = derived.value(row)
    return row


@cache
def blank(stream: RawTable) -> Row:
    """A row that says nothing."""
    return dict.fromkeys([stream.time, *(c.name for c in (*stream.columns, *ENVELOPE))]) | {NO_OUTCOME: 0}


@cache
def _moments(stream: RawTable) -> tuple[str, ...]:
    return (stream.time, *(c.name for c in (*stream.columns, *ENVELOPE) if c.dtype == "timestamp"))


def moments(stream: RawTable, tables: tuple[AggregationTable, ...]) -> tuple[str, ...]:
    """The columns whose moments a row brings: when it happened, and what became of it. A row of an event that was known
    may bring one that was not."""
    used = (stream.time, *(t.event_time for t in tables), *(t.outcome for t in tables if t.outcome))
    return tuple(dict.fromkeys(used))


def entries(live: LiveTable, row: Mapping[str, Any], new: frozenset[str]) -> list[Entry]:
    """What a row is to a table, of its moments those that are `new`."""
    table, entry = live.table, live.entry(row)
    if entry[0] is None or None in [row[key] for key in table.keys]:
        return []
    found: list[Entry] = [entry] if table.event_time in new else []
    if table.outcome in new:
        found.append((*entry[:2], row[table.outcome], *entry[3:]))
    return found
