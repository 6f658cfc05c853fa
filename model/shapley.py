"""Shapley values of trees, looked up instead of computed.

What a tree adds for each input follows from how a row answers its conditions, and from nothing else. A tree of eight
leaves has seven conditions. So their answers fit into a byte, and a table has the Shapley values of each byte. A larger
tree is cut into blocks of leaves that have at most eight conditions together. A leaf with more of them is computed.

The values are those of TreeSHAP (Lundberg, Erion, Lee, "Consistent Individualized Feature Attribution for Tree
Ensembles", 2018), as LightGBM computes them, but for the rounding of sums. A leaf of value v gives to input i

    v · (o_i − z_i) · ∫₀¹ Π_{j ≠ i} (t · o_j + (1 − t) · z_j) dt

where o_j is 1 if the row meets the leaf's conditions on input j and otherwise 0, and z_j is the share of the training
rows that meet them. The product is a polynomial of t, whose integral some points of Gauss and Legendre give exactly:
half as many as there are inputs.

A byte also says in which leaf a row is. So where each tree is one block, the same look-up gives their sum."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from errors import ModelBroken
from model.leaves import ALWAYS, Condition, Leaf, read

#: The conditions of a block: the bits of a byte.
BITS = 8
#: A block takes 16 KB and 0.2 ms when the trees are loaded, so many take 64 MB. The leaves of more are computed.
MOST_BLOCKS = 4096
#: Rows that are looked up together where only their sums are wanted. They take 20 KB each, for 300 trees.
ROWS_AT_ONCE = 64
#: Whether a byte has a bit: (256, BITS).
_HAS_BIT = (np.arange(2**BITS)[:, None] >> np.arange(BITS)) & 1 == 1
#: It fills a block up, so that its bytes are small: no number is at most NaN.
_NEVER = Condition(0, -math.inf, math.nan)


class Trees:
    """Trees that were written as LightGBM's text. Threads may share it."""

    def __init__(self, text: str) -> None:
        """Raises ModelBroken if the text is none, or if its splits compare anything but numbers."""
        self.inputs, trees = read(text)
        trees = [[leaf if len(leaf.path) <= BITS else leaf.merged for leaf in leaves] for leaves in trees]
        blocks = [block for leaves in trees for block in _blocks([leaf for leaf in leaves if len(leaf.path) <= BITS])]
        computed = [leaf for leaves in trees for leaf in leaves if len(leaf.path) > BITS]
        computed += [leaf for block in blocks[MOST_BLOCKS:] for leaf in block]
        self._tables = _Tables(self.inputs, blocks[:MOST_BLOCKS])
        self._computed = _Computed(self.inputs, computed) if computed else None
        #: Whether the tables have the sums of the trees, too.
        self.have_sums = self._tables.have_leaves and blocks == [leaves for leaves in trees if leaves]
        self._mean = math.fsum(leaf.value * leaf.share for leaves in trees for leaf in leaves)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the sum of the trees. `rows` has shape (n, inputs), float64, without missing values;
        so has the answer. Raises ModelBroken on rows of another width."""
        return self.explained(rows)[1]

    def explained(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The `sums` of rows, and their contributions, from one look-up. The sums are meant where the trees
        `have_sums`."""
        self._check(rows)
        values = np.array([self._tables.values(row) for row in rows]).reshape(len(rows), self.inputs + 1)
        contributions = values[:, :-1]
        if self._computed:
            contributions = contributions + [self._computed.values(row) for row in rows]
        return values[:, -1] - self._mean, contributions

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """The sum of the trees, less its mean over the training rows: what the contributions sum to, but for rounding.
        Shape (n,). A row has the same sum alone and among others. For trees that `have_sums`. Raises ModelBroken on
        rows of another width."""
        self._check(rows)
        parts = (self._tables.totals(rows[n : n + ROWS_AT_ONCE]) for n in range(0, len(rows), ROWS_AT_ONCE))
        return np.asarray(np.concatenate([np.empty(0), *parts]) - self._mean)

    def _check(self, rows: np.ndarray) -> None:
        if rows.shape[1:] != (self.inputs,):
            raise ModelBroken(f"The trees take {self.inputs} inputs, and a row has {rows.shape[-1]}. Train again.")


class _Conditions:
    """Conditions as arrays."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        names, low, high = zip(*conditions, strict=True) if conditions else ((), (), ())
        self.inputs = np.array(names, dtype=int)
        self._high = np.array(high, dtype=float)
        #: NaN where there is no bound: minus infinity is not at most NaN. None if none has a bound, as in small trees.
        self._low = np.where(np.isinf(low), np.nan, low) if np.isfinite(low).any() else None

    def met(self, rows: np.ndarray) -> np.ndarray:
        """Whether a row meets each, (conditions,), or each of many rows, (n, conditions)."""
        values = rows.take(self.inputs, axis=-1)
        met = values <= self._high
        return np.asarray(met if self._low is None else met & ~(values <= self._low))


class _Tables:
    """Leaves whose values are looked up, in blocks of at most `BITS` conditions. A row of a table has the Shapley
    values of its byte. If there is a place left, the last one has the value of the leaf."""

    def __init__(self, inputs: int, blocks: Sequence[Sequence[Leaf]]) -> None:
        conditions, columns = list[Condition](), list[int]()
        table = np.zeros((len(blocks), 2**BITS, BITS))
        self.have_leaves = True
        for of_block, leaves in zip(table, blocks, strict=True):
            union = list(dict.fromkeys(condition for leaf in leaves for condition, _, _ in leaf.path))
            names = list(dict.fromkeys(condition.input for condition in union))
            values, shapley = _of_bytes(leaves, union, names)
            of_block[: 2 ** len(union), : len(names)] = shapley
            if len(names) < BITS:
                of_block[: 2 ** len(union), -1] = values
            self.have_leaves &= len(names) < BITS
            conditions += union + [_NEVER] * (BITS - len(union))
            columns += names + [inputs] * (BITS - len(names))
        self._table, self._first = table.reshape(-1, BITS), np.arange(len(blocks)) * 2**BITS
        self._conditions, self._columns, self._inputs = _Conditions(conditions), np.array(columns, dtype=int), inputs

    def values(self, row: np.ndarray) -> np.ndarray:
        """The Shapley values of a row, and the sum of its leaves, (inputs + 1,)."""
        values = self._table.take(self._first + self._bytes(row), axis=0)
        return np.bincount(self._columns, values.ravel(), self._inputs + 1)

    def totals(self, rows: np.ndarray) -> np.ndarray:
        """The sum of the leaves of each row, (n,), in the order in which `values` adds them."""
        leaves = self._table[self._first + self._bytes(rows), -1]
        return leaves.cumsum(axis=1)[:, -1] if leaves.size else np.zeros(len(rows))

    def _bytes(self, rows: np.ndarray) -> np.ndarray:
        """The byte of each block, of a row or of many, as `_Conditions.met` takes them."""
        return np.packbits(self._conditions.met(rows), axis=-1, bitorder="little")


class _Computed:
    """Leaves that are in no table."""

    def __init__(self, inputs: int, leaves: Sequence[Leaf]) -> None:
        paths = [leaf.merged.path for leaf in leaves]
        shape = len(leaves), max(map(len, paths))
        padded = [condition for path in paths for condition in (*path, *[(ALWAYS, True, 1.0)] * (shape[1] - len(path)))]
        self._conditions = _Conditions([condition for condition, _, _ in padded])
        self._share = np.array([share for _, _, share in padded]).reshape(shape)
        self._leaves, self._inputs = np.array([[leaf.value] for leaf in leaves]), inputs

    def values(self, row: np.ndarray) -> np.ndarray:
        """The Shapley values of a row, (inputs,)."""
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


def _of_bytes(
    leaves: Sequence[Leaf], conditions: Sequence[Condition], names: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the leaves whose conditions each byte meets; their Shapley values, a column for each of the inputs
    `names`."""
    met = np.ones((len(leaves), 2 ** len(conditions), len(names)), dtype=bool)
    share = np.ones((len(leaves), 1, len(names)))
    for leaf, of_leaf, shares in zip(leaves, met, share, strict=True):
        for condition, is_met, part in leaf.path:
            column = names.index(condition.input)
            of_leaf[:, column] &= _HAS_BIT[: len(of_leaf), conditions.index(condition)] == is_met
            shares[:, column] *= part
    values = np.array([[[leaf.value]] for leaf in leaves])
    return (values[..., 0] * met.all(axis=-1)).sum(axis=0), _shapley(values, met, share).sum(axis=0)


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
