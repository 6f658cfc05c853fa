"""Shapley values of trees, looked up instead of computed.

What a tree adds for each input follows from how a row answers its conditions, and from nothing else. A tree of eight
leaves has seven conditions. So their answers fit into a byte, and a table has the Shapley values of each byte. A larger
tree is cut into blocks of leaves that have at most eight conditions together. A leaf with more of them is computed.

The values are those of TreeSHAP (Lundberg, Erion, Lee, "Consistent Individualized Feature Attribution for Tree
Ensembles", 2018), as LightGBM computes them, but for the rounding of sums. A leaf of value v gives to input i

    v · (o_i − z_i) · ∫₀¹ Π_{j ≠ i} (t · o_j + (1 − t) · z_j) dt

where o_j is 1 if the row meets the leaf's conditions on input j and otherwise 0, and z_j is the share of the training
rows that meet them. The product is a polynomial of t, whose integral some points of Gauss and Legendre give exactly:
half as many as there are inputs."""

import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from errors import ModelBroken

#: The conditions of a block: the bits of a byte.
BITS = 8
#: A block takes 16 KB and 0.2 ms when the trees are loaded, so many take 64 MB. The leaves of more are computed.
MOST_BLOCKS = 4096
#: Whether a byte has a bit: (256, BITS).
_HAS_BIT = (np.arange(2**BITS)[:, None] >> np.arange(BITS)) & 1 == 1
#: LightGBM's types of a split: it compares categories; a zero counts as missing.
_CATEGORIES, _ZERO_IS_MISSING = 0b0001, 0b0100


#: Minus infinity counts as this number: a condition without a `low` holds for all numbers over minus infinity.
_LEAST = -sys.float_info.max


class Condition(NamedTuple):
    """An input is over `low` and at most `high`."""

    input: int
    low: float
    high: float


#: They fill a block up, so that its bytes are small, and a leaf.
_NEVER, _ALWAYS = Condition(0, math.inf, -math.inf), Condition(0, -math.inf, math.inf)


@dataclass(frozen=True)
class Leaf:
    """A leaf, and its conditions: whether a row in the leaf meets each, and the share of training rows that do so."""

    value: float
    path: tuple[tuple[Condition, bool, float], ...]


class Trees:
    """Trees that were written as LightGBM's text. Threads may share it."""

    def __init__(self, text: str) -> None:
        """Raises ModelBroken if the text is none, or if its splits compare anything but numbers."""
        try:
            self.inputs = int(re.findall(r"(?m)^max_feature_idx=(\d+)$", text)[0]) + 1
            parts = re.split(r"(?m)^Tree=", text.partition("\nend of trees")[0])[1:]
            trees = [list(_leaves(dict(re.findall(r"(?m)^(\w+)=(.*)$", part)))) for part in parts]
        except (LookupError, ValueError, ZeroDivisionError) as error:
            raise ModelBroken(f"These are no trees of LightGBM ({error!r}). Train again.") from error
        blocks = [block for leaves in trees for block in _blocks([leaf for leaf in leaves if len(leaf.path) <= BITS])]
        computed = [leaf for leaves in trees for leaf in leaves if len(leaf.path) > BITS]
        computed += [leaf for block in blocks[MOST_BLOCKS:] for leaf in block]
        self._tables, self._computed = _Tables(self.inputs, blocks[:MOST_BLOCKS]), _Computed(self.inputs, computed)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the sum of the trees. `rows` has shape (n, inputs), float64, without missing values;
        so has the answer. Raises ModelBroken on rows of another width."""
        if rows.shape[1:] != (self.inputs,):
            raise ModelBroken(f"The trees take {self.inputs} inputs, and a row has {rows.shape[-1]}. Train again.")
        answers = np.empty(rows.shape)
        for row, answer in zip(np.maximum(rows, _LEAST), answers, strict=True):
            answer[:] = self._tables.values(row) + self._computed.values(row)
        return answers


class _Conditions:
    """Conditions as arrays."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        names, low, high = zip(*conditions, strict=True) if conditions else ((), (), ())
        self.inputs = np.array(names, dtype=int)
        self._low, self._high = np.array(low, dtype=float), np.array(high, dtype=float)

    def met(self, row: np.ndarray) -> np.ndarray:
        """Whether a row meets each."""
        values = row[self.inputs]
        return np.asarray((values > self._low) & (values <= self._high))


class _Tables:
    """Leaves whose values are looked up, in blocks of at most `BITS` conditions."""

    def __init__(self, inputs: int, blocks: Sequence[Sequence[Leaf]]) -> None:
        conditions, columns = list[Condition](), list[int]()
        table = np.zeros((len(blocks), 2**BITS, BITS))
        for of_block, leaves in zip(table, blocks, strict=True):
            union = list(dict.fromkeys(condition for leaf in leaves for condition, _, _ in leaf.path))
            names = list(dict.fromkeys(condition.input for condition in union))
            of_block[: 2 ** len(union), : len(names)] = _of_bytes(leaves, union, names)
            conditions += union + [_NEVER] * (BITS - len(union))
            columns += names + [inputs] * (BITS - len(names))
        self._table, self._first = table.reshape(-1, BITS), np.arange(len(blocks)) * 2**BITS
        self._conditions, self._columns, self._inputs = _Conditions(conditions), np.array(columns, dtype=int), inputs

    def values(self, row: np.ndarray) -> np.ndarray:
        """The Shapley values of a row, (inputs,)."""
        numbers = np.packbits(self._conditions.met(row), bitorder="little")
        return np.bincount(self._columns, self._table[self._first + numbers].ravel(), self._inputs + 1)[:-1]


class _Computed:
    """Leaves that are in no table."""

    def __init__(self, inputs: int, leaves: Sequence[Leaf]) -> None:
        paths = [_merged(leaf).path for leaf in leaves]
        shape = len(leaves), max(map(len, paths), default=0)
        padded = [
            condition for path in paths for condition in (*path, *[(_ALWAYS, True, 1.0)] * (shape[1] - len(path)))
        ]
        self._conditions = _Conditions([condition for condition, _, _ in padded])
        self._share = np.array([share for _, _, share in padded]).reshape(shape)
        self._leaves, self._inputs = np.array([[leaf.value] for leaf in leaves]), inputs

    def values(self, row: np.ndarray) -> np.ndarray:
        """The Shapley values of a row, (inputs,)."""
        if not len(self._leaves):
            return np.zeros(self._inputs)
        values = _shapley(self._leaves, self._conditions.met(row).reshape(self._share.shape), self._share)
        return np.bincount(self._conditions.inputs, values.ravel(), self._inputs)


def _shapley(leaves: np.ndarray, met: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The formula at the top. `leaves` has the values v, `met` the o and `share` the z; the last axis is the inputs."""
    others = np.zeros(met.shape)
    for point, weight in _points(share.shape[-1]):
        factors = point * met + (1 - point) * share
        others += weight * factors.prod(axis=-1, keepdims=True) / factors
    return np.asarray(leaves * (met - share) * others)


@cache
def _points(inputs: int) -> list[tuple[float, float]]:
    """Points between 0 and 1, and their weights, that integrate a product of one factor less than there are inputs."""
    points, weights = np.polynomial.legendre.leggauss(max(1, (inputs + 1) // 2))
    return list(zip((points / 2 + 0.5).tolist(), (weights / 2).tolist(), strict=True))


def _of_bytes(leaves: Sequence[Leaf], conditions: Sequence[Condition], names: Sequence[int]) -> np.ndarray:
    """The Shapley values of some leaves for each byte of their conditions: a column for each of the inputs `names`."""
    met = np.ones((len(leaves), 2 ** len(conditions), len(names)), dtype=bool)
    share = np.ones((len(leaves), 1, len(names)))
    for leaf, of_leaf, shares in zip(leaves, met, share, strict=True):
        for condition, is_met, part in leaf.path:
            column = names.index(condition.input)
            of_leaf[:, column] &= _HAS_BIT[: len(of_leaf), conditions.index(condition)] == is_met
            shares[:, column] *= part
    return np.asarray(_shapley(np.array([[[leaf.value]] for leaf in leaves]), met, share).sum(axis=0))


def _leaves(tree: dict[str, str]) -> Iterator[Leaf]:
    """The leaves of a tree, from left to right. Where it has one leaf, nothing, as that adds nothing to an input.
    Raises LookupError, ValueError, ZeroDivisionError."""
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
            leaf = Leaf(values[~node], path)
            yield leaf if len(path) <= BITS else _merged(leaf)
            return
        condition = Condition(inputs[node], -math.inf, thresholds[node])
        for child, is_met in ((left[node], True), (right[node], False)):
            count = count_of_leaf[~child] if child < 0 else count_of_split[child]
            yield from below(child, (*path, (condition, is_met, count / count_of_split[node])))

    yield from below(0, ())


def _merged(leaf: Leaf) -> Leaf:
    """A leaf with one condition for each input."""
    merged, share = dict[int, Condition](), dict[int, float]()
    for condition, is_met, part in leaf.path:
        name, low, high = condition if is_met else (condition.input, condition.high, math.inf)
        before = merged.get(name, _ALWAYS)
        merged[name] = Condition(name, max(low, before.low), min(high, before.high))
        share[name] = share.get(name, 1.0) * part
    return Leaf(leaf.value, tuple((merged[name], True, share[name]) for name in merged))


def _blocks(leaves: Sequence[Leaf]) -> list[list[Leaf]]:
    """Leaves of at most `BITS` conditions each, in blocks of at most so many: neighbours share most of theirs."""
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
