"""The decisions that were made: one by its id, and those that a search finds."""

from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from werkzeug.datastructures import MultiDict
from werkzeug.routing import BaseConverter

from choices import did_you_mean, unknown
from errors import BadParameter
from features.domains import NO_RISK, risk_named, risks
from features.identifiers import shape
from features.risk import Risk
from features.utc import bounded, since_1970
from serving.audit import identity, search
from serving.audit.positions import Positions
from serving.audit.search import Search
from web import examples
from web.access import needs
from web.errors import SPELLING, from_validation
from web.face import Face, as_object, json_body
from web.operations import Spec, body, operation
from web.schemas import FoundDecisions, LoggedDecision
from web.turns import out_of_turn

MOST_FOUND, FOUND = 500, 50
SEARCH = (
    "Decisions of the audit log, newest first. Without a parameter: the newest ones. A record has identifiers as keyed "
    "hashes. To get the next page, send the same parameters with `cursor` set to the "
    "answer's `next`; `next` is null after the last page. Decisions that arrive meanwhile change no later page."
)
BY_URL = (
    " Each entity key is a parameter too, such as `driver_id=1001`. A URL is written into the logs of proxies: for an "
    "identifier such as an SSN, send its keyed hash here, or use `POST /api/v1/decisions/search`."
)
BY_BODY = " An identifier in `entity`, such as an SSN, is hashed on arrival, as in a request."
ONE = "One decision as the audit log holds it, with the outcomes that were fed back about it, oldest first."
SEARCH_NAME = "search"


class DecisionId(BaseConverter):
    """The part of a path that may be a decision's id. The path of the search takes no GET, and says so."""

    regex = rf"(?!{SEARCH_NAME}$)[^/]+"


def _timestamp(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            return bounded(value)
        except ValueError as error:
            words = str(error) if "years" in str(error) else ""
            raise PydanticCustomError("timestamp", "It {reason}", {"reason": words or FORM}) from None
    raise PydanticCustomError("timestamp_type", "Input should be a text such as 2026-01-31T12:00:00Z")


FORM = "is no timestamp; write it as 2026-01-31 or 2026-01-31T12:00:00Z"
Timestamp = Annotated[datetime, BeforeValidator(_timestamp)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Score = Annotated[float, Field(allow_inf_nan=False)]


class SearchRequest(BaseModel):
    """What to search for. A decision is found if all that is given is true of it."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    risk: Text | None = Field(None, description="The name of the risk.", examples=["onboarding"])
    entity: dict[str, str | int] = Field(
        default_factory=dict,
        description="Entity keys, as in a request. An identifier may be its keyed hash.",
        examples=[{"ssn": "123-45-6789"}],
    )
    outcome: Text | None = Field(None, description="The word of the decision.", examples=["review"])
    min_score: Score | None = Field(None, description="The lowest score.", examples=[0.1])
    max_score: Score | None = Field(None, description="The highest score.", examples=[0.9])
    since: Timestamp | None = Field(
        None, description="The earliest `as_of`. UTC without an offset.", examples=["2026-01-31T00:00:00Z"]
    )
    until: Timestamp | None = Field(
        None, description="Decisions before this `as_of`. UTC without an offset.", examples=["2026-02-01T00:00:00Z"]
    )
    caller: Text | None = Field(None, description="Who asked for the decision.", examples=["key:checkout"])
    limit: int = Field(FOUND, ge=1, le=MOST_FOUND, description="How many decisions to answer.", examples=[FOUND])
    cursor: Text | None = Field(None, description="`next` of the page before.", examples=[None])


#: What the schema of a parameter has of the schema of a field.
BOUNDS = ("type", "format", "minimum", "maximum", "minLength", "maxLength")
FIELDS = tuple(name for name in SearchRequest.model_fields if name != "entity")


def openapi_paths() -> Spec:
    """The paths of the API docs. Nothing, if no domain declares a risk."""
    if not risks():
        return {}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "description": "The id."}
    schema = SearchRequest.model_json_schema()["properties"]
    return {
        "/api/v1/decisions": {
            "get": operation(
                "audit", "Search decisions", SEARCH + BY_URL, FoundDecisions, name="search_decisions_by_url",
                parameters=[_parameter(name, schema[name], _words(name)) for name in FIELDS],
            )
        },
        f"/api/v1/decisions/{SEARCH_NAME}": {
            "post": operation(
                "audit", "Search decisions", SEARCH + BY_BODY, FoundDecisions, requestBody=body(SearchRequest)
            )
        },
        "/api/v1/decisions/{name}": {
            "get": operation("audit", "A decision", ONE, LoggedDecision, name="read_decision", parameters=[name])
        },
    }  # fmt: skip


def _parameter(name: str, schema: Spec, words: list[str]) -> Spec:
    """A parameter in the URL, from the field of a body. If there are `words`, its value is one of them."""
    kind: Spec = next((option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"), {})
    bounds = {key: kind[key] for key in BOUNDS if key in kind} | ({"enum": words} if words else {})
    return {"name": name, "in": "query", "description": schema["description"], "schema": bounds}


def _words(name: str) -> list[str]:
    """The values that a field of a search may have, if they are few."""
    chosen = {"risk": list(risks()), "outcome": [w for risk in risks().values() for w in risk.appetite.words]}
    return list(dict.fromkeys(chosen.get(name, ())))


def blueprint(face: Face) -> Blueprint:
    """`/api/v1/decisions`, `/api/v1/decisions/search` and `/api/v1/decisions/<id>`."""
    if SEARCH_NAME in risks():
        raise ValueError(f"A risk cannot have the name {SEARCH_NAME!r}: the path of its decisions searches them.")
    paths = Blueprint("audit", __name__)
    paths.record_once(lambda state: state.app.url_map.converters.update(decision=DecisionId))
    positions = Positions(face.root.decisions, face.root.outcomes)

    @paths.get("/api/v1/decisions")
    @needs("audit:read")
    @out_of_turn
    def search_by_url() -> Response:
        return _page(wanted_from(request.args))

    @paths.post(f"/api/v1/decisions/{SEARCH_NAME}")
    @needs("audit:read")
    @out_of_turn
    def search_by_body() -> Response:
        fields = as_object(json_body(examples.of_model(SearchRequest)), examples.of_model(SearchRequest))
        try:
            return _page(SearchRequest.model_validate(fields))
        except ValidationError as error:
            raise _fault(error) from None

    @paths.get("/api/v1/decisions/<decision:name>")
    @needs("audit:read")
    @out_of_turn
    def decision(name: str) -> Response:
        return jsonify(search.by_id(positions, name))

    def _page(wanted: SearchRequest) -> Response:
        records, cursor = search.page(positions, search_of(wanted, face.service.hash_keys), wanted.limit, wanted.cursor)
        return jsonify(decisions=records, next=cursor)

    return paths


def search_of(wanted: SearchRequest, hash_keys: list[bytes]) -> Search:
    """The search that a caller asks for. Raises BadParameter, and the errors of an identifier."""
    chosen: dict[str, Risk] = {wanted.risk: risk_named(wanted.risk)} if wanted.risk else risks()
    words = dict.fromkeys(word for risk in chosen.values() for word in risk.appetite.words)
    if wanted.outcome is not None and wanted.outcome not in words:
        raise unknown("outcome", wanted.outcome, words, NO_RISK, "outcome")
    names = tuple(
        (key, identity.values_of(key, str(value), chosen.values(), hash_keys)) for key, value in wanted.entity.items()
    )
    since, until = (None if time is None else since_1970(time) for time in (wanted.since, wanted.until))
    return Search(
        wanted.risk, wanted.outcome, wanted.min_score, wanted.max_score, since, until, wanted.caller, names
    )  # fmt: skip


def wanted_from(parameters: MultiDict[str, str]) -> SearchRequest:
    """The parameters of a URL: each that is no field of a search is an entity key. Raises BadParameter, WrongType,
    UnknownField."""
    if twice := next((name for name, values in parameters.lists() if len(values) > 1), None):
        raise BadParameter(f"{shape(twice)} stands twice in the URL. Send it once.", shape(twice))
    args = parameters.to_dict()
    keys = {key for risk in risks().values() for key in risk.entity_keys}
    for name in args.keys() - keys - {*FIELDS}:
        near = did_you_mean(name, [*FIELDS, *keys])
        raise BadParameter(f"{shape(name)} is neither a parameter nor an entity key. {near}{SPELLING}.", shape(name))
    fields = {name: value for name, value in args.items() if name in FIELDS}
    try:
        wanted = SearchRequest.model_validate_strings(fields)
    except ValidationError as error:
        raise _fault(error) from None
    return wanted.model_copy(update={"entity": {name: value for name, value in args.items() if name not in FIELDS}})


def _fault(error: ValidationError) -> Exception:
    names = SearchRequest.model_fields
    return from_validation(error, "", lambda name: f"{did_you_mean(name, names)}{SPELLING}")
