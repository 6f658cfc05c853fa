"""Turns the lines of a source into events and dead letters. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from features.domains import Stream
from features.windows import events
from features.windows.events import LONGEST_STRING, NUMBER, PRODUCER, Row
from features.windows.folds import LARGEST
from features.windows.tiles import AHEAD_US
from jobs.stream.sources import Line

#: A dead letter shows at most this many bytes of its line. It also says where the whole line stands.
SHOWN_BYTES = 100_000


@dataclass
class Batch:
    """`rows` are the events; `dead` are dead letters, as JSON. `numbers` has producer and number of each line that has
    them, valid or not: the job has received an invalid line too, and its producer need not send it again."""

    rows: list[Row] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    numbers: list[tuple[str, int]] = field(default_factory=list)


def parse(stream: Stream, lines: Sequence[Line], now: int) -> Batch:
    """Parse lines that are received at `now`, in µs since 1970. An event with a timestamp further in the future than
    `AHEAD_US` is invalid."""
    batch, validate, row_of = Batch(), events.schema(stream.raw).validate_json, events.row_of(stream.raw)
    columns, latest = events.timestamp_columns(stream.raw, stream.tables), now + AHEAD_US
    for text, at in lines:
        try:
            row = row_of(validate(text))
            newest = max(row[name] for name in columns if row.get(name) is not None)
            reason = _future(row, columns, newest, now) if newest > latest else ""
        except (ValidationError, OverflowError) as error:
            row, reason = {}, _reason(error)
        if reason:
            shown = text[:SHOWN_BYTES].decode(errors="replace")
            batch.dead.append(to_json({"at": at, "reason": reason, "line": shown}))
            row = _numbered(text)
        else:
            batch.rows.append(row)
        if row.get(PRODUCER) and row.get(NUMBER):
            batch.numbers.append((row[PRODUCER], row[NUMBER]))
    return batch


def _future(row: Row, columns: Sequence[str], newest: int, now: int) -> str:
    column = next(name for name in columns if row.get(name) == newest)
    return (
        f"{column} is {(newest - now) / 1e6:.0f} s in the future, and at most {AHEAD_US / 1e6:.0f} s is allowed: "
        "set the sender's clock"
    )


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "a timestamp is outside the calendar: its year must be 1 to 9999 in UTC"
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return " ".join([*map(str, first["loc"]), first["msg"][0].lower() + first["msg"][1:]])


def _numbered(text: bytes) -> Row:
    """The producer and the number of an invalid line; empty where these are missing or invalid too."""
    try:
        line = from_json(text)
        producer, number = line.get(PRODUCER), line.get(NUMBER)
    except (ValueError, AttributeError):
        return {}
    is_numbered = type(number) is int and 0 < number <= LARGEST and isinstance(producer, str)
    return {PRODUCER: producer, NUMBER: number} if is_numbered and len(producer) <= LONGEST_STRING else {}
