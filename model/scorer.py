"""Scores rows with onnxruntime, on one thread, and says exactly what each input did to the score."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from errors import ModelBroken
from model import shelf
from model.card import Card
from model.explanation import Linear, Trees

#: Relative: ONNX computes in 32-bit floats, which hold no odds beyond some millions to one.
TOLERANCE = 1e-3


class Scorer:
    def __init__(self, card: Card, model: bytes, trees: str | None = None) -> None:
        """Raises ModelBroken on what is no model, or not the one that the card, or the trees, explain."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.card = card
        try:
            self._explanation = Linear(card) if trees is None else Trees(trees)
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            explained = self._is_explained()
        except Exception as error:  # onnxruntime has a class for each fault and no common one
            raise ModelBroken(f"{card.name} {card.version} cannot be run ({error}). Train again.") from error
        if not explained:
            raise ModelBroken(f"The card of {card.name} {card.version} explains another model. Train again.")

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities. Shapes: (n, inputs) in the card's order, nothing missing → (n,)."""
        _, probabilities = self._session.run(None, {"rows": rows.astype(np.float32)})
        return np.asarray(probabilities)[:, 1].astype(float)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the log-odds. Shape (n, inputs). `card.base` plus a row's sum is the log-odds of its
        score, exactly: of a linear model against the training means, of trees as their Shapley values."""
        return self._explanation.contributions(rows)

    def _is_explained(self) -> bool:
        """With every input at its median, and with each in turn at the least and at the most it was in training."""
        usual, low, high = (np.array([getattr(i, at) for i in self.card.inputs]) for at in ("missing", "low", "high"))
        probes = np.vstack([usual, *(np.where(np.eye(len(usual)), end, usual) for end in (low, high))])
        log_odds = self.card.base + self.contributions(probes).sum(axis=1)
        return np.allclose(self.score(probes), 1 / (1 + np.exp(-log_odds)), rtol=TOLERANCE, atol=1e-7)


class Scorers:
    """The current scorer of each model. Follows the `current` pointer: a new version serves from its next use on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loaded: dict[str, tuple[str, Scorer]] = {}

    def __getitem__(self, name: str) -> Scorer:
        """Raises ModelNotTrained, ModelBroken."""
        version = shelf.current_version(self._directory, name)
        at, scorer = self._loaded.get(name, (None, None))
        if scorer is None or at != version:
            scorer = Scorer(*shelf.take(self._directory / name / version))
            self._loaded[name] = (version, scorer)
        return scorer
