"""Turns the lines of a source into events and dead letters. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from errors import SHOWN_CHARACTERS
from features.domains import Stream
from features.fields import fault_of
from features.identifiers import masked
from features.windows import events
from features.windows.events import ACCEPTED, LONGEST_STRING, NUMBER, PRODUCER, Row
from features.windows.folds import LARGEST
from features.windows.tiles import AHEAD_US
from jobs.stream.sources import Line
from serving import strict_json

#: A dead letter shows at most this many bytes of its line. It also says where the whole line stands.
SHOWN_BYTES = 100_000


@dataclass
class Batch:
    """`rows` are the events; `dead` are dead letters, as JSON. `numbers` has producer and number of each line that has
    them, valid or not: the job has received an invalid line too, and its producer need not send it again."""

    rows: list[Row] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    numbers: list[tuple[str, int]] = field(default_factory=list)


def parse(stream: Stream, lines: Sequence[Line], now: int, hash_key: bytes) -> Batch:
    """Parse lines that are received at `now`, in µs since 1970. An event with a timestamp further in the future than
    `AHEAD_US` is invalid, and so is a line that the source has a fault for, or that is not strict JSON.

    The events are sealed. In an invalid line nobody knows where the secret is, so a dead letter of a stream with sealed
    columns has a 9 for each digit."""
    validate = events.schema(stream.raw.stored, stream.summed_columns).validator.validate_json
    safe = masked if stream.raw.sealed_columns else str
    batch, row_of = Batch(), events.row_of(stream.raw)
    columns, latest = events.timestamp_columns(stream.raw, stream.tables), now + AHEAD_US
    newest = events.newest(stream.raw, stream.tables)
    for text, at, fault in lines:
        try:
            if fault:
                raise strict_json.NotStrict(fault)
            text = text.removeprefix(strict_json.BYTE_ORDER_MARK)  # of a file that was appended to another, too
            event = _checked(validate, text)
            _check_keys(text, event)
            row = row_of(stream.raw.seal(event, hash_key))
            reason = _future(row, columns, newest(row), now) if newest(row) > latest else ""
        except (ValidationError, strict_json.NotStrict) as error:
            row, reason = {}, safe(_reason(stream, error))
        if reason:
            shown = safe(text[:SHOWN_BYTES].decode(errors="replace"))
            batch.dead.append(to_json({"at": at, "reason": reason, "line": shown}))
            row = _numbered(text)
        else:
            batch.rows.append(row)
        if row.get(PRODUCER) and row.get(NUMBER):
            batch.numbers.append((row[PRODUCER], row[NUMBER]))
    return batch


def _checked(validate: Callable[[bytes], Row], text: bytes) -> Row:
    """What `events.schema` makes of a line. A line with `accepted_at` was checked by the service before. A column of
    that day may not be declared any more, and an accepted event is not lost, so such a field is passed over."""
    try:
        return validate(text)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        if any(fault["type"] != "extra_forbidden" for fault in faults):
            raise
        event = from_json(text)
        if ACCEPTED not in event:
            raise
        others = {fault["loc"][0] for fault in faults}
        return validate(to_json({name: value for name, value in event.items() if name not in others}))


def _check_keys(text: bytes, event: Mapping[str, Any]) -> None:
    """Raises NotStrict where a key stands twice, or a value has two meanings. Few lines need `strict_json`, which takes
    ten times as long: those with objects in objects, or with a backslash."""
    if is_surely_strict(text, len(event)):
        return
    try:
        is_sure = is_surely_strict(text, len(from_json(text, allow_inf_nan=False)))
    except ValueError:
        is_sure = False
    if not is_sure:
        strict_json.parse(text)


def is_surely_strict(text: bytes, keys: int) -> bool:
    """Whether a text, which was read as an object of so many different keys, surely has none twice. False means that
    somebody has to look.

    Without a backslash, and with no blank after a quote, `":` stands after each key, and else only where a string or a
    key begins with a colon. So there are no more keys than that.

    >>> is_surely_strict(b'{"a":1,"b":2}', 2), is_surely_strict(b'{"a":1,"a":2}', 1)
    (True, False)
    """
    if text.count(b'":') != keys or b"\\" in text:
        return False
    if len(text.split(None, 1)) == 1:  # no blank at all, which is quickly seen
        return True
    return not (b'" ' in text or b'"\t' in text or b'"\r' in text or b'"\n' in text)


def _future(row: Row, columns: Sequence[str], newest: int, now: int) -> str:
    column = next(name for name in columns if row.get(name) == newest)
    return (
        f"{column} is {(newest - now) / 1e6:.0f} s in the future, and at most {AHEAD_US / 1e6:.0f} s is allowed: "
        "set the sender's clock"
    )


def _reason(stream: Stream, error: ValidationError | strict_json.NotStrict) -> str:
    if isinstance(error, strict_json.NotStrict):
        return str(error)
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"]))[:SHOWN_CHARACTERS]
    if first["type"] == "extra_forbidden":
        return f"{field} is no column of {stream.raw.name}. {events.undeclared(stream.raw, field)}"
    if first["type"] == "missing":
        return f"{field} is missing"
    fault = fault_of(first)
    return f"{field} {fault}" if field else fault.removeprefix("is invalid: ")


def _numbered(text: bytes) -> Row:
    """The producer and the number of an invalid line; empty where these are missing or invalid too."""
    try:
        line = from_json(text)
        producer, number = line.get(PRODUCER), line.get(NUMBER)
    except (ValueError, AttributeError):
        return {}
    is_numbered = type(number) is int and 0 < number <= LARGEST and isinstance(producer, str)
    if not is_numbered or "\0" in producer or len(producer) > LONGEST_STRING:
        return {}
    return {PRODUCER: producer, NUMBER: number}
