"""Compares logged decisions with those that a card and a policy make of the same requests."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from features.risk import Risk
from jobs.replay import records
from jobs.replay.deciding import Again
from jobs.replay.records import Logged
from jobs.replay.versions import Gone, Versions
from root import Root
from serving.decision import Decision
from serving.store import Store

#: Decisions that are scored at a time, an even number: see `Again`.
BATCH = 4096
#: A comparison shows this many examples of each change.
EXAMPLES = 3
#: Sums may be rounded in another order, by a library or by our code: contributions that differ by less are equal.
ROUNDING = 1e-9


@dataclass
class Comparison:
    """The comparison for one risk. `outcomes` counts (logged, again); `scores` and `reasons` count the decisions in
    which they differ. `proven` counts those that differ though the same versions decided. `left_out` counts the lines
    that cannot be decided again, by cause."""

    risk: str
    words: tuple[str, str, str]
    decisions: int = 0
    equal: int = 0
    proven: int = 0
    scores: int = 0
    reasons: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def compare(self, logged: Logged, again: Decision) -> None:
        """Count one decision."""
        record, answer = logged.record, again.as_json()
        differs = {name: record[name] != answer[name] for name in ("decision", "score")}
        differs["reasons"] = not _are_alike(record["reasons"], answer["reasons"])
        change = (str(record["decision"]), again.decision)
        self.decisions += 1
        self.outcomes[change] += 1
        self.scores += differs["score"]
        self.reasons += differs["reasons"]
        if not any(differs.values()):
            self.equal += 1
            return
        versions = (again.model["version"], again.policy["version"])
        self.proven += versions == (logged.model, logged.policy)
        if len(shown := self.examples.setdefault(change, [])) < EXAMPLES:
            shown.append(f"{logged.decision_id}: {_difference(record, answer)}")

    def summary(self) -> str:
        """One line: how many decisions, how many are equal, and what was left out."""
        text = f"{self.risk}: {self.decisions:,} decisions, {self.equal:,} equal in score, reasons and outcome"
        left_out = "; ".join(f"{count:,} as {cause}" for cause, count in self.left_out.most_common())
        return text + (f"; {self.left_out.total():,} left out: {left_out}" if left_out else "")

    def rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Logged outcome, outcome again, how many, their share, and examples. In the order of the risk's words."""
        for change, count in sorted(self.outcomes.items(), key=lambda item: tuple(map(self._place, item[0]))):
            before, after = change
            share = f"{100 * count / self.decisions:.1f} %"
            yield before, after, f"{count:,}", share, "; ".join(self.examples.get(change, []))

    def _place(self, word: str) -> tuple[int, str]:
        """A word that the risk does not have any more stands last."""
        return (self.words.index(word) if word in self.words else len(self.words), word)


def compare(
    root: Root, store: Store, risk: Risk, versions: Versions, since: datetime | None, until: datetime | None
) -> Comparison:
    """Decide the risk's lines with since ≤ `as_of` < until again. Raises FeaturesNotReady, ModelBroken."""
    comparison = Comparison(risk.name, risk.appetite.words)
    for logged, again in decided(root, store, risk, versions, since, until, comparison.left_out):
        comparison.compare(logged, again)
    return comparison


def decided(
    root: Root,
    store: Store,
    risk: Risk,
    versions: Versions,
    since: datetime | None,
    until: datetime | None,
    left_out: Counter[str],
) -> Iterator[tuple[Logged, Decision]]:
    """The risk's logged decisions of an interval, each with the decision that is made of it now. What cannot be decided
    again is counted in `left_out`, by cause. Raises FeaturesNotReady, ModelBroken."""
    reader = records.Reader(risk, store)
    lines = records.between(root.decisions, {risk.name}, since, until)
    while batch := list(islice(lines, BATCH)):
        groups: dict[Again, list[Logged]] = {}
        for record in batch:
            logged = reader.read(record)
            if logged is None:
                left_out["the line is damaged"] += 1
                continue
            try:
                again = versions.again(logged.model, logged.policy)
            except Gone as gone:
                left_out[str(gone)] += 1
                continue
            if lacking := again.lacks(logged):
                left_out[f"the line lacks {lacking}"] += 1
                continue
            groups.setdefault(again, []).append(logged)
        for again, many in groups.items():
            yield from zip(many, again.decide(many), strict=True)


def _are_alike(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> bool:
    """Whether reasons differ in nothing but the rounding of their contributions."""
    return len(before) == len(after) and all(
        {**old, "contribution": None} == {**new, "contribution": None}
        and math.isclose(old["contribution"], new["contribution"], rel_tol=ROUNDING, abs_tol=ROUNDING)
        for old, new in zip(before, after, strict=True)
    )


def _difference(record: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """What differs in a decision: the score, or else the reasons."""
    if record["score"] != answer["score"]:
        return f"score {record['score']!r} → {answer['score']!r}"
    before, after = (
        ", ".join(f"{reason['code']} {reason['contribution']:+.3f}" for reason in reasons)
        for reasons in (record["reasons"], answer["reasons"])
    )
    return f"reasons {before} → {after}"
