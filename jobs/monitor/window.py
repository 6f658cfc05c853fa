"""A window of traffic: the decisions of one model from the first one on, counted into the bins of its reference."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from jobs.monitor.log import Decided
from model import drift
from model.reference import HOURS, SCORE, Distribution, Reference, hours_of
from serving.monitoring import Statistic

#: A window ends once it has lasted this long and has this many decisions. With fewer, chance alone reaches the limit.
LENGTH_US, LEAST_DECISIONS = 20 * 60 * 1_000_000, 200


@dataclass
class Window:
    """What was counted so far. It can be stored as JSON, and more decisions be added later. `hours` counts the
    decisions of each hour, and `bins` those of each bin, by the name of the distribution. `views` has the newest event
    time of each view, µs since 1970."""

    began: int
    newest: int
    decisions: int = 0
    hours: list[int] = field(default_factory=lambda: [0] * HOURS)
    bins: dict[str, list[int]] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    views: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The arguments of the window."""
        return asdict(self)

    def is_over(self, now: int) -> bool:
        """Whether it ends before a decision at `now`, µs since 1970."""
        return now >= self.began + LENGTH_US and self.decisions >= LEAST_DECISIONS

    def room_for(self, times: Sequence[int]) -> int:
        """How many of some decisions at `times`, µs since 1970, are still of this window."""
        for number, now in enumerate(times):
            if now >= self.began + LENGTH_US and self.decisions + number >= LEAST_DECISIONS:
                return number
        return len(times)

    def add(self, decided: Sequence[Decided], reference: Reference | None) -> None:
        """Count some decisions."""
        times = np.array([decision.as_of for decision in decided])
        hours = hours_of(times)
        self.decisions += len(decided)
        self.newest = max(self.newest, int(times.max()))
        self.hours = (self.hours + np.bincount(hours, minlength=HOURS)).tolist()
        for decision in decided:
            self.outcomes[decision.outcome] = self.outcomes.get(decision.outcome, 0) + 1
            for view, time in decision.views.items():
                self.views[view] = max(time, self.views.get(view, time))
        for drawn in reference.distributions if reference else ():
            counted = drawn.count(_values(drawn.name, decided)[drawn.knows(hours)])
            self.bins[drawn.name] = (counted + np.array(self.bins.get(drawn.name, 0))).tolist()

    def statistics(self, reference: Reference | None) -> list[Statistic]:
        """Of each distribution of the reference."""
        hours = np.array(self.hours)
        return [
            statistic(drawn, np.array(self.bins[drawn.name]), hours)
            for drawn in (reference.distributions if reference else ())
        ]


def statistic(drawn: Distribution, seen: np.ndarray, hours: np.ndarray) -> Statistic:
    """Compare what was seen, counts of shape (bins,), with what the training rows of these hours, shape (48,), had."""
    expected = drawn.expected(hours)
    before, now = drawn.grouped(expected), drawn.grouped(seen)
    rows = int(seen.sum())
    psi_limit = drift.limit(before, now, drawn.spread) if rows >= LEAST_DECISIONS else None
    return Statistic(
        drawn.name, rows, drift.psi(before, now), psi_limit, drift.ks(drawn.ordered(expected), drawn.ordered(seen)),
        _share(seen[-1:], seen), _share(expected[-1:], expected),
        _share(seen[-2:-1], seen), _share(expected[-2:-1], expected),
    )  # fmt: skip


def outcome_psi(shares: Iterable[tuple[str, float]], rows: int, outcomes: dict[str, int]) -> float:
    """The index of the outcomes against those that a card says: the shares of `rows` test rows."""
    expected = dict(shares)
    words = sorted(expected.keys() | outcomes.keys())
    before, now = np.array([[expected.get(w, 0) * rows, outcomes.get(w, 0)] for w in words], dtype=float).T
    return drift.psi(before, now)


def _values(name: str, decided: Sequence[Decided]) -> np.ndarray:
    values = (decision.score if name == SCORE else decision.features.get(name) for decision in decided)
    return np.array([value if isinstance(value, int | float) else np.nan for value in values], dtype=float)


def _share(some: np.ndarray, every: np.ndarray) -> float:
    return float(some.sum() / every.sum()) if every.sum() else 0.0
