"""The closing report of `simulate loyalty`, made of literal logs. A run that loses something is no success."""

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
from jobs.simulate.loyalty.report import Report, not_once, older_than_newest, p50_and_p99, rmse

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_the_event_log_says_what_was_duplicated_and_what_was_overtaken(tmp_path: Path) -> None:
    at = [NOON + timedelta(seconds=s) for s in range(7)]
    rows = [("a", 2, at[0]), ("b", 1, at[1]), ("a", 1, at[2]), ("a", 2, at[3]), ("z", 1, at[4]), ("a", 3, at[5])]
    lines = [json.dumps({"producer": p, "number": n, "accepted_at": t.isoformat()}) for p, n, t in rows]
    lines.append(json.dumps({"producer": None, "number": None, "accepted_at": at[6].isoformat()}))
    (tmp_path / "2026-01-31.jsonl").write_text("\n".join(lines[:3]) + "\n" + lines[0][:20] + "\n")
    (tmp_path / "2026-02-01.jsonl").write_text("\n".join(lines[3:]) + "\n")
    arrived = arrivals.read(tmp_path, {"a", "b"})
    assert arrived.at == {("a", 2): at[0], ("b", 1): at[1], ("a", 1): at[2], ("a", 3): at[5]}
    assert (arrived.duplicates, arrived.overtaken) == (1, 1)
    assert arrivals.read(tmp_path / "nowhere", {"a"}).at == {}


def test_a_purchase_is_older_if_a_newer_one_of_its_customer_arrived_before() -> None:
    known = [{"customer_id": "c1", "purchase_timestamp": 5_000_000}]

    def purchase(customer: str, second: int) -> dict[str, str]:
        timestamp = datetime.fromtimestamp(second, UTC).isoformat()
        return {"customer_id": customer, "purchase_timestamp": timestamp}

    arrived = [purchase("c1", 4), purchase("c1", 6), purchase("c1", 5), purchase("c2", 1), purchase("c2", 2)]
    assert older_than_newest(known, arrived) == 2


def test_the_figures_of_the_report_are_what_they_are_called() -> None:
    assert p50_and_p99([float(n) for n in range(100, 0, -1)]) == (51.0, 100.0)
    assert p50_and_p99([3.0]) == (3.0, 3.0)
    assert rmse({"a": 1.0, "b": 5.0}, {"a": 4.0, "b": 1.0, "c": 9.0}) == pytest.approx(12.5**0.5)
    assert not_once(["a", "b", "c"], [("a", 1.0), ("b", 1.0), ("b", 2.0)]) == ["b", "c"]


FIGURES: dict[str, Any] = {
    "sent": 6000, "messages": 6320, "lost": 310, "answers_lost": 290, "recovered": 300, "duplicates": 120,
    "overtaken": 4000, "older": 4100, "delays": (1.5, 6.25), "rmse": 0.9, "rmse_without_loss": 0.89, "customers": 1700,
    "gone": [], "differing": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fault", "texts"),
    [
        ({}, "", (("lost for good", "0"), ("features", "of 1,700 of 1,700 customers as the batch has them"))),
        ({"gone": ["p7"]}, "Purchases that are not once in the offline log: 1, as p7.", (("lost for good", "1"),)),
        (
            {"differing": ["c7", "c8"]},
            "Customers with other features than the batch's: 2, as c7.",
            (("features", "of 1,698 of 1,700 customers as the batch has them"),),
        ),
    ],
    ids=["nothing lost", "one lost", "two differ"],
)
def test_a_run_that_lost_a_purchase_or_a_feature_has_a_fault(
    changes: dict[str, Any], fault: str, texts: tuple[tuple[str, str], ...]
) -> None:
    report = Report(**FIGURES | changes)
    assert report.fault == fault
    assert set(texts) <= set(report.rows())


class Scorer:
    """The score of a purchase is twice the average score of its customer, plus a half."""

    class card:
        class _input:
            name, missing = "average_loyalty_score", 0.0

        inputs = (_input,)

    def score(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] * 2 + 0.5


def test_without_loss_each_score_counts_in_the_next_ones_average() -> None:
    first = {"purchase_id": "h", "customer_id": "c1", "purchase_value": 1.0, "loyalty_score": 2.0}
    known = [events.plain(PURCHASES, {**first, "purchase_timestamp": NOON})]
    columns = {"purchase_value": 5.0, "purchase_timestamp": NOON.isoformat()}
    customers = ["c1", "c2", "c1", "c2"]
    purchases = [{"purchase_id": f"p{n}", "customer_id": c, **columns} for n, c in enumerate(customers)]
    scores = check.without_loss(purchases, known, Scorer(), NOON + timedelta(hours=1))  # type: ignore[arg-type]
    assert scores == [4.5, 0.5, (2 + 4.5) / 2 * 2 + 0.5, 0.5 * 2 + 0.5]
