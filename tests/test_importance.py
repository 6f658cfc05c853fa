"""The importance of an input is measured on few rows, and on all of a rare class."""

import numpy as np
import pytest

from model.publishing.measures import SHUFFLED_ROWS, SHUFFLES, TASKS, importance

ROWS, FRAUDS = 50_000, 40


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(ROWS, 3))


def test_an_input_that_finds_few_frauds_is_important(rows: np.ndarray):
    labels = np.zeros(ROWS)
    labels[np.argsort(rows[:, 1])[-FRAUDS:]] = 1
    scored = 0

    def score(part: np.ndarray) -> np.ndarray:
        nonlocal scored
        scored += len(part)
        return part[:, 1]

    lost = importance(TASKS["classification"], score, rows, labels)
    assert lost[[0, 2]].tolist() == [0, 0]
    assert lost[1] == pytest.approx(0.5, abs=0.05)  # the AUC falls from 1 to that of chance
    assert scored == (1 + 3 * SHUFFLES) * (SHUFFLED_ROWS // 2 + FRAUDS)


def test_a_number_loses_what_its_input_explains(rows: np.ndarray):
    lost = importance(TASKS["regression"], lambda part: 2 * part[:, 0], rows, 2 * rows[:, 0])
    assert lost[1:].tolist() == [0, 0]
    assert lost[0] == pytest.approx(2 * np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_say_nothing(rows: np.ndarray, label: int):
    lost = importance(TASKS["classification"], lambda part: part[:, 0], rows, np.full(ROWS, label))
    assert lost.tolist() == [0, 0, 0]
