"""The Shapley values from tables are those that LightGBM computes."""

from collections.abc import Callable, Sequence
from typing import Any

import lightgbm
import numpy as np
import pytest

from errors import ModelBroken
from model import shapley
from model.booster import Booster
from model.explanation import Trees
from tests.constants import override

INPUTS = 6


def grown(leaves: int, seed: int = 0, trees: int = 12, rows: np.ndarray | None = None, **more: object) -> str:
    """The text of some trees."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(2_000, INPUTS)) if rows is None else rows
    labels = rows[:, 0] * rows[:, 1] + np.sin(3 * rows[:, 2]) + random.normal(size=len(rows)) / 4 > 0
    return fitted(rows, labels, trees, num_leaves=leaves, min_data_in_leaf=3, **more)


def fitted(rows: np.ndarray, labels: np.ndarray, trees: int, categorical: Sequence[int] = (), **options: object) -> str:
    data = lightgbm.Dataset(rows, labels, categorical_feature=list(categorical))
    options = {"objective": "binary", "verbose": -1, **options}
    return lightgbm.train(options, data, num_boost_round=trees).model_to_string()


def of_package(trees: str, rows: np.ndarray) -> np.ndarray:
    """The values that LightGBM computes, (n, inputs)."""
    return np.asarray(lightgbm.Booster(model_str=trees).predict(rows, pred_contrib=True))[:, :-1]


def are_alike(ours: np.ndarray, expected: np.ndarray) -> bool:
    return np.allclose(ours, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def near_thresholds(table: shapley.Tables, count: int) -> np.ndarray:
    """Rows of which some values are thresholds of splits, or a little more or less."""
    random = np.random.default_rng(3)
    rows = random.normal(size=(count, table.inputs))
    for place, threshold in zip(table._of, table._high, strict=True):
        if np.isfinite(threshold) and abs(threshold) > 1e-30:  # the package takes what is nearer to 0 for 0
            rows[random.integers(count, size=3), place] = threshold + np.array([-1e-9, 0, 1e-9])
    return rows


def tabled(text: str) -> shapley.Tables:
    table = shapley.tables(text)
    assert table is not None
    return table


@pytest.mark.parametrize("leaves", [2, 3, 8, 9, 16, 31])
@pytest.mark.parametrize("seed", range(4))
def test_tables_have_the_values_of_the_package(leaves: int, seed: int):
    text = grown(leaves, seed)
    rows = near_thresholds(tabled(text), 200)
    assert are_alike(tabled(text).contributions(rows), of_package(text, rows))


def test_a_path_of_many_splits_on_few_inputs_is_shortened():
    rows = wide()[:, :INPUTS]
    labels = np.exp(rows[:, 0]) * 8 % 2 > 1  # each step of one input is a split of its own
    text = fitted(rows, labels, 3, num_leaves=30, min_data_in_leaf=1)
    assert depth_of(text) > shapley.BITS
    rows = near_thresholds(tabled(text), 300)
    assert are_alike(tabled(text).contributions(rows), of_package(text, rows))


def depth_of(trees: str) -> int:
    """The most splits on a path."""

    def below(node: dict[str, Any]) -> int:
        return 1 + max(below(node["left_child"]), below(node["right_child"])) if "left_child" in node else 0

    return max(below(tree["tree_structure"]) for tree in lightgbm.Booster(model_str=trees).dump_model()["tree_info"])


def test_infinite_inputs_go_where_the_package_sends_them():
    text = grown(16)
    rows = np.random.default_rng(5).choice([-np.inf, -1.0, 0.0, 1.0, np.inf], size=(100, INPUTS))
    assert are_alike(tabled(text).contributions(rows), of_package(text, rows))


def test_one_row_has_the_values_that_it_has_among_others():
    table = tabled(grown(16))
    rows = near_thresholds(table, 50)
    together = table.contributions(rows)
    assert all(np.array_equal(table.contributions(rows[n : n + 1])[0], together[n]) for n in range(len(rows)))
    assert table.contributions(rows[:0]).shape == (0, INPUTS)


def test_trees_of_one_leaf_add_nothing():
    assert not tabled(grown(8, min_gain_to_split=1e9)).contributions(np.ones((2, INPUTS))).any()


def wide(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(4_000, 14))


def with_zeros() -> str:
    return grown(8, zero_as_missing=True)


def with_categories() -> str:
    return grown(8, rows=np.floor(np.abs(wide()[:, :INPUTS] * 3)), categorical=[2])


def with_a_long_path() -> str:
    """A tree each of whose splits asks another input."""
    rows = wide()
    labels = sum((rows[:, :i] > 0).all(axis=1).astype(float) for i in range(1, 13))
    return fitted(rows, np.asarray(labels), 1, objective="regression", num_leaves=14, min_data_in_leaf=1)


@pytest.mark.parametrize("text", [with_zeros, with_categories, with_a_long_path])
def test_other_trees_are_left_to_the_library(text: Callable[[], str]):
    trees = text()
    assert shapley.tables(trees) is None
    rows = np.random.default_rng(2).normal(size=(20, lightgbm.Booster(model_str=trees).num_feature()))
    assert np.array_equal(Trees(trees, np.float64).contributions(rows), of_package(trees, rows))


def test_too_many_trees_are_left_to_the_library(monkeypatch: pytest.MonkeyPatch):
    override(monkeypatch, shapley, MOST_BLOCKS=3)
    text = grown(8)
    assert shapley.tables(text) is None
    assert isinstance(Trees(text, np.float64)._trees, Booster)


@pytest.mark.parametrize("leaves", [8, 200])
def test_a_row_of_another_width_is_refused(leaves: int):
    for width in (INPUTS - 1, INPUTS + 1):
        with pytest.raises(ModelBroken, match=f"The trees take {INPUTS} inputs, and a row has {width}"):
            Trees(grown(leaves, trees=2), np.float64).contributions(np.zeros((1, width)))
