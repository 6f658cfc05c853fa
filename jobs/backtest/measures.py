"""What a policy and a model did with past cases: how many were let through, caught and missed, and the money."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from jobs.backtest.cases import SCORE, SEVERITY, Cases
from jobs.backtest.costs import PARTS, CostTable

#: The mildest outcome lets a case through, the middle one has it reviewed, the strictest one declines it.
LET_THROUGH, REVIEWED, DECLINED = 0, 1, 2


@dataclass(frozen=True)
class Measures:
    """One side of a comparison. `precision` is the share of bad cases among the `k` with the highest scores. `money`
    has the cost by part."""

    cases: int
    bad: int
    let_through: int
    reviewed: int
    declined: int
    caught: int
    caught_in_review: int
    missed: int
    wrongly_declined: int
    k: int
    precision: float
    money: dict[str, float]

    @property
    def total(self) -> float:
        """The whole cost."""
        return sum(self.money.values())


def measured(cases: Cases, side: pd.DataFrame, costs: CostTable, k: int) -> Measures:
    """The measures of one side of the cases. Raises BadInput on a cost of an unknown column."""
    severity, bad = side[SEVERITY].to_numpy(), cases.bad
    first = np.argsort(-side[SCORE].to_numpy(), kind="stable")[:k]
    return Measures(
        cases=len(bad), bad=int(bad.sum()),
        let_through=int((severity == LET_THROUGH).sum()),
        reviewed=int((severity == REVIEWED).sum()),
        declined=int((severity == DECLINED).sum()),
        caught=int((bad & (severity == DECLINED)).sum()),
        caught_in_review=int((bad & (severity == REVIEWED)).sum()),
        missed=int((bad & (severity == LET_THROUGH)).sum()),
        wrongly_declined=int((~bad & (severity == DECLINED)).sum()),
        k=len(first), precision=float(bad[first].mean()),
        money={part: float(values.sum()) for part, values in costs.by_part(cases.rows, bad, severity).items()},
    )  # fmt: skip


def rows(before: Measures, after: Measures) -> list[tuple[str, str, str, str]]:
    """Measure, its value before and after, and the difference."""

    def counted(name: str, a: int, b: int) -> tuple[str, str, str, str]:
        return name, f"{a:,}", f"{b:,}", f"{b - a:+,}"

    def money(name: str, a: float, b: float) -> tuple[str, str, str, str]:
        return name, f"{a:,.2f}", f"{b:,.2f}", f"{b - a:+,.2f}"

    return [
        counted("let through", before.let_through, after.let_through),
        counted("reviewed", before.reviewed, after.reviewed),
        counted("declined", before.declined, after.declined),
        counted("bad and declined", before.caught, after.caught),
        counted("bad and reviewed", before.caught_in_review, after.caught_in_review),
        counted("bad and let through", before.missed, after.missed),
        counted("good and declined", before.wrongly_declined, after.wrongly_declined),
        (
            f"bad among the first {after.k:,}", f"{before.precision:.1%}", f"{after.precision:.1%}",
            f"{100 * (after.precision - before.precision):+.1f} points",
        ),
        *(money(f"cost: {part.replace('_', ' ')}", before.money[part], after.money[part]) for part in PARTS),
        money("cost", before.total, after.total),
    ]  # fmt: skip
