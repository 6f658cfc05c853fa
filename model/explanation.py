"""What each input adds to a score. The contributions of a row and the card's base sum to the log-odds of a probability,
or to an estimated number."""

from typing import Any

import numpy as np

from model.card import Card


class Linear:
    """Against a row at the training means. It is exact, because the sum is linear in the inputs.

    >>> from types import SimpleNamespace as Namespace
    >>> card = Namespace(inputs=[Namespace(weight=0.5, mean=40.0), Namespace(weight=-2.0, mean=0.0)])
    >>> Linear(card).contributions(np.array([[44.0, 1.0]])).tolist()
    [[2.0, -2.0]]
    """

    def __init__(self, card: Card) -> None:
        self._weights = np.array([i.weight for i in card.inputs], dtype=float)
        self._means = np.array([i.mean for i in card.inputs])

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """Shape (n, inputs), as `rows`."""
        return np.asarray((rows - self._means) * self._weights)


class Trees:
    """Shapley values of gradient-boosted trees, against the training rows."""

    def __init__(self, trees: str, dtype: type[np.floating[Any]]) -> None:
        """`trees` is LightGBM's text, and `dtype` the type in which the ONNX file takes its inputs."""
        from lightgbm import Booster  # the import takes a second, and linear models do not need it

        self._booster, self._dtype = Booster(model_str=trees), dtype

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """Shape (n, inputs), as `rows`. LightGBM answers one column more, the base."""
        rounded = rows.astype(self._dtype).astype(float)  # or a split could go the other way than in the ONNX file
        return np.asarray(self._booster.predict(rounded, pred_contrib=True, num_threads=1))[:, :-1]
