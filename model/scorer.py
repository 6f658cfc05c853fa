"""Scores rows with onnxruntime, on one thread, and says exactly what each input did to the score."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from errors import ModelBroken
from model import shelf
from model.card import Card

#: ONNX computes in 32-bit floats.
TOLERANCE = 1e-4


class Scorer:
    def __init__(self, card: Card, model: bytes) -> None:
        """Raises ModelBroken if the card's weights are not those of the model."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.card = card
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._weights = np.array([i.weight for i in card.inputs])
        self._means = np.array([i.mean for i in card.inputs])
        self._check()

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities. Shapes: (n, inputs) in the card's order, nothing missing → (n,)."""
        _, probabilities = self._session.run(None, {"rows": rows.astype(np.float32)})
        return np.asarray(probabilities)[:, 1].astype(float)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the log-odds, against a row at the training means. Shape (n, inputs).
        `card.base` plus a row's sum is the log-odds of its score: exact, as the model is linear in them."""
        return (rows - self._means) * self._weights

    def _check(self) -> None:
        probes = self._means + np.vstack([np.zeros(len(self._means)), np.eye(len(self._means))])
        log_odds = self.card.base + self.contributions(probes).sum(axis=1)
        if not np.allclose(self.score(probes), 1 / (1 + np.exp(-log_odds)), atol=TOLERANCE):
            raise ModelBroken(f"The card of {self.card.name} {self.card.version} explains another model. Train again.")


class Scorers:
    """The current scorer of each model. Follows the `current` pointer: a new version serves from its next use on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loaded: dict[str, tuple[Path, Scorer]] = {}

    def __getitem__(self, name: str) -> Scorer:
        """Raises ModelNotTrained, ModelBroken."""
        version = shelf.current(self._directory, name)
        at, scorer = self._loaded.get(name, (None, None))
        if scorer is None or at != version:
            scorer = Scorer(*shelf.take(version))
            self._loaded[name] = (version, scorer)
        return scorer
