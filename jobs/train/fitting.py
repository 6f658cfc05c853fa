"""Fits one model: its scores as ONNX, its explanation, and the inputs in which it goes against a declared direction."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from features.risk import Algorithm, Risk, Task
from jobs.train import forests
from model.card import Calibration
from model.publishing.fitted import ONNX_INPUT, Fitted, scores_of
from model.publishing.measures import FEW_ROWS
from model.publishing.trees import lightgbm_in_64_bits

#: With so few rows, a sign may be chance. With more, it says that the data or the declaration is wrong.
LEFT_OUT = "In {:,} training rows, these inputs go against their declared directions. They have no weight: {}."

#: The risk, the rows (n, inputs), the labels (n,) and, of a classification, its calibration.
Fit = Callable[..., Fitted]


def logistic_regression(
    risk: Risk, rows: np.ndarray, labels: np.ndarray, calibration: Calibration | None = None
) -> Fitted:
    """The inputs are standardized, so that regularization treats them alike. `rows`: (n, inputs); `labels`: (n,)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1.0, max_iter=1000)
    words = "Logistic regression on standardized inputs"
    return _linear(words, fitted, {"zipmap": False}, risk, rows, labels, calibration)


def linear_regression(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    """As `logistic_regression`. Ridge makes inputs that say the same share their weight; without it, one of them might
    get the opposite sign."""
    from sklearn.linear_model import Ridge

    return _linear("Linear regression on standardized inputs", Ridge(alpha=1.0), {}, risk, rows, labels)


def _linear(
    algorithm: str,
    estimator: BaseEstimator,
    options: dict[str, Any],
    risk: Risk,
    rows: np.ndarray,
    labels: np.ndarray,
    calibration: Calibration | None = None,
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
    if calibration:
        fitted[-1].coef_ = fitted[-1].coef_ * calibration.slope
        fitted[-1].intercept_ = fitted[-1].intercept_ * calibration.slope + calibration.intercept
        weights = weights * calibration.slope
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
        calibration=calibration,
    )


BOOSTED = "300 gradient-boosted trees of at most 8 leaves, held to the declared directions"
FOREST = f"a random forest of {forests.TREES} trees of at most {forests.LEAVES} leaves, held to the declared directions"


def gradient_boosting(
    risk: Risk, rows: np.ndarray, labels: np.ndarray, calibration: Calibration | None = None
) -> Fitted:
    """Small trees that keep to the declared directions while they grow."""
    return _trees(BOOSTED, _boosted(risk, rows, labels), rows, calibration)


def random_forest(risk: Risk, rows: np.ndarray, labels: np.ndarray, calibration: Calibration | None = None) -> Fitted:
    """Small trees, each on its own draw of the rows."""
    return _trees(FOREST[:1].upper() + FOREST[1:], forests.forest(risk, rows, labels), rows, calibration)


def boosting_and_forest(
    risk: Risk, rows: np.ndarray, labels: np.ndarray, calibration: Calibration | None = None
) -> Fitted:
    """The mean of the log-odds of both. Their errors differ, and a part of them cancels."""
    both = forests.mean(_boosted(risk, rows, labels), forests.forest(risk, rows, labels))
    return _trees(f"The mean of {BOOSTED}, and of {FOREST}", both, rows, calibration)


def boosted_regression(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Fitted:
    """Boosted trees whose sum is the estimated number. LightGBM keeps labels in 32 bits, so they are shifted to
    zero."""
    from lightgbm import LGBMRegressor

    shift = float(labels.mean())
    return _trees(BOOSTED, _boosted(risk, rows, labels - shift, LGBMRegressor), rows, shift=shift)


def _boosted(risk: Risk, rows: np.ndarray, labels: np.ndarray, kind: Callable[..., Any] | None = None) -> Any:
    from lightgbm import LGBMClassifier

    # Of few inputs, three at least for a tree: with fewer, it could not say how they act together.
    # One thread: on shared cores, threads that wait for each other need ten times the time. The trees are the same.
    return (kind or LGBMClassifier)(
        n_estimators=300, num_leaves=8, learning_rate=0.02, min_child_samples=30, min_child_weight=1,
        colsample_bytree=min(1.0, max(0.3, 3 / rows.shape[1])), subsample=0.5, subsample_freq=1,
        monotone_constraints=[i.direction for i in risk.inputs],
        random_state=0, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1,
    ).fit(rows, labels).booster_  # fmt: skip


def _trees(
    algorithm: str, booster: Any, rows: np.ndarray, calibration: Calibration | None = None, shift: float = 0.0
) -> Fitted:
    if calibration:
        booster = forests.on_line(booster, calibration)
    model = lightgbm_in_64_bits(booster, shift)
    assert model is not None, "these trees have numbers only"
    base = float(np.asarray(booster.predict(rows[:1], pred_contrib=True))[0, -1]) + shift
    return Fitted(
        algorithm,
        model.SerializeToString(),
        lambda some: np.asarray(booster.predict(some), dtype=float) + shift,
        base,
        trees=booster.model_to_string(),
        libraries=("lightgbm",),
        calibration=calibration,
    )


FIT: Mapping[Task, Mapping[Algorithm, Fit]] = {
    "classification": {
        "logistic_regression": logistic_regression,
        "gradient_boosting": gradient_boosting,
        "random_forest": random_forest,
        "boosting_and_forest": boosting_and_forest,
    },
    "regression": {"linear_regression": linear_regression, "gradient_boosting": boosted_regression},
}
