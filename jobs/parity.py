"""Does training see what was served? The features of every logged decision are computed again, by the point-in-time
join at the timestamp of the decision, and compared with the features in the log. Where tables are live, they are
computed from the raw events that the tables had processed by then. A value that went online before the batch had it, as
a sign-up does, is equal once the next batch has run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from features.risk import Risk
from features.utc import EARLIEST, LATEST, since_1970, utc
from features.windows.live import seen_of
from jobs import point_in_time
from root import Root
from serving import featurization, lines
from serving.store import Store

#: Decisions that one join takes.
BATCH = 50_000
#: A timestamp in a request may be a date of birth. Nobody was born before it.
LONG_AGO = datetime(1800, 1, 1, tzinfo=UTC)
#: The parts of a line with values, the last of which counts.
_PARTS = ("features", "entity", "request")
#: Feast type → the types that its values have in a line.
_PYTHON: dict[str, set[type]] = {
    "STRING": {str},
    "INT64": {int},
    "INT32": {int},
    "DOUBLE": {int, float},
    "FLOAT": {int, float},
}


@dataclass
class Parity:
    """The comparison for one risk. `equal` and `other` count, by feature, the decisions that agree and those that do
    not. `first` is the first of the latter: decision, served value, joined value. `left_out` counts the decisions whose
    line in the log lacks what their features need, and `unreadable` those with a timestamp that cannot be joined.
    `seen` names the columns that say up to when live tables had processed events; they are no features."""

    risk: str
    seen: tuple[str, ...] = ()
    decisions: int = 0
    left_out: int = 0
    unreadable: int = 0
    equal: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[str, Any, Any]] = field(default_factory=dict)

    def compare(self, decision: str, served: Mapping[str, Any], joined: Mapping[str, Any]) -> None:
        """Count the features of one decision that are both in the log and in today's service."""
        self.decisions += 1
        for name in (joined.keys() & served.keys()) - set(self.seen):
            is_equal = served[name] == joined[name]
            (self.equal if is_equal else self.other)[name] += 1
            if not is_equal:
                self.first.setdefault(name, (decision, served[name], joined[name]))

    def summary(self) -> str:
        """One line: how many decisions, and how many values differ."""
        left_out = f", {self.left_out:,} left out, as their lines lack what was asked" if self.left_out else ""
        unreadable = (
            f", {self.unreadable:,} left out, as a timestamp in their lines is invalid" if self.unreadable else ""
        )
        return f"{self.risk}: {self.decisions:,} decisions{left_out}{unreadable}, {self.other.total():,} mismatches"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Feature, how many are equal, how many are not, and the first of those."""
        return [
            (name, f"{self.equal[name]:,}", *(self._difference(name) if name in self.first else ("", "")))
            for name in sorted(self.equal | self.other)
        ]

    def _difference(self, feature: str) -> tuple[str, str]:
        decision, served, joined = self.first[feature]
        return f"{self.other[feature]:,}", f"{decision}: {served!r} was served, {joined!r} is joined"


def replay(root: Root, store: Store, risk: Risk, since: datetime | None = None) -> Parity:
    """Compare the risk's logged decisions from `since` on. Raises FeaturesNotReady."""
    seen = tuple(seen_of(table) for table in risk.live.tables) if risk.live else ()
    parity, views, types = Parity(risk.name, seen), store.views(risk.name), store.asks(risk.name)
    needed = {*types, *seen}
    records = logged(root.decisions, risk.name, since)
    while batch := list(islice(records, BATCH)):
        whole = [record for record in batch if _is_whole(record, needed, types)]
        parity.left_out += len(batch) - len(whole)
        entities = [(record, row) for record in whole if (row := _entity(record, types, seen)) is not None]
        parity.unreadable += len(whole) - len(entities)
        if entities:
            joined = point_in_time.features(root, store, risk, _frame([row for _, row in entities], types, seen))
            rows = joined[list(views)].astype(object).to_dict("records")
            for (record, _), row in zip(entities, rows, strict=True):
                parity.compare(record["decision_id"], record["features"], featurization.complete(row, views))
    return parity


def logged(folder: Path, risk: str, since: datetime | None) -> Iterator[dict[str, Any]]:
    """The risk's decisions in the audit log, from `since` on, and those whose `as_of` is invalid."""
    for record in lines.read_folder(folder):
        if record.get("risk") == risk:
            as_of = _timestamp(record.get("as_of"), EARLIEST)
            if since is None or as_of is None or as_of >= since:
                yield record


def _is_whole(record: Mapping[str, Any], needed: set[str], types: Mapping[str, str]) -> bool:
    """Whether a line has what its features need, each as what it should be: in one column of a frame, a value of
    another type would change its neighbours."""
    if type(record.get("decision_id")) is not str or any(type(record.get(part, {})) is not dict for part in _PARTS):
        return False
    values = _values(record)
    if not needed <= values.keys():
        return False
    return all(
        values[n] is None or type(values[n]) in _PYTHON.get(kind, {type(values[n])}) for n, kind in types.items()
    )


def _values(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the request held, and up to when the live tables had processed events."""
    return {name: value for part in _PARTS for name, value in record.get(part, {}).items()}


def _timestamp(text: Any, earliest: datetime) -> datetime | None:
    """A text of the log as a timestamp, by itself: a text without a zone is in UTC, whatever the lines around it say.
    None where it is no timestamp, or none from `earliest` to `LATEST`."""
    try:
        timestamp = utc(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return timestamp if earliest <= timestamp < LATEST else None


def _entity(record: Mapping[str, Any], types: Mapping[str, str], seen: Sequence[str]) -> dict[str, Any] | None:
    """A row of the entity frame. `types`: column of a request → its Feast type. None where a timestamp is invalid."""
    values = _values(record)
    row = {name: values[name] for name in (*types, *seen)}
    for name in (name for name, kind in types.items() if kind == "UNIX_TIMESTAMP" and row[name] is not None):
        row[name] = _timestamp(row[name], LONG_AGO)
        if row[name] is None:
            return None
    for name in seen:
        if row[name] is not None and not (type(row[name]) is int and 0 <= row[name] < since_1970(LATEST)):
            return None
    as_of = _timestamp(record.get("as_of"), EARLIEST)
    return None if as_of is None else {**row, "event_timestamp": as_of}


def _frame(rows: list[dict[str, Any]], types: Mapping[str, str], seen: Sequence[str]) -> pd.DataFrame:
    """The entity frame."""
    # As a float a number beyond 2**53 would be another one.
    by_kind = {"INT64": "Int64", "INT32": "Int64", "UNIX_TIMESTAMP": "datetime64[us, UTC]"}
    dtypes = {name: by_kind.get(kind) for name, kind in types.items()} | dict.fromkeys(seen, "Int64")
    dtypes["event_timestamp"] = by_kind["UNIX_TIMESTAMP"]
    return pd.DataFrame({n: pd.Series([row[n] for row in rows], dtype=dtype) for n, dtype in dtypes.items()})
