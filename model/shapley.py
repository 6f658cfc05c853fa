"""Shapley values of trees, looked up instead of computed.

What a tree adds for each input follows from how a row answers its conditions, and from nothing else. A tree of eight
leaves has seven conditions. So their answers fit into a byte, and a table has the Shapley values of each byte. A larger
tree is cut into blocks of leaves that have at most eight conditions together.

The values are those of TreeSHAP (Lundberg, Erion, Lee, "Consistent Individualized Feature Attribution for Tree
Ensembles", 2018), as LightGBM computes them, but for the rounding of sums. A leaf of value v gives to input i

    v · (o_i − z_i) · ∫₀¹ Π_{j ≠ i} (t · o_j + (1 − t) · z_j) dt

where o_j is 1 if the row meets the leaf's conditions on input j and otherwise 0, and z_j is the share of the training
rows that meet them. Of at most eight inputs, the product is a polynomial of degree seven, whose integral four points of
Gauss and Legendre give exactly."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

#: The conditions of a block: the bits of a byte.
BITS = 8
#: A block takes 16 KB. So many take 64 MB: more, and LightGBM computes the values.
MOST_BLOCKS = 4096
#: Whether a byte has a bit: (256, BITS).
_HAS_BIT = (np.arange(2**BITS)[:, None] >> np.arange(BITS)) & 1 == 1
#: On 0 to 1.
_POINTS, _WEIGHTS = (half / 2 for half in np.polynomial.legendre.leggauss(BITS // 2))
_POINTS = _POINTS + 0.5
#: Of LightGBM's types of a split: it compares a category; a zero counts as missing.
_CATEGORY, _ZERO_IS_MISSING = 0b0001, 0b0100


class Condition(NamedTuple):
    """An input is over `low` and at most `high`. `low` is NaN where there is none: nothing is at most NaN."""

    input: int
    low: float
    high: float


#: Fills a block up, so that its bytes are small.
_NEVER = Condition(0, math.nan, math.nan)


@dataclass(frozen=True)
class Leaf:
    """A leaf, and its conditions: whether a row in the leaf meets each, and the share of training rows that do so."""

    value: float
    path: tuple[tuple[Condition, bool, float], ...]


class Tables:
    """Trees that were written as LightGBM's text, all of them small enough. Threads may share it."""

    def __init__(self, inputs: int, blocks: Sequence[Sequence[Leaf]]) -> None:
        self.inputs = inputs
        conditions, columns = [], []
        self._table = np.zeros((len(blocks), 2**BITS, BITS))
        for table, leaves in zip(self._table, blocks, strict=True):
            of_block = list(dict.fromkeys(condition for leaf in leaves for condition, _, _ in leaf.path))
            names = list(dict.fromkeys(condition.input for condition in of_block))
            table[: 2 ** len(of_block), : len(names)] = _values(leaves, of_block, names)
            conditions += of_block + [_NEVER] * (BITS - len(of_block))
            columns += names + [inputs] * (BITS - len(names))
        self._table = self._table.reshape(-1, BITS)
        self._first = np.arange(len(blocks)) * 2**BITS
        self._of = np.array([condition.input for condition in conditions], dtype=int)
        self._low, self._high = (np.array([c[place] for c in conditions], dtype=float) for place in (1, 2))
        self._columns = np.array(columns, dtype=int)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the sum of the trees. `rows` has shape (n, inputs), float64, without missing values;
        so has the answer."""
        answers = np.empty((len(rows), self.inputs))
        for row, answer in zip(rows, answers, strict=True):
            values = row[self._of]
            meets = ~(values <= self._low) & (values <= self._high)
            looked_up = self._table[self._first + np.packbits(meets, bitorder="little")]
            answer[:] = np.bincount(self._columns, looked_up.ravel(), self.inputs + 1)[:-1]
        return answers


def tables(trees: str) -> Tables | None:
    """The tables of trees that were written as LightGBM's text. None where a tree is too large for them, or does more
    than compare numbers."""
    inputs = re.search(r"(?m)^max_feature_idx=(\d+)$", trees)
    blocks: list[list[Leaf]] = []
    for text in re.split(r"(?m)^Tree=", trees.partition("\nend of trees")[0])[1:]:
        leaves = _leaves(dict(re.findall(r"(?m)^(\w+)=(.*)$", text)))
        if leaves is None or len(blocks) > MOST_BLOCKS:
            return None
        blocks += _blocks(leaves)
    return Tables(int(inputs[1]) + 1, blocks) if inputs else None


def _leaves(tree: dict[str, str]) -> list[Leaf] | None:
    """The leaves of a tree, from left to right. Where it has one leaf, nothing, as that adds nothing to an input. None
    where the tree does not fit."""
    if tree["num_leaves"] == "1":
        return []
    inputs, kinds, left, right, count_of_leaf, count_of_split = (
        [int(number) for number in tree[name].split()]
        for name in ("split_feature", "decision_type", "left_child", "right_child", "leaf_count", "internal_count")
    )
    thresholds, values = ([float(number) for number in tree[name].split()] for name in ("threshold", "leaf_value"))
    is_plain = not any(kind & (_CATEGORY | _ZERO_IS_MISSING) for kind in kinds) and tree.get("is_linear", "0") == "0"
    if not is_plain or not all((*count_of_leaf, *count_of_split)):
        return None

    def below(node: int, path: tuple[tuple[Condition, bool, float], ...]) -> Iterator[Leaf]:
        if node < 0:
            yield Leaf(values[~node], path)
            return
        condition = Condition(inputs[node], math.nan, thresholds[node])
        for child, is_met in ((left[node], True), (right[node], False)):
            count = count_of_leaf[~child] if child < 0 else count_of_split[child]
            yield from below(child, (*path, (condition, is_met, count / count_of_split[node])))

    leaves = [leaf if len(leaf.path) <= BITS else _shortened(leaf) for leaf in below(0, ())]
    return leaves if all(len(leaf.path) <= BITS for leaf in leaves) else None


def _shortened(leaf: Leaf) -> Leaf:
    """A leaf with one condition for each input."""
    low, high, share = dict[int, float](), dict[int, float](), dict[int, float]()
    for (name, _, threshold), is_met, part in leaf.path:
        share[name] = share.get(name, 1.0) * part
        if is_met:
            high[name] = min(threshold, high.get(name, math.inf))
        else:
            low[name] = max(threshold, low.get(name, -math.inf))
    merged = {name: Condition(name, low.get(name, math.nan), high.get(name, math.inf)) for name in share}
    return Leaf(leaf.value, tuple((merged[name], True, share[name]) for name in share))


def _blocks(leaves: Sequence[Leaf]) -> list[list[Leaf]]:
    """The leaves in blocks of at most `BITS` conditions: neighbours share most of theirs."""
    blocks: list[list[Leaf]] = []
    conditions: set[Condition] = set()
    for leaf in leaves:
        of_leaf = {condition for condition, _, _ in leaf.path}
        if not blocks or len(conditions | of_leaf) > BITS:
            blocks.append([])
            conditions = set()
        blocks[-1].append(leaf)
        conditions |= of_leaf
    return blocks


def _values(leaves: Sequence[Leaf], conditions: Sequence[Condition], names: Sequence[int]) -> np.ndarray:
    """The Shapley values of some leaves for each byte of their conditions: a column for each of the inputs `names`."""
    meets = np.ones((len(leaves), 2 ** len(conditions), len(names)), dtype=bool)
    share = np.ones((len(leaves), 1, len(names)))
    for leaf, of_leaf, shares in zip(leaves, meets, share, strict=True):
        for condition, is_met, part in leaf.path:
            column = names.index(condition.input)
            of_leaf[:, column] &= _HAS_BIT[: len(of_leaf), conditions.index(condition)] == is_met
            shares[:, column] *= part
    others = np.zeros(meets.shape)
    for point, weight in zip(_POINTS, _WEIGHTS, strict=True):
        factors = np.where(meets, point + (1 - point) * share, (1 - point) * share)
        others += weight * factors.prod(axis=2, keepdims=True) / factors
    value = np.array([leaf.value for leaf in leaves])[:, None, None]
    return np.asarray((value * (meets - share) * others).sum(axis=0))
