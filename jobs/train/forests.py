"""A random forest, and the mean of trees and forest, as trees of LightGBM: they are served and explained as boosted
trees are, by sums of leaves that are log-odds."""

import re
from typing import Any

import numpy as np
from lightgbm import Booster, LGBMClassifier

from features.risk import Risk
from model.card import Calibration

#: More leaves are no better on orders.
TREES, LEAVES = 100, 32


def forest(risk: Risk, rows: np.ndarray, labels: np.ndarray) -> Booster:
    """Trees on drawn rows, with drawn inputs at each split. Its sum is the mean of the log-odds of one leaf a tree.

    LightGBM's leaves grow with their share of bad rows, and are no log-odds: those of a pure leaf are beyond 100. Each
    share is moved by the share of all rows, so that a pure leaf is not certain. That keeps the declared directions.
    """
    fitted = LGBMClassifier(
        boosting_type="rf", n_estimators=TREES, num_leaves=LEAVES, min_child_samples=5, min_child_weight=0,
        subsample=0.632, subsample_freq=1, feature_fraction_bynode=0.3,
        monotone_constraints=[i.direction for i in risk.inputs], random_state=0, n_jobs=1, deterministic=True,
        force_row_wise=True, verbose=-1,
    ).fit(rows, labels)  # fmt: skip
    mean = float(labels.mean())
    start, steepness = np.log(mean / (1 - mean)), mean * (1 - mean)

    def log_odds(leaf: float) -> float:
        share = min(max(mean + (leaf - start) * steepness, 0.0), 1.0)
        return float(np.log((share + mean) / (1 - share + mean)))

    text = _with_leaves(fitted.booster_, lambda leaf: log_odds(leaf) / TREES).model_to_string()
    return Booster(model_str=text.replace("\naverage_output\n", "\n", 1))  # LightGBM explains sums, and no means


def _with_leaves(booster: Booster, change: Any) -> Booster:
    """The booster with the values of its leaves replaced by `change` of them."""
    for number, tree in enumerate(booster.dump_model()["tree_info"]):
        for leaf in range(tree["num_leaves"]):
            booster.set_leaf_output(number, leaf, change(booster.get_leaf_output(number, leaf)))
    return booster


def on_line(booster: Booster, calibration: Calibration) -> Booster:
    """The booster whose sums are on the line of a calibration. Each tree has an equal part of the intercept."""
    part = calibration.intercept / booster.num_trees()
    return _with_leaves(booster, lambda leaf: calibration.slope * leaf + part)


def mean(first: Booster, second: Booster) -> Booster:
    """The booster whose sums are the means of the sums of both."""
    halves = (_with_leaves(booster, lambda leaf: leaf / 2).model_to_string() for booster in (first, second))
    (head, trees, tail), (_, more, _) = map(_parted, halves)
    blocks = [re.sub(r"^Tree=\d+", f"Tree={number}", block) for number, block in enumerate([*trees, *more])]
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    return Booster(model_str=re.sub(r"(?m)^tree_sizes=.*$", f"tree_sizes={sizes}", head) + "".join(blocks) + tail)


def _parted(text: str) -> tuple[str, list[str], str]:
    """What is before the trees, the trees, and what is after them."""
    first, end = text.index("Tree="), text.index("end of trees")
    return text[:first], re.split(r"(?m)^(?=Tree=)", text[first:end])[1:], text[end:]
