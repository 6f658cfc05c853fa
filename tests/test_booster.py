"""The values below LightGBM's Python package are those of the package."""

import threading

import hypothesis.strategies as st
import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis.extra.numpy import arrays

from errors import ModelBroken
from model.booster import Booster

INPUTS = 5


@pytest.fixture(scope="module")
def trees() -> str:
    random = np.random.default_rng(7)
    rows = random.normal(size=(500, INPUTS))
    outcomes = rows[:, 0] * rows[:, 1] + rows[:, 2] > 0
    data = lightgbm.Dataset(rows, outcomes, free_raw_data=False)
    return lightgbm.train({"objective": "binary", "verbose": -1}, data, num_boost_round=20).model_to_string()


@given(rows=arrays(float, st.tuples(st.integers(0, 4), st.just(INPUTS)), elements=st.floats(-9, 9)))
@examples(max_examples=50, deadline=None)
def test_rows_have_the_contributions_of_the_package(trees: str, rows: np.ndarray):
    ours, package = Booster(trees), lightgbm.Booster(model_str=trees)
    expected = package.predict(rows, pred_contrib=True)[:, :-1] if len(rows) else np.empty((0, INPUTS))
    assert np.array_equal(ours.contributions(rows), expected)


def test_threads_share_a_booster(trees: str):
    booster, rows = Booster(trees), np.random.default_rng(1).normal(size=(40, INPUTS))
    expected, wrong = booster.contributions(rows), []

    def ask(number: int) -> None:
        for _ in range(20):
            if not np.array_equal(booster.contributions(rows[number : number + 5]), expected[number : number + 5]):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(0, 40, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_trees_that_are_none_are_refused_with_the_reason():
    with pytest.raises(ModelBroken, match="LightGBM: "):
        Booster("tree\nversion=v4\nnonsense")
