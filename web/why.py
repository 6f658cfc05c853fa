"""Why a decision has its features: where each comes from, and whether the raw events still give it."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify
from pydantic import BaseModel, Field

from features.domains import risks
from serving.audit import search
from serving.audit.positions import Positions
from web.access import needs
from web.face import Face
from web.operations import Spec, operation
from web.turns import out_of_turn

PATH = "/api/v1/decisions/{name}/why"
ABOUT = (
    "For each feature of a decision: its definition in words, its logged value, the edges of its window, how many raw "
    "events it folded and the newest of them, and whether the raw events that were known at the decision still give "
    "the logged value. Identifiers are keyed hashes."
)


class FoldedEvent(BaseModel):
    """A raw event that a feature folded."""

    id: str | None = Field(description="Null where the raw table names no events.", examples=["o00174149"])
    event_timestamp: datetime = Field(description="When it happened, UTC.")


class FeatureWhy(BaseModel):
    """Where a feature of a decision comes from."""

    name: str = Field(examples=["orders_count_7d"])
    definition: str = Field(description="What the feature is, in words made from its declaration.")
    logged: Any = Field(description="The value in the audit log.")
    recomputed: Any = Field(description="The value that the raw events give now, by what was known at the decision.")
    equal: bool = Field(description="Whether both are the same, to the last digit.")
    reason: str | None = Field(description="Why they are not; null where they are.")
    view: str | None = Field(description="The feature view.", examples=["order_now"])
    source: str | None = Field(description="The raw table, null where it is computed from the request.")
    key: dict[str, Any] = Field(description="The key whose events it folds.", examples=[{"user_id": "u00007"}])
    since: datetime | None = Field(description="The old edge: events from then on. Null: all events.")
    until: datetime | None = Field(description="The young edge: events before then.")
    known_until: datetime | None = Field(
        description="Up to when events were known. Null: none was known of the key, or they are known by offset."
    )
    events: int | None = Field(description="How many events it folds.")
    newest: list[FoldedEvent] = Field(description="The newest of them, at most ten.")
    fields: dict[str, Any] = Field(description="What it takes of the request.")


class Why(BaseModel):
    """Where the features of a decision come from."""

    decision_id: str
    risk: str
    as_of: datetime
    equal: bool = Field(description="Whether every feature is as it was.")
    features: list[FeatureWhy] = Field(description="In the order of the log.")


def openapi_paths() -> Spec:
    """The path of the API docs. Nothing, if no domain declares a risk."""
    if not risks():
        return {}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "description": "The id."}
    return {PATH: {"get": operation("audit", "Why a decision", ABOUT, Why, name="explain_decision", parameters=[name])}}


def blueprint(face: Face) -> Blueprint:
    """`/api/v1/decisions/<id>/why`."""
    paths = Blueprint("why", __name__)
    positions = Positions(face.root.decisions, face.root.outcomes)

    @paths.get("/api/v1/decisions/<name>/why")
    @needs("audit:read")
    @out_of_turn
    def why(name: str) -> Response:
        from provenance.explaining import explained  # it imports DuckDB, which decisions do without

        return jsonify(explained(face.root, face.service.store, search.by_id(positions, name)))

    return paths
