"""Feature vectors: the features of any feature service for given entities. Other services can read them here."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeVar

from flask import Blueprint, Response, jsonify
from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError

from choices import unknown
from errors import BadParameter, FeaturesNotReady, RiskError
from features.domains import internal_features, secret_patterns
from features.fields import OLDEST_BIRTH
from features.utc import EARLIEST, OutOfBounds, bounded
from serving import featurization
from serving.store import Row, Store, Vector
from web import examples
from web.access import needs
from web.errors import from_validation
from web.face import Face, as_object, json_body
from web.operations import Spec, body, operation
from web.schemas import Vectors

logger = logging.getLogger(__name__)

MOST_ENTITIES = 1000
Model = TypeVar("Model", bound=BaseModel)
DESCRIPTION = (
    f"The feature vectors of up to {MOST_ENTITIES:,} entities, in order, by the same reads as a decision. An entity "
    "has the service's keys as they are stored (identifiers as keyed hashes), and the request data of its on-demand "
    "views. Nothing is scored or logged. If nothing is stored, the value is the default of the definition, and the "
    "status says why."
)


def _timestamp(earliest: datetime) -> Any:
    """The type of a timestamp from `earliest` on: a text, UTC where it has no zone."""

    def parsed(value: Any) -> datetime:
        if not isinstance(value, str):
            raise PydanticCustomError("timestamp_type", "Input should be a text such as 2026-01-31T12:00:00Z")
        try:
            return bounded(value, earliest)
        except OutOfBounds as error:
            raise PydanticCustomError("timestamp", "It {reason}; check the year", {"reason": str(error)}) from None
        except ValueError:
            raise PydanticCustomError("timestamp", "It is no timestamp; write it as 2026-01-31T12:00:00Z") from None

    return Annotated[datetime, BeforeValidator(parsed)]


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "It has a NUL character; remove it")
    return text


_Double = Annotated[float, Strict(), Field(allow_inf_nan=False)]
#: Feast type → type of a JSON value. A value of another Feast type is not checked. A timestamp may be a date of birth.
TYPES: Mapping[str, Any] = {
    "STRING": Annotated[StrictStr, AfterValidator(_without_nul)],
    "INT32": Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)],
    "INT64": Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)], "FLOAT": _Double, "DOUBLE": _Double,
    "BOOL": StrictBool, "UNIX_TIMESTAMP": _timestamp(OLDEST_BIRTH), "BYTES": Base64Bytes,
}  # fmt: skip


class VectorsRequest(BaseModel):
    """The entities, and the time as of which to read their features."""

    model_config = ConfigDict(extra="forbid")

    entities: list[dict[str, Any]] = Field(
        min_length=1, max_length=MOST_ENTITIES, description="The entities.", examples=[[{"driver_id": 1001}]]
    )
    as_of: _timestamp(EARLIEST) | None = Field(  # type: ignore[valid-type]
        default=None,
        description="The time at which values must hold; now by default. The store keeps only the newest row of an "
        "entity: a row dated after this time is NOT_FOUND. For the past, use /historical-features/.",
        examples=["2026-01-31T12:00:00+00:00"],
    )


def openapi_paths() -> Spec:
    """The path of the API docs."""
    name = {"name": "service", "in": "path", "required": True, "schema": {"type": "string"}, "example": "daily"}
    post = operation(
        "features", "Feature vectors", DESCRIPTION, Vectors, name="read_features",
        parameters=[name], requestBody=body(VectorsRequest),
    )  # fmt: skip
    return {"/api/v1/features/{service}": {"post": post}}


def blueprint(face: Face) -> Blueprint:
    """`/api/v1/features/<service>`."""
    paths = Blueprint("vectors", __name__)
    store = face.service.store

    @paths.post("/api/v1/features/<service>")
    @needs("features:read")
    def vectors(service: str) -> Response:
        services = store.services()
        if not services:
            raise FeaturesNotReady("No feature service is applied. Run: make pipeline")
        if service not in services:
            raise unknown("feature service", service, services, "", "service")
        example = examples.of_model(VectorsRequest)
        request = _validated(VectorsRequest, as_object(json_body(example), example), "")
        row_model = _row_model(tuple(store.asks(service).items()))
        rows = [dict(_validated(row_model, row, f"entities.{i}.")) for i, row in enumerate(request.entities)]
        now, views = face.clock(), store.views(service)
        as_of = request.as_of or now
        results = [_shown(vector, views) for vector in _read(store, service, rows, as_of, now)]
        return jsonify(results=results, as_of=as_of.isoformat())

    return paths


def _shown(vector: Vector, views: Mapping[str, str]) -> dict[str, Any]:
    """The vector without internal features, as JSON."""
    shown = vector.features.keys() - internal_features()
    features = featurization.complete(vector.features, views)
    return {
        "features": {name: value for name, value in features.items() if name in shown},
        "event_timestamps": {
            name: date and date.isoformat() for name, date in vector.event_timestamps.items() if name in shown
        },
        "statuses": {name: status for name, status in vector.statuses.items() if name in shown},
    }


def _read(store: Store, service: str, rows: Sequence[Row], as_of: datetime, now: datetime) -> list[Vector]:
    """The vectors. Raises BadParameter where an on-demand view fails on a null: its function may need a value."""
    try:
        return store.vectors(service, rows, as_of, now)
    except RiskError:
        raise
    except Exception as error:
        nulls = [f"entities.{i}.{name}" for i, row in enumerate(rows) for name, value in row.items() if value is None]
        if not nulls:
            raise
        logger.warning("The features of %s cannot be computed with %s = null", service, nulls[0], exc_info=error)
        message = f"{nulls[0]} is null, and a feature of {service} cannot be computed without it. Send a value."
        raise BadParameter(message, nulls[0]) from error


@cache
def _row_model(columns: tuple[tuple[str, str], ...]) -> type[BaseModel]:
    """A model of a row. `columns`: (name, Feast type)."""
    patterns = secret_patterns()
    fields: dict[str, Any] = {
        name: (Annotated[str, Field(pattern=f"^(?:{patterns[name]})$")] | None, ...)
        if name in patterns
        else (TYPES.get(kind, Any) | None, ...)
        for name, kind in columns
    }
    return create_model("Entity", __config__=ConfigDict(extra="forbid"), **fields)


def _validated(model: type[Model], value: Any, prefix: str) -> Model:
    """Raises MissingField, UnknownField, WrongType, BadParameter."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise from_validation(error, prefix) from None
