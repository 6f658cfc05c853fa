"""What a second run redoes, and what training leaves behind."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from conftest import PIPELINE, SIZE, jobs

import settings
from errors import Busy, ModelRefused, NoData
from features.domains import risks
from jobs.build import run, work
from jobs.build.steps import Stamps, Step, fingerprint
from model import shelf
from model.card import Card
from root import KEPT, Root


def test_a_second_run_finds_everything_fresh_and_one_that_lost_a_model_makes_that_again(world: Path):
    command = PIPELINE
    jobs(world, *command)  # takes in who signed up in other tests
    said = jobs(world, *command)
    assert said.count("fresh") == 15
    assert "✓" not in said
    (world / "models" / "daily" / "current").unlink()
    said = jobs(world, *command)
    redone = [line.split(":")[0] for line in said.splitlines() if line.startswith("✓")]
    assert redone == ["✓ train daily", "✓ score daily"]


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
    assert approved.positive_rate < card.thresholds.low
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


def test_training_again_adds_a_version_and_keeps_the_old(in_world: Path):
    from jobs.train.champion import train
    from serving.retrieval import FeastStore

    directory = in_world / "models" / "daily"
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.onnx")}
    train(settings.root(), FeastStore(settings.FEATURE_REPO), risks()["daily"], datetime.now(UTC))
    after = {path: path.stat().st_mtime_ns for path in directory.rglob("*.onnx")}
    assert before.items() < after.items()


def test_the_model_is_trained_on_what_was_known_at_the_moment(in_world: Path):
    from jobs.train.cases import known_cases

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
    frame = frame.astype({"is_fraud": "int64"}).assign(applicant_driver_id=0, ssn="s", dl="d", state="CA", dob=times)
    (root / "raw" / "applications").mkdir(parents=True)
    frame.to_parquet(root / "raw" / "applications" / "made.parquet")
    return frame


def test_a_model_that_goes_against_a_declared_direction_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from jobs.train.champion import train

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
        )
    assert not (tmp_path / "models").exists()


def test_too_few_cases_are_refused_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from jobs.train.champion import train

    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    now = pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime()
    with pytest.raises(NoData, match="generate_data"):
        train(settings.root(), Source(pd.DataFrame()), risks()["onboarding"], now)
    frame = outcomes(100, tmp_path)
    few = pd.DataFrame({i.name: frame["is_fraud"] for i in risks()["onboarding"].inputs})
    with pytest.raises(NoData, match="are too few"):
        train(settings.root(), Source(few), risks()["onboarding"], now)


@pytest.fixture
def copy(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root to spoil."""
    shutil.copytree(world, tmp_path / "root")
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


def test_a_lost_online_store_is_filled_again_and_not_from_the_watermark_on(copy: Path):
    for lost in copy.glob("online.db*"):
        lost.unlink()
    work.apply(Root(copy), print)
    assert not (copy / "materialized").exists()
    work.materialize(Root(copy), datetime.now(UTC), print)
    with closing(sqlite3.connect(copy / "online.db")) as store:
        (drivers,) = store.execute('SELECT count(*) FROM "rows/risk/driver_profile"').fetchone()
    assert drivers >= SIZE.drivers


def test_a_second_pipeline_on_the_same_root_is_turned_away(tmp_path: Path):
    lock = run._lock(tmp_path / "pipeline.lock")
    with pytest.raises(Busy, match="Another pipeline"):
        run._lock(tmp_path / "pipeline.lock")
    lock.close()
    run._lock(tmp_path / "pipeline.lock").close()


def test_another_world_removes_what_was_made_of_the_old_one_and_keeps_models_and_decisions(copy: Path):
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    models = sorted((copy / "models").rglob("*"))
    work.generate(Root(copy), 8, replace(SIZE, drivers=300), midnight, {"seed": 8}, print)
    assert len(pd.read_parquet(copy / "raw" / "drivers")) == 300
    files = {str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file() and file.suffix != ".lock"}
    assert {name.split("/")[0] for name in files} <= {"raw", *KEPT}
    assert sorted((copy / "models").rglob("*")) == models
    assert any((copy / "decisions").iterdir())


def test_the_same_world_a_day_later_keeps_who_signed_up(copy: Path):
    stamps = Stamps.read(copy / "pipeline.json").seen
    (copy / "raw" / "drivers" / "signed-up-1.parquet").touch()
    world = {"seed": 7, **vars(SIZE), "key": fingerprint(settings.hash_key().hex())}
    work.generate(Root(copy), 7, SIZE, datetime.now(UTC) + timedelta(days=1), world, print)
    assert (copy / "raw" / "drivers" / "signed-up-1.parquet").exists()
    assert (copy / "online.db").exists()
    assert Stamps.read(copy / "pipeline.json").seen == stamps


def test_an_unknown_risk_is_named_with_those_that_there_are():
    with pytest.raises(AssertionError, match=r"bad_parameter.*onboarding, daily, chargeback"):
        jobs(Path("unused"), "train", "nobody")


def test_a_card_is_read_back_as_it_was_written(world: Path):
    directory = shelf.current(world / "models", "daily")
    card, *_ = shelf.take(directory)
    assert Card.model_validate_json(card.model_dump_json()) == card
    assert {"feast", "onnxruntime", "scikit-learn"} <= set(card.libraries)
