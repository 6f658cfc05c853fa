"""`python -m jobs why`."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli import console
from cli.console import Column
from errors import Mismatch, UnknownDecision

if TYPE_CHECKING:
    from provenance.explained import Explained


@click.command()
@click.argument("decision_id", help="The id of a decision, from its answer or from the audit log.")
def why(decision_id: str) -> None:
    """Say where the features of a decision come from.

    Each is computed again from the raw events that were known then. A difference gives exit code 1.
    """
    import settings
    from provenance.explaining import explain
    from serving.audit.lookup import by_id
    from serving.audit.positions import Positions
    from serving.retrieval import FeastStore

    root = settings.root()
    records = by_id(Positions(root.decisions, root.outcomes), [decision_id], waits=True)
    if decision_id not in records:
        raise UnknownDecision("The audit log has no decision of this id. Check it: an answer has it as decision_id.")
    record = records[decision_id]
    features = explain(root, FeastStore(settings.FEATURE_REPO, settings.feature_store()), record)
    console.line(f"{record['risk']} {decision_id} as of {record['as_of']}: {record['decision']}, {record['score']}")
    _show(features)
    if other := [feature for feature in features if not feature.equal]:
        for feature in other:
            console.line(f"{feature.name}: {feature.recomputed!r} now. {feature.reason}")
        names = ", ".join(feature.name for feature in other)
        raise Mismatch(f"The raw events do not give the logged value of {names}. The lines above say why.")


def _show(features: "Iterable[Explained]") -> None:
    columns = [
        Column("feature", wraps=False), Column("value", "right"), Column("now", plain="{} now;"),
        Column("from", plain="from {}"), Column("until", plain="until {}"),
        Column("known", plain="known until {}"), Column("events", "right", plain="{} events"),
        Column("the newest", plain="the newest {};"), Column("definition"),
    ]  # fmt: skip
    console.table(columns, map(_row, features), headings=False)


def _row(feature: "Explained") -> tuple[str, ...]:
    newest = feature.newest[0] if feature.newest else None
    return (
        feature.name, _value(feature.logged), "equal" if feature.equal else "other", _time(feature.since),
        _time(feature.until), _time(feature.known_until), "" if feature.events is None else f"{feature.events:,}",
        " ".join(filter(None, (newest.id, _time(newest.event_timestamp)))) if newest else "", feature.definition,
    )  # fmt: skip


def _value(value: object) -> str:
    return "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _time(timestamp: datetime | None) -> str:
    return "" if timestamp is None else f"{timestamp:%Y-%m-%d %H:%M:%S}"
