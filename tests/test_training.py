"""What training makes of the world: models that are as good as the data allows, and that keep to what is declared."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from fake import unlogged
from regression import declared

import settings
from errors import ModelRefused, NoData
from features.domains import risks
from features.risk import Outcomes, Risk
from features.windows import Aggregation, AggregationTable
from features.windows.live import LiveFeatures
from features.windows.raw import Column, RawTable
from jobs.train.cases import known_cases
from jobs.train.champion import train
from model import shelf
from model.card import Card

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "floor", "ceiling"), [("onboarding", 0.80, 0.97), ("daily", 0.80, 0.97), ("chargeback", 0.80, 0.98)]
)
def test_a_model_finds_what_can_be_found_and_no_more(world: Path, name: str, floor: float, ceiling: float):
    card, *_ = shelf.take(shelf.current(world / "models", name))
    assert floor < card.quality.roc_auc < ceiling
    assert card.train.until <= card.test.since
    assert [i.name for i in card.inputs] == [i.name for i in risks()[name].inputs]
    assert card.quality.brier < 0.1


@pytest.mark.parametrize("name", ["onboarding", "daily"])
def test_a_higher_score_is_a_higher_risk(world: Path, name: str):
    """Calibrated enough that the declared appetite means what it says."""
    card, *_ = shelf.take(shelf.current(world / "models", name))
    approved, declined = card.outcomes["approve"], card.outcomes["decline"]
    assert approved.positive_rate < risks()[name].appetite.low
    assert declined.positive_rate > 0.5
    assert approved.share > 0.6


def test_a_report_is_readable_without_a_network(world: Path):
    report = (shelf.current(world / "models", "onboarding") / "report.html").read_text()
    assert report.count("<svg") == 5
    for picture in ("ROC", "Precision and recall", "Calibration", "thresholds", "Importance"):
        assert picture in report
    names = ("http://www.w3.org/", "http://purl.org/", "http://creativecommons.org/", "https://matplotlib.org/")
    for name in names:  # of namespaces, which no browser loads
        report = report.replace(name, "")
    assert "http" not in report
    assert "src=" not in report


def test_training_again_adds_a_version_and_keeps_the_old(in_world: Path):
    from serving.retrieval import FeastStore

    directory = in_world / "models" / "daily"
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.onnx")}
    train(settings.root(), FeastStore(settings.FEATURE_REPO), risks()["daily"], datetime.now(UTC), unlogged)
    after = {path: path.stat().st_mtime_ns for path in directory.rglob("*.onnx")}
    assert before.items() < after.items()


def test_a_model_is_trained_on_what_was_known_then(in_world: Path):
    now = pd.Timestamp.now("UTC").to_pydatetime()
    cases = known_cases(settings.root(), risks()["onboarding"], now)
    outcomes = pd.read_parquet(in_world / "raw" / "applications")
    assert len(cases) == (outcomes["created"] <= now).sum()
    assert cases["event_timestamp"].is_monotonic_increasing
    earlier = now - pd.Timedelta(days=60)
    assert (
        len(known_cases(settings.root(), risks()["onboarding"], earlier))
        == (outcomes["created"] <= earlier).sum()
        < len(cases)
    )


@pytest.mark.parametrize("shape", [{"time": "ended"}, {}])
def test_past_cases_have_no_timestamp_of_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    when = pd.Timestamp("2025-01-01", tz="UTC")
    raw = pd.DataFrame(
        {"customer_id": [1], "loyalty": [2.0], "born": [when], "ended": [when], "event_timestamp": [when]}
    )
    (tmp_path / "raw" / "made").mkdir(parents=True)
    raw.to_parquet(tmp_path / "raw" / "made" / "a.parquet")
    born, ended = Column("born", "timestamp"), Column("ended", "timestamp", is_optional=True)
    table = RawTable("made", (Column("customer_id", "int"), Column("loyalty", "float"), born, ended))
    counted = (
        Aggregation("n", "count", None, timedelta(days=1))
        if shape
        else Aggregation("n", "rate", "ended", timedelta(days=1))
    )
    history = AggregationTable("made_history", table, "customer_id", (counted,), **shape)
    risk = declared(outcomes=Outcomes(table, "loyalty", timedelta()), live=LiveFeatures("made_now", (history,)))
    cases = known_cases(settings.root(), risk, datetime(2026, 1, 1, tzinfo=UTC))
    assert list(cases) == ["customer_id", "born", "event_timestamp", "loyalty"]


class Source:
    """A feature store that joins given features."""

    def __init__(self, features: pd.DataFrame) -> None:
        self.features = features

    def views(self, service: str) -> dict[str, str]:
        return dict.fromkeys(self.features, "none")

    def historical(self, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.join(self.features)


def outcomes(count: int, root: Path) -> pd.DataFrame:
    times = pd.date_range("2025-01-01", periods=count, freq="h", tz="UTC")
    frame = pd.DataFrame({"event_timestamp": times, "created": times, "is_fraud": [i % 4 == 0 for i in range(count)]})
    frame = frame.astype({"is_fraud": "int64"}).assign(
        applicant_driver_id=0, ssn="5" * 32, dl="d" * 32, state="CA", dob=times
    )
    (root / "raw" / "applications").mkdir(parents=True)
    frame.to_parquet(root / "raw" / "applications" / "made.parquet")
    return frame


def test_a_model_that_goes_against_a_declared_direction_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    frame = outcomes(2000, tmp_path)
    reversed_ = pd.DataFrame({i.name: frame["is_fraud"] * (-i.direction) for i in risks()["onboarding"].inputs})
    noise = pd.Series(range(2000)) % 3 == 0
    with pytest.raises(ModelRefused, match="is_previously_seen_ssn"):
        train(
            settings.root(),
            Source(reversed_.where(~noise, 0)),
            risks()["onboarding"],
            pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime(),
            unlogged,
        )
    assert not (tmp_path / "models").exists()


def test_cases_that_lack_a_class_are_refused_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    now = pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime()
    with pytest.raises(NoData, match="generate_data"):
        train(settings.root(), Source(pd.DataFrame()), risks()["onboarding"], now, unlogged)
    frame = outcomes(100, tmp_path)
    frame.assign(is_fraud=0).to_parquet(tmp_path / "raw" / "applications" / "made.parquet")
    few = pd.DataFrame({i.name: frame["is_fraud"] for i in risks()["onboarding"].inputs})
    with pytest.raises(NoData, match=r"70 training rows of onboarding \(70 of class 0\) lack a class"):
        train(settings.root(), Source(few), risks()["onboarding"], now, unlogged)


def test_a_card_is_read_back_as_it_was_written(world: Path):
    directory = shelf.current(world / "models", "daily")
    card, *_ = shelf.take(directory)
    assert Card.model_validate_json(card.model_dump_json()) == card
    assert {"onnx", "onnxruntime"} < set(card.libraries)
