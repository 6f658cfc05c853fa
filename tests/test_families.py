"""Families of models beside each other: what chooses among them, how they are explained, and that scores mean what they
say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fake import unlogged
from regression import CASES, NAMES, TREES, Source, declared, made_up, outcomes

import settings
from features.risk import Outcomes, Protocol
from jobs.commands import jobs
from jobs.train import rehearsal
from jobs.train.cases import Parts, split
from jobs.train.champion import train
from jobs.train.fitting import FIT
from model import promotion, shelf
from model.explanation import Trees
from model.publishing.calibration import error, line
from model.scorer import Scorer, Scorers

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAMILIES = ["random_forest", "boosting_and_forest"]
#: The expected calibration error of 900 test rows: chance alone makes it about 0.03.
MOST_ERROR = 0.06
TRAIN_ROWS = 2100


def classifying(*algorithms, **changes):
    return declared(task="classification", bounds=None, algorithms=algorithms, **changes)


def chances(features: pd.DataFrame) -> np.ndarray:
    return 1 / (1 + np.exp(4 - features["orders"] / 3 - 1.5 * (features["spent"] > 150)))


@pytest.fixture
def source(tmp_path, monkeypatch) -> Source:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    source = made_up()
    outcomes((np.random.default_rng(1).random(CASES) < chances(source.features)).to_numpy(float))
    return source


def rows_and_labels(source: Source) -> tuple[np.ndarray, np.ndarray]:
    table = pd.read_parquet(settings.root().path / "raw/made_loyalty/made.parquet")
    return source.features[list(NAMES)].to_numpy(), table["loyalty"].to_numpy(int)


@pytest.mark.parametrize("family", FAMILIES)
def test_contributions_of_a_family_sum_to_the_log_odds_it_serves(source, family):
    card = train(settings.root(), source, classifying(family), NOW, unlogged)
    scorer, (rows, _) = Scorers(settings.root().models)["made_up"], rows_and_labels(source)
    served = scorer.score(rows)
    sums = card.base + scorer.contributions(rows).sum(axis=1)
    assert np.log(served / (1 - served)) == pytest.approx(sums, abs=1e-5)
    assert card.sampled is None


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_the_same_to_the_last_byte_after_a_load(source, family):
    card = train(settings.root(), source, classifying(family), NOW, unlogged)
    rows, labels = rows_and_labels(source)
    fitted = FIT["classification"][family](
        classifying(family), rows[:TRAIN_ROWS], labels[:TRAIN_ROWS], card.calibration
    )
    scorer = Scorer(*shelf.take(shelf.current(settings.root().models, "made_up")))
    kept = Trees(fitted.trees, np.float64).contributions(rows)
    assert scorer.contributions(rows).tobytes() == kept.tobytes()
    assert shelf.sha256(fitted.onnx) == card.model_sha256


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_held_to_the_declared_directions(source, family):
    train(settings.root(), source, classifying(family), NOW, unlogged)
    more = np.column_stack([np.linspace(0, 20, 200), np.full(200, 100.0), np.full(200, 2.0)])
    scores = Scorers(settings.root().models)["made_up"].score(more)
    assert (np.diff(scores) >= 0).all()
    assert scores[-1] > scores[0]


def test_another_family_is_promoted_and_rolled_back_by_the_same_commands(source):
    root = settings.root()
    first = train(root, source, classifying(TREES), NOW, unlogged)
    forest = train(root, source, classifying("random_forest"), NOW + timedelta(1), unlogged, beside=True)
    assert shelf.current_version(root.models, "made_up") == first.version
    promotion.promote(root.models, "made_up", forest.version, NAMES, unlogged)
    assert Scorers(root.models)["made_up"].card == forest
    assert promotion.rollback(root.models, "made_up", NAMES, unlogged) == first.version


def test_the_command_trains_one_algorithm_and_knows_their_names():
    result = CliRunner().invoke(jobs, ["train", "chargeback", "--algorithm", "random_florest"])
    assert result.exit_code == 1
    assert "Did you mean 'random_forest'?" in result.stderr


def test_the_test_rows_choose_neither_the_champion_nor_its_calibration(source):
    algorithms = ("logistic_regression", TREES, *FAMILIES)
    card = train(settings.root(), source, classifying(*algorithms), NOW, unlogged)
    _, labels = rows_and_labels(source)
    outcomes(np.where(np.arange(CASES) < TRAIN_ROWS, labels, 1 - labels).astype(float))
    again = train(settings.root(), source, classifying(*algorithms), NOW + timedelta(1), unlogged)
    assert again.quality.average_precision < card.quality.average_precision
    same = ("champion", "model_sha256", "trees_sha256", "base", "calibration", "rehearsal")
    assert [getattr(again, name) for name in same] == [getattr(card, name) for name in same]
    best = {name: metrics.average_precision for name, metrics in card.rehearsal.metrics.items()}
    assert card.champion == max(best, key=best.__getitem__)
    assert card.rehearsal.train.until < card.rehearsal.test.since <= card.rehearsal.test.until < card.test.since
    report = (shelf.current(settings.root().models, "made_up") / "report.html").read_text()
    assert "chosen by the rehearsal" in report
    assert f"{card.rehearsal.test.rows:,} rows" in report


@pytest.mark.parametrize("algorithm", ["logistic_regression", TREES, *FAMILIES])
def test_a_score_is_the_share_that_comes_true(source, algorithm):
    """The error is small, and a calibration that is off by one in log-odds fails the same test."""
    card = train(settings.root(), source, classifying(algorithm), NOW, unlogged)
    rows, labels = (values[TRAIN_ROWS:] for values in rows_and_labels(source))
    scores = Scorers(settings.root().models)["made_up"].score(rows)
    assert card.quality.calibration_error == pytest.approx(error(labels, scores))
    assert card.quality.calibration_error < MOST_ERROR
    wrong = replace_calibration(card, intercept=1.0)
    fitted = FIT["classification"][algorithm](
        classifying(algorithm), *(values[:TRAIN_ROWS] for values in rows_and_labels(source)), wrong
    )
    assert error(labels, fitted.scores(rows)) > MOST_ERROR


def replace_calibration(card, intercept):
    calibration = card.calibration
    return calibration.model_copy(update={"intercept": calibration.intercept + intercept})


def test_the_line_of_a_calibration_finds_the_truth():
    rng = np.random.default_rng(2)
    sums = rng.normal(-3, 2, 50_000)
    labels = (rng.random(50_000) < 1 / (1 + np.exp(1 - 0.5 * sums))).astype(int)
    fitted = line(sums, labels)
    assert (fitted.slope, fitted.intercept) == pytest.approx((0.5, -1.0), abs=0.05)


def test_a_rehearsal_learns_nothing_that_was_not_known_then():
    """Of a case a day: with a protocol, its test days begin with the training days. Without one, the delay is kept."""
    days = pd.date_range(NOW - timedelta(60), periods=60, freq="D")
    frame = pd.DataFrame({"event_timestamp": days, "loyalty": 0, "customer_id": 1})
    protocol = Protocol(who="customer_id")
    risk = classifying(TREES, protocol=protocol)
    used = split(frame, risk, NOW, protocol, None)
    parts = rehearsal.parts(frame, risk, NOW, protocol, None, used)
    first = int(np.flatnonzero(used.train)[0])
    assert np.flatnonzero(parts.train).tolist() == list(range(first - 14, first - 7))
    assert parts.test.tolist() == used.train.tolist()
    late = replace(risk, protocol=None, outcomes=Outcomes(risk.outcomes.table, "loyalty", timedelta(days=7)))
    parts = rehearsal.parts(frame, late, NOW, None, None, Parts(np.arange(60) < 40, np.arange(60) >= 40))
    assert np.flatnonzero(parts.train).tolist() == list(range(28))
    assert np.flatnonzero(parts.test).tolist() == list(range(35, 40))
