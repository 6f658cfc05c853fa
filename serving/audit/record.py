"""What a line of the audit log holds: all that decides again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from features.domains import internal_features
from features.risk import Risk
from serving.call import Call

#: The keys of a decision in a record, in the order of an answer.
DECISION = ("decision_id", "decision", "score", "reasons", "features", "model", "policy", "as_of")


def record(
    risk: Risk, row: Mapping[str, Any], decision: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A line of the log: the risk, the entity, the rest of the request's row (identifiers are keyed hashes), the
    decision with its internal features, and `more` about it. `python -m jobs parity` reads the features again from
    it."""
    entity = {name: value for name, value in row.items() if name in risk.entity_keys}
    request = {name: value for name, value in row.items() if name not in risk.entity_keys}
    return {"risk": risk.name, "entity": entity, "request": request, **decision, **(more or {})}


def context(
    call: Call,
    row: Mapping[str, Any],
    fields: Mapping[str, Any],
    views: Mapping[str, list[str]],
    event_times: Mapping[str, datetime | None],
    batch_size: int = 1,
) -> dict[str, Any]:
    """What a record has about a decision beside the decision. `fields` is what rules saw of the request; the record has
    those that are not in its row. `views` has the features of each view, and `event_times` the event time of the row
    that they are from. The steps of `call` made `batch_size` decisions together."""
    return {
        "fields": {name: value for name, value in fields.items() if name not in row},
        "views": views,
        "event_times": event_times,
        "caller": call.caller,
        "request_id": call.request_id,
        "latency_us": call.latency_us(),
        "batch_size": batch_size,
    }


def features_by_view(views: Mapping[str, str]) -> dict[str, list[str]]:
    """View → its features, from feature → view.

    >>> features_by_view({"trips": "stats", "state": "profile", "rate": "stats"})
    {'stats': ['trips', 'rate'], 'profile': ['state']}
    """
    by_view: dict[str, list[str]] = {}
    for feature, view in views.items():
        by_view.setdefault(view, []).append(feature)
    return by_view


def decision_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The decision in a record, as `Decision.as_json` gave it."""
    decision = {name: record[name] for name in DECISION if name in record}
    features = {name: value for name, value in record["features"].items() if name not in internal_features()}
    return {**decision, "features": features}
