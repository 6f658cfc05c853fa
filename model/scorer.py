"""Scores rows with onnxruntime, on one thread, and gives the exact contribution of each input to a score."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from errors import ModelBroken
from model import shelf
from model.card import Card
from model.explanation import Linear, Trees
from model.link import LINKS

#: The type of an ONNX file's input → the type of the rows.
WIDTHS: Mapping[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(double)": np.float64}


class Scorer:
    """A model that is ready to score."""

    def __init__(self, card: Card, model: bytes, trees: str | None = None) -> None:
        """`model` is an ONNX file whose one input is the matrix of rows, in 32 or 64 bits, and `trees` LightGBM's text
        of the same model. Raises ModelBroken if they cannot be loaded, or if the card or the trees explain another
        model."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.card, self._link = card, LINKS[card.task]
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
            self._dtype = WIDTHS[self._session.get_inputs()[0].type]
            self._explanation = Linear(card) if trees is None else Trees(trees, self._dtype)
            is_explained = self._is_explained()
        except Exception as error:  # onnxruntime has a class for each fault, and no base class of its own
            raise ModelBroken(f"{card.name} {card.version} cannot be run ({error}). Train again.") from error
        if not is_explained:
            raise ModelBroken(f"The card of {card.name} {card.version} explains another model. Train again.")

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities, or numbers within the card's bounds. `rows` has shape (n, inputs), in the card's order and
        without missing values; the scores have shape (n,)."""
        scores = self._raw_scores(rows)
        return scores if self.card.bounds is None else scores.clip(*self.card.bounds)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the log-odds, or to the number before its bounds. Shape (n, inputs). `card.base` plus
        the sum of a row is exactly that: against the training means for a linear model, as Shapley values for trees."""
        return self._explanation.contributions(rows)

    def _raw_scores(self, rows: np.ndarray) -> np.ndarray:
        return self._link.score_of(self._session.run(None, {self._input: rows.astype(self._dtype, copy=False)}))

    def _is_explained(self) -> bool:
        """Compare scores and explanations of some rows: every input at its median, and each input in turn at its
        smallest and at its largest training value."""
        median, low, high = (
            np.array([getattr(i, name) for i in self.card.inputs]) for name in ("missing", "low", "high")
        )
        probes = np.vstack([median, *(np.where(np.eye(len(median)), end, median) for end in (low, high))])
        parts = np.column_stack([np.full(len(probes), self.card.base), self.contributions(probes)])
        difference = np.abs(self._raw_scores(probes) - self._link.of_sum(parts.sum(axis=1)))
        return bool((difference <= self._link.tolerance(parts)).all())


class Scorers:
    """The current scorer of each model, by the model's name. A new version serves from its next use on."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._loaded: dict[str, tuple[str, Scorer]] = {}

    def __getitem__(self, name: str) -> Scorer:
        """Raises ModelNotTrained, ModelBroken."""
        current = shelf.current_version(self._models, name)
        version, scorer = self._loaded.get(name, (None, None))
        if scorer is None or version != current:
            scorer = Scorer(*shelf.take(self._models / name / current))
            self._loaded[name] = (current, scorer)
        return scorer
