"""What was trained is what serves, to the digits that a decision needs, whatever the size of the inputs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from constants import override
from fake import unlogged
from regression import CASES, LINEAR, NAMES, TREES, Source, declared, made_up, outcomes
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import settings
from errors import BadInput, ModelRefused
from jobs import point_in_time
from jobs.train import fitting, rehearsal
from jobs.train.champion import train
from model import shelf
from model.scorer import Scorer, Scorers

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOGISTIC = "logistic_regression"
UNITS = np.random.default_rng(1).normal(size=CASES)
#: What the first input may look like. The label depends on `UNITS`.
LARGE = {
    "seconds since 1970": 1.7e9 + 86_400 * UNITS,
    "seconds since 1970, of an hour": 1.7e9 + np.round(900 * UNITS),
    "microseconds since 1970": np.round(1.7e15 + 86_400e6 * UNITS),
    "whole numbers just beyond 2**24": 2.0**24 + np.round(4 * UNITS),
    "whole numbers just beyond 2**50": 2.0**50 + np.round(4 * UNITS),
    "a fine scale far from zero": 1e9 + 1e-3 * UNITS,
    "numbers beyond a 32-bit float": 1e60 * UNITS,
    "numbers that a 32-bit float barely holds": 1e-34 * UNITS,
}
KINDS = [("regression", LINEAR), ("regression", TREES), ("classification", LOGISTIC), ("classification", TREES)]


def risk_of(task, *algorithms):
    """The made-up risk, to be learned by these algorithms. No input has a direction."""
    inputs = tuple(replace(i, direction=0) for i in declared().inputs)
    return declared(task=task, algorithms=algorithms, bounds=None, inputs=inputs)


def labels_of(task):
    noise = np.random.default_rng(2).normal(size=CASES) / 10
    return (UNITS + noise > 0).astype(float) if task == "classification" else 3 * UNITS + noise


@pytest.fixture
def features(tmp_path, monkeypatch):
    """The features of the made-up store, a frame, in a root of its own."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return made_up().features


def on_disk():
    models = settings.root().models
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(models.rglob("*"))}


@pytest.mark.parametrize("large", LARGE)
@pytest.mark.parametrize(("task", "algorithm"), KINDS)
def test_inputs_of_any_size_serve_what_was_trained(features, task, algorithm, large):
    risk, features["orders"] = risk_of(task, algorithm), LARGE[large]
    outcomes(labels_of(task))
    card = train(settings.root(), Source(features), risk, NOW, unlogged)
    scorer, rows = Scorers(settings.root().models)["made_up"], features[list(NAMES)].to_numpy()
    count, calibration = card.train.rows, filter(None, [card.calibration])
    again = fitting.FIT[task][algorithm](risk, rows[:count], labels_of(task)[:count], *calibration)
    assert scorer.score(rows) == pytest.approx(again.scores(rows), abs=1e-6)
    served = scorer.score(rows[card.train.rows :])
    truth = labels_of(task)[card.train.rows :]
    if task == "regression":
        assert card.quality.rmse == pytest.approx(np.sqrt(np.mean((truth - served) ** 2)), rel=1e-9)
        assert card.quality.r2 > 0.9, "the model can tell the values apart"
    else:
        assert card.quality.brier == pytest.approx(np.mean((truth - served) ** 2), rel=1e-9)
        assert card.quality.roc_auc > 0.95


@pytest.mark.parametrize("algorithm", [LINEAR, TREES])
def test_numbers_to_estimate_may_be_far_from_zero(features, algorithm):
    outcomes(1.7e9 + 100 * UNITS)
    features["orders"] = UNITS
    card = train(settings.root(), Source(features), risk_of("regression", algorithm), NOW, unlogged)
    assert card.quality.rmse < 10


def halved(fit):
    """As `fit`, but the ONNX file takes 32 bits, in which the first input has too few digits."""

    def fit_halved(risk, rows, labels):
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        same = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(rows, labels)
        shape = [("rows", FloatTensorType([None, rows.shape[1]]))]
        return replace(fit(risk, rows, labels), onnx=to_onnx(same, initial_types=shape).SerializeToString())

    return fit_halved


def garbage(fit):
    return lambda *training: replace(fit(*training), onnx=b"no model")


def of_other_rows(fit):
    return lambda risk, rows, labels: replace(fit(risk, rows, labels), onnx=fit(risk, rows[::-1], labels).onnx)


def of_other_contributions(fit):
    def fit_other(*training):
        fitted = fit(*training)
        return replace(fitted, weights=fitted.weights * 1.1)

    return fit_other


CANNOT_BE_SERVED = {
    "too few digits": halved, "no ONNX": garbage, "another model": of_other_rows,
    "another explanation": of_other_contributions,
}  # fmt: skip


@pytest.mark.parametrize("fault", CANNOT_BE_SERVED)
def test_a_model_that_cannot_be_served_is_refused_and_nothing_changes(features, monkeypatch, fault):
    features["orders"] = LARGE["a fine scale far from zero"]
    outcomes(labels_of("regression"))
    risk, source = risk_of("regression", LINEAR), Source(features)
    before_it, current = on_disk(), None
    for _ in range(2):  # on an empty shelf, then beside a model that serves
        with monkeypatch.context() as patch:
            broken = {LINEAR: CANNOT_BE_SERVED[fault](fitting.linear_regression)}
            override(patch, rehearsal, FIT={"regression": broken})
            with pytest.raises(ModelRefused, match="The current model stays"):
                train(settings.root(), source, risk, NOW, unlogged)
        assert on_disk() == before_it
        if current is None:
            current = train(settings.root(), source, risk, NOW, unlogged)
            before_it = on_disk()
    assert Scorers(settings.root().models)["made_up"].card == current


def test_another_algorithm_serves_if_the_best_one_cannot(features, monkeypatch):
    features["orders"] = LARGE["a fine scale far from zero"]
    outcomes(labels_of("regression"))
    broken = {**fitting.FIT["regression"], LINEAR: halved(fitting.linear_regression)}
    override(monkeypatch, rehearsal, FIT={"regression": broken})
    card = train(settings.root(), Source(features), risk_of("regression", LINEAR, TREES), NOW, unlogged)
    assert (card.champion, set(card.metrics)) == (TREES, {TREES})
    assert "cannot be served" in card.unserved[LINEAR] or "would not serve" in card.unserved[LINEAR]


@pytest.mark.parametrize("written", ["model.onnx", "card.json", "trees.txt"])
def test_files_that_the_service_could_not_load_never_become_current(features, monkeypatch, written):
    """A disk may keep other bytes than it was given."""
    outcomes(labels_of("regression"))
    real = shelf.take

    def take(folder):
        (folder / written).write_bytes(b"")
        return real(folder)

    monkeypatch.setattr(shelf, "take", take)
    with pytest.raises(ModelRefused, match="cannot be served"):
        train(settings.root(), Source(features), risk_of("regression", TREES), NOW, unlogged)
    assert [
        path for path in settings.root().models.rglob("*") if path.name != "made_up" and path.suffix != ".lock"
    ] == []


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_an_infinite_input_is_refused_with_its_name(features, infinite):
    features["spent"] = features["spent"].astype(float)
    features.loc[[3, 5, CASES - 1], "spent"] = infinite
    with pytest.raises(BadInput, match=r"spent is infinite in 3 of 3,000 rows"):
        train(settings.root(), Source(features), risk_of("regression", LINEAR), NOW, unlogged)


def test_a_model_with_32_bit_inputs_still_loads_and_scores_in_32_bits(features):
    risk, rows = risk_of("regression", LINEAR), features[list(NAMES)].to_numpy() + 0.1
    fitted = halved(fitting.linear_regression)(risk, rows, labels_of("regression"))
    outcomes(labels_of("regression"))
    card = train(settings.root(), Source(pd.DataFrame(rows, columns=NAMES)), risk, NOW, unlogged)
    inputs = tuple(i.model_copy(update={"weight": w}) for i, w in zip(card.inputs, fitted.weights, strict=True))
    means = {i.name: mean for i, mean in zip(card.inputs, rows.mean(axis=0), strict=True)}
    inputs = tuple(i.model_copy(update={"mean": means[i.name]}) for i in inputs)
    scorer = Scorer(card.model_copy(update={"inputs": inputs, "base": fitted.base}), fitted.onnx)
    assert scorer.score(rows) == pytest.approx(fitted.scores(rows), abs=1e-4)


def test_a_feature_function_gets_a_training_row_as_it_gets_a_request():
    def then(values: Mapping[str, Any]) -> dict[str, Any]:
        assert "a" in values
        assert values.get("none") is None
        return {"x": (values | {"b": 1})["a"], "y": {**values}["b"], "z": len(values)}

    columns = {"a": pd.Series([2, 3]), "b": pd.Series([0.5, None])}
    computed = point_in_time._computed(then, columns, ["x", "y", "z"])
    rows = [then({"a": 2, "b": 0.5}), then({"a": 3, "b": None})]
    assert {name: values.tolist() for name, values in computed.items()} == {n: [r[n] for r in rows] for n in "xyz"}
