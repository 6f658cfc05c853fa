"""Does training see what was served? Every logged decision is asked for again: by the point-in-time join at its own
moment, and where its tables are live from the raw events that they had seen; against the features that the log says it
was given. What went online ahead of the batch, as a sign-up does, agrees once the next batch has run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from features.risk import Risk
from features.utc import utc
from features.windows.live import seen_of
from jobs import point_in_time
from root import Root
from serving import featurization, lines
from serving.store import Store

#: Decisions that are joined at one time.
BATCH = 50_000


@dataclass
class Parity:
    """Of one risk: feature → how many decisions agree, and how many do not; of those the first, as (decision, served,
    found). `left_out`: decisions whose line does not say all that their features need. `seen`: no features, but up to
    when live tables had seen events."""

    risk: str
    seen: tuple[str, ...] = ()
    decisions: int = 0
    left_out: int = 0
    equal: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[str, Any, Any]] = field(default_factory=dict)

    def compare(self, decision: str, served: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """A feature that is not both in the log and in today's service is not compared."""
        self.decisions += 1
        for name in (found.keys() & served.keys()) - set(self.seen):
            agrees = served[name] == found[name]
            (self.equal if agrees else self.other)[name] += 1
            if not agrees:
                self.first.setdefault(name, (decision, served[name], found[name]))

    def summary(self) -> str:
        """One line: how many decisions, and how many values differ."""
        left_out = f", {self.left_out:,} left out, as their lines lack what was asked" if self.left_out else ""
        return f"{self.risk}: {self.decisions:,} decisions{left_out}, {self.other.total():,} mismatches"

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
    """The risk's logged decisions from a moment on. Raises FeaturesNotReady."""
    seen = tuple(seen_of(table) for table in risk.live.tables) if risk.live else ()
    answer, views, asks = Parity(risk.name, seen), store.views(risk.name), store.asks(risk.name)
    needed = {*asks, *seen}
    records = logged(root.decisions, risk.name, since)
    while batch := list(islice(records, BATCH)):
        whole = [record for record in batch if needed <= _asked(record).keys()]
        answer.left_out += len(batch) - len(whole)
        if whole:
            joined = point_in_time.features(root, store, risk, _frame(whole, asks, seen))
            rows = joined[list(views)].astype(object).to_dict("records")
            for record, row in zip(whole, rows, strict=True):
                answer.compare(record["decision_id"], record["features"], featurization.complete(row, views))
    return answer


def logged(folder: Path, risk: str, since: datetime | None) -> Iterator[dict[str, Any]]:
    """The risk's decisions in the audit log, from `since` on."""
    for record in lines.read_folder(folder):
        if record.get("risk") == risk and (since is None or utc(record["as_of"]) >= since):
            yield record


def _asked(record: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, and what the live tables had seen."""
    return {**record["features"], **record["entity"], **record.get("request", {})}


def _frame(records: list[dict[str, Any]], asks: Mapping[str, str], seen: Sequence[str]) -> pd.DataFrame:
    """The entity frame; `asks`: what a row of the service has, and its Feast type."""
    names = [*asks, *seen]
    frame = pd.DataFrame([{name: _asked(record)[name] for name in names} for record in records], columns=names)
    frame = frame.astype(dict.fromkeys(seen, "Int64"))  # as a float it would lose microseconds
    for name in (name for name, kind in asks.items() if kind == "UNIX_TIMESTAMP"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    moments = pd.to_datetime([record["as_of"] for record in records], utc=True, format="ISO8601")
    return frame.assign(event_timestamp=moments.as_unit("us"))
