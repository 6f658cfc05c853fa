"""The Shapley values from tables are those that LightGBM computes."""

import re
from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
import pytest

from errors import ModelBroken
from model import shapley
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


def near_thresholds(trees: shapley.Trees, count: int) -> np.ndarray:
    """Rows of which some values are thresholds of splits, or a little more or less."""
    random = np.random.default_rng(3)
    rows = random.normal(size=(count, trees.inputs))
    for part in (part._conditions for part in (trees._tables, trees._computed) if part):
        for place, threshold in zip(part.inputs, part._high, strict=True):
            if np.isfinite(threshold) and abs(threshold) > 1e-30:  # the package takes what is nearer to 0 for 0
                rows[random.integers(count, size=3), place] = threshold + np.array([-1e-9, 0, 1e-9])
    return rows


@pytest.mark.parametrize("leaves", [2, 3, 8, 9, 16, 31])
@pytest.mark.parametrize("seed", range(4))
def test_tables_have_the_values_of_the_package(leaves: int, seed: int):
    text = grown(leaves, seed)
    trees = shapley.Trees(text)
    rows = near_thresholds(trees, 200)
    assert are_alike(trees.contributions(rows), of_package(text, rows))


def test_a_path_of_many_splits_on_few_inputs_is_shortened():
    rows = wide()[:, :INPUTS]
    labels = np.exp(rows[:, 0]) * 8 % 2 > 1  # each step of one input is a split of its own
    text = fitted(rows, labels, 3, num_leaves=30, min_data_in_leaf=1)
    assert depth_of(text) > shapley.BITS
    trees = shapley.Trees(text)
    assert trees._computed is None, "they have six inputs"
    rows = near_thresholds(trees, 300)
    assert are_alike(trees.contributions(rows), of_package(text, rows))


def depth_of(trees: str) -> int:
    """The most splits on a path."""

    def below(node: dict[str, Any]) -> int:
        return 1 + max(below(node["left_child"]), below(node["right_child"])) if "left_child" in node else 0

    return max(below(tree["tree_structure"]) for tree in lightgbm.Booster(model_str=trees).dump_model()["tree_info"])


def test_infinite_inputs_go_where_the_package_sends_them():
    text = grown(16)
    rows = np.random.default_rng(5).choice([-np.inf, -1.0, 0.0, 1.0, np.inf], size=(100, INPUTS))
    assert are_alike(shapley.Trees(text).contributions(rows), of_package(text, rows))


def test_one_row_has_the_values_that_it_has_among_others():
    trees = shapley.Trees(grown(16))
    rows = near_thresholds(trees, 50)
    together = trees.contributions(rows)
    assert all(np.array_equal(trees.contributions(rows[n : n + 1])[0], together[n]) for n in range(len(rows)))
    assert trees.contributions(rows[:0]).shape == (0, INPUTS)
    assert np.array_equal(trees.contributions(np.asfortranarray(rows)), together), "another layout in memory"


@pytest.mark.parametrize("leaves", [2, 3, 8])
def test_small_trees_have_the_sums_of_the_package(leaves: int):
    text = grown(leaves)
    trees = shapley.Trees(text)
    rows = near_thresholds(trees, 200)
    contributions = lightgbm.Booster(model_str=text).predict(rows, pred_contrib=True)
    expected = np.asarray(contributions)[:, :-1].sum(axis=1)
    assert trees.have_sums
    assert are_alike(trees.sums(rows), expected)
    assert are_alike(trees.contributions(rows).sum(axis=1), expected)


def test_a_row_has_one_sum_to_the_last_bit_however_it_is_asked():
    trees = shapley.Trees(grown(8))
    rows = near_thresholds(trees, 150)
    together = trees.sums(rows)
    assert np.array_equal(trees.explained(rows)[0], together)
    assert np.array_equal(trees.sums(np.asfortranarray(rows)), together), "another layout in memory"
    for n in range(len(rows)):
        alone = rows[n : n + 1]
        assert trees.sums(alone) == trees.explained(alone)[0] == together[n]
    assert trees.sums(rows[:0]).shape == (0,)


def test_rows_in_the_same_leaves_have_the_same_sum():
    trees = shapley.Trees(grown(8, trees=1))
    assert len(np.unique(trees.sums(near_thresholds(trees, 500)))) == 8


def test_large_trees_have_no_sums():
    assert not shapley.Trees(grown(31)).have_sums


def test_trees_of_one_leaf_add_nothing():
    sums, contributions = shapley.Trees(grown(8, min_gain_to_split=1e9)).explained(np.ones((2, INPUTS)))
    assert not sums.any()
    assert not contributions.any()


def wide(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(4_000, 20))


def test_a_path_of_more_inputs_than_a_byte_has_bits_is_computed():
    rows = wide()
    labels = sum((rows[:, :n] > 0).all(axis=1).astype(float) for n in range(1, 19))  # each split asks another input
    text = fitted(rows, np.asarray(labels), 3, objective="regression", num_leaves=14, min_data_in_leaf=1)
    trees = shapley.Trees(text)
    assert trees._computed
    assert trees._computed._share.shape[1] > shapley.BITS
    rows = near_thresholds(trees, 300)
    assert are_alike(trees.contributions(rows), of_package(text, rows))


@pytest.mark.parametrize("most", [0, 3])
def test_leaves_beyond_the_most_blocks_are_computed(monkeypatch: pytest.MonkeyPatch, most: int):
    override(monkeypatch, shapley, MOST_BLOCKS=most)
    text = grown(20)
    trees = shapley.Trees(text)
    assert len(trees._tables._first) == most
    rows = near_thresholds(trees, 200)
    assert are_alike(trees.contributions(rows), of_package(text, rows))


def test_a_row_of_another_width_is_refused():
    trees = shapley.Trees(grown(8, trees=2))
    for width in (INPUTS - 1, INPUTS + 1):
        with pytest.raises(ModelBroken, match=f"The trees take {INPUTS} inputs, and a row has {width}"):
            trees.contributions(np.zeros((1, width)))
        with pytest.raises(ModelBroken, match=f"The trees take {INPUTS} inputs, and a row has {width}"):
            trees.sums(np.zeros((1, width)))


@pytest.mark.parametrize(
    "text",
    [
        "", "tree\nversion=v4\nnonsense", grown(8)[:2_000], grown(8).replace("leaf_count=", "leaf_counts="),
        re.sub("internal_count=.*", "internal_count=" + "0 " * 7, grown(8)), grown(8, zero_as_missing=True),
        grown(8, rows=np.floor(np.abs(wide()[:, :INPUTS] * 3)), categorical=[2]), grown(8, linear_tree=True),
    ],
    ids=["empty", "no trees", "cut", "no counts", "counts of nothing", "zeros", "categories", "linear leaves"],
)  # fmt: skip
def test_what_are_no_trees_of_numbers_is_refused(text: str):
    with pytest.raises(ModelBroken, match=r"These are no trees of LightGBM \(.+\)\. Train again"):
        shapley.Trees(text)
