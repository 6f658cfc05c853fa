"""What an operator's programs ask: whether the service is alive, whether it is ready, and its numbers."""

from typing import Any, Literal

from flask import Blueprint, Response, current_app, jsonify, make_response
from pydantic import BaseModel, Field

from serving import gauges, health
from telemetry.metrics import CONTENT_TYPE, Metrics
from web.access import needs, public
from web.face import Face
from web.operations import Spec, operation
from web.turns import out_of_turn

LIVE, READY, METRICS = "/api/health-check", "/api/health-check/ready", "/metrics"
ABOUT_LIVE = "Answers while the process answers at all. It looks at nothing else."
ABOUT_READY = (
    "Whether every part is there that decisions need: the registry, the online store, a model and a policy of each "
    "risk, the audit log, and the streams. 503 if one is not; `checks` says which one, and what to do."
)
ABOUT_METRICS = "The numbers of all processes of the service, for Prometheus."


class Alive(BaseModel):
    """The process answers."""

    status: str = Field(examples=["alive"])


class Part(BaseModel):
    """A part of the system."""

    name: str = Field(examples=["online store"])
    ok: bool
    problem: str = Field(default="", description="What is wrong, and what to do.", examples=["Run: make pipeline"])


class Ready(BaseModel):
    """Whether decisions can be made, and the state of each part that they need."""

    status: Literal["ready", "not_ready"]
    checks: list[Part]


ANSWERS: tuple[type[BaseModel], ...] = (Alive, Ready)


def openapi_paths() -> Spec:
    """The paths of the API docs."""
    live = operation("operation", "Is it alive?", ABOUT_LIVE, Alive, name="check_live", public=True)
    ready = operation("operation", "Is it ready?", ABOUT_READY, Ready, name="check_ready", public=True)
    ready["responses"]["503"] = {**ready["responses"]["200"], "description": "A part is missing. `checks` names it."}
    numbers = operation("operation", "Numbers for Prometheus", ABOUT_METRICS, Alive, name="read_metrics")
    numbers["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return {LIVE: {"get": live}, READY: {"get": ready}, METRICS: {"get": numbers}}


def blueprint(face: Face, metrics: Metrics) -> Blueprint:
    """`/api/health-check`, `/api/health-check/ready` and `/metrics`."""
    paths = Blueprint("operation", __name__)

    @paths.get(LIVE)
    @public
    @out_of_turn
    def live() -> Response:
        return jsonify(status="alive")

    @paths.get(READY)
    @public
    @out_of_turn
    def ready() -> Response:
        short = current_app.extensions["short"]
        parts = health.checks(face.service, face.root, face.clock())
        is_ready = all(part.is_ok for part in parts)
        shown: list[dict[str, Any]] = [
            {"name": part.name, "ok": part.is_ok} | ({"problem": short(part.problem)} if part.problem else {})
            for part in parts
        ]
        answer = jsonify(status="ready" if is_ready else "not_ready", checks=shown)
        return make_response(answer, 200 if is_ready else 503)

    @paths.get(METRICS)
    @needs("audit:read")
    @out_of_turn
    def numbers() -> Response:
        text = metrics.text(gauges.gauges(face.service, face.root, face.clock()))
        return Response(text, content_type=CONTENT_TYPE)

    return paths
