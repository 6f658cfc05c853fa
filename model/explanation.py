"""What each input did to a score, so that with the card's base it sums to the log-odds, or to the estimated number."""

import numpy as np

from model.card import Card


class Linear:
    """Against a row at the training means; exact, as the sum is linear in the inputs."""

    def __init__(self, card: Card) -> None:
        self._weights = np.array([i.weight for i in card.inputs], dtype=float)
        self._means = np.array([i.mean for i in card.inputs])

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """Shape (n, inputs), as `rows`."""
        return (rows - self._means) * self._weights


class Trees:
    """Shapley values of gradient-boosted trees, against the training rows."""

    def __init__(self, trees: str) -> None:
        from lightgbm import Booster  # a second to import, and linear models do without

        self._booster = Booster(model_str=trees)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """Shape (n, inputs), as `rows`. The last column of LightGBM's answer is the base."""
        rounded = rows.astype(np.float32).astype(float)  # as ONNX sees them, or a split could go the other way
        return np.asarray(self._booster.predict(rounded, pred_contrib=True, num_threads=1))[:, :-1]
