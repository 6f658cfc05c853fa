"""The page of the domain `coupon`: what is tried at each location right now, and what was decided, without a reload."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, render_template

from features.coupon import COUPON_ATTEMPTS, GUESSED, LOCATION_ATTEMPTS
from features.domains import risks
from features.risk import Risk
from features.utc import EPOCH, as_utc
from serving import audit, intake
from web.face import Face

REFRESH_SECONDS = 1
SHOWN = 14
#: Decisions that are looked through for locations, and locations that are shown.
MOST, MOST_LOCATIONS = 100, 20
#: A stream job that runs takes an event in within some milliseconds.
PATIENCE = timedelta(seconds=2)
#: How the bands of a risk look, the mildest first.
LOOKS = ("approve", "review", "decline")


def blueprint(face: Face) -> Blueprint:
    pages = Blueprint("coupon_pages", __name__)
    risk = risks()["coupon"]

    @pages.get("/coupon/")
    def coupon_page() -> str:
        return render_template("coupon.html", refresh_seconds=REFRESH_SECONDS)

    @pages.get("/coupon/live")
    def live() -> Response:
        now = face.clock()
        records = audit.latest(face.root.decisions, risk, now, MOST)
        return jsonify(
            since=_since(now).isoformat(),
            waiting_seconds=_waiting(face, now),
            locations=_locations(face, risk, records, now),
            decisions=[_shown(risk, record) for record in records[:SHOWN]],
        )

    return pages


def _since(now: datetime) -> datetime:
    """From when on attempts count: the old edge of their window moves by a hop at a time."""
    window = LOCATION_ATTEMPTS.aggregations[0]
    edge = as_utc(now) - (window.window or timedelta())
    return edge - (edge - EPOCH) % window.old_edge_hop


def _waiting(face: Face, now: datetime) -> float | None:
    """How long events have been waiting for a stream job, if so long that none can be running."""
    log, state = face.root.event_log(COUPON_ATTEMPTS.name), face.root.stream_state("coupon")
    waiting = intake.oldest_waiting(log, state, now)
    return waiting.total_seconds() if waiting and waiting > PATIENCE else None


def _locations(face: Face, risk: Risk, records: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """What is tried where something was decided last, by the features of the moment."""
    newest: dict[str, dict[str, Any]] = {}
    for record in records:
        newest.setdefault(record["entity"]["location_code"], record)
    names = sorted(list(newest)[:MOST_LOCATIONS])
    # Nobody's prefix and device: of a location, only its own features are wanted.
    rows = [{"location_code": name, "coupon_prefix": None, "device_id": None} for name in names]
    vectors = face.service.store.vectors(risk.name, rows, now) if rows else []
    return [
        {"location": name, **_attempts(vector.features), **_decided(risk, newest[name])}
        for name, vector in zip(names, vectors, strict=True)
    ]


def _attempts(features: Mapping[str, Any]) -> dict[str, Any]:
    attempts, failures = (features[a.name] for a in LOCATION_ATTEMPTS.aggregations)
    return {"attempts": attempts, "failures": failures}


def _decided(risk: Risk, record: Mapping[str, Any]) -> dict[str, Any]:
    words = risk.appetite.words
    return {"decision": record["decision"], "look": LOOKS[words.index(record["decision"])]}


def _shown(risk: Risk, record: Mapping[str, Any]) -> dict[str, Any]:
    """Without the last digits: who reads the page is not to redeem what was typed."""
    entity, reasons = record["entity"], record["reasons"]
    return {
        "as_of": record["as_of"],
        "location": entity["location_code"],
        "device": entity["device_id"],
        "coupon": entity["coupon_prefix"] + GUESSED * "•",
        "score": record["score"],
        "reason": reasons[0]["text"] if reasons else "",
        **_decided(risk, record),
    }
