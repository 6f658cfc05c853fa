"""The paths of every declared risk: its features, its score and its decision, and the results of its last batches."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify

from errors import BadParameter
from features.domains import risk_named, risks
from features.risk import Risk, RiskRequest
from serving import scores
from web import calls, examples, throttle
from web.access import needs
from web.face import Face, from_body, from_path, json_body, validated
from web.once import takes_key

MOST_DECISIONS = 1000


def blueprint(face: Face) -> Blueprint:
    """The paths of every risk, and `/api/v1/decisions/<name>` for all of them."""
    paths = Blueprint("risk", __name__)
    for risk in risks().values():
        for part, answer, scope in PARTS:
            view = needs(scope)(_view(answer, face, risk))
            _add(paths, risk, part, takes_key(view) if answer is decision else view)
        if risk.population and risk.path_field:
            _add(paths, risk, "batch-scores", needs("audit:read")(_view(batch_scores, face, risk)))
    view = takes_key(needs("decisions:write")(partial(decisions, face)))
    paths.add_url_rule("/api/v1/decisions/<name>", "decisions", view, methods=["POST"])
    return paths


def decisions(face: Face, name: str) -> Response:
    """One decision for one request, a list of decisions for a list. Raises BadParameter, the errors of
    `web.face.validated`, and those of `RiskService.decisions`."""
    risk = risk_named(name)
    body = json_body(examples.of_model(risk.request))
    if not isinstance(body, list):
        return jsonify(decision(face, risk, validated(risk, body)))
    if not 0 < len(body) <= MOST_DECISIONS:
        raise BadParameter(f"The list holds {len(body)} requests. Send 1 to {MOST_DECISIONS:,}.")
    throttle.spend("decisions", len(body))
    requests = [validated(risk, item, f"{i}.") for i, item in enumerate(body)]
    return jsonify([taken.as_json() for taken in face.service.decisions(risk, requests, face.clock(), calls.current())])


def features(face: Face, risk: Risk, request: RiskRequest) -> dict[str, Any]:
    """The features of a request, as JSON."""
    as_of = face.clock()
    return {"features": face.service.features(risk, request, as_of), "as_of": as_of.isoformat()}


def score(face: Face, risk: Risk, request: RiskRequest) -> dict[str, Any]:
    """The score of a request, as JSON."""
    as_of = face.clock()
    number, card = face.service.score(risk, request, as_of)
    return {"score": number, "model": {"name": card.name, "version": card.version}, "as_of": as_of.isoformat()}


def decision(face: Face, risk: Risk, request: RiskRequest) -> dict[str, Any]:
    """The decision about a request, as JSON. Raises TooMany."""
    throttle.spend("decisions")
    return face.service.decision(risk, request, face.clock(), calls.current()).as_json()


def batch_scores(face: Face, risk: Risk, request: RiskRequest) -> dict[str, Any]:
    """The newest batch decision about an entity, and its last scores. Raises UnknownEntity if no batch has scored the
    entity and no feature is stored about it."""
    newest, history = scores.latest(face.root.scores_db, risk.name, risk.path_value(request))
    if newest is None:
        face.service.features(risk, request, face.clock())
    return {"decision": newest, "scores": [{"as_of": as_of.isoformat(), "score": value} for as_of, value in history]}


#: The paths of each risk: their last part, what they answer, and the scope that they need.
PARTS: tuple[tuple[str, Callable[[Face, Risk, RiskRequest], Any], str], ...] = (
    ("risk-features", features, "features:read"),
    ("risk-score", score, "decisions:write"),
    ("risk-decision", decision, "decisions:write"),
)


def _add(paths: Blueprint, risk: Risk, part: str, view: Callable[..., Response]) -> None:
    rule = f"/{risk.slug}-{part}/" + (f"<{risk.path_field}>/" if risk.path_field else "")
    paths.add_url_rule(rule, f"{risk.name}_{part}", view, methods=["GET" if risk.path_field else "POST"])


def _view(answer: Callable[[Face, Risk, RiskRequest], Any], face: Face, risk: Risk) -> Callable[..., Response]:
    def view(**path: str) -> Response:
        return jsonify(answer(face, risk, from_path(risk, path) if risk.path_field else from_body(risk)))

    return view
