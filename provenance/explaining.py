"""Explains the features of a logged decision: computes each again from the raw events, by what was known then."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import pandas as pd

from errors import BadInput, NoData, UnknownDecision
from features.domains import internal_features, on_demand, risks, tables
from features.risk import Risk
from features.utc import midnight, since_1970, utc
from features.windows.live import seen_of
from features.windows.tables import AggregationTable, Table
from jobs.batch.folded import Folded, Folds, Window
from provenance import words
from provenance.explained import Explained, timestamp, window_of
from root import Root
from serving import featurization
from serving.store import Store

#: What may have happened where the raw events give another value now.
CHANGED = "an event was added, changed or removed since, or the definition has changed"
#: A feature of the decision, and what is known of it.
Features = dict[str, Explained]


class Decided:
    """A record of the audit log, its timestamps read, and the root and the store that it is compared with. Raises
    UnknownDecision on a record that cannot be explained, FeaturesNotReady."""

    def __init__(self, root: Root, store: Store, record: Mapping[str, Any]) -> None:
        self.root, self.store = root, store
        number = record.get("decision_id")
        try:
            self.risk: Risk = risks()[record["risk"]]
            self.features: Mapping[str, Any] = record["features"]
            self.as_of: datetime = utc(record["as_of"])
            self.views, asks = store.views(self.risk.name), store.asks(self.risk.name)
            row = {**record["request"], **record["entity"]}
            times = {name for name, kind in asks.items() if kind == "UNIX_TIMESTAMP" and row.get(name) is not None}
            self.row: dict[str, Any] = row | {name: utc(row[name]) for name in times}
            self.event_times: Mapping[str, str | None] = record.get("event_times") or {}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UnknownDecision(
                f"The line of decision {number} is no whole decision of a risk of today ({error!r}). Verify the log."
            ) from None

    @cached_property
    def folds(self) -> Folds:
        """What reads the raw events of the decision's keys."""
        folding = (*tables(), *(self.risk.live.tables if self.risk.live else ()))  # a live table may be no batch table
        return Folds(self.root, {n: v for table in folding for n, v in self.key(table).items() if v is not None})

    def close(self) -> None:
        """Close what was opened to read raw events."""
        if "folds" in vars(self):
            self.folds.close()

    @property
    def now(self) -> int:
        """The timestamp of the decision, µs since 1970."""
        return since_1970(self.as_of)

    def key(self, table: Table) -> dict[str, Any]:
        """The key of the decision's row in a table."""
        return {name: self.row.get(name) for name in table.keys}

    def folded(self, table: Table, timestamp_us: int, known: int | None, is_state: bool = False) -> Folded:
        """The table's features by the raw events that were known; where no part of the key is missing. Raises NoData,
        BadInput."""
        key = tuple(self.key(table).values())
        if None in key:
            nothing = Window(None, timestamp_us, 0, ())
            return Folded(timestamp_us, dict(table.empty), dict.fromkeys(table.empty, nothing))
        return self.folds.folded(table, timestamp_us, -1 if known is None else known, is_state)

    def start(self, name: str, definition: str, **parts: Any) -> Explained:
        """What is said of a feature before it is computed again."""
        return Explained(name, definition, self.features[name], view=self.views[name], **parts)

    def compared(self, begun: Explained, value: Any, reason: str) -> Explained:
        """With the value that was computed again; `reason` says why it is another one."""
        value = featurization.complete({begun.name: value}, self.views)[begun.name]
        equal = type(value) is type(begun.logged) and value == begun.logged
        return replace(begun, recomputed=value, equal=equal, reason=None if equal else reason)


def explained(root: Root, store: Store, record: Mapping[str, Any]) -> dict[str, Any]:
    """What is said about a decision, as JSON can hold it. Raises UnknownDecision, FeaturesNotReady."""
    features = explain(root, store, record)
    return {
        "decision_id": record["decision_id"],
        "risk": record["risk"],
        "as_of": record["as_of"],
        "equal": all(feature.equal for feature in features),
        "features": list(map(asdict, features)),
    }


def explain(root: Root, store: Store, record: Mapping[str, Any]) -> list[Explained]:
    """The features of a decision in the order of its record, without internal ones. Raises UnknownDecision,
    FeaturesNotReady."""
    with closing(Decided(root, store, record)) as decided:
        return _explained(decided)


def _explained(decided: Decided) -> list[Explained]:
    by_name: Features = {}
    for name in decided.features.keys() - decided.views.keys():
        reason = f"The feature service of {decided.risk.name} has no such feature any more."
        by_name[name] = Explained(name, "Unknown.", decided.features[name], reason=reason)
    by_name |= _live(decided)
    by_view: dict[str, list[str]] = {}
    for name, view in decided.views.items():
        if name in decided.features and name not in by_name and name not in internal_features():
            by_view.setdefault(view, []).append(name)
    batch = {table.name: table for table in tables() if isinstance(table, AggregationTable)}
    for view, names in by_view.items():
        if view in batch:
            by_name |= _batch(decided, batch[view], [name for name in names if name in batch[view].empty])
        elif declared := [name for name in names if (view, name) in on_demand()]:
            by_name |= {name: _on_demand(decided, view, name) for name in declared}
    by_name |= _stored(decided, [name for names in by_view.values() for name in names if name not in by_name])
    return [by_name[name] for name in decided.features if name in by_name]


def _live(decided: Decided) -> Features:
    """The features of the risk's live tables, and what is computed from them."""
    live = decided.risk.live
    if live is None:
        return {}
    values: dict[str, Mapping[str, Any]] = {}
    features: Features = {}
    lacking: list[str] = []
    for table in live.tables:
        has_seen = seen_of(table) in decided.features
        known = decided.features[seen_of(table)] if has_seen else decided.now
        try:
            fold = decided.folded(table, decided.now, known, is_state=True)
        except (NoData, BadInput) as error:
            fold, lacking = Folded(decided.now, dict(table.empty), {}), [*lacking, error.message]
        values[table.name] = fold.values
        reason = f"By the events that were known then the value is another one: {CHANGED}."
        if not has_seen:
            reason = "The log does not say up to when events were known. By those known at the decision it is another."
        definitions = {a.name: words.of_aggregation(table, a, True) for a in table.aggregations}
        definitions |= {flag.name: words.of_flag(table, flag, True) for flag in table.flags}
        for own, definition in definitions.items():
            name = live.named(table, own)
            if name in decided.features and name in decided.views:
                parts = window_of(fold.windows[own], table.source, known) if own in fold.windows else {}
                features[name] = decided.start(name, definition, key=decided.key(table), **parts, reason=reason)
    request = {name: decided.row.get(name) for name in live.request}
    for feature in live.more:
        if feature.name in decided.features and feature.name in decided.views:
            definition = words.of_more(live, feature.description)
            reason = "The features or the fields that it is computed from give another value now."
            features[feature.name] = decided.start(feature.name, definition, fields=request, reason=reason)
    if lacking:
        return {name: replace(feature, reason=lacking[0]) for name, feature in features.items()}
    again = live.values(values, request)
    return {name: decided.compared(features[name], again[name], features[name].reason or "") for name in features}


def _batch(decided: Decided, table: AggregationTable, names: list[str]) -> Features:
    """The features of a batch table: those of the last midnight, by what the batch of that midnight knew or by what was
    known at the decision; or of the row that was online, where no later batch had run."""
    last = since_1970(midnight(decided.as_of))
    ticks = [last]
    if (stored := decided.event_times.get(table.name)) and since_1970(utc(stored)) < last:
        ticks.append(since_1970(utc(stored)))
    moments = [(tick, known) for tick in ticks for known in (tick, decided.now)]
    definitions = {a.name: words.of_aggregation(table, a, False) for a in table.aggregations}
    definitions |= {flag.name: words.of_flag(table, flag, False) for flag in table.flags}
    tries: list[Features] = []
    for at, known in moments:
        reason = (
            f"By the events that were known then the value at {timestamp(at).isoformat()} is another one: {CHANGED}; "
            "or the batch ran later."
        )
        try:
            fold = decided.folded(table, at, known)
        except (NoData, BadInput) as error:
            message = error.message
            return {n: decided.start(n, definitions[n], key=decided.key(table), reason=message) for n in names}
        features: Features = {}
        for name in names:
            parts = window_of(fold.windows[name], table.source, known)
            begun = decided.start(name, definitions[name], key=decided.key(table), **parts)
            features[name] = decided.compared(begun, fold.values[name], reason)
        if all(feature.equal for feature in features.values()):
            return features
        tries.append(features)
    return max(tries, key=lambda features: sum(feature.equal for feature in features.values()))


def _on_demand(decided: Decided, view: str, name: str) -> Explained:
    """A feature that is computed from the request, perhaps with a row of a table."""
    feature = on_demand()[view, name]
    row = {field: decided.row.get(field) for field in feature.fields}
    begun = decided.start(name, words.of_on_demand(feature), fields=dict(row))
    reason = "The rule or the fields of the request give another value now."
    table, values = feature.table, dict[str, Any]()
    if table:
        begun = replace(begun, key=decided.key(table))
        try:
            fold = decided.folded(table, decided.now, decided.now)
        except (NoData, BadInput) as error:
            return replace(begun, reason=error.message)
        values = dict(fold.values)
        begun = replace(begun, **window_of(fold.windows[table.last], table.source, decided.now))
        reason = f"By the events that were known then the value is another one: {CHANGED}; or no batch had run yet."
    return decided.compared(begun, feature.value({**row, **values, "as_of": decided.as_of}), reason)


def _stored(decided: Decided, names: list[str]) -> Features:
    """Features that are stored as they came: read again by the point-in-time join."""
    if not names:
        return {}
    asks = decided.store.asks(decided.risk.name)
    frame = pd.DataFrame([{name: decided.row.get(name) for name in asks}])
    frame = frame.assign(event_timestamp=pd.Series([decided.as_of], dtype="datetime64[us, UTC]"))
    joined = decided.store.historical(decided.risk, frame)[names].astype(object).iloc[0].to_dict()
    keys, key = ", ".join(decided.risk.entity_keys), {name: decided.row.get(name) for name in decided.risk.entity_keys}
    features = {n: decided.start(n, words.of_stored(decided.views[n], n, keys)) for n in names}
    reason = "The newest stored row is another one: a row was added or changed since, or it was not online yet."
    return {n: decided.compared(replace(features[n], key=key), joined[n], reason) for n in names}
