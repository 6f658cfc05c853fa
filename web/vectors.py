"""Feature vectors: the features of any feature service for given entities. Other services can read them here."""

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
    f"The feature vectors of up to {MOST_ENTITIES:,} entities, in order, by the same reads as a decision. An entity "
    "has the service's keys as they are stored (identifiers as keyed hashes), and the request data of its on-demand "
    "views. Nothing is scored or logged. If nothing is stored, the value is the default of the definition, and the "
    "status says why."
)
#: Feast type → type of a JSON value. A value of another Feast type is not checked.
TYPES: Mapping[str, Any] = {
    "STRING": StrictStr, "INT32": Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)],
    "INT64": Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)], "FLOAT": float, "DOUBLE": float, "BOOL": StrictBool,
    "UNIX_TIMESTAMP": datetime, "BYTES": Base64Bytes,
}  # fmt: skip


class VectorsRequest(BaseModel):
    """The entities, and the time as of which to read their features."""

    model_config = ConfigDict(extra="forbid")

    entities: list[dict[str, Any]] = Field(
        min_length=1, max_length=MOST_ENTITIES, description="The entities.", examples=[[{"driver_id": 1001}]]
    )
    as_of: datetime | None = Field(
        default=None,
        description="The time at which values must hold; now by default. The store keeps only the newest row of an "
        "entity: a row dated after this time is NOT_FOUND. For the past, use /historical-features/.",
        examples=["2026-01-31T12:00:00+00:00"],
    )


def openapi_paths() -> Spec:
    """The path of the API docs."""
    name = {"name": "service", "in": "path", "required": True, "schema": {"type": "string"}, "example": "daily"}
    post = operation("features", "Feature vectors", DESCRIPTION, Vectors, (400, 503), parameters=[name])
    return {"/api/v1/features/{service}": {"post": post | {"requestBody": body(VectorsRequest)}}}


def blueprint(face: Face) -> Blueprint:
    """`/api/v1/features/<service>`."""
    paths = Blueprint("vectors", __name__)
    store = face.service.store

    @paths.post("/api/v1/features/<service>")
    def vectors(service: str) -> Response:
        if service not in store.services():
            raise unknown("feature service", service, store.services(), "Run: make pipeline", "service")
        json = json_body()
        if not isinstance(json, dict):
            raise WrongType(f"The body is a JSON {type(json).__name__}. Send one object; see /apidocs/.")
        request = _validated(VectorsRequest, json, "")
        row_model = _row_model(tuple(store.asks(service).items()))
        rows = [dict(_validated(row_model, row, f"entities.{i}.")) for i, row in enumerate(request.entities)]
        as_of, views = _in_utc(request.as_of) if request.as_of else face.clock(), store.views(service)
        results = [
            {
                "features": featurization.complete(vector.features, views),
                "event_timestamps": {name: date and date.isoformat() for name, date in vector.event_timestamps.items()},
                "statuses": vector.statuses,
            }
            for vector in store.vectors(service, rows, as_of)
        ]
        return jsonify(results=results, as_of=as_of.isoformat())

    return paths


def _in_utc(as_of: datetime) -> datetime:
    try:
        return as_utc(as_of)
    except OverflowError:
        raise BadParameter("as_of is at the end of the calendar. Send another timestamp.", "as_of") from None


@cache
def _row_model(columns: tuple[tuple[str, str], ...]) -> type[BaseModel]:
    """A model of a row. `columns`: (name, Feast type)."""
    fields: dict[str, Any] = {name: (TYPES.get(kind, Any) | None, ...) for name, kind in columns}
    return create_model("Entity", __config__=ConfigDict(extra="forbid"), **fields)


def _validated(model: type[Model], value: Any, prefix: str) -> Model:
    """Raises MissingField, UnknownField, WrongType, BadParameter."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise from_validation(error, prefix) from None
