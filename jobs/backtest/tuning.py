"""The two thresholds that cost least on past cases, by the score alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.risk import Appetite
from jobs.backtest.costs import CostTable

#: At most this many scores of all cases, and of bad ones, are tried as a threshold.
TRIED = 300
#: The interval of the saving is that of this many samples of the cases.
SAMPLES = 400
#: With fewer bad cases the proposal says that they are few.
FEW_BAD = 50


@dataclass(frozen=True)
class Scored:
    """Past cases with their scores: `costs` has the cost of each if it is let through, reviewed and declined, shape
    (cases, 3)."""

    scores: np.ndarray
    bad: np.ndarray
    costs: np.ndarray

    def part(self, chosen: np.ndarray) -> "Scored":
        """Some of the cases, by a mask or by numbers."""
        return Scored(self.scores[chosen], self.bad[chosen], self.costs[chosen])

    def by_case(self, low: float, high: float) -> np.ndarray:
        """The cost of each case by the thresholds, shape (cases,)."""
        band = (self.scores >= low).astype(int) + (self.scores >= max(low, high)).astype(int)
        return self.costs[np.arange(len(band)), band]

    def reviews(self, low: float, high: float) -> float:
        """The share of cases between the thresholds."""
        return float(((self.scores >= low) & (self.scores < high)).mean())


@dataclass(frozen=True)
class Proposal:
    """Thresholds that were chosen on the older half of the cases, and what a case costs by them and by those in force,
    on the newer half. `saved` has the ends of the 95 % interval of what a case costs less."""

    low: float
    high: float
    present: float
    proposed: float
    saved: tuple[float, float]
    present_reviews: float
    reviews: float
    cases: int
    bad: int

    def remarks(self) -> Iterator[str]:
        """What to know before the thresholds are applied."""
        if self.bad < FEW_BAD:
            yield f"Only {self.bad} of the newer cases are bad: the figures may change much with a few more of them."
        if self.saved[0] <= 0:
            yield "The interval of the saving holds 0: the thresholds in force may be as good."


def scored(rows: pd.DataFrame, scores: np.ndarray, bad: np.ndarray, costs: CostTable) -> Scored:
    """The cases with the costs of each outcome. Raises BadInput on a cost of an unknown column."""
    by_outcome = [sum(costs.by_part(rows, bad, np.full(len(bad), severity)).values()) for severity in range(3)]
    return Scored(scores, bad, np.column_stack(by_outcome))


def curve(cases: Scored, most_reviews: float) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds that are tried, shape (n,), and the mean cost of a case for each pair of a low one (row) and a high
    one (column), shape (n, n). Infinite where low is above high, or where more than `most_reviews` are reviewed."""
    order = np.argsort(cases.scores, kind="stable")
    scores = cases.scores[order]
    # The sums of the costs of the cases below a place, for each outcome.
    below = np.vstack([np.zeros(3), np.cumsum(cases.costs[order], axis=0)])
    shares, bad = np.linspace(0, 1, TRIED), cases.scores[cases.bad]
    # Most scores are low, and the bad ones are not: both are tried, as costs change where a bad case lies.
    tried = np.unique([np.quantile(some, shares, method="nearest") for some in (scores, bad) if len(some)])
    tried = np.append(tried, np.nextafter(tried[-1], np.inf))  # nobody is stopped
    places = np.searchsorted(scores, tried, side="left")
    let_through, reviewed = below[places, 0], below[places, 1]
    declined = below[-1, 2] - below[places, 2]
    sums = let_through[:, None] + (reviewed[None, :] - reviewed[:, None]) + declined[None, :]
    reviews = (places[None, :] - places[:, None]) / len(scores)
    return tried, np.where((reviews >= 0) & (reviews <= most_reviews), sums / len(scores), np.inf)


def proposed(older: Scored, newer: Scored, appetite: Appetite, most_reviews: float = 1.0) -> Proposal:
    """The cheapest pair of thresholds of the older cases, measured on the newer ones. Of equal ones, the pair with the
    fewest reviews."""
    tried, means = curve(older, most_reviews)
    best = np.argwhere(np.isclose(means, means.min(), rtol=1e-12))
    row, column = min(best.tolist(), key=lambda pair: (pair[1] - pair[0], pair))
    low, high = float(min(tried[row], 1.0)), float(min(tried[column], 1.0))
    present, cost = newer.by_case(appetite.low, appetite.high), newer.by_case(low, high)
    saving, rng = present - cost, np.random.default_rng(0)
    samples = [saving[rng.integers(0, len(saving), len(saving))].mean() for _ in range(SAMPLES)]
    first, last = np.quantile(samples, [0.025, 0.975])
    return Proposal(
        low, high, float(present.mean()), float(cost.mean()), (float(first), float(last)),
        newer.reviews(appetite.low, appetite.high), newer.reviews(low, high), len(saving), int(newer.bad.sum()),
    )  # fmt: skip
