"""Few cases make a model, which says how uncertain it is."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import own_data
import pandas as pd
import processes
import pytest
from fake import unlogged
from new_command import STATED
from regression import TREES, declared, made_up, outcomes

import settings
from errors import NoData
from features.risk import Protocol
from jobs.train.cases import parted
from jobs.train.champion import train
from model import shelf
from model.card import Metrics
from model.publishing.intervals import intervals

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOGISTIC = "logistic_regression"
ROWS = 213


def classifying(**changes):
    return declared(**({"task": "classification", "bounds": None, "algorithms": (LOGISTIC, TREES)} | changes))


@pytest.mark.parametrize(
    ("labels", "rows"),
    [([0, 1] * 10, 14), ([0, 0, 1, 0, 1, 0, 0, 0, 0, 0], 4), ([0] * 8 + [1, 0, 1], 9), ([1, 0] + [0] * 8, 7)],
)
def test_both_parts_have_both_classes_where_that_can_be(labels: list[int], rows: int):
    parts = parted(pd.DataFrame({"loyalty": labels}), classifying())
    assert parts.train.tolist() == [n < rows for n in range(len(labels))]
    assert (parts.test == ~parts.train).all()


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The first of the made-up customers. A third of those with many orders are bad."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    source = made_up()
    rng = np.random.default_rng(1)
    outcomes(((source.features["orders"] > 8) & (rng.random(len(source.features)) < 1 / 3)).to_numpy(float)[:ROWS])
    return source


def test_213_rows_make_a_model_with_a_warning_and_wide_intervals(source):
    card = train(settings.root(), source, classifying(), NOW, unlogged)
    assert (card.train.rows, card.test.rows) == (149, 64)
    (warning,) = (note for note in card.notes if note.startswith("Few cases"))
    assert re.search(r"149 training rows \(\d+ of class 0, \d+ of class 1\) and 64 test rows", warning)
    low, high = card.intervals["roc_auc"]
    assert low < card.quality.roc_auc < high
    assert high - low > 0.15
    report = (shelf.current(settings.root().models, "made_up") / "report.html").read_text()
    assert "Few cases" in report
    assert f"{low:.4g}" in report


def test_many_rows_make_a_model_without_a_warning(source):
    labels = np.random.default_rng(2).random(len(source.features)) < source.features["orders"] / 30
    outcomes(labels.to_numpy(float))
    card = train(settings.root(), source, classifying(), NOW, unlogged)
    assert not [note for note in card.notes if note.startswith("Few cases")]
    assert np.subtract(*card.intervals["roc_auc"]) > -0.15


def test_days_of_a_protocol_without_a_case_give_way_to_all_days(source):
    protocol = Protocol(who="customer_id")
    assert train(settings.root(), source, classifying(protocol=protocol), NOW, unlogged).train.rows == 149
    with pytest.raises(NoData, match=r"0 training rows of made_up \(none\) lack a class"):
        train(
            settings.root(), source, classifying(protocol=protocol), NOW, unlogged, protocol=Protocol("customer_id", 8)
        )


def test_an_input_whose_sign_is_chance_in_few_rows_has_no_weight(source):
    source.features["spent"] = -source.features["orders"]  # it is declared to raise the score
    card = train(settings.root(), source, classifying(algorithms=(LOGISTIC,)), NOW, unlogged)
    assert [i.weight == 0 for i in card.inputs][:2] == [False, True]
    assert any("no weight: spent" in note for note in card.notes)


def test_an_interval_holds_the_truth_in_most_samples():
    """The true AUC of two normal distributions a standard deviation apart is 0.76."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(100):
        labels = np.repeat([0, 1], [50, 14])
        scores = rng.normal(labels, 1)
        good, bad = scores[labels == 0], scores[labels == 1]
        auc = float((bad[:, None] > good).mean())
        low, high = intervals("classification", Metrics(roc_auc=auc, average_precision=0.5), labels, scores)["roc_auc"]
        held += low <= 0.7602 <= high
    assert 88 <= held <= 100


def test_a_perfect_order_of_few_rows_is_not_certain():
    labels, perfect = np.repeat([0, 1], [60, 3]), Metrics(roc_auc=1.0, average_precision=1.0)
    low, high = intervals("classification", perfect, labels, labels * 1.0)["roc_auc"]
    assert (low < 0.95, high) == (True, 1.0)


def test_equal_scores_have_an_auc_of_one_half_in_every_resample():
    labels = np.repeat([0, 1], 500)
    ends = intervals("classification", Metrics(roc_auc=0.5, average_precision=0.5), labels, np.zeros(1000))["roc_auc"]
    assert ends == pytest.approx((0.5, 0.5))


def test_a_team_with_213_rows_of_its_own_has_a_model_and_decides(tmp_path: Path):
    project = processes.clone(tmp_path / "project")
    own_data.write(project / "orders.csv", ROWS, datetime.now(UTC))
    env = processes.clone_environment(project)
    python = [str(settings.PROJECT / ".venv/bin/python"), "-m", "jobs"]
    new = ["new", "shop", "--only", "--from", "orders.csv", "--quarantine", "bad.csv", *STATED]
    processes.run([*python, *new], cwd=project, env=env)
    printed = processes.run([*python, "pipeline"], cwd=project, env=env).stdout
    card, *_ = shelf.take(shelf.current(project / "data/models", "shop"))
    assert "shop" in printed
    assert card.train.rows + card.test.rows < ROWS
    assert card.notes[0].startswith("Few cases")
    shown = processes.run([*python, "models", "shop", "show"], cwd=project, env=env).stdout
    assert re.search(r"roc auc +\d\.\d{4} \(\d\.\d{4} to \d\.\d{4}\)", shown)
    (project / "new.jsonl").write_text(json.dumps({"order_id": "N1", "customer": "00042", "amount": 250.0}) + "\n")
    processes.run([*python, "score", "shop", "--input", "new.jsonl", "--output", "out.csv"], cwd=project, env=env)
    assert 0 < pd.read_csv(project / "out.csv")["score"].item() < 1
