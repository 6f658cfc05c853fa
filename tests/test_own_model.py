"""A model of a team's own: what can be published serves as it was fitted, and what cannot changes nothing."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
import xgboost
from own_model import CAN, FRAMES, ROWS, X, fitted, risk_of, served, sums_of_rows
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import model
from errors import ModelRefused
from features.risk import Protocol
from model import shelf
from model.card import Card
from model.publishing import own

pytestmark = pytest.mark.slow


def own_scores(estimator, rows):
    return estimator.predict_proba(rows)[:, 1] if hasattr(estimator, "predict_proba") else estimator.predict(rows)


def sums(task, scores):
    inner = scores.clip(1e-7, 1 - 1e-7)
    return scores if task == "regression" else np.log(inner / (1 - inner))


@pytest.mark.parametrize("name", CAN)
def test_an_estimator_serves_as_it_was_fitted_with_contributions_that_sum(tmp_path, name):
    risk, estimator, frame, is_exact = fitted(name)
    card = model.publish(risk, estimator, frame, frame.tail(400), root=tmp_path)
    scorer, rows = served(tmp_path), frame[X]
    assert scorer.score(rows.to_numpy(float)) == pytest.approx(own_scores(estimator, rows), abs=1e-5)
    assert scorer.card == card
    assert (card.champion, card.algorithm.startswith("Own model: ")) == ("own", True)
    assert (card.sampled is None) == is_exact
    some = rows.to_numpy(float)[:30]
    explained = card.base + scorer.contributions(some).sum(axis=1)
    assert explained == pytest.approx(sums(risk.task, scorer.score(some)), abs=1e-3)
    assert Card.model_validate_json(card.model_dump_json()) == card


def test_columns_may_stand_in_another_order_than_the_risks(tmp_path):
    frame = FRAMES["classification"]
    order = X[::-1]
    for estimator in (LogisticRegression(max_iter=2000), lightgbm.LGBMClassifier(n_estimators=9, verbose=-1, n_jobs=1)):
        estimator.fit(frame[order], frame["loyalty"])
        model.publish(risk_of("classification"), estimator, frame, root=tmp_path)
        rows = frame[X].to_numpy(float)
        assert served(tmp_path).score(rows) == pytest.approx(own_scores(estimator, frame[order]), abs=1e-6)


def test_a_boosters_sum_is_a_probability(tmp_path):
    frame = FRAMES["classification"]
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(frame[X], frame["loyalty"]), 12
    )
    card = model.publish(risk_of("classification"), booster, frame, root=tmp_path)
    assert served(tmp_path).score(frame[X].to_numpy(float)) == pytest.approx(booster.predict(frame[X]), abs=1e-6)
    assert card.sampled is None


def test_xgboost_serves_as_it_was_fitted(tmp_path):
    for task, kind in (("classification", xgboost.XGBClassifier), ("regression", xgboost.XGBRegressor)):
        frame = FRAMES[task]
        estimator = kind(n_estimators=12, max_depth=3, n_jobs=1).fit(frame[X], frame["loyalty"])
        model.publish(risk_of(task), estimator, frame, root=tmp_path)
        rows = frame[X].to_numpy(float)
        assert served(tmp_path).score(rows) == pytest.approx(own_scores(estimator, frame[X]), abs=1e-5)


def test_the_metrics_are_those_of_the_test_rows_and_of_what_is_served(tmp_path):
    risk, estimator, frame, _ = fitted("linear regression")
    test = frame.tail(500)
    card = model.publish(risk, estimator, frame.head(700), test, root=tmp_path)
    served_scores = served(tmp_path).score(test[X].to_numpy(float))
    assert card.quality.rmse == pytest.approx(np.sqrt(np.mean((served_scores - test["loyalty"]) ** 2)))
    assert (card.train.rows, card.test.rows) == (700, 500)
    assert card.train.until < card.test.since
    assert card.notes == ()


def test_without_test_rows_the_card_says_that_the_metrics_are_too_good(tmp_path):
    risk, estimator, frame, _ = fitted("logistic regression")
    card = model.publish(risk, estimator, frame.drop(columns="event_timestamp"), root=tmp_path)
    assert "which the model has seen" in card.notes[0]
    assert (card.train.since, card.test.rows) == (None, ROWS)
    page = (shelf.current(tmp_path / "models", "made_up") / "report.html").read_text()
    assert "which the model has seen" in page


#: What the test rows are, and the note of the card.
TOO_GOOD = {
    "the training rows": (lambda frame: (frame, frame), "100 % of the test rows are training rows"),
    "some of the training rows": (lambda frame: (frame.head(900), frame.tail(400)), "25 % of the test rows are train"),
    "older rows": (lambda frame: (frame.tail(800), frame.head(400)), "100 % of the test rows are not later than"),
    "the training rows, without timestamps": (
        lambda frame: (frame.drop(columns="event_timestamp"),) * 2, "100 % of the test rows are training rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rows", TOO_GOOD)
def test_metrics_that_are_too_good_have_a_note(rows):
    make, words = TOO_GOOD[rows]
    past, future = make(FRAMES["classification"])
    assert any(words in note for note in own._time_notes(risk_of("classification"), past, future, "loyalty"))


def test_many_inputs_with_missing_values_are_one_note():
    risk, frame = risk_of("classification"), FRAMES["classification"].astype({"orders": float, "weekday": float})
    risk = replace(risk, inputs=tuple(replace(risk.inputs[0], name=f"n{number}") for number in range(9)))
    holes = frame.assign(**{f"n{number}": frame["spent"].where(frame.index % (number + 2) > 0) for number in range(9)})
    (note,) = own._missing_notes(risk, holes, holes[[i.name for i in risk.inputs]].median())
    assert note.startswith("9 of 9 inputs are missing in some training rows")
    assert "n0 in 50.0 %" in note
    assert "and 4 more in fewer rows" in note


def test_a_missing_input_becomes_the_median_or_the_given_number(tmp_path):
    risk, estimator, frame, _ = fitted("an imputer and scaled inputs")
    holes = frame.assign(spent=frame["spent"].where(frame.index % 4 > 0))
    card = model.publish(risk, estimator, holes, root=tmp_path)
    assert card.inputs[1].missing == holes["spent"].median()
    assert any("spent in 25.0 % (" in note for note in card.notes)
    assert model.publish(risk, estimator, holes, missing={"spent": -1}, root=tmp_path).inputs[1].missing == -1


def test_the_version_that_served_stands_beside_the_new_one(tmp_path):
    risk, estimator, frame, _ = fitted("logistic regression")
    first = model.publish(risk, estimator, frame, root=tmp_path)
    second = model.publish(risk, fitted("LightGBM")[1], frame, root=tmp_path)
    assert first.replaced is None
    assert (second.replaced.version, second.replaced.metrics) == (first.version, first.quality)


def test_a_model_against_a_declared_direction_needs_to_be_accepted(tmp_path):
    risk, estimator, frame, _ = fitted("logistic regression")
    turned = tuple(replace(i, direction=-1) if i.name == "orders" else i for i in risk.inputs)
    for kind in ("logistic regression", "LightGBM", "a forest"):
        with pytest.raises(ModelRefused, match="against the declared direction of orders"):
            model.publish(replace(risk, inputs=turned), fitted(kind)[1], frame, root=tmp_path)
    assert not (tmp_path / "models").exists()
    accepted = model.publish(replace(risk, inputs=turned), estimator, frame, accept_against=["orders"], root=tmp_path)
    assert any("direction of orders, which was accepted" in note for note in accepted.notes)


def onnx_of(estimator, bits=32, columns=False, **options):
    kind = FloatTensorType if bits == 32 else DoubleTensorType
    shape = [(name, kind([None, 1])) for name in X] if columns else [("matrix", kind([None, 3]))]
    return to_onnx(estimator, initial_types=shape, **options).SerializeToString()


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("zipmap", [False, True])
def test_an_onnx_file_serves_whatever_its_width_columns_or_zipmap(tmp_path, bits, columns, zipmap):
    risk, estimator, frame, _ = fitted("logistic regression")
    file = tmp_path / "model.onnx"
    if columns:  # each column is an input of its own
        estimator = make_pipeline(make_column_transformer((StandardScaler(), X)), LogisticRegression())
        estimator.fit(frame[X], frame["loyalty"])
    file.write_bytes(onnx_of(estimator, bits, columns, options={"zipmap": zipmap}))
    card = model.publish(risk, file, frame, root=tmp_path)
    rows = frame[X]
    assert served(tmp_path).score(rows.to_numpy(float)) == pytest.approx(own_scores(estimator, rows), abs=1e-5)
    assert (card.algorithm, card.sampled) == ("Own model: the ONNX file model.onnx", None)


def test_an_onnx_file_may_give_one_column_of_probabilities(tmp_path):
    card = model.publish(risk_of("classification"), sums_of_rows(), FRAMES["classification"], root=tmp_path)
    assert [i.weight for i in card.inputs] == pytest.approx([1 / 3] * 3, rel=1e-3)


def test_card_precision_needs_the_protocols_columns(tmp_path):
    risk, estimator, frame, _ = fitted("logistic regression")
    risk = replace(risk, protocol=Protocol(who="customer_id", top=5))
    assert model.publish(risk, estimator, frame, root=tmp_path).quality.card_precision is None
    with_who = frame.assign(customer_id=np.arange(ROWS) % 300)
    card = model.publish(risk, fitted("LightGBM")[1], with_who, root=tmp_path)
    assert 0 < card.quality.card_precision <= 1


def test_a_service_imports_no_library_of_training():
    import subprocess
    import sys

    names = ("sklearn", "skl2onnx", "onnx", "matplotlib")
    code = f"import sys, model, model.scorer; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[]"
