"""The tables of a training report: what a threshold costs, and how sure the calibration is."""

from dataclasses import replace

import numpy as np
import pytest
from own_model import FRAMES, fitted
from regression import declared

import model
from features.risk import Appetite, Costs
from model import shelf
from model.report.tables import calibration, costs_of, thresholds

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
SCORES = RNG.random(500) ** 2
LABELS = (RNG.random(500) < SCORES).astype(int)


def test_a_threshold_costs_what_a_loop_says_and_the_cheapest_is_marked():
    costs, appetite = Costs(false_approve=7, false_decline=2), Appetite(0.15, 0.65)
    _, *rows = thresholds(appetite, costs, LABELS, SCORES)
    prices = {}
    for threshold, *_, missed, wrong, price, _ in rows:
        pairs = list(zip(LABELS, SCORES, strict=True))
        assert missed == sum(label == 1 and score < threshold for label, score in pairs)
        assert wrong == sum(label == 0 and score >= threshold for label, score in pairs)
        assert price == pytest.approx(1000 * (7 * missed + 2 * wrong) / 500, abs=0.01)
        prices[threshold] = price
    marks = {row[0]: row[-1] for row in rows if row[-1]}
    assert marks.keys() == {0.15, 0.65, min(prices, key=prices.get)}
    assert "low threshold" in marks[0.15]


def test_calibration_counts_every_row_and_its_intervals_hold_the_share():
    _, *rows = calibration(LABELS, SCORES)
    assert sum(row[1] for row in rows) == 500
    for *_, share, interval in rows:
        low, high = (float(end.removesuffix(" %")) for end in interval.split(" to "))
        assert low <= float(share.removesuffix(" %")) <= high


def test_the_report_says_whether_costs_are_declared_or_assumed():
    risk = declared(task="classification", bounds=None, algorithms=("gradient_boosting",))
    assert "assumed" in costs_of(risk)[1]
    costs, text = costs_of(replace(risk, costs=Costs(3, 1)))
    assert (costs.false_approve, "as the risk declares" in text) == (3, True)


def test_the_page_fits_a_phone_and_the_dark_and_stands_beside_the_old_model(tmp_path):
    risk, estimator, frame, _ = fitted("logistic regression")
    first = model.publish(risk, estimator, frame, root=tmp_path)
    model.publish(risk, fitted("a forest")[1], FRAMES["classification"], root=tmp_path)
    page = (shelf.current(tmp_path / "models", "made_up") / "report.html").read_text()
    shown = ("width=device-width", "prefers-color-scheme: dark", "overflow-x: auto", f"before: {first.version}")
    shown += ("cost of 1,000 cases", "95 % interval", "Contributions are approximate", "assumed")
    assert [text for text in shown if text not in page] == []
