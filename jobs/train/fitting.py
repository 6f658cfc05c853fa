"""Fits one model: its scores as ONNX, its explanation, and the inputs in which it goes against a declared direction."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier

from features.risk import Algorithm, Risk, Task

Fit = Callable[[Risk, np.ndarray, np.ndarray], "Fitted"]
#: The name of the ONNX input.
ONNX_INPUT = "rows"


@dataclass(frozen=True)
class Fitted:
    """A model. `algorithm` describes it in words. A linear model has `weights`, shape (inputs,); a model of trees has
    `trees`, LightGBM's text. `against` names the inputs in which it goes against a declared direction: such a model
    cannot serve."""

    algorithm: str
    estimator: BaseEstimator
    onnx: bytes
    base: float
    weights: np.ndarray | None = None
    trees: str | None = None
    against: tuple[str, ...] = field(default=())

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities, or a regressor's numbers before any bounds. `rows` has shape (n, inputs), the answer (n,)."""
        estimator = self.estimator
        return estimator.predict_proba(rows)[:, 1] if is_classifier(estimator) else estimator.predict(rows)


def logistic_regression(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    """The inputs are standardized, so that regularization treats them alike. `rows`: (n, inputs); `labels`: (n,)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1.0, max_iter=1000)
    return _linear("Logistic regression on standardized inputs", fitted, {"zipmap": False}, risk, rows, labels)


def linear_regression(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    """As `logistic_regression`. Ridge makes inputs that say the same share their weight; without it, one of them might
    get the opposite sign."""
    from sklearn.linear_model import Ridge

    return _linear("Linear regression on standardized inputs", Ridge(alpha=1.0), {}, risk, rows, labels)


def _linear(
    algorithm: str, estimator: BaseEstimator, options: dict[str, Any], risk: Risk, rows: np.ndarray, labels: np.ndarray
) -> Fitted:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted = make_pipeline(StandardScaler(), estimator).fit(rows, labels)
    shape = [(ONNX_INPUT, FloatTensorType([None, rows.shape[1]]))]
    onnx = to_onnx(fitted, initial_types=shape, options=options).SerializeToString()
    weights = np.ravel(fitted[-1].coef_) / fitted[0].scale_
    against = tuple(i.name for i, w in zip(risk.inputs, weights, strict=True) if i.direction * w < 0)
    return Fitted(algorithm, fitted, onnx, float(np.ravel(fitted[-1].intercept_)[0]), weights=weights, against=against)


def gradient_boosting(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    """Small trees that keep to the declared directions while they grow. They are trained on inputs rounded to 32 bits,
    as ONNX takes them."""
    from lightgbm import LGBMClassifier

    return _trees(LGBMClassifier, risk, rows, labels)


def boosted_regression(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    """The same trees; their sum is the estimated number."""
    from lightgbm import LGBMRegressor

    return _trees(LGBMRegressor, risk, rows, labels)


def _trees(kind: Callable[..., Any], risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    from lightgbm import Booster
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    rounded = rows.astype(np.float32).astype(float)
    # One thread: on shared cores, threads that wait for each other need ten times the time. The trees are the same.
    fitted = kind(
        n_estimators=150, num_leaves=8, learning_rate=0.05, min_child_samples=30, min_child_weight=1,
        colsample_bytree=0.6, subsample=0.8, subsample_freq=1, monotone_constraints=[i.direction for i in risk.inputs],
        random_state=0, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1,
    ).fit(rounded, labels)  # fmt: skip
    shape = [(ONNX_INPUT, FloatTensorType([None, rows.shape[1]]))]
    trees = in_32_bits(fitted.booster_.model_to_string())
    booster = Booster(model_str=trees)
    onnx = convert_lightgbm(booster, initial_types=shape, zipmap=False, target_opset=15).SerializeToString()
    base = float(np.asarray(booster.predict(rounded[:1], pred_contrib=True))[0, -1])
    algorithm = "150 gradient-boosted trees of at most 8 leaves, held to the declared directions"
    return Fitted(algorithm, fitted, onnx, base, trees=trees)


def in_32_bits(trees: str) -> str:
    """The trees with every threshold rounded down to 32 bits, which is what ONNX keeps. A 32-bit input is then on the
    same side of both thresholds. With thresholds rounded to the nearest, the score and its explanation could differ."""

    def rounded(line: re.Match[str]) -> str:
        exact = np.array(line[1].split(), float)
        near = exact.astype(np.float32)
        down = np.where(near.astype(float) > exact, np.nextafter(near, np.float32(-np.inf)), near)
        return "threshold=" + " ".join(repr(float(threshold)) for threshold in down)

    without_lengths = re.sub(r"(?m)^tree_sizes=.*\n", "", trees)  # the rounding changes the lengths of the texts
    return re.sub(r"(?m)^threshold=(.*)$", rounded, without_lengths)


FIT: Mapping[Task, Mapping[Algorithm, Fit]] = {
    "classification": {"logistic_regression": logistic_regression, "gradient_boosting": gradient_boosting},
    "regression": {"linear_regression": linear_regression, "gradient_boosting": boosted_regression},
}
