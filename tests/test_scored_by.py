"""What gives the scores of a version is on its card: its ONNX file, or the sum of base and contributions."""

from datetime import UTC, datetime

import numpy as np
import onnxruntime
import pytest
from fake import unlogged
from regression import LINEAR, NAMES, TREES, declared, made_up, outcomes
from test_model import CARD, MEANS, MODEL, SPREADS, logit

import settings
from errors import ModelBroken
from jobs.train.champion import train
from model import shelf
from model.scorer import Scorer, Scorers

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def summed(card=CARD):
    return card.model_copy(update={"scored_by": "sums"})


def test_a_card_may_state_that_sums_are_the_scores_to_the_last_bit():
    scorer, rows = Scorer(summed(), MODEL), np.random.default_rng(3).normal(MEANS, SPREADS, (200, 3))
    scores, contributions = scorer.explained(rows)
    assert scores.tolist() == [scorer.score(row[None])[0] for row in rows]
    assert scores.tolist() == scorer.score(np.asfortranarray(rows)).tolist()
    assert logit(scores) == pytest.approx(CARD.base + contributions.sum(axis=1), abs=1e-12)
    assert scores == pytest.approx(Scorer(CARD, MODEL).score(rows), abs=1e-6), "but for the rounding of the ONNX file"


def test_a_card_that_states_nothing_is_scored_by_its_file():
    assert CARD.scored_by == "onnx"
    assert "scored_by" not in CARD.model_dump()
    rows = np.random.default_rng(3).normal(MEANS, SPREADS, (20, 3))
    file = onnxruntime.InferenceSession(MODEL).run(None, {"rows": rows.astype(np.float32)})[1][:, 1]
    assert Scorer(CARD, MODEL).score(rows).tolist() == file.astype(float).tolist()


def test_sums_of_extreme_rows_are_probabilities_too():
    scores = Scorer(summed(), MODEL).score(np.array([[1e6, 1e6, 1e6], [-1e6, -1e6, -1e6], [0, 0, 0]]))
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_sum_that_is_no_number_is_refused():
    with pytest.raises(ModelBroken, match="gave a score that is no number"):
        Scorer(summed(), MODEL).explained(np.array([[np.nan, 0.2, 55.0]]))


def test_sums_that_nothing_gives_are_refused():
    card = summed().model_copy(update={"background_sha256": "-"})
    with pytest.raises(ModelBroken, match="nothing gives the sums that its card states"):
        Scorer(card, MODEL, "is_known,rate,trips\n0,0.5,40\n")


@pytest.mark.parametrize(("algorithm", "by"), [(LINEAR, "sums"), (TREES, "sums"), ("random_forest", "onnx")])
def test_small_models_of_a_training_are_scored_by_sums(tmp_path, monkeypatch, algorithm, by):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    source, is_forest = made_up(), algorithm == "random_forest"
    outcomes((source.features["orders"] > source.features["orders"].median()).to_numpy(float))
    risk = declared(task="classification" if is_forest else "regression", bounds=None, algorithms=(algorithm,))
    card = train(settings.root(), source, risk, NOW, unlogged)
    assert card.scored_by == by
    _, model, explanation = shelf.take(shelf.current(settings.root().models, "made_up"))
    scorer, rows = Scorers(settings.root().models)["made_up"], source.features[list(NAMES)].to_numpy()
    file = Scorer(card.model_copy(update={"scored_by": "onnx"}), model, explanation)
    assert scorer.score(rows) == pytest.approx(file.score(rows), rel=1e-6, abs=1e-7)
    scores, _ = scorer.explained(rows)
    assert scores.tolist() == scorer.score(rows).tolist()
    if by == "sums":
        assert scores.tolist() == [scorer.score(row[None])[0] for row in rows]
