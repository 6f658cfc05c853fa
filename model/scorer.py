"""Scores rows, and gives the contribution of each input to a score. The card says what gives the score: onnxruntime, or
the sum of base and contributions. A version has the same scores for ever, so this is written when it is made."""

import math
from pathlib import Path

import numpy as np

from errors import ModelBroken
from model import shelf
from model.card import Card
from model.explanation import Linear, Sampled, Trees
from model.link import LINKS
from model.session import Session


class Scorer:
    """A model that is ready to score."""

    def __init__(self, card: Card, model: bytes, explanation: str | None = None) -> None:
        """`model` is an ONNX file whose one input is the matrix of rows, in 32 or 64 bits. `explanation` is
        LightGBM's text of the same model, or the background rows as CSV; a linear model has none. Raises ModelBroken if
        they cannot be loaded, or if they explain another model."""
        self.card, self._link = card, LINKS[card.task]
        try:
            self._session = Session(model)
            self._explanation = self._explanation_of(explanation)
            self._sums = self._summed()
            is_explained = self._is_explained()
        except Exception as error:  # onnxruntime has a class for each fault, and no base class of its own
            raise ModelBroken(f"{card.name} {card.version} cannot be run ({error}). Train again.") from error
        if not is_explained:
            raise ModelBroken(f"The card of {card.name} {card.version} explains another model. Train again.")

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities, or numbers within the card's bounds. `rows` has shape (n, inputs), in the card's order and
        without missing values; the scores have shape (n,). Raises ModelBroken on a score that is no number: it would
        fall into the mildest band."""
        return self._checked(
            self._raw_scores(rows) if self._sums is None else self._link.of_sum(self.card.base + self._sums.sums(rows))
        )

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`score` and `contributions` of the rows. Where sums are the scores, both are from one look-up."""
        if self._sums is None:
            return self.score(rows), self.contributions(rows)
        sums, contributions = self._sums.explained(rows)
        return self._checked(self._link.of_sum(self.card.base + sums)), contributions

    def _checked(self, scores: np.ndarray) -> np.ndarray:
        if not all(map(math.isfinite, scores.tolist())):  # of one row, numpy takes ten times as long
            raise ModelBroken(
                f"{self.card.name} {self.card.version} gave a score that is no number. Promote another version: "
                f"python -m jobs models {self.card.name} list"
            )
        return scores if self.card.bounds is None else scores.clip(*self.card.bounds)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the log-odds, or to the number before its bounds. Shape (n, inputs). `card.base` plus
        the sum of a row is exactly that: against the training means for a linear model, as Shapley values for trees.
        Those of another model are sampled: `card.sampled` states their error, and a row has the same ones each time."""
        return self._explanation.contributions(rows)

    def _raw_scores(self, rows: np.ndarray) -> np.ndarray:
        return self._link.score_of(self._session.answer(rows))

    def _explanation_of(self, text: str | None) -> Linear | Trees | Sampled:
        if text is None:
            return Linear(self.card)
        if self.card.trees_sha256:
            return Trees(text, self._session.dtype)
        return Sampled(text, lambda rows: self._link.sum_of(self._raw_scores(rows)))

    def _summed(self) -> Linear | Trees | None:
        """What gives the sums that are the scores, None if the ONNX file gives the scores. Raises ModelBroken."""
        if self.card.scored_by == "onnx":
            return None
        if isinstance(self._explanation, Sampled) or not self._explanation.have_sums:
            raise ModelBroken("nothing gives the sums that its card states")
        return self._explanation

    def _is_explained(self) -> bool:
        """Compare scores and explanations of some rows: every input at its median, and each input in turn at its
        smallest and at its largest training value."""
        median, low, high = (
            np.array([getattr(i, name) for i in self.card.inputs]) for name in ("missing", "low", "high")
        )
        probes = np.vstack([median, *(np.where(np.eye(len(median)), end, median) for end in (low, high))])
        if self.card.sampled:  # each probe costs hundreds of scores
            probes = probes[:1]
        parts = np.column_stack([np.full(len(probes), self.card.base), self.contributions(probes)])
        sums = [parts.sum(axis=1)] + ([] if self._sums is None else [self.card.base + self._sums.sums(probes)])
        differences = np.abs(self._raw_scores(probes) - [self._link.of_sum(some) for some in sums])
        return bool((differences <= self._link.tolerance(parts)).all())


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
