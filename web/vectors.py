"""The features of any feature service for given entities, as the store has them: for other services than ours."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeVar

from flask import Blueprint, Response, jsonify
from pydantic import (
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    create_model,
)

from errors import BadParameter, WrongType, unknown
from features.utc import as_utc
from serving import featurization
from web.errors import from_validation
from web.face import Face, json_body
from web.operations import Spec, body, operation
from web.schemas import Vectors

MOST_ENTITIES = 1000
Model = TypeVar("Model", bound=BaseModel)
DESCRIPTION = (
    f"The vector of each entity, up to {MOST_ENTITIES:,}, in order, through the same reads as a decision. An entity "
    "has the service's keys, as they are stored (identifiers as keyed hashes), and what its on-demand views take. "
    "Nothing is scored or logged. Where nothing is stored the value is what the definition says, and the status why."
)
#: Feast's type → JSON's. What is not named here is taken as it is.
TYPES: Mapping[str, Any] = {
    "STRING": StrictStr, "INT32": Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)],
    "INT64": Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)], "FLOAT": float, "DOUBLE": float, "BOOL": StrictBool,
    "UNIX_TIMESTAMP": datetime, "BYTES": Base64Bytes,
}  # fmt: skip


class VectorsRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    entities: list[dict[str, Any]] = Field(
        min_length=1, max_length=MOST_ENTITIES, description="Who.", examples=[[{"driver_id": 1001}]]
    )
    as_of: datetime | None = Field(
        default=None,
        description="The moment at which values must hold; now by default. The store keeps the newest row of an entity "
        "only: one dated later is NOT_FOUND. For the past ask /historical-features/.",
        examples=["2026-01-31T12:00:00+00:00"],
    )


def openapi_paths() -> Spec:
    name = {"name": "service", "in": "path", "required": True, "schema": {"type": "string"}, "example": "daily"}
    asked = operation("features", "Feature vectors", DESCRIPTION, Vectors, (400, 503), parameters=[name])
    return {"/api/v1/features/{service}": {"post": asked | {"requestBody": body(VectorsRequest)}}}


def blueprint(face: Face) -> Blueprint:
    paths = Blueprint("vectors", __name__)
    source = face.service.store

    @paths.post("/api/v1/features/<service>")
    def vectors(service: str) -> Response:
        if service not in source.services():
            raise unknown("feature service", service, source.services(), "Run: make pipeline", "service")
        given = json_body()
        if not isinstance(given, dict):
            raise WrongType(f"The body is a JSON {type(given).__name__}. Send one object; see /apidocs/.")
        asked = _validated(VectorsRequest, given, "")
        row_of = _row_of(tuple(source.asks(service).items()))
        rows = [dict(_validated(row_of, one, f"entities.{i}.")) for i, one in enumerate(asked.entities)]
        as_of, views = _moment(asked.as_of) if asked.as_of else face.clock(), source.views(service)
        results = [
            {
                "features": featurization.complete(vector.features, views),
                "event_timestamps": {name: at and at.isoformat() for name, at in vector.event_timestamps.items()},
                "statuses": vector.statuses,
            }
            for vector in source.vectors(service, rows, as_of)
        ]
        return jsonify(results=results, as_of=as_of.isoformat())

    return paths


def _moment(asked: datetime) -> datetime:
    try:
        return as_utc(asked)
    except OverflowError:
        raise BadParameter("as_of is at the end of the calendar. Name another moment.", "as_of") from None


@cache
def _row_of(asks: tuple[tuple[str, str], ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {name: (TYPES.get(kind, Any) | None, ...) for name, kind in asks}
    return create_model("Entity", __config__=ConfigDict(extra="forbid"), **fields)


def _validated(model: type[Model], given: Any, at: str) -> Model:
    """Raises MissingField, UnknownField, WrongType, BadParameter."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise from_validation(error, at) from None
