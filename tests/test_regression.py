"""A regression: how it is trained, shelved, explained, served and reported. It needs no Feast."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from constants import override
from fake import unlogged
from openapi_spec_validator import validate
from regression import CASES, LEAST, LINEAR, MOST, NAMES, TREES, Customer, declared, made_up, outcomes

import settings
from errors import ModelBroken, ModelRefused, NoData
from features.domains import risks
from features.risk import Protocol, Reason, Rule
from jobs.train.cases import split
from jobs.train.champion import train
from jobs.train.fitting import FIT
from model import shelf
from model.scorer import Scorer, Scorers
from serving.service import RiskService
from web import openapi

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return made_up()


def served():
    return Scorers(settings.root().models)["made_up"]


def version():
    return shelf.current(settings.root().models, "made_up")


def test_the_model_with_the_lowest_rmse_serves_and_beats_the_mean(source):
    card = train(settings.root(), source, declared(), NOW, unlogged)
    assert set(card.metrics) == {LINEAR, TREES}
    assert card.champion == min(card.metrics, key=lambda name: card.metrics[name].rmse)
    assert card.quality.mae < card.quality.rmse < 0.75 * card.quality.baseline_rmse
    assert card.quality.rmse > 0.9, "no model can know the noise"
    assert card.headline == f"RMSE {card.quality.rmse:.3f}"
    assert card.quality.r2 == pytest.approx(1 - (card.quality.rmse / card.quality.baseline_rmse) ** 2, abs=0.02)
    assert card.train.until <= card.test.since
    assert (card.train.rows, card.test.rows) == (2100, 900)


def test_the_card_of_a_regression_has_only_what_applies(source):
    train(settings.root(), source, declared(), NOW, unlogged)
    card = json.loads((version() / "card.json").read_text())
    assert (card["task"], card["bounds"]) == ("regression", [LEAST, MOST])
    assert {n for m in card["metrics"].values() for n, value in m.items() if value is not None} == {
        "rmse", "mae", "r2", "baseline_rmse",
    }  # fmt: skip
    assert list(card["outcomes"]) == ["new", "regular", "loyal"]
    assert sum(outcome["share"] for outcome in card["outcomes"].values()) == pytest.approx(1)
    new, regular, loyal = (outcome["mean"] for outcome in card["outcomes"].values())
    assert new < 4 < regular < 7 < loyal
    assert "positives" not in card["train"]


@pytest.mark.parametrize("algorithm", [LINEAR, TREES])
def test_served_scores_are_the_fitted_ones_and_explained_exactly(source, algorithm):
    risk = declared(algorithms=(algorithm,), bounds=None)
    card = train(settings.root(), source, risk, NOW, unlogged)
    rows = source.features[list(NAMES)].to_numpy()
    labels = pd.read_parquet(settings.root().path / "raw" / "made_loyalty")["loyalty"].to_numpy()
    past = slice(0, card.train.rows)
    fitted = FIT["regression"][algorithm](risk, rows[past], labels[past])
    scorer = served()
    assert scorer.score(rows) == pytest.approx(fitted.scores(rows), abs=1e-4)
    assert card.base + scorer.contributions(rows).sum(axis=1) == pytest.approx(scorer.score(rows), abs=1e-4)


def test_the_weights_of_a_linear_model_are_exact(source):
    features = source.features
    outcomes(3 + 0.5 * features["orders"] - 0.25 * features["weekday"] + 0.01 * features["spent"])
    card = train(settings.root(), source, declared(algorithms=(LINEAR,), bounds=None), NOW, unlogged)
    assert [i.weight for i in card.inputs] == pytest.approx([0.5, 0.01, -0.25], rel=1e-3)
    assert card.base == pytest.approx(3 + 0.5 * card.inputs[0].mean + 0.01 * card.inputs[1].mean
                                      - 0.25 * card.inputs[2].mean)  # fmt: skip


def test_bounds_limit_a_score_and_not_its_contributions(source):
    card = train(settings.root(), source, declared(algorithms=(LINEAR,)), NOW, unlogged)
    far = np.array([[1000.0, 5000, 0], [-1000.0, -5000, 0], [8.0, 100, 0]])
    scorer = served()
    high, low, usual = scorer.score(far)
    assert (high, low) == (MOST, LEAST)
    assert LEAST < usual < MOST
    before = card.base + scorer.contributions(far).sum(axis=1)
    assert before[0] > 100
    assert before[1] < -100
    assert before[2] == pytest.approx(usual, abs=1e-4)


def test_the_metrics_are_of_scores_within_the_bounds(source):
    """A model that may only answer five errs by the distance of the outcomes from five."""
    card = train(settings.root(), source, declared(algorithms=(LINEAR,), bounds=(5, 5)), NOW, unlogged)
    future = pd.read_parquet(settings.root().path / "raw" / "made_loyalty")["loyalty"][card.train.rows :]
    assert card.quality.mae == pytest.approx(abs(future - 5).mean())


def test_a_regression_decides_in_the_risks_words_with_reasons(source, tmp_path):
    policy = Rule("weekday == 3", "regular", Reason("on_thursday", "Everybody is regular on Thursdays."))
    risk = declared(policies=(policy,))
    train(settings.root(), source, risk, NOW, unlogged)
    source.features.loc[0], source.features.loc[1] = [0, 10, 0], [25, 300, 0]
    source.features.loc[2] = [0, 10, 3]
    service = RiskService(source, settings.root(), b"key")
    new, loyal, thursday = service.decisions(risk, [Customer(customer_id=n) for n in range(3)], NOW)
    assert (new.decision, loyal.decision, thursday.decision) == ("new", "loyal", "regular")
    assert (new.reasons[0].code, loyal.reasons[0].code) == ("orders_down", "orders_up")
    assert thursday.reasons[0].code == "on_thursday"
    assert LEAST <= new.score < 4 < 7 <= loyal.score <= MOST
    logged = [json.loads(line) for line in next(settings.root().decisions.iterdir()).read_text().splitlines()]
    assert [line["decision"] for line in logged] == ["new", "loyal", "regular"]


def test_a_regression_against_a_declared_direction_is_refused(source):
    turned = [replace(i, direction=-1) if i.name == "orders" else i for i in declared().inputs]
    with pytest.raises(ModelRefused, match="against the declared direction of orders"):
        train(settings.root(), source, declared(algorithms=(LINEAR,), inputs=tuple(turned)), NOW, unlogged)
    assert not settings.root().models.exists()
    card = train(settings.root(), source, declared(inputs=tuple(turned)), NOW, unlogged)
    assert (card.champion, card.refused) == (TREES, {LINEAR: ("orders",)})
    more_and_more = np.column_stack([np.arange(30.0), np.full(30, 100.0), np.zeros(30)])
    assert (np.diff(served().score(more_and_more)) <= 0).all(), "trees are held to it"


def test_a_missing_input_becomes_the_training_median(source):
    source.features.loc[::2, "spent"] = np.nan
    card = train(settings.root(), source, declared(algorithms=(LINEAR,)), NOW, unlogged)
    assert card.inputs[1].missing == source.features["spent"][: card.train.rows].median()


@pytest.mark.parametrize(
    ("loyalty", "message"),
    [(np.full(CASES, 5.0), "2100 training rows of made_up \\(1 distinct labels\\) are too few"),
     (np.arange(1.0), "0 training rows of made_up \\(0 distinct labels\\) are too few")],
)  # fmt: skip
def test_equal_numbers_or_none_are_refused(source, loyalty, message):
    outcomes(loyalty)
    with pytest.raises(NoData, match=message):
        train(settings.root(), source, declared(), NOW, unlogged)


def test_a_label_of_1_in_a_regression_leaves_nobody_out_of_the_test():
    times = pd.date_range(NOW - timedelta(days=21), periods=21, freq="D")
    frame = pd.DataFrame({"customer_id": 7, "loyalty": 1.0, "event_timestamp": times})
    parts = split(frame, declared(), NOW, Protocol(who="customer_id"), None)
    assert (parts.train.sum(), parts.test.sum()) == (7, 7)


@pytest.mark.parametrize("algorithm", [LINEAR, TREES])
def test_a_card_that_explains_another_number_is_not_served(source, algorithm):
    card = train(settings.root(), source, declared(algorithms=(algorithm,)), NOW, unlogged)
    _, model, trees = shelf.take(version())
    Scorer(card, model, trees)
    with pytest.raises(ModelBroken, match="explains another model"):
        Scorer(card.model_copy(update={"base": card.base + 0.01}), model, trees)


def test_the_report_of_a_regression_shows_no_probabilities(source):
    train(settings.root(), source, declared(), NOW, unlogged)
    report = (version() / "report.html").read_text()
    assert report.count("<svg") == 4
    shown = ("baseline_rmse", "truth", "By tenths", "RMSE gained", "kept between 1 and 10", "larger errors", "loyal")
    assert [text for text in shown if text not in report] == []
    for hidden in ("roc_auc", "AUC", "positive rate", "log-odds", "card_precision"):
        assert hidden not in report


def test_the_docs_name_each_risks_words_and_bound_no_score(monkeypatch):
    override(monkeypatch, openapi, risks=lambda: {**risks(), "made_up": declared()})
    document = openapi.document()
    validate(document)
    paths, parts = document["paths"], ("score", "decision")
    descriptions = {part: paths[f"/made-up-risk-{part}/"]["post"]["description"] for part in parts}
    assert "(`new`, `regular`, `loyal`)" in descriptions["decision"]
    assert descriptions["score"] == "The estimated number."
    schemas = document["components"]["schemas"]
    words = schemas["Decision"]["properties"]["decision"]["enum"]
    assert words[:3] == ["approve", "review", "decline"]
    assert {"new", "regular", "loyal"} < set(words)
    assert not any("maximum" in schemas[answer]["properties"]["score"] for answer in ("Decision", "ScoreAnswer"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"algorithms": ("logistic_regression",)}, "logistic_regression cannot learn a regression. Use one of: lin"),
     ({"task": "classification", "bounds": None}, "linear_regression cannot learn a classification"),
     ({"task": "classification", "algorithms": (TREES,)}, "bounds for a regression only")],
)  # fmt: skip
def test_an_impossible_declaration_is_refused_with_what_is_possible(changes, message):
    with pytest.raises(ValueError, match=message):
        declared(**changes)
