"""The proposed thresholds are the cheapest pair that there is, by a plain loop over all pairs."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.risk import Appetite
from jobs.backtest import tuning
from jobs.backtest.costs import Cost, CostTable

COSTS = CostTable(Cost(10.0), Cost(3.0), Cost(1.0))
CASE = st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.5, 0.9, 1.0]), st.booleans())


def scored(cases: list[tuple[float, bool]], costs: CostTable = COSTS) -> tuning.Scored:
    scores, bad = (np.array(values) for values in zip(*cases, strict=True))
    rows = pd.DataFrame({"amount": np.arange(len(cases), dtype=float)})
    return tuning.scored(rows, scores, bad, costs)


def cost(cases: list[tuple[float, bool]], low: float, high: float) -> float:
    """The mean cost of a case, written out."""
    total = 0.0
    for score, bad in cases:
        if score < low:
            total += 10.0 if bad else 0.0
        elif score < high:
            total += 1.0
        else:
            total += 0.0 if bad else 3.0
    return total / len(cases)


@given(st.lists(CASE, min_size=2, max_size=30), st.sampled_from([0.0, 0.3, 1.0]))
def test_no_pair_of_thresholds_is_cheaper(cases: list[tuple[float, bool]], most: float) -> None:
    tried, means = tuning.curve(scored(cases), most)
    for (i, low), (j, high) in product(enumerate(tried), enumerate(tried)):
        reviews = sum(low <= score < high for score, _ in cases) / len(cases)
        if low <= high and reviews <= most:
            assert means[i, j] == pytest.approx(cost(cases, low, high), abs=1e-9)
        else:
            assert means[i, j] == np.inf
    assert np.isfinite(means).any()


def test_the_proposal_is_measured_on_the_newer_cases() -> None:
    older = scored([(0.1, False)] * 50 + [(0.9, True)] * 50)
    newer = scored([(0.1, False)] * 80 + [(0.9, True)] * 10 + [(0.9, False)] * 10)
    proposal = tuning.proposed(older, newer, Appetite(0.0, 0.95))
    assert proposal.present == 1.0  # all are reviewed
    assert (proposal.low, proposal.high, proposal.reviews) == (0.9, 0.9, 0.0)
    assert proposal.proposed == pytest.approx(0.3)  # ten good ones are declined
    assert proposal.saved[0] < 0.7 < proposal.saved[1]
    assert "Only 10 of the newer cases are bad" in next(proposal.remarks())


def test_at_most_the_given_share_is_reviewed() -> None:
    cases = scored([(score, score > 0.5) for score in np.linspace(0, 1, 200).tolist()], CostTable(
        Cost(10.0), Cost(10.0), Cost(0.01)))  # fmt: skip
    noisy = tuning.Scored(cases.scores, np.roll(cases.bad, 20), cases.costs)
    free, bound = (tuning.proposed(noisy, noisy, Appetite(0.1, 0.9), most) for most in (1.0, 0.1))
    assert bound.reviews <= 0.1 + 1e-9
    assert bound.proposed >= free.proposed


def test_an_interval_that_holds_zero_is_said() -> None:
    cases = scored([(0.1, False), (0.9, True)] * 100)
    proposal = tuning.proposed(cases, cases, Appetite(0.5, 0.5))
    assert any("holds 0" in remark for remark in proposal.remarks())
