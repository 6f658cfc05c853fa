"""What happened after decisions, as callers feed it back. Training and monitoring read it."""

from typing import Annotated, Any

from flask import Blueprint, Response, jsonify
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from choices import did_you_mean
from errors import BadParameter
from features.domains import risks
from features.fields import zoned
from features.identifiers import holds_ssn
from features.utc import utc
from serving.audit import outcomes
from serving.audit.positions import Positions
from web import calls, examples
from web.access import needs
from web.errors import SPELLING, from_validation
from web.face import Face, as_object, json_body
from web.operations import Spec, operation, reference
from web.schemas import OutcomesAnswer
from web.turns import out_of_turn

MOST_OUTCOMES = 1000
ABOUT = (
    f"What happened after a decision: one outcome, or a list of up to {MOST_OUTCOMES:,}. All of a list are on disk, or "
    "none. An outcome that was sent before changes nothing. A later one replaces an earlier one; `GET "
    "/api/v1/decisions/{name}` has both. Training uses the one that became known last."
)


def _without_identifier(text: str) -> str:
    if "\0" in text or holds_ssn(text):
        raise ValueError("It has a NUL character, or nine digits as an SSN has them; write nothing that names a person")
    return text


def _number_or_truth(value: Any) -> Any:
    """Without it, pydantic names the members of the union as if they were fields."""
    if not isinstance(value, int | float):
        raise PydanticCustomError("number_type", "Input should be a number, true or false")
    return value


Note = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_without_identifier)]


class Outcome(BaseModel):
    """What happened after one decision."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    decision_id: str = Field(
        min_length=1,
        max_length=200,
        description="The decision's id.",
        examples=["3f1c8a52-9f0e-4a59-8b54-0d6c1a2b3c4d"],
    )
    outcome: Annotated[bool | int | float, BeforeValidator(_number_or_truth)] = Field(
        description="1 or true if the bad outcome happened, else 0 or false. Of a risk that estimates a number: that "
        "number.",
        examples=[1],
    )
    known_at: Annotated[str, AfterValidator(zoned("known_at"))] | None = Field(
        None,
        description="When it became known, with a zone; default: now. Training as of an earlier time does not use it. "
        "With it, an outcome that is sent twice is always the same.",
        examples=["2026-01-31T12:00:00Z"],
    )
    occurred_at: Annotated[str, AfterValidator(zoned("occurred_at"))] | None = Field(
        None, description="When it happened, with a zone.", examples=["2026-01-30T09:00:00Z"]
    )
    source: Note | None = Field(None, description="Where it is known from.", examples=["chargeback file of the bank"])
    note: Note | None = Field(None, description="For people.", examples=["The customer called."])


def openapi_paths() -> Spec:
    """The path of the API docs. Nothing, if no domain declares a risk."""
    if not risks():
        return {}
    item = reference(Outcome)
    many = {"type": "array", "items": item, "minItems": 1, "maxItems": MOST_OUTCOMES}
    content = {"application/json": {"schema": {"anyOf": [item, many]}}}
    post = operation(
        "audit", "Feed outcomes back", ABOUT, OutcomesAnswer, (404,), requestBody={"required": True, "content": content}
    )
    return {"/api/v1/outcomes": {"post": post}}


def blueprint(face: Face) -> Blueprint:
    """`/api/v1/outcomes`."""
    paths = Blueprint("outcomes", __name__)
    positions = Positions(face.root.decisions, face.root.outcomes)

    @paths.post("/api/v1/outcomes")
    @needs("events:write")  # it reports what happened, as an event does
    @out_of_turn
    def give() -> Response:
        body = json_body(examples.of_model(Outcome))
        many = body if isinstance(body, list) else [body]
        if not 0 < len(many) <= MOST_OUTCOMES:
            raise BadParameter(f"The list holds {len(many)} outcomes. Send 1 to {MOST_OUTCOMES:,}.")
        prefixes = [f"{i}." for i in range(len(many))] if isinstance(body, list) else [""]
        items = [_item(value, prefix) for value, prefix in zip(many, prefixes, strict=True)]
        call = calls.current()
        receipt = {"caller": call.caller, "request_id": call.request_id}
        return jsonify(outcomes.give(positions, items, face.clock(), receipt, prefixes)._asdict())

    return paths


def _item(value: Any, prefix: str) -> dict[str, Any]:
    """An outcome as it was sent. Raises WrongType, MissingField, UnknownField, BadParameter."""
    fields = as_object(value, examples.of_model(Outcome), prefix)
    try:
        item = Outcome.model_validate(fields)
    except ValidationError as error:
        names = Outcome.model_fields
        raise from_validation(error, prefix, lambda name: f"{did_you_mean(name, names)}{SPELLING}") from None
    except BadParameter as error:  # of a timestamp, which does not know its place
        raise BadParameter(f"{prefix}{error.message}", f"{prefix}{error.field}") from None
    if item.occurred_at and item.known_at and utc(item.occurred_at) > utc(item.known_at):
        raise BadParameter(f"{prefix}occurred_at is after known_at. Correct one of them.", f"{prefix}occurred_at")
    return item.model_dump(exclude_none=True)
