"""What the closing report of `simulate loyalty` says, from literal logs; and that a run that lost something is no
success."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.loyalty import PURCHASES
from features.windows import events
from jobs.simulate import arrivals
from jobs.simulate.loyalty import check
from jobs.simulate.loyalty.report import Report, _not_once, _older, _percentiles, _rmse

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_the_services_log_tells_what_came_twice_and_what_was_overtaken(tmp_path: Path):
    at = [NOON + timedelta(seconds=s) for s in range(7)]
    rows = [("a", 2, at[0]), ("b", 1, at[1]), ("a", 1, at[2]), ("a", 2, at[3]), ("z", 1, at[4]), ("a", 3, at[5])]
    lines = [json.dumps({"producer": p, "number": n, "accepted_at": t.isoformat()}) for p, n, t in rows]
    lines.append(json.dumps({"producer": None, "number": None, "accepted_at": at[6].isoformat()}))
    (tmp_path / "2026-01-31.jsonl").write_text("\n".join(lines[:3]) + "\n" + lines[0][:20] + "\n")
    (tmp_path / "2026-02-01.jsonl").write_text("\n".join(lines[3:]) + "\n")
    found = arrivals.of(tmp_path, {"a", "b"})
    assert found.at == {("a", 2): at[0], ("b", 1): at[1], ("a", 1): at[2], ("a", 3): at[5]}
    assert (found.duplicates, found.overtaken) == (1, 1)
    assert arrivals.of(tmp_path / "nowhere", {"a"}).at == {}


def test_a_purchase_is_older_if_its_customer_had_bought_later_by_what_had_come():
    known = [{"customer_id": "c1", "purchase_timestamp": 5_000_000}]

    def came(customer: str, second: int) -> dict[str, str]:
        at = datetime.fromtimestamp(second, UTC).isoformat()
        return {"customer_id": customer, "purchase_timestamp": at}

    assert _older(known, [came("c1", 4), came("c1", 6), came("c1", 5), came("c2", 1), came("c2", 2)]) == 2


def test_the_figures_of_the_report_are_what_they_are_called():
    assert _percentiles([float(n) for n in range(100, 0, -1)]) == (51.0, 100.0)
    assert _percentiles([3.0]) == (3.0, 3.0)
    assert _rmse({"a": 1.0, "b": 5.0}, {"a": 4.0, "b": 1.0, "c": 9.0}) == pytest.approx(12.5**0.5)
    assert _not_once(["a", "b", "c"], [("a", 1.0), ("b", 1.0), ("b", 2.0)]) == ["b", "c"]


FIGURES: dict[str, Any] = {
    "sent": 6000, "messages": 6320, "lost": 310, "answers_lost": 290, "recovered": 300, "duplicates": 120,
    "overtaken": 4000, "older": 4100, "delays": (1.5, 6.25), "rmse": 0.9, "rmse_without_loss": 0.89, "customers": 1700,
    "gone": [], "differing": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "fault", "shown"),
    [
        ({}, "", ("lost for good   0", "of 1,700 of 1,700 customers")),
        ({"gone": ["p7"]}, "Purchases that are not once in the offline log: 1, as p7.", ("lost for good   1",)),
        (
            {"differing": ["c7", "c8"]},
            "Customers with other features than the batch's: 2, as c7.",
            ("of 1,698 of 1,700",),
        ),
    ],
    ids=["whole", "one lost", "two differ"],
)
def test_a_run_that_lost_a_purchase_or_a_feature_says_so_and_is_no_success(
    changed: dict[str, Any], fault: str, shown: tuple[str, ...]
):
    report = Report(**FIGURES | changed)
    assert report.fault == fault
    assert all(words in str(report) for words in shown)


class Scorer:
    """Scores a purchase by what the customer's average score was: twice of it, and a half more."""

    class card:
        class _input:
            name, missing = "average_loyalty_score", 0.0

        inputs = (_input,)

    def score(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] * 2 + 0.5


def test_a_run_without_loss_takes_each_score_into_the_next_ones_average():
    told = {"purchase_id": "h", "customer_id": "c1", "purchase_value": 1.0, "loyalty_score": 2.0}
    known = [events.plain(PURCHASES, {**told, "purchase_timestamp": NOON})]
    one = {"purchase_value": 5.0, "purchase_timestamp": NOON.isoformat()}
    purchases = [{"purchase_id": f"p{n}", **one} for n in range(4)]
    asked = [{**p, "customer_id": c} for p, c in zip(purchases, ["c1", "c2", "c1", "c2"], strict=True)]
    scores = check.without_loss(asked, known, Scorer(), NOON + timedelta(hours=1))  # type: ignore[arg-type]
    assert scores == [4.5, 0.5, (2 + 4.5) / 2 * 2 + 0.5, 0.5 * 2 + 0.5]
