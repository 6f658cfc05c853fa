"""Point-in-time features of chosen entities at chosen times. They show what a model was trained on."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pandas as pd
from flask import Blueprint, Response, jsonify, request

from choices import unknown
from errors import SHOWN_CHARACTERS, BadParameter
from features.domains import NO_RISK, internal_features, risks
from features.risk import Risk
from features.utc import LATEST, OutOfBounds, bounded
from serving import featurization
from web.access import needs
from web.face import Face, from_path
from web.operations import Spec, operation
from web.schemas import HistoricalAnswer

MOST_ROWS = 1000
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
DESCRIPTION = (
    "The features of each entity at each time, from nothing but what was known by then. Without parameters: a few "
    "example entities, now and a week ago."
)


def choices() -> dict[str, Risk]:
    """The risks whose request is one number. The first one is the default."""
    return {risk.name: risk for risk in risks().values() if risk.path_field}


def examples(risk: Risk) -> str:
    """The examples of the risk's one field, separated by commas."""
    field = risk.request.model_fields[risk.url_field]
    return ",".join(str(example) for example in field.examples or [])


def _query(name: str, about: str, **example: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": {"type": "string"}, **example}


def openapi_paths() -> Spec:
    """The path of the API docs. Nothing, if no risk has a request of one number."""
    if not choices():
        return {}
    risk = next(iter(choices().values()))
    parameters = [
        _query("service", f"One of: {', '.join(choices())}. Default: {risk.name}.", example=risk.name),
        _query(
            risk.url_field,
            "Numbers, separated by commas. The parameter has the name of the service's number.",
            example=examples(risk),
        ),
        _query(
            "event_timestamp", "ISO timestamps, separated by commas; UTC without an offset. Default: now, a week ago."
        ),
    ]
    get = operation(
        "history", "Features of chosen entities at chosen times", DESCRIPTION, HistoricalAnswer,
        name="read_historical_features", parameters=parameters,
    )  # fmt: skip
    return {"/historical-features/": {"get": get}}


def blueprint(face: Face) -> Blueprint:
    """`/historical-features/`."""
    paths = Blueprint("history", __name__)

    @paths.get("/historical-features/")
    @needs("features:read")
    def historical_features() -> Response:
        now = face.clock()
        risk = _risk(request.args.get("service") or next(iter(choices()), ""))
        key = risk.url_field
        keys = [risk.path_value(from_path(risk, {key: text})) for text in _list(key, examples(risk))]
        week_ago = now - timedelta(days=7)
        times = [_past(text, now) for text in _list("event_timestamp", f"{now.isoformat()},{week_ago.isoformat()}")]
        if len(keys) * len(times) > MOST_ROWS:
            raise BadParameter(
                f"{len(keys)} entities at {len(times)} times are more than {MOST_ROWS} rows. Send fewer of them."
            )
        pairs = list(product(keys, times))
        frame = pd.DataFrame(pairs, columns=[key, "event_timestamp"])
        frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], utc=True).dt.as_unit("us")
        views = {n: v for n, v in face.service.store.views(risk.name).items() if n not in internal_features()}
        joined = face.service.store.historical(risk, frame)[list(views)].astype(object).to_dict("records")
        rows = [
            {"entity": {key: k}, "event_timestamp": t.isoformat(), "features": featurization.complete(row, views)}
            for (k, t), row in zip(pairs, joined, strict=True)
        ]
        return jsonify(service=risk.name, rows=rows)

    return paths


def _risk(name: str) -> Risk:
    if name not in choices():
        raise unknown("service of one number", name, choices(), NO_RISK, "service")
    return choices()[name]


def _list(name: str, default: str) -> list[str]:
    texts = ",".join(request.args.getlist(name)) or default
    return [text.strip() for text in texts.split(",") if text.strip()]


def _past(text: str, now: datetime) -> datetime:
    """A timestamp from `EARLIEST` to now. Raises BadParameter."""
    seen = f"event_timestamp is {text[:SHOWN_CHARACTERS]!r}"
    try:
        timestamp = bounded(text, EARLIEST)
    except OutOfBounds:
        timestamp = LATEST
    except ValueError:
        raise BadParameter(f"{seen}. Write it as 2026-01-31T12:00:00Z.", "event_timestamp") from None
    if timestamp > now:
        raise BadParameter(f"{seen}. Send a timestamp from {EARLIEST:%Y} to now.", "event_timestamp")
    return timestamp
