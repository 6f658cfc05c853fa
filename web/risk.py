"""The three paths of every declared risk: its features, its score, its decision; and what the last batches said."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify

from errors import BadParameter
from features.domains import risk_named, risks
from features.risk import Risk, RiskRequest
from serving import scores
from web.face import Face, from_body, from_path, json_body, valid

MOST_DECISIONS = 1000


def blueprint(face: Face) -> Blueprint:
    paths = Blueprint("risk", __name__)
    for risk in risks().values():
        for part, answer in (("features", features), ("score", score), ("decision", decision)):
            _add(paths, risk, f"risk-{part}", _view(answer, face, risk))
        if risk.population and risk.path_field:
            _add(paths, risk, "batch-scores", _view(batch_scores, face, risk))
    paths.add_url_rule("/api/v1/decisions/<name>", "decisions", partial(decisions, face), methods=["POST"])
    return paths


def decisions(face: Face, name: str) -> Response:
    """One request gets its decision, a list of them a list of decisions. Raises BadParameter besides."""
    risk, body = risk_named(name), json_body()
    if not isinstance(body, list):
        return jsonify(decision(face, risk, valid(risk, body)))
    if not 0 < len(body) <= MOST_DECISIONS:
        raise BadParameter(f"The list holds {len(body)} requests. Send 1 to {MOST_DECISIONS:,}.")
    asked = [valid(risk, one, f"{i}.") for i, one in enumerate(body)]
    return jsonify([one.as_json() for one in face.service.decisions(risk, asked, face.clock())])


def _add(paths: Blueprint, risk: Risk, part: str, view: Callable[..., Response]) -> None:
    rule = f"/{risk.slug}-{part}/" + (f"<{risk.path_field}>/" if risk.path_field else "")
    paths.add_url_rule(rule, f"{risk.name}_{part}", view, methods=["GET" if risk.path_field else "POST"])


def _view(answer: Callable[[Face, Risk, RiskRequest], Any], face: Face, risk: Risk) -> Callable[..., Response]:
    def view(**path: str) -> Response:
        asked = from_path(risk, path) if risk.path_field else from_body(risk)
        return jsonify(answer(face, risk, asked))

    return view


def features(face: Face, risk: Risk, asked: RiskRequest) -> dict[str, Any]:
    as_of = face.clock()
    return {"features": face.service.features(risk, asked, as_of), "as_of": as_of.isoformat()}


def score(face: Face, risk: Risk, asked: RiskRequest) -> dict[str, Any]:
    as_of = face.clock()
    number, card = face.service.score(risk, asked, as_of)
    return {"score": number, "model": {"name": card.name, "version": card.version}, "as_of": as_of.isoformat()}


def decision(face: Face, risk: Risk, asked: RiskRequest) -> dict[str, Any]:
    return face.service.decision(risk, asked, face.clock()).as_json()


def batch_scores(face: Face, risk: Risk, asked: RiskRequest) -> dict[str, Any]:
    """Raises UnknownEntity on somebody who was never scored and is not known either."""
    newest, history = scores.latest(face.root.scores_db, risk.name, risk.path_value(asked))
    if newest is None:
        face.service.features(risk, asked, face.clock())
    return {"decision": newest, "scores": [{"as_of": as_of.isoformat(), "score": s} for as_of, s in history]}
