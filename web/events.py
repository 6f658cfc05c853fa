"""Live events of a stream. The service accepts them once they are safe on disk; `python -m jobs stream` processes
them."""

from datetime import datetime
from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify, request
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from errors import BadParameter
from features.domains import Stream, stream_named, streams
from features.utc import MICROSECOND
from features.windows import events
from features.windows.tiles import AHEAD_US
from web import calls, examples, throttle
from web.access import needs
from web.errors import from_validation
from web.face import Face, as_object, json_body
from web.operations import Spec, operation
from web.schemas import Accepted, Missing
from web.turns import out_of_turn, waits

MOST_EVENTS = 1000
#: A number of a producer has at most this many digits.
MOST_DIGITS = 15
LAST = 10**MOST_DIGITS - 1
DESCRIPTION = (
    f"One event or a list of up to {MOST_EVENTS:,}. All of a list are accepted, or none. 202 means that they are safe "
    "on disk, or at Kafka; the stream job processes them soon. An event that was sent before changes nothing. A "
    "sender may add `producer` and `number` (1, 2, 3 and so on), and then ask the path below which events got lost."
)
MISSING = "The numbers from 1 to `last` of a producer that the stream job has not received. Send those events again."


def openapi_paths() -> Spec:
    """The paths of the API docs. Nothing, if no domain declares a stream."""
    if not streams():
        return {}
    name = {"name": "stream", "in": "path", "required": True, "schema": {"type": "string", "enum": list(streams())}}
    text, number = {"type": "string", "pattern": r"^[^\x00]+$"}, {"type": "integer", "minimum": 0, "maximum": LAST}
    producer = {"name": "producer", "in": "query", "required": True, "schema": text}
    last = {"name": "last", "in": "query", "required": True, "schema": number}
    example = from_json(examples.of_event(next(iter(streams()))))
    event: Spec = {"type": "object", "additionalProperties": False, "example": example}
    content = {
        "application/json": {"schema": {"anyOf": [event, {"type": "array", "items": event, "maxItems": MOST_EVENTS}]}}
    }
    post = operation(
        "events", "Events of a stream", DESCRIPTION, Accepted, status=202, name="send_events",
        parameters=[name], requestBody={"required": True, "content": content},
    )  # fmt: skip
    get = operation(
        "events", "Events that got lost", MISSING, Missing, name="find_lost_events", parameters=[name, producer, last]
    )
    return {"/api/v1/events/{stream}": {"post": post}, "/api/v1/events/{stream}/missing": {"get": get}}


def blueprint(face: Face) -> Blueprint:
    """The path that accepts events, and the one that names lost events."""
    paths = Blueprint("events", __name__)

    @paths.post("/api/v1/events/<stream>")
    @needs("events:write")
    @waits  # for the disk or the broker, before the next event of the stream
    def accept(stream: str) -> tuple[Response, int]:
        target = stream_named(stream, "stream")
        body = json_body(examples.of_event(stream))
        many = body if isinstance(body, list) else [body]
        if not 0 < len(many) <= MOST_EVENTS:
            raise BadParameter(f"The list holds {len(many)} events. Send 1 to {MOST_EVENTS:,}.")
        throttle.spend("events", len(many))
        now = face.clock()
        prefixes = [f"{i}." for i in range(len(many))] if isinstance(body, list) else [""]
        checked = [_checked(target, event, prefix, now) for event, prefix in zip(many, prefixes, strict=True)]
        sealed = [target.raw.seal(event, face.service.hash_key) for event in checked]
        calls.current().waits.append(face.service.events.append(stream, sealed, now))
        return jsonify(accepted=len(checked)), 202

    @paths.get("/api/v1/events/<stream>/missing")
    @needs("events:write")
    @out_of_turn  # it may wait for the stream job, which writes the file that this reads
    def missing(stream: str) -> Response:
        stream_named(stream, "stream")
        args = request.args
        producer, last = args.get("producer", ""), args.get("last", "")
        if not producer or "\0" in producer or not last.isdecimal() or len(last) > MOST_DIGITS:
            raise BadParameter(
                "producer or last is missing, producer has a NUL character, or last is not a number. Send the "
                "producer's name and its last number, as ?producer=till-1&last=100."
            )
        return jsonify(missing=face.service.events.missing(stream, producer, int(last)))

    return paths


def _checked(stream: Stream, event: Any, prefix: str, now: datetime) -> Any:
    """The event with the types of its raw table. `prefix` says where it is in a list. Raises WrongType, MissingField,
    UnknownField, BadParameter."""
    fields = as_object(event, examples.of_event(stream.raw.name), prefix)
    try:
        checked = events.schema(stream.raw, stream.summed_columns).validate_json(to_json(fields))
        ahead = max(checked[m] for m in events.timestamp_columns(stream.raw, stream.tables) if checked.get(m)) - now
    except ValidationError as error:
        raise from_validation(error, prefix, partial(events.undeclared, stream.raw)) from None
    if ahead > AHEAD_US * MICROSECOND:
        field = prefix + stream.raw.time
        raise BadParameter(f"{field} is {ahead.total_seconds():.0f} s in the future. Set the sender's clock.", field)
    return checked
