"""Compares the decisions of a shadow with those that were given, from the log of the shadow."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from features.risk import Risk
from features.utc import utc
from root import Root
from serving import lines
from serving.audit.lookup import OUTCOMES
from serving.audit.outcomes import latest, with_outcome
from serving.audit.positions import Positions

#: Of each decision that may be compared with its outcome, these two scores are kept.
Scores = tuple[float, float]


@dataclass
class Comparison:
    """The decisions of one champion and one challenger, each a version of a model and one of a policy. `outcomes`
    counts (champion's word, challenger's word). `difference` sums the scores' differences, `distance` their sizes."""

    champion: tuple[str, str]
    challenger: tuple[str, str]
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    difference: float = 0.0
    distance: float = 0.0
    labels: list[float] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)

    @property
    def decisions(self) -> int:
        """How many."""
        return self.outcomes.total()

    def add(self, champion: Mapping[str, Any], challenger: Mapping[str, Any], label: float | None) -> None:
        """Add a decision, as the log has it. `label` is its outcome, None where it is not known."""
        self.outcomes[champion["decision"], challenger["decision"]] += 1
        difference = challenger["score"] - champion["score"]
        self.difference += difference
        self.distance += abs(difference)
        if label is not None:
            self.labels.append(label)
            self.scores.append((champion["score"], challenger["score"]))

    def aucs(self) -> tuple[float, float] | None:
        """The area under the curve of the champion and of the challenger, over the decisions whose outcome is known.
        None where these are not of both kinds."""
        if set(self.labels) != {0, 1}:
            return None
        from sklearn.metrics import roc_auc_score

        champion, challenger = (roc_auc_score(self.labels, scores) for scores in zip(*self.scores, strict=True))
        return float(champion), float(challenger)


@dataclass
class Report:
    """What the log of a shadow says of a risk. `errors` counts decisions by what went wrong."""

    comparisons: list[Comparison] = field(default_factory=list)
    dropped: int = 0
    errors: Counter[str] = field(default_factory=Counter)


def known_outcomes(root: Root, risk: Risk) -> dict[str, float]:
    """Decision id → the outcome that became known last, of each decision of a risk about which one was fed back. Raises
    RootBroken."""
    return {
        record["decision_id"]: given["outcome"]
        for records in with_outcome(Positions(root.decisions, root.outcomes))
        for record in records
        if record["risk"] == risk.name and (given := latest(record[OUTCOMES]))
    }


def report(root: Root, risk: Risk, since: datetime | None, labels: Mapping[str, float]) -> Report:
    """Compare all decisions of a risk from `since` on, in the order in which champions and challengers served. `labels`
    are known outcomes: decision id → 0 or 1. A decision that is logged twice counts once."""
    made, by_pair, ids = Report(), dict[Any, Comparison](), set[str]()
    for record in _records(root, risk, since):
        if "failed" in record:
            made.errors[record["error"]] += record["failed"]
        elif "dropped" in record:
            made.dropped += record["dropped"]
        elif record["decision_id"] not in ids:
            ids.add(record["decision_id"])
            champion, challenger = record["champion"], record["challenger"]
            first, second = ((part["model"], part["policy"]) for part in (champion, challenger))
            if (first, second) not in by_pair:
                by_pair[first, second] = Comparison(first, second)
                made.comparisons.append(by_pair[first, second])
            by_pair[first, second].add(champion, challenger, labels.get(record["decision_id"]))
    return made


def _records(root: Root, risk: Risk, since: datetime | None) -> Iterator[dict[str, Any]]:
    for file in sorted(root.shadow.glob(f"*{lines.SUFFIX}")):
        if since is None or file.stem >= str(since.date()):
            for record in lines.read(file):
                if record["risk"] == risk.name and (since is None or utc(record["as_of"]) >= since):
                    yield record
