"""Scores rows with onnxruntime, on one thread, and says exactly what each input did to the score."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from errors import ModelBroken
from model import shelf
from model.card import Card
from model.explanation import Linear, Trees
from model.link import LINKS


class Scorer:
    def __init__(self, card: Card, model: bytes, trees: str | None = None) -> None:
        """Raises ModelBroken on what is no model, or not the one that the card, or the trees, explain."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.card, self._link = card, LINKS[card.task]
        try:
            self._explanation = Linear(card) if trees is None else Trees(trees)
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            explained = self._is_explained()
        except Exception as error:  # onnxruntime has a class for each fault and no common one
            raise ModelBroken(f"{card.name} {card.version} cannot be run ({error}). Train again.") from error
        if not explained:
            raise ModelBroken(f"The card of {card.name} {card.version} explains another model. Train again.")

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities, or numbers within the card's bounds. Shapes: (n, inputs) in the card's order, nothing missing
        → (n,)."""
        said = self._said(rows)
        return said if self.card.bounds is None else said.clip(*self.card.bounds)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the log-odds, or to the number before its bounds. Shape (n, inputs). `card.base` plus
        a row's sum is that, exactly: of a linear model against the training means, of trees as their Shapley values."""
        return self._explanation.contributions(rows)

    def _said(self, rows: np.ndarray) -> np.ndarray:
        return self._link.read(self._session.run(None, {"rows": rows.astype(np.float32)}))

    def _is_explained(self) -> bool:
        """With every input at its median, and with each in turn at the least and at the most it was in training."""
        usual, low, high = (np.array([getattr(i, at) for i in self.card.inputs]) for at in ("missing", "low", "high"))
        probes = np.vstack([usual, *(np.where(np.eye(len(usual)), end, usual) for end in (low, high))])
        parts = np.column_stack([np.full(len(probes), self.card.base), self.contributions(probes)])
        apart = np.abs(self._said(probes) - self._link.of_sum(parts.sum(axis=1)))
        return bool((apart <= self._link.rounding(parts)).all())


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
