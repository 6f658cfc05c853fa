"""How the sum of the inputs' contributions becomes a score. It is the log-odds of a probability, or an estimated number
itself."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.card import Task


@dataclass(frozen=True)
class Link:
    """How to read a model of one task.

    `score_of` takes the scores, shape (n,), out of the ONNX model's answer. `of_sum` makes them of the sums of base and
    contributions, (n,): both give the same if the card explains the model. `sum_of` is its inverse. `tolerance` says by
    how much they may differ, (n,), given base and contributions, (n, 1 + inputs).
    """

    score_of: Callable[[list[Any]], np.ndarray]
    of_sum: Callable[[np.ndarray], np.ndarray]
    sum_of: Callable[[np.ndarray], np.ndarray]
    tolerance: Callable[[np.ndarray], np.ndarray]


def _probabilities(answer: list[Any]) -> np.ndarray:
    """The last column of the last output. The outputs are labels and the probabilities of 0 and 1, or the probability
    of 1 alone."""
    return _last_column(answer)


def _numbers(answer: list[Any]) -> np.ndarray:
    return _last_column(answer)


def _last_column(answer: list[Any]) -> np.ndarray:
    matrix = np.asarray(answer[-1])
    return np.asarray(matrix.reshape(len(matrix), -1)[:, -1].astype(float))


#: e to a larger number is no float.
_LARGEST_EXPONENT = 709.0


def _sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """By the C library. NumPy has other instructions on another processor, and the last digit would differ."""
    return np.array([1 / (1 + math.exp(min(-number, _LARGEST_EXPONENT))) for number in log_odds.tolist()], dtype=float)


#: A probability of exactly 0 or 1 has no finite log-odds. The log-odds of a score end at those of this probability.
LEAST_PROBABILITY = 1e-7


def _logit(probabilities: np.ndarray) -> np.ndarray:
    inner = probabilities.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(inner / (1 - inner)))


def _identity(total: np.ndarray) -> np.ndarray:
    return total


def _probability_tolerance(parts: np.ndarray) -> np.ndarray:
    """An ONNX file may compute in 32-bit floats, which cannot hold odds above some millions to one."""
    return 1e-7 + 1e-3 * _sigmoid(parts.sum(axis=1))


def _number_tolerance(parts: np.ndarray) -> np.ndarray:
    """It grows with the sizes of the parts, not with their sum: large parts that cancel leave large rounding errors."""
    return np.asarray(1e-7 + 1e-4 * np.abs(parts).sum(axis=1))


LINKS: Mapping[Task, Link] = {
    "classification": Link(_probabilities, _sigmoid, _logit, _probability_tolerance),
    "regression": Link(_numbers, _identity, _identity, _number_tolerance),
}
