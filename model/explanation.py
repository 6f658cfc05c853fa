"""What each input adds to a score. The contributions of a row and the card's base sum to the log-odds of a probability,
or to an estimated number."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from model import shapley
from model.card import Card


class Linear:
    """Against a row at the training means. It is exact, because the sum is linear in the inputs.

    >>> from types import SimpleNamespace as Namespace
    >>> card = Namespace(inputs=[Namespace(weight=0.5, mean=40.0), Namespace(weight=-2.0, mean=0.0)])
    >>> Linear(card).contributions(np.array([[44.0, 1.0]])).tolist()
    [[2.0, -2.0]]
    """

    have_sums = True

    def __init__(self, card: Card) -> None:
        self._weights = np.array([i.weight for i in card.inputs], dtype=float)
        self._means = np.array([i.mean for i in card.inputs])

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """Shape (n, inputs), as `rows`."""
        return np.asarray((rows - self._means) * self._weights)

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """What the contributions sum to, (n,), from left to right: a row has the same sum alone and among others."""
        return self.explained(rows)[0]

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sums and the contributions."""
        contributions = self.contributions(rows)
        return contributions.cumsum(axis=1)[:, -1], contributions


class Trees:
    """Shapley values of gradient-boosted trees, against the training rows. If the trees are small, they `have_sums`."""

    def __init__(self, trees: str, dtype: type[np.floating[Any]]) -> None:
        """`trees` is LightGBM's text, and `dtype` the type in which the ONNX file takes its inputs. Raises
        ModelBroken."""
        self._trees, self._dtype = shapley.Trees(trees), dtype
        self.have_sums = self._trees.have_sums

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """Shape (n, inputs), as `rows`. Raises ModelBroken."""
        return self._trees.contributions(self._rounded(rows))

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """What the contributions sum to, (n,): a row has the same sum alone and among others. Raises ModelBroken."""
        return self._trees.sums(self._rounded(rows))

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sums and the contributions, from one look-up. Raises ModelBroken."""
        return self._trees.explained(self._rounded(rows))

    def _rounded(self, rows: np.ndarray) -> np.ndarray:
        """Or a split could go the other way than in the ONNX file."""
        return rows if self._dtype is np.float64 else rows.astype(self._dtype).astype(float)


#: A row's contributions cost at most this many scores.
MOST_SCORES = 2048
#: Training rows that are kept to compare with, if the inputs are few enough for `MOST_SCORES`.
BACKGROUND_ROWS = 32


def background_rows(inputs: int) -> int:
    """How many training rows are kept for a model of so many inputs.

    >>> [background_rows(inputs) for inputs in (1, 4, 30, 300)]
    [32, 32, 32, 3]
    """
    return max(1, min(BACKGROUND_ROWS, MOST_SCORES // (2 * max(inputs - 1, 1))))


class Sampled:
    """Shapley values against background rows, by sampling. From each background row a random order of the inputs leads
    to the row, input by input, and so does the reverse order. What the score gains at a step is the contribution of the
    step's input; the mean over all orders is answered. So base and contributions sum exactly to the row's own log-odds,
    or number. The orders are drawn from the row itself: the same row has the same contributions, in every process.

    >>> explanation = Sampled("a,b\\n0,0\\n2,0\\n", lambda rows: rows[:, 0] * (1 + rows[:, 1]))
    >>> explanation.base, explanation.contributions(np.array([[3.0, 1.0]])).tolist()
    (1.0, [[3.0, 2.0]])
    """

    def __init__(self, background: str, sums: Callable[[np.ndarray], np.ndarray]) -> None:
        """`background` is CSV with a header, a column for each input. `sums` gives the log-odds or the numbers of rows,
        (n, inputs) → (n,)."""
        self._rows = np.loadtxt(io.StringIO(background), delimiter=",", skiprows=1, ndmin=2)
        self._sums = sums
        self._ends = sums(self._rows)

    @property
    def base(self) -> float:
        """The mean log-odds or number of the background rows."""
        return float(self._ends.mean())

    def contributions(self, rows: np.ndarray, rounds: int = 1) -> np.ndarray:
        """Shape (n, inputs), as `rows`. With more `rounds`, more orders are drawn."""
        drawn: list[list[np.ndarray]] = [[self._round(row, number) for number in range(rounds)] for row in rows]
        return np.asarray(np.reshape(drawn, (len(rows), rounds, self._rows.shape[1])).mean(axis=1))

    def _round(self, row: np.ndarray, number: int) -> np.ndarray:
        """The contributions of one row, (inputs,)."""
        count, inputs = self._rows.shape
        seed = hashlib.sha256(row.astype("<f8").tobytes() + number.to_bytes(4, "little")).digest()
        rank = np.random.default_rng(int.from_bytes(seed, "little")).permuted(
            np.tile(np.arange(inputs), (count, 1)), axis=1
        )
        ranks = np.stack([rank, inputs - 1 - rank], axis=1)  # (background, 2, inputs): when an input takes its step
        steps = np.arange(1, inputs)[:, None]
        mixed = np.where(ranks[:, :, None, :] < steps, row, self._rows[:, None, None, :])
        scored = self._sums(np.vstack([mixed.reshape(-1, inputs), row]))
        between = scored[:-1].reshape(count, 2, inputs - 1)
        start = np.broadcast_to(self._ends[:, None, None], (count, 2, 1))
        path = np.concatenate([start, between, np.full((count, 2, 1), scored[-1])], axis=2)
        return np.asarray(np.take_along_axis(np.diff(path, axis=2), ranks, axis=2).mean(axis=(0, 1)))
