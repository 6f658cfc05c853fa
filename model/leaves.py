"""The leaves of trees that were written as LightGBM's text."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from errors import ModelBroken

#: LightGBM's types of a split: it compares categories; a zero counts as missing.
_CATEGORIES, _ZERO_IS_MISSING = 0b0001, 0b0100


class Condition(NamedTuple):
    """An input is over `low` and at most `high`."""

    input: int
    low: float
    high: float


ALWAYS = Condition(0, -math.inf, math.inf)


@dataclass(frozen=True)
class Leaf:
    """A leaf, and its conditions: whether a row in the leaf meets each, and the share of training rows that do so."""

    value: float
    path: tuple[tuple[Condition, bool, float], ...]

    @property
    def share(self) -> float:
        """The share of the training rows that are in the leaf."""
        return math.prod(share for _, _, share in self.path)

    @property
    def merged(self) -> "Leaf":
        """The leaf with one condition for each input."""
        merged, share = dict[int, Condition](), dict[int, float]()
        for condition, is_met, part in self.path:
            name, low, high = condition if is_met else (condition.input, condition.high, math.inf)
            before = merged.get(name, ALWAYS)
            merged[name] = Condition(name, max(low, before.low), min(high, before.high))
            share[name] = share.get(name, 1.0) * part
        return Leaf(self.value, tuple((merged[name], True, share[name]) for name in merged))


def read(text: str) -> tuple[int, list[list[Leaf]]]:
    """How many inputs the trees take, and the leaves of each tree, from left to right. A tree of one leaf has none
    here, as it adds nothing to an input. Raises ModelBroken if the text has no trees, or if its splits compare anything
    but numbers."""
    try:
        inputs = int(re.findall(r"(?m)^max_feature_idx=(\d+)$", text)[0]) + 1
        parts = re.split(r"(?m)^Tree=", text.partition("\nend of trees")[0])[1:]
        return inputs, [list(_leaves(dict(re.findall(r"(?m)^(\w+)=(.*)$", part)))) for part in parts]
    except (LookupError, ValueError, ZeroDivisionError) as error:
        raise ModelBroken(f"These are no trees of LightGBM ({error!r}). Train again.") from error


def _leaves(tree: dict[str, str]) -> Iterator[Leaf]:
    """Raises LookupError, ValueError, ZeroDivisionError."""
    if tree["num_leaves"] == "1":
        return
    inputs, kinds, left, right, count_of_leaf, count_of_split = (
        [int(number) for number in tree[name].split()]
        for name in ("split_feature", "decision_type", "left_child", "right_child", "leaf_count", "internal_count")
    )
    thresholds, values = ([float(number) for number in tree[name].split()] for name in ("threshold", "leaf_value"))
    if any(kind & (_CATEGORIES | _ZERO_IS_MISSING) for kind in kinds) or tree.get("is_linear", "0") != "0":
        raise ValueError("a split or a leaf does more than compare numbers")

    def below(node: int, path: tuple[tuple[Condition, bool, float], ...]) -> Iterator[Leaf]:
        if node < 0:
            yield Leaf(values[~node], path)
            return
        condition = Condition(inputs[node], -math.inf, thresholds[node])
        for child, is_met in ((left[node], True), (right[node], False)):
            count = count_of_leaf[~child] if child < 0 else count_of_split[child]
            yield from below(child, (*path, (condition, is_met, count / count_of_split[node])))

    yield from below(0, ())
