"""What a second run redoes, and what training leaves behind."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from conftest import DRIVERS, jobs

import settings
from errors import ModelRefused, NoData
from features.catalogue import risks
from jobs.steps import Stamps, Step
from model import shelf
from model.card import Card


def test_a_second_run_finds_everything_fresh(world: Path):
    before = (world / "online.db").stat().st_mtime_ns
    for _ in range(2):  # other tests may have signed somebody up since: the first run takes that in
        said = jobs(world, "pipeline", "--drivers", str(DRIVERS))
    assert said.count("fresh") == 7
    assert "✓" not in said
    assert before <= (world / "online.db").stat().st_mtime_ns


def test_a_run_that_lost_a_model_trains_and_scores_again_and_nothing_else(world: Path):
    jobs(world, "pipeline", "--drivers", str(DRIVERS))
    (world / "models" / "daily" / "current").unlink()
    said = jobs(world, "pipeline", "--drivers", str(DRIVERS))
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("✓")] == [
        "✓ train daily",
        "✓ score daily",
    ]


def step(tmp_path: Path, rests_on: list, ran: list) -> Step:
    made = tmp_path / "made"

    def run(_) -> str:
        made.touch()
        ran.append(1)
        return "done"

    return Step("step", lambda: rests_on, lambda: [made], run)


def test_a_step_is_stale_when_what_it_rests_on_changes_or_what_it_made_is_gone(tmp_path: Path):
    rests_on, ran = ["a"], []
    stamps, one = Stamps.read(tmp_path / "stamps"), step(tmp_path, rests_on, ran)
    assert not stamps.is_fresh(one)
    one.run(print)
    stamps.stamp(one)
    assert Stamps.read(tmp_path / "stamps").is_fresh(one)
    rests_on.append("b")
    assert not stamps.is_fresh(one)
    rests_on.pop()
    (tmp_path / "made").unlink()
    assert not stamps.is_fresh(one)


def test_a_torn_file_of_stamps_means_that_everything_is_stale(tmp_path: Path):
    for text in ("", '{"step": ', "[1]", "null"):
        (tmp_path / "stamps").write_text(text)
        assert Stamps.read(tmp_path / "stamps").seen == {}


@pytest.mark.parametrize(("name", "floor", "ceiling"), [("onboarding", 0.80, 0.97), ("daily", 0.80, 0.97)])
def test_a_model_finds_what_can_be_found_and_no_more(world: Path, name: str, floor: float, ceiling: float):
    card, _ = shelf.take(shelf.current(world / "models", name))
    assert floor < card.metrics.auc < ceiling
    assert card.train.until <= card.test.since
    assert [i.name for i in card.inputs] == [i.name for i in risks()[name].inputs]
    assert card.metrics.brier < 0.1


@pytest.mark.parametrize("name", ["onboarding", "daily"])
def test_a_higher_score_is_a_higher_risk(world: Path, name: str):
    """Calibrated enough that the declared appetite means what it says."""
    card, _ = shelf.take(shelf.current(world / "models", name))
    approved, declined = card.outcomes["approve"], card.outcomes["decline"]
    assert approved.positive_rate < card.thresholds.approve_below
    assert declined.positive_rate > 0.5
    assert approved.share > 0.6


def test_a_report_is_readable_without_a_network(world: Path):
    report = (shelf.current(world / "models", "onboarding") / "report.html").read_text()
    assert report.count("<svg") == 5
    for picture in ("ROC", "Precision and recall", "Calibration", "thresholds", "Importance"):
        assert picture in report
    asked = (
        report.replace("http://www.w3.org/", "")
        .replace("http://purl.org/", "")
        .replace("http://creativecommons.org/", "")
    )
    asked = asked.replace("https://matplotlib.org/", "")
    assert "http" not in asked
    assert "src=" not in report


def test_training_again_adds_a_version_and_keeps_the_old(world: Path):
    directory = world / "models" / "daily"
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.onnx")}
    jobs(world, "train", "daily")
    after = {path: path.stat().st_mtime_ns for path in directory.rglob("*.onnx")}
    assert before.items() < after.items()


def test_the_model_is_trained_on_what_was_known_at_the_moment(in_world: Path):
    from jobs.train import training_rows
    from serving.retrieval import FeastSource

    now = pd.Timestamp.now("UTC").to_pydatetime()
    rows = training_rows(FeastSource(settings.FEATURE_REPO), risks()["onboarding"], now)
    outcomes = pd.read_parquet(in_world / "raw" / "applications")
    assert len(rows) == (outcomes["created"] <= now).sum()
    assert rows["event_timestamp"].is_monotonic_increasing
    earlier = now - pd.Timedelta(days=60)
    assert len(training_rows(FeastSource(settings.FEATURE_REPO), risks()["onboarding"], earlier)) < len(rows)


class Source:
    """A feature store that answers as told."""

    def __init__(self, features: pd.DataFrame) -> None:
        self.features = features

    def views(self, risk) -> dict[str, str]:
        return dict.fromkeys(self.features, "none")

    def historical(self, risk, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.join(self.features)


def outcomes(count: int, root: Path) -> pd.DataFrame:
    times = pd.date_range("2025-01-01", periods=count, freq="h", tz="UTC")
    frame = pd.DataFrame({"event_timestamp": times, "created": times, "is_fraud": [i % 4 == 0 for i in range(count)]})
    frame = frame.astype({"is_fraud": "int64"})
    (root / "raw" / "applications").mkdir(parents=True)
    frame.to_parquet(root / "raw" / "applications" / "made.parquet")
    return frame


def test_a_model_that_goes_against_a_declared_direction_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from jobs.train import train

    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    frame = outcomes(2000, tmp_path)
    reversed_ = pd.DataFrame({i.name: frame["is_fraud"] * (-i.direction) for i in risks()["onboarding"].inputs})
    noise = pd.Series(range(2000)) % 3 == 0
    with pytest.raises(ModelRefused, match="is_previously_seen_ssn"):
        train(
            Source(reversed_.where(~noise, 0)),
            risks()["onboarding"],
            pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime(),
        )
    assert not (tmp_path / "models").exists()


def test_too_few_cases_are_refused_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from jobs.train import train

    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    now = pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime()
    with pytest.raises(NoData, match="generate_data"):
        train(Source(pd.DataFrame()), risks()["onboarding"], now)
    frame = outcomes(100, tmp_path)
    few = pd.DataFrame({i.name: frame["is_fraud"] for i in risks()["onboarding"].inputs})
    with pytest.raises(NoData, match="are too few"):
        train(Source(few), risks()["onboarding"], now)


def test_a_lost_online_store_is_filled_again_and_not_from_the_watermark_on(world: Path, tmp_path: Path):
    root = tmp_path / "root"
    shutil.copytree(world, root)
    for lost in root.glob("online.db*"):
        lost.unlink()
    jobs(root, "pipeline", "--drivers", str(DRIVERS))
    with closing(sqlite3.connect(root / "online.db")) as store:
        (drivers,) = store.execute("SELECT count(DISTINCT entity_key) FROM risk_driver_profile").fetchone()
    assert drivers >= DRIVERS


def test_a_second_pipeline_on_the_same_root_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from jobs import pipeline

    lock = pipeline._lock(tmp_path)
    with pytest.raises(SystemExit, match="Another pipeline"):
        pipeline._lock(tmp_path)
    lock.close()
    pipeline._lock(tmp_path).close()


def test_another_world_replaces_what_was_made_and_keeps_models_and_decisions(world: Path, tmp_path: Path):
    root = tmp_path / "root"
    shutil.copytree(world, root)
    old = json.loads((root / "pipeline.json").read_text())
    jobs(root, "pipeline", "--seed", "8", "--drivers", "1500")
    new = json.loads((root / "pipeline.json").read_text())
    assert all(old[name] != new[name] for name in old if not name.startswith("feast apply"))
    assert len(pd.read_parquet(root / "raw" / "drivers")) == 1500
    assert {p.name for p in (world / "models" / "daily").iterdir()} <= {
        p.name for p in (root / "models" / "daily").iterdir()
    }


def test_an_unknown_risk_is_named_with_those_that_there_are():
    with pytest.raises(AssertionError, match=r"bad_parameter.*onboarding, daily"):
        jobs(Path("unused"), "train", "nobody")


def test_a_card_is_read_back_as_it_was_written(world: Path):
    directory = shelf.current(world / "models", "daily")
    card, _ = shelf.take(directory)
    assert Card.model_validate_json(card.model_dump_json()) == card
    assert {"feast", "onnxruntime", "scikit-learn"} <= set(card.libraries)
