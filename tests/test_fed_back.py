"""What training makes of outcomes that were fed back: each case once, as it was served, and nothing from the future."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake import unlogged

import settings
from features.domains import risks
from features.risk import Risk
from jobs.train import dataset, fed_back
from jobs.train.cases import known_cases
from jobs.train.champion import case_rows, train
from serving import audit
from serving.audit import outcomes
from serving.audit.positions import Positions

ONBOARDING, DAILY = risks()["onboarding"], risks()["daily"]
NOW = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
INPUTS = [i.name for i in ONBOARDING.inputs]
RAW_VALUE, LOGGED_VALUE = 0, 1


class Source:
    """A feature store that joins RAW_VALUE for every feature. `joined` are the frames that it got."""

    def __init__(self) -> None:
        self.joined: list[pd.DataFrame] = []

    def views(self, service: str) -> dict[str, str]:
        return dict.fromkeys(INPUTS, "none")

    def historical(self, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
        self.joined.append(frame)
        return frame.assign(**dict.fromkeys(INPUTS, RAW_VALUE))


def person(n: int) -> dict[str, str]:
    return {"ssn": f"{n:032x}", "dl": f"{n + 1000:032x}"}


def decide(n: int, as_of: datetime, decision_id: str = "", **features: Any) -> dict[str, Any]:
    """Log a decision about person `n`."""
    made = {
        "risk": "onboarding", "entity": person(n),
        "request": {"state": "CA", "dob": "1990-05-17T00:00:00Z", "applicant_driver_id": 0},
        "decision_id": decision_id or f"d{n}", "decision": "review", "score": 0.5, "reasons": [],
        "features": dict.fromkeys(INPUTS, LOGGED_VALUE) | features, "model": {}, "policy": {},
        "as_of": as_of.isoformat(),
    }  # fmt: skip
    audit.append(settings.root().decisions, as_of, [made])
    return made


def positions() -> Positions:
    return Positions(settings.root().decisions, settings.root().outcomes)


def give(decision_id: str, outcome: int, known_at: datetime) -> None:
    item = {"decision_id": decision_id, "outcome": outcome, "known_at": known_at.isoformat()}
    outcomes.give(positions(), [item], known_at, {}, [""])


def raw(people: Sequence[int], as_of: Callable[[int], datetime]) -> None:
    """Write past cases of the raw table, none of them fraud."""
    times = [pd.Timestamp(as_of(n)) for n in people]
    frame = pd.DataFrame([person(n) for n in people]).assign(
        applicant_driver_id=0, state="CA", dob=pd.Timestamp("1990-05-17", tz="UTC"), is_fraud=0,
        event_timestamp=times, created=[time + pd.Timedelta(days=1) for time in times],
    )  # fmt: skip
    (settings.root().raw / "applications").mkdir(parents=True)
    frame.to_parquet(settings.root().raw / "applications" / "made.parquet")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))


def labels(now: datetime) -> list[int]:
    return fed_back.cases(settings.root(), ONBOARDING, now).rows.get("is_fraud", pd.Series()).tolist()


def test_a_case_has_the_outcome_that_was_known_at_the_time():
    decide(1, NOW - 60 * DAY)
    give("d1", 1, NOW - 30 * DAY)
    give("d1", 0, NOW - 10 * DAY)
    by_time = {days: labels(NOW - days * DAY) for days in (31, 30, 11, 10, 0)}
    assert by_time == {31: [], 30: [1], 11: [1], 10: [0], 0: [0]}


def test_an_outcome_counts_when_those_of_the_raw_table_would():
    decide(1, NOW - 13 * DAY)
    give("d1", 1, NOW - 12 * DAY)
    young = fed_back.cases(settings.root(), ONBOARDING, NOW)
    assert (len(young.rows), young.young) == (0, 1)
    assert labels(NOW + DAY) == [1]
    assert len(fed_back.cases(settings.root(), ONBOARDING, NOW, whole=True).rows) == 1


def test_a_decision_that_lacks_an_input_of_today_is_left_out():
    made = decide(1, NOW - 40 * DAY)
    del made["features"][INPUTS[0]]
    audit.append(settings.root().decisions, NOW - 40 * DAY, [made | {"decision_id": "d2", "entity": person(2)}])
    for decision_id in ("d1", "d2"):
        give(decision_id, 1, NOW - 30 * DAY)
    fed = fed_back.cases(settings.root(), ONBOARDING, NOW)
    assert (fed.rows["ssn"].tolist(), fed.lacking) == ([person(1)["ssn"]], 1)


def test_the_newest_of_two_decisions_about_a_case_counts():
    for number, outcome in (("a", 0), ("b", 1)):
        decide(1, NOW - 40 * DAY + timedelta(hours=outcome), number)
        give(number, outcome, NOW - 30 * DAY)
    assert labels(NOW) == [1]


def test_training_takes_each_case_once_and_as_it_was_served():
    start = NOW - 100 * DAY
    raw(range(700), lambda n: start + timedelta(hours=n))
    for n in range(0, 700, 4):  # the same cases, ten minutes later
        decide(n, start + timedelta(hours=n, minutes=10), is_previously_seen_ssn=None)
        give(f"d{n}", 1, NOW - 20 * DAY)
    decide(4, start + 50 * DAY, "another day")
    decide(1000, start + 51 * DAY, "another person")
    for decision_id in ("another day", "another person"):
        give(decision_id, 1, NOW - 20 * DAY)
    source = Source()
    parts = case_rows(settings.root(), source, ONBOARDING, NOW, None, None)
    rows = pd.concat(parts)
    assert len(rows) == 702
    assert rows["event_timestamp"].is_monotonic_increasing
    fed = rows[rows[fed_back.FED_BACK]]
    assert (len(fed), fed["is_fraud"].unique().tolist()) == (177, [1])
    assert fed["is_gt_18_years_old"].unique().tolist() == [LOGGED_VALUE]
    assert int(fed["is_previously_seen_ssn"].isna().sum()) == 175
    others = rows[~rows[fed_back.FED_BACK]]
    assert (len(others), others["is_fraud"].unique().tolist(), others[INPUTS].max().max()) == (525, [0], RAW_VALUE)
    (joined,) = source.joined
    assert len(joined) == 525
    assert (
        joined["applicant_driver_id"].dtype
        == known_cases(settings.root(), ONBOARDING, NOW)["applicant_driver_id"].dtype
    )


def test_a_model_learns_from_outcomes_alone_and_its_card_says_so():
    for n in range(700):
        is_bad = n % 3 == 0
        decide(n, NOW - 60 * DAY + timedelta(minutes=n), is_previously_seen_ssn=int(is_bad), is_previously_seen_dl=0)
    items = [{"decision_id": f"d{n}", "outcome": n % 3 == 0} for n in range(700)]
    outcomes.give(positions(), items, NOW - DAY, {}, [""] * 700)
    card = train(settings.root(), Source(), ONBOARDING, NOW, unlogged)
    assert card.train.rows + card.test.rows == 700
    assert card.quality.roc_auc == 1
    assert any("700 rows the outcome was fed back" in note for note in card.notes)


def test_a_dataset_has_each_case_once_with_its_newest_label():
    start = NOW - 100 * DAY
    raw(range(20), lambda n: start + timedelta(hours=n))
    for n in (3, 50):
        decide(n, start + timedelta(hours=n, minutes=10))
        give(f"d{n}", 1, NOW - 20 * DAY)
    report = dataset.run(settings.root(), ONBOARDING, None, NOW, NOW, store=Source())
    frame = pd.read_parquet(settings.root().dataset("onboarding"))
    assert report.cases == len(frame) == 21
    bad = frame[frame["is_fraud"] == 1].sort_values("event_timestamp")
    assert bad["ssn"].tolist() == [person(3)["ssn"], person(50)["ssn"]]
    assert bad[INPUTS].min().min() == LOGGED_VALUE
    assert str(frame["dob"].dtype) == "datetime64[us, UTC]"
    again = dataset.run(settings.root(), ONBOARDING, None, NOW, NOW, store=Source())
    assert (again.out.replaced, again.cases) == (0, 21)
    part = dataset.run(settings.root(), ONBOARDING, start, start + timedelta(hours=2), NOW, store=Source())
    assert (part.cases, part.out.replaced) == (2, 0)  # the other cases of the day stay


def test_a_decision_of_a_batch_is_the_case_of_its_entity_and_day():
    as_of = NOW - 5 * DAY
    made = decide(1, as_of) | {
        "risk": "daily", "entity": {"driver_id": 7}, "request": {}, "decision_id": "b",
        "features": dict.fromkeys((i.name for i in DAILY.inputs), 0.5),
    }  # fmt: skip
    audit.append(settings.root().decisions, as_of, [made])
    give("b", 1, NOW - 3 * DAY)
    fed = fed_back.cases(settings.root(), DAILY, NOW)
    hours = [as_of + timedelta(hours=n) for n in (0, 23, 24)]
    frame = pd.DataFrame({"driver_id": [7, 7, 7], "event_timestamp": pd.to_datetime(hours)})
    assert fed_back.without(DAILY, frame, fed)["event_timestamp"].tolist() == [pd.Timestamp(hours[2])]
    others = frame.assign(driver_id=8)
    assert len(fed_back.without(DAILY, others, fed)) == 3
