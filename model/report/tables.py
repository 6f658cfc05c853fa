"""The tables of thresholds and of the calibration: what each threshold would cost, and whether a score means what it
says."""

import math

import numpy as np

from features.risk import Appetite, Costs, Risk

#: A row of a table: texts, numbers, and None for a cell that does not apply.
Row = tuple[object, ...]
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BINS = 10
#: Of a normal distribution: an interval of this many standard deviations holds 95 %.
Z_95 = 1.959964
PER = 1_000


def percent(share: float | None) -> str | None:
    """A share as text.

    >>> percent(0.12345), percent(0.0004), percent(None)
    ('12.3 %', '0.04 %', None)
    """
    if share is None or math.isnan(share):
        return None
    return f"{100 * share:.1f} %" if share == 0 or share >= 0.001 else f"{100 * share:.2g} %"


def wilson(positives: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson. It is inside 0 to 1 for a few rows too.

    >>> [round(end, 3) for end in wilson(0, 10)], [round(end, 3) for end in wilson(50, 100)]
    ([0.0, 0.278], [0.404, 0.596])
    """
    if not count:
        return 0.0, 1.0
    share, squared = positives / count, Z_95**2
    middle = (share + squared / (2 * count)) / (1 + squared / count)
    half = Z_95 * math.sqrt(share * (1 - share) / count + squared / (4 * count**2)) / (1 + squared / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def costs_of(risk: Risk) -> tuple[Costs, str]:
    """What wrong decisions cost, and where that comes from."""
    costs = risk.costs or Costs()
    origin = "as the risk declares" if risk.costs else "which is assumed: the risk declares no costs"
    return costs, (
        f"A bad case that is not stopped costs {costs.false_approve:g}, and a good case that is stopped costs "
        f"{costs.false_decline:g}, {origin}."
    )


def thresholds(appetite: Appetite, costs: Costs, labels: np.ndarray, scores: np.ndarray) -> list[Row]:
    """What stopping every case from a score on would do with the test rows. The cheapest one and the two thresholds in
    force are marked. `labels` and `scores` have shape (n,)."""
    bad = labels == 1
    in_force = {appetite.low: "low threshold", appetite.high: "high threshold"}
    rows, prices = [], []
    for threshold in sorted({*THRESHOLDS, *in_force}):
        stopped = scores >= threshold
        missed, wrong = int((bad & ~stopped).sum()), int((~bad & stopped).sum())
        caught = int((bad & stopped).sum())
        prices.append(PER * (missed * costs.false_approve + wrong * costs.false_decline) / len(labels))
        right = caught / stopped.sum() if stopped.any() else None
        recall = caught / bad.sum() if bad.any() else None
        rows.append((threshold, percent(stopped.mean()), percent(right), percent(recall), missed, wrong))
    cheapest = int(np.argmin(prices))
    marks = [
        ", ".join(filter(None, (in_force.get(row[0]), "cheapest" if n == cheapest else "")))
        for n, row in enumerate(rows)
    ]
    heading = ("stop from", "stopped", "of these bad", "of the bad found", "bad not stopped", "good stopped")
    return [
        (*heading, f"cost of {PER:,} cases", ""),
        *((*row, round(price, 2), mark) for row, price, mark in zip(rows, prices, marks, strict=True)),
    ]


def calibration(labels: np.ndarray, scores: np.ndarray) -> list[Row]:
    """Bins of the score: how many rows, the mean score, and the share that came true with its 95 % interval."""
    number = np.minimum((scores * BINS).astype(int), BINS - 1)
    rows: list[Row] = [("scores", "rows", "mean score", "came true", "95 % interval")]
    for n in range(BINS):
        inside = number == n
        if count := int(inside.sum()):
            low, high = wilson(int((labels[inside] == 1).sum()), count)
            name = f"{n / BINS:.1f} to {(n + 1) / BINS:.1f}"
            share = float((labels[inside] == 1).mean())
            rows.append(
                (name, count, percent(scores[inside].mean()), percent(share), f"{percent(low)} to {percent(high)}")
            )
    return rows
