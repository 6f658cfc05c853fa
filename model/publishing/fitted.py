"""A fitted model, from whatever library: its scores as ONNX, and what explains them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.card import Calibration, Metrics

#: The name of the ONNX input of the models that we write.
ONNX_INPUT = "rows"


@dataclass(frozen=True)
class Fitted:
    """A model. `algorithm` describes it in words, and `scores` gives the scores of the fitted model, before any bounds,
    for rows of shape (n, inputs). It is None if the ONNX file is all there is.

    A linear model has `weights`, shape (inputs,), and a model of trees has `trees`, LightGBM's text. Another one has
    neither: its contributions are sampled. `against` names the inputs in which it goes against a declared direction:
    such a model cannot serve. `libraries` are those that it was fitted with. `notes` are what a reader of the card must
    know. `calibration` is in its scores, and `rehearsed` is what the same algorithm reached on earlier rows, if
    there was a rehearsal.
    """

    algorithm: str
    onnx: bytes
    scores: Callable[[np.ndarray], np.ndarray] | None
    base: float = 0.0
    weights: np.ndarray | None = None
    trees: str | None = None
    against: tuple[str, ...] = field(default=())
    libraries: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    calibration: Calibration | None = None
    rehearsed: Metrics | None = None


def scores_of(estimator: Any, shift: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """The scores of a fitted estimator: the probability of the second class, or the number plus `shift`."""
    if hasattr(estimator, "predict_proba"):
        return lambda rows: np.asarray(estimator.predict_proba(rows))[:, 1]
    return lambda rows: np.asarray(estimator.predict(rows), dtype=float).reshape(len(rows)) + shift
