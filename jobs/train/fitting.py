"""Fits one model: its scores as ONNX, its explanation, and the inputs in which it goes against a declared direction."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from features.risk import Algorithm, Risk, Task
from model.publishing.fitted import ONNX_INPUT, Fitted, scores_of
from model.publishing.measures import FEW_ROWS
from model.publishing.trees import lightgbm_in_64_bits

#: With so few rows, a sign may be chance. With more, it says that the data or the declaration is wrong.
LEFT_OUT = "In {:,} training rows, these inputs go against their declared directions. They have no weight: {}."

Fit = Callable[[Risk, np.ndarray, np.ndarray], Fitted]


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
    from skl2onnx.common.data_types import DoubleTensorType
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    directions = np.array([i.direction for i in risk.inputs])
    is_left_out = np.zeros(len(directions), dtype=bool)
    while True:
        fitted = make_pipeline(StandardScaler(), estimator).fit(np.where(is_left_out, 0.0, rows), labels)
        weights = np.ravel(fitted[-1].coef_) / fitted[0].scale_
        is_against = directions * weights < 0
        if len(rows) >= FEW_ROWS or not is_against.any():
            break
        is_left_out |= is_against  # its weight becomes exactly 0
    shape = [(ONNX_INPUT, DoubleTensorType([None, rows.shape[1]]))]
    onnx = to_onnx(fitted, initial_types=shape, options=options).SerializeToString()
    against = tuple(i.name for i, is_wrong in zip(risk.inputs, is_against, strict=True) if is_wrong)
    left_out = [i.name for i, is_out in zip(risk.inputs, is_left_out, strict=True) if is_out]
    base = float(np.ravel(fitted[-1].intercept_)[0])
    return Fitted(
        algorithm,
        onnx,
        scores_of(fitted),
        base,
        weights=weights,
        against=against,
        libraries=("scikit-learn", "skl2onnx"),
        notes=(LEFT_OUT.format(len(rows), ", ".join(left_out)),) if left_out else (),
    )


def gradient_boosting(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    """Small trees that keep to the declared directions while they grow."""
    from lightgbm import LGBMClassifier

    return _trees(LGBMClassifier, risk, rows, labels, 0.0)


def boosted_regression(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    """The same trees; their sum is the estimated number. LightGBM keeps labels in 32 bits, so they are shifted to
    zero."""
    from lightgbm import LGBMRegressor

    return _trees(LGBMRegressor, risk, rows, labels, float(labels.mean()))


def _trees(kind: Callable[..., Any], risk: Risk, rows: np.ndarray, labels: np.ndarray, shift: float) -> Fitted:
    # One thread: on shared cores, threads that wait for each other need ten times the time. The trees are the same.
    fitted = kind(
        n_estimators=150, num_leaves=8, learning_rate=0.05, min_child_samples=30, min_child_weight=1,
        colsample_bytree=0.6, subsample=0.8, subsample_freq=1, monotone_constraints=[i.direction for i in risk.inputs],
        random_state=0, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1,
    ).fit(rows, labels - shift)  # fmt: skip
    booster = fitted.booster_
    model = lightgbm_in_64_bits(booster, shift)
    assert model is not None, "these trees have numbers only"
    base = float(np.asarray(booster.predict(rows[:1], pred_contrib=True))[0, -1]) + shift
    algorithm = "150 gradient-boosted trees of at most 8 leaves, held to the declared directions"
    scores = scores_of(fitted, shift)
    return Fitted(
        algorithm, model.SerializeToString(), scores, base, trees=booster.model_to_string(), libraries=("lightgbm",)
    )


FIT: Mapping[Task, Mapping[Algorithm, Fit]] = {
    "classification": {"logistic_regression": logistic_regression, "gradient_boosting": gradient_boosting},
    "regression": {"linear_regression": linear_regression, "gradient_boosting": boosted_regression},
}
