"""Events of a stream, as they happen: accepted once they are safe on disk, and taken in by `python -m jobs stream`."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from errors import BadParameter, WrongType
from features.domains import Stream, stream_named, streams
from features.utc import MICROSECOND
from features.windows import events
from features.windows.tiles import AHEAD
from serving import event_log, intake
from web.errors import from_validation
from web.face import Face, json_body
from web.operations import Spec, operation
from web.schemas import Accepted, Missing

MOST_EVENTS = 1000
DESCRIPTION = (
    f"One event or a list of up to {MOST_EVENTS:,}: all are accepted, or none. 202 says that they are safe on disk; "
    "the stream job takes them in within some milliseconds. An event that was sent before changes nothing. Who sends "
    "may say `producer` and `number` (from 1 on, none left out), and ask below what got lost on the way."
)
ABOUT_MISSING = "Of the numbers 1 to `last` of a producer, those that the stream job has not taken in: send them again."


def openapi_paths() -> Spec:
    if not streams():
        return {}
    name = {"name": "stream", "in": "path", "required": True, "schema": {"type": "string", "enum": list(streams())}}
    producer = {"name": "producer", "in": "query", "required": True, "schema": {"type": "string"}}
    last = {"name": "last", "in": "query", "required": True, "schema": {"type": "integer", "minimum": 0}}
    example = {"msg_id": "c1", "coupon_code": "1234-5678-9012-3456", "create_time": "2026-01-31T12:00:00Z"}
    one: Spec = {"type": "object", "additionalProperties": True, "example": example}
    content = {
        "application/json": {"schema": {"anyOf": [one, {"type": "array", "items": one, "maxItems": MOST_EVENTS}]}}
    }
    post = operation(
        "events", "Events of a stream", DESCRIPTION, Accepted, (400, 503), status=202,
        parameters=[name], requestBody={"required": True, "content": content},
    )  # fmt: skip
    get = operation("events", "Events that got lost", ABOUT_MISSING, Missing, (400,), parameters=[name, producer, last])
    return {"/api/v1/events/{stream}": {"post": post}, "/api/v1/events/{stream}/missing": {"get": get}}


def blueprint(face: Face) -> Blueprint:
    paths = Blueprint("events", __name__)

    @paths.post("/api/v1/events/<stream>")
    def accept(stream: str) -> tuple[Response, int]:
        to, body = stream_named(stream, "stream"), json_body()
        many = body if isinstance(body, list) else [body]
        if not 0 < len(many) <= MOST_EVENTS:
            raise BadParameter(f"The list holds {len(many)} events. Send 1 to {MOST_EVENTS:,}.")
        now = face.clock()
        checked = [_valid(to, one, f"{i}." if isinstance(body, list) else "", now) for i, one in enumerate(many)]
        event_log.append(face.root.event_log(stream), checked, now)
        return jsonify(accepted=len(checked)), 202

    @paths.get("/api/v1/events/<stream>/missing")
    def missing(stream: str) -> Response:
        of, producer, last = (
            stream_named(stream, "stream"),
            request.args.get("producer", ""),
            request.args.get("last", ""),
        )
        if not producer or not last.isdecimal() or len(last) > 15:
            raise BadParameter("Name the producer, and the last number that it sent, as ?producer=till-1&last=100.")
        return jsonify(missing=intake.missing(face.root.stream_state(of.domain), producer, int(last)))

    return paths


def _valid(stream: Stream, event: Any, at: str, now: datetime) -> Any:
    """Raises WrongType, MissingField, BadParameter."""
    if not isinstance(event, dict):
        raise WrongType(f"An event is a JSON {type(event).__name__}. Send objects; see /apidocs/.")
    try:
        checked = events.schema(stream.raw).validate_json(to_json(event))
        ahead = max(checked[m] for m in events.moments(stream.raw, stream.tables) if checked.get(m)) - now
    except ValidationError as error:
        raise from_validation(error, at) from None
    except PydanticSerializationError:
        raise BadParameter("A text of it holds half a character. Send UTF-8, whole.") from None
    if ahead > AHEAD * MICROSECOND:
        said = f"{at}{stream.raw.time} is {ahead.total_seconds():.0f} s ahead of us"
        raise BadParameter(f"{said}. Set the clock that it is read from.", at + stream.raw.time)
    return checked
