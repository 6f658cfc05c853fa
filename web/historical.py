"""Point-in-time features of named entities at named times, for a look at what a model was trained on."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pandas as pd
from flask import Blueprint, Response, jsonify, request

from errors import BadParameter, unknown
from features.domains import NO_RISK, risks
from features.risk import Risk
from features.utc import utc
from serving import featurization
from web.face import Face, from_path
from web.operations import Spec, operation
from web.schemas import HistoricalAnswer

MOST_ROWS = 1000
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
DESCRIPTION = (
    "Every named entity at every named time, with what was known then and not a moment later. "
    "Without parameters: a few examples, now and a week ago."
)


def askable() -> dict[str, Risk]:
    """Risks whose request is one number; the first is the default."""
    return {risk.name: risk for risk in risks().values() if risk.path_field}


def examples(risk: Risk) -> str:
    field = risk.request.model_fields[risk.path_field or ""]
    return ",".join(str(example) for example in field.examples or [])


def _query(name: str, about: str, **example: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": {"type": "string"}, **example}


def openapi_paths() -> Spec:
    if not askable():
        return {}
    risk = next(iter(askable().values()))
    parameters = [
        _query("service", f"One of: {', '.join(askable())}. Default: {risk.name}.", example=risk.name),
        _query(
            risk.path_field or "",
            "Numbers, separated by commas, under the name of the service's own number.",
            example=examples(risk),
        ),
        _query(
            "event_timestamp", "ISO moments, separated by commas; UTC where no offset stands. Default: now, a week ago."
        ),
    ]
    about = operation("history", "Features of named entities at named times", DESCRIPTION, HistoricalAnswer, (400, 503))
    return {"/historical-features/": {"get": about | {"parameters": parameters}}}


def blueprint(face: Face) -> Blueprint:
    paths = Blueprint("history", __name__)

    @paths.get("/historical-features/")
    def historical_features() -> Response:
        now = face.clock()
        risk = _risk(request.args.get("service") or next(iter(askable()), ""))
        key = risk.path_field or ""
        keys = [risk.path_value(from_path(risk, {key: text})) for text in _list(key, examples(risk))]
        week_ago = now - timedelta(days=7)
        times = [_moment(text, now) for text in _list("event_timestamp", f"{now.isoformat()},{week_ago.isoformat()}")]
        if len(keys) * len(times) > MOST_ROWS:
            raise BadParameter(
                f"{len(keys)} entities at {len(times)} times are more than {MOST_ROWS} rows. Ask for fewer."
            )
        pairs = list(product(keys, times))
        frame = pd.DataFrame(pairs, columns=[key, "event_timestamp"])
        frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], utc=True).dt.as_unit("us")
        views = face.service.store.views(risk.name)
        joined = face.service.store.historical(risk, frame)[list(views)].astype(object).to_dict("records")
        rows = [
            {"entity": {key: k}, "event_timestamp": t.isoformat(), "features": featurization.complete(row, views)}
            for (k, t), row in zip(pairs, joined, strict=True)
        ]
        return jsonify(service=risk.name, rows=rows)

    return paths


def _risk(name: str) -> Risk:
    if name not in askable():
        raise unknown("service of one number", name, askable(), NO_RISK, "service")
    return askable()[name]


def _list(name: str, default: str) -> list[str]:
    texts = ",".join(request.args.getlist(name)) or default
    return [text.strip() for text in texts.split(",") if text.strip()]


def _moment(text: str, now: datetime) -> datetime:
    try:
        moment = utc(text)
    except (ValueError, OverflowError):
        wanted = "Write it as 2026-01-31T12:00:00Z"
        raise BadParameter(f"event_timestamp is {text[:40]!r}. {wanted}.", "event_timestamp") from None
    if not EARLIEST <= moment <= now:
        wanted = f"Name a moment from {EARLIEST:%Y} to now"
        raise BadParameter(f"event_timestamp is {moment.isoformat()}. {wanted}.", "event_timestamp")
    return moment
