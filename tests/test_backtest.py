"""What a policy or a model would have cost: on logged decisions with outcomes that were fed back, and on past cases."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from fake import APPLICANT, NOW, Fake
from flask.testing import FlaskClient

import settings
from errors import BadInput, BadParameter, NoData
from features.domains import risks
from jobs.backtest import cases, measures, pictures
from jobs.backtest.cases import SCORE, SEVERITY, Cases
from jobs.backtest.costs import Cost, CostTable, read
from jobs.replay.versions import Versions
from serving.store import Store

ONBOARDING = risks()["onboarding"]
COSTS = CostTable(Cost(1.0, "amount"), Cost(5.0), Cost(2.0))
STRICT = "thresholds: {low: 0.0, high: 0.01}\n"


def written(folder: Path, text: str) -> Path:
    (folder / "costs.yaml").write_text(text)
    return folder / "costs.yaml"


def test_a_cost_is_a_number_or_a_column(tmp_path: Path) -> None:
    file = written(tmp_path, "missed: {per: amount, times: 0.5}\nwrong_decline: 5\nreview: {per: amount}\n")
    assert read(file) == CostTable(Cost(0.5, "amount"), Cost(5.0), Cost(1.0, "amount"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no costs"),
        ("- 1", "has no costs"),
        ("missed: [", "is not YAML"),
        ("missed: 1\nreview: 1\n", "lacks wrong_decline"),
        ("missed: 1\nreviews: 1\nwrong_decline: 1\n", "Did you mean 'review'?"),
        ("missed: -1\nreview: 1\nwrong_decline: 1\n", "is no cost"),
        ("missed: .nan\nreview: 1\nwrong_decline: 1\n", "is no cost"),
        ("missed: true\nreview: 1\nwrong_decline: 1\n", "is no cost"),
        ("missed: {times: 2}\nreview: 1\nwrong_decline: 1\n", "per: COLUMN"),
    ],
)
def test_a_wrong_cost_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(written(tmp_path, text))


def test_a_cost_of_an_unknown_column_is_refused() -> None:
    with pytest.raises(BadInput, match="amuont"):
        Cost(1.0, "amuont").by_row(pd.DataFrame({"amount": [1.0]}))


def six() -> Cases:
    """Cases of each outcome, good and bad, with amounts of which one is missing."""
    rows = pd.DataFrame({"amount": [10.0, 20.0, None, 40.0, 50.0, 60.0]})
    bad = np.array([True, False, True, False, True, False])
    before = pd.DataFrame({SEVERITY: [0, 0, 0, 1, 2, 2], SCORE: [0.1, 0.2, 0.3, 0.5, 0.8, 0.9]})
    after = pd.DataFrame({SEVERITY: [1, 0, 2, 0, 2, 0], SCORE: [0.6, 0.1, 0.8, 0.2, 0.9, 0.3]})
    return Cases(rows, bad, before, after)


def test_measures_are_those_of_a_plain_count() -> None:
    before, after = (measures.measured(six(), side, COSTS, k=2) for side in (six().before, six().after))
    assert (before.let_through, before.reviewed, before.declined) == (3, 1, 2)
    assert (before.missed, before.caught, before.caught_in_review, before.wrongly_declined) == (2, 1, 0, 1)
    assert before.money == {"missed": 10.0, "wrong_decline": 5.0, "review": 2.0}
    assert (before.precision, after.precision) == (0.5, 1.0)
    assert (after.missed, after.caught, after.caught_in_review, after.wrongly_declined) == (0, 2, 1, 0)
    assert (after.money, after.total) == ({"missed": 0.0, "wrong_decline": 0.0, "review": 2.0}, 2.0)
    assert measures.rows(before, after)[-1] == ("cost", "17.00", "2.00", "-15.00")


@pytest.mark.parametrize("suffix", pictures.SUFFIXES)
def test_the_picture_is_a_file_of_its_kind(tmp_path: Path, suffix: str) -> None:
    sides = [measures.measured(six(), side, COSTS, k=2) for side in (six().before, six().after)]
    file = tmp_path / f"backtest{suffix}"
    pictures.write(file, "A title", "a < b", pictures.of_backtest(six(), *sides))
    begin = {".png": b"\x89PNG", ".svg": b"<?xml", ".html": b"<!doctype html>"}[suffix]
    assert file.read_bytes().startswith(begin)
    if suffix == ".html":
        assert "a &lt; b" in file.read_text()
        assert file.read_text().count("<svg") == 2


def test_another_kind_of_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match=r"\.png, \.svg, \.html"):
        pictures.check(tmp_path / "picture.pdf")


def test_a_risk_that_estimates_a_number_has_no_bad_cases() -> None:
    with pytest.raises(BadParameter, match="jobs replay loyalty"):
        cases.require_bad_cases(risks()["loyalty"])


# Logged decisions


@pytest.fixture
def logged(client: FlaskClient, fake: Fake) -> list[str]:
    """Four decisions; the ids."""
    ids = []
    for seen in (0, 1):
        fake.seen = seen
        people = [APPLICANT | {"dl": f"D123456{n}"} for n in range(2)]
        answer = client.post("/api/v1/decisions/onboarding", json=people)
        ids += [decision["decision_id"] for decision in answer.get_json()]
    return ids


def compared(fake: Fake, **options: Any) -> Cases:
    root, store = settings.root(), cast(Store, fake)
    versions = Versions(root, store, ONBOARDING, **options)
    return cases.compared_on_log(root, store, ONBOARDING, NOW, versions, None, None)


def test_a_logged_decision_counts_once_its_outcome_is_known(
    client: FlaskClient, logged: list[str], fake: Fake, tmp_path: Path
) -> None:
    outcomes = [{"decision_id": logged[0], "outcome": 1}, {"decision_id": logged[3], "outcome": 0}]
    assert client.post("/api/v1/outcomes", json=outcomes).status_code == 200
    correction = {"decision_id": logged[0], "outcome": 0, "known_at": NOW.isoformat()}
    assert client.post("/api/v1/outcomes", json=correction).status_code == 200
    strict = tmp_path / "strict.yaml"
    strict.write_text(STRICT)
    result = compared(fake, file=strict)
    assert result.bad.tolist() == [False, False]
    assert result.left_out == {"its outcome is not known": 2}
    assert result.after[SEVERITY].tolist() == [2, 2]
    assert result.before[SEVERITY].tolist()[0] == 0
    assert result.before[SCORE].tolist() == result.after[SCORE].tolist()


def test_without_a_known_outcome_there_is_nothing_to_compare(logged: list[str], fake: Fake) -> None:
    with pytest.raises(NoData, match="4 as its outcome is not known"):
        compared(fake)


# Cases of the dataset


def past(fake: Fake) -> pd.DataFrame:
    features = [fake.online(ONBOARDING, {"state": state}, NOW) for state in ("CA", "AK")]
    rows = pd.DataFrame(features).assign(state=["CA", "AK"], is_fraud=[0, 1], is_previously_seen_dl=[0, 1])
    return rows.assign(event_timestamp=pd.Timestamp(NOW).as_unit("us"))


def test_a_past_case_is_decided_by_both_policies(client: FlaskClient, fake: Fake, tmp_path: Path) -> None:
    rule = tmp_path / "rule.yaml"
    rule.write_text('rules: [{when: state == "AK", outcome: decline, reason: far, text: "Far away."}]')
    root, store = settings.root(), cast(Store, fake)
    sides = [Versions(root, store, ONBOARDING, None, file).current() for file in (None, rule)]
    result = cases.compared_on_dataset(ONBOARDING, store, past(fake), *sides)
    assert result.bad.tolist() == [False, True]
    assert result.after[SEVERITY].tolist() == [0, 2]
    assert result.before[SEVERITY].tolist() != result.after[SEVERITY].tolist()
    assert result.before[SCORE].tolist() == result.after[SCORE].tolist()


def test_a_rule_over_what_cases_lack_is_refused(client: FlaskClient, fake: Fake, tmp_path: Path) -> None:
    rule = tmp_path / "rule.yaml"
    rule.write_text('rules: [{when: state == "AK", outcome: decline, reason: far, text: "Far away."}]')
    root, store = settings.root(), cast(Store, fake)
    again = Versions(root, store, ONBOARDING, None, rule).current()
    with pytest.raises(BadParameter, match="reads state"):
        cases.compared_on_dataset(ONBOARDING, store, past(fake).drop(columns="state"), again, again)
