"""The page of the domain `coupon`: the attempts at each location and the newest decisions, refreshed without a
reload."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, render_template

from errors import LogUnavailable
from features.coupon import COUPON_ATTEMPTS, GUESSED, LOCATION_ATTEMPTS
from features.domains import risks
from features.risk import Risk
from features.utc import EPOCH, MICROSECOND, since_1970
from serving import audit
from web.access import needs
from web.domains import Link
from web.face import Face

REFRESH_SECONDS = 1
LINKS = (Link("Coupons", "/coupon/"),)
#: The page shows this many decisions, and the locations of this many.
SHOWN_DECISIONS, MOST_DECISIONS = 14, 100
SHOWN_LOCATIONS = 20
#: If an event waits longer than this, no stream job is running: a job processes an event within milliseconds.
PATIENCE = timedelta(seconds=2)
#: The CSS class of each band of a risk, the mildest first.
LOOKS = ("approve", "review", "decline")


def blueprint(face: Face) -> Blueprint:
    """The page, and the JSON that it refreshes from."""
    pages = Blueprint("coupon_pages", __name__)
    risk = risks()["coupon"]

    @pages.get("/coupon/")
    @needs("audit:read")
    def coupon_page() -> str:
        return render_template("coupon.html", refresh_seconds=REFRESH_SECONDS)

    @pages.get("/coupon/live")
    @needs("audit:read")
    def live() -> Response:
        now = face.clock()
        records = audit.latest(face.root.decisions, risk, now, MOST_DECISIONS)
        return jsonify(
            since=_since(now).isoformat(),
            waiting_seconds=_waiting(face, now),
            locations=_locations(face, risk, records, now),
            decisions=[_shown(risk, record) for record in records[:SHOWN_DECISIONS]],
        )

    return pages


def _since(now: datetime) -> datetime:
    """The old edge of the attempts' window. It moves in steps of a hop."""
    return EPOCH + LOCATION_ATTEMPTS.aggregations[0].old_edge(since_1970(now)) * MICROSECOND


def _waiting(face: Face, now: datetime) -> float | None:
    """How long the oldest event has been waiting, in seconds. None if a stream job may be running."""
    with suppress(LogUnavailable):  # what is wrong is a check
        oldest = face.service.events.waiting(COUPON_ATTEMPTS.name, now).oldest
        return oldest.total_seconds() if oldest and oldest > PATIENCE else None
    return None


def _locations(face: Face, risk: Risk, records: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The locations of the newest decisions, with their current features."""
    newest: dict[str, dict[str, Any]] = {}
    for record in records:
        newest.setdefault(record["entity"]["location_code"], record)
    names = sorted(list(newest)[:SHOWN_LOCATIONS])
    # No prefix and no device: only the features of the location are needed.
    rows = [{"location_code": name, "coupon_prefix": None, "device_id": None} for name in names]
    vectors = face.service.store.vectors(risk.name, rows, now, now) if rows else []
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
    """A decision without the last digits of the coupon, so that nobody can redeem it from the page."""
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
