"""What the lines of a source are: events, or dead letters. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from features.domains import Stream
from features.windows import events
from features.windows.events import LONGEST_STRING, NUMBER, PRODUCER, Row
from features.windows.folds import LARGEST
from jobs.stream.sources import Line

#: Of a line that is no event a dead letter shows so many characters; it says where the whole one stands.
SHOWN = 100_000


@dataclass
class Batch:
    """`dead`: dead letters, as JSON. `numbers`: (producer, number) of all lines that have them: what is no event came
    too, and need not be sent again."""

    rows: list[Row] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    numbers: list[tuple[str, int]] = field(default_factory=list)


def read(stream: Stream, lines: Sequence[Line], latest: int) -> Batch:
    """`latest`: no event is dated after it, µs since 1970."""
    batch, validate, row_of = Batch(), events.schema(stream.raw).validate_json, events.row_of(stream.raw)
    moments = events.moments(stream.raw, stream.tables)
    for text, at in lines:
        try:
            row = row_of(validate(text))
            ahead = max(row[m] for m in moments if row.get(m) is not None) - latest
            reason = f"a moment of it is {ahead / 1e6:.0f} s later than can be" if ahead > 0 else ""
        except (ValidationError, OverflowError) as error:
            row, reason = {}, _reason(error)
        if reason:
            line = text[:SHOWN].decode(errors="replace")
            batch.dead.append(to_json({"at": at, "reason": reason, "line": line}))
            row = _numbered(text)
        else:
            batch.rows.append(row)
        if row.get(PRODUCER) and row.get(NUMBER):
            batch.numbers.append((row[PRODUCER], row[NUMBER]))
    return batch


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "a moment of it is at the end of the calendar"
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return " ".join([*map(str, first["loc"]), first["msg"][0].lower() + first["msg"][1:]])


def _numbered(text: bytes) -> Row:
    """Who sent a line that is no event, and its number, where it says so as it should."""
    try:
        line = from_json(text)
        producer, number = line.get(PRODUCER), line.get(NUMBER)
    except (ValueError, AttributeError):
        return {}
    is_numbered = type(number) is int and 0 < number <= LARGEST and isinstance(producer, str)
    return {PRODUCER: producer, NUMBER: number} if is_numbered and len(producer) <= LONGEST_STRING else {}
