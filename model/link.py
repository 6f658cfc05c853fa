"""How what the inputs add up to becomes a score: the log-odds of a probability, or an estimated number itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from model.card import Task


@dataclass(frozen=True)
class Link:
    """`read`: what the ONNX file answers → (n,). `of_sum`: the sum of base and contributions → (n,), the same if the
    card explains the model. `rounding`: base and contributions, (n, 1 + inputs) → how far these may be apart, (n,)."""

    read: Callable[[list], np.ndarray]
    of_sum: Callable[[np.ndarray], np.ndarray]
    rounding: Callable[[np.ndarray], np.ndarray]


def _probabilities(answer: list) -> np.ndarray:
    return np.asarray(answer[1])[:, 1].astype(float)


def _numbers(answer: list) -> np.ndarray:
    return np.asarray(answer[0])[:, 0].astype(float)


def _sigmoid(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def _itself(total: np.ndarray) -> np.ndarray:
    return total


def _of_probability(parts: np.ndarray) -> np.ndarray:
    """ONNX computes in 32-bit floats, which hold no odds beyond some millions to one."""
    return 1e-7 + 1e-3 * _sigmoid(parts.sum(axis=1))


def _of_number(parts: np.ndarray) -> np.ndarray:
    """By the size of what is added and not of the sum: large parts that cancel leave the rounding of large numbers."""
    return 1e-7 + 1e-4 * np.abs(parts).sum(axis=1)


LINKS: Mapping[Task, Link] = {
    "classification": Link(_probabilities, _sigmoid, _of_probability),
    "regression": Link(_numbers, _itself, _of_number),
}
