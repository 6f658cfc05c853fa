"""Turns one line into an event or a dead letter."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from errors import SHOWN_CHARACTERS
from features.domains import Stream
from features.fields import fault_of, first_fault
from features.identifiers import masked
from features.windows import events
from features.windows.events import ACCEPTED, LONGEST_STRING, NUMBER, PRODUCER, Row
from features.windows.folds import LARGEST
from features.windows.tiles import AHEAD_US
from jobs.stream.sources import Line
from serving import strict_json

#: A dead letter shows at most this many bytes of its line. It also says where the whole line stands.
SHOWN_BYTES = 100_000


class OneLine:
    """Reads the lines of a stream that are received at `now`, in µs since 1970, one by one."""

    def __init__(self, stream: Stream, now: int, hash_key: bytes) -> None:
        self._stream, self._now, self._hash_key = stream, now, hash_key
        self._validate = events.schema(stream.raw.stored, stream.summed_columns).validator.validate_json
        self._row_of = events.row_of(stream.raw)
        self._columns = events.timestamp_columns(stream.raw, stream.tables)
        self._newest = events.newest(stream.raw, stream.tables)
        self._safe = masked if stream.raw.sealed_columns else str

    def read(self, line: Line) -> tuple[Row, bytes]:
        """The row of an event, and no bytes; or a dead letter as JSON, with the columns of its row that number it."""
        text, at, fault = line
        try:
            if fault:
                raise strict_json.NotStrict(fault)
            text = text.removeprefix(strict_json.BYTE_ORDER_MARK)  # of a file that was appended to another, too
            event = _checked(self._validate, text)
            _check_keys(text, event)
            row = self._row_of(self._stream.raw.seal(event, self._hash_key))
            newest = self._newest(row)
            if newest <= self._now + AHEAD_US:
                return row, b""
            reason = _future(row, self._columns, newest, self._now)
        except (ValidationError, strict_json.NotStrict) as error:
            reason = self._safe(_reason(self._stream, error))
        shown = self._safe(text[:SHOWN_BYTES].decode(errors="replace"))
        return _numbered(text), to_json({"at": at, "reason": reason, "line": shown})


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
    first = first_fault(error)
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
