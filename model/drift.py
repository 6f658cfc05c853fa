"""How far two distributions are apart, and how far they may be by chance. Counts are of bins, shape (bins,)."""

from functools import cache

import numpy as np
from scipy.special import rel_entr
from scipy.stats import chi2

#: A population stability index from here on says that a distribution has changed.
LEAST_PSI = 0.2
#: How often chance alone may take one window over the limit of few rows.
CHANCE = 1e-4
#: Is added to each bin: the logarithm of an empty one would be infinite.
PSEUDO_COUNT = 0.5


def psi(expected: np.ndarray, seen: np.ndarray) -> float:
    """The population stability index of two lists of counts: the relative entropy of each against the other, added.
    Bins that are empty in both are left out.

    >>> round(psi(np.array([500, 500]), np.array([700, 300])), 3)
    0.169
    """
    is_used = (expected > 0) | (seen > 0)
    first, second = expected[is_used] + PSEUDO_COUNT, seen[is_used] + PSEUDO_COUNT
    first, second = first / first.sum(), second / second.sum()
    return float((rel_entr(first, second) + rel_entr(second, first)).sum())


def noise(expected: np.ndarray, seen: np.ndarray, spread: float = 1.0) -> float:
    """The index that chance alone exceeds with the probability `CHANCE`.

    Of n and m rows of one distribution over B bins, the index is about (1/n + 1/m) times a chi-squared variable with
    B − 1 degrees of freedom. Where rows come in bursts, `spread` of them say as much as one.

    >>> round(noise(np.full(10, 1_000), np.full(10, 20)), 3)
    0.172
    """
    bins = int(((expected > 0) | (seen > 0)).sum())
    rows = 1 / max(float(expected.sum()), 1.0) + 1 / max(float(seen.sum()), 1.0)
    return spread * rows * quantile(CHANCE, max(bins - 1, 1))


def limit(expected: np.ndarray, seen: np.ndarray, spread: float = 1.0) -> float:
    """The index from which two lists of counts differ by `LEAST_PSI` or more, and by more than chance."""
    return max(LEAST_PSI, noise(expected, seen, spread))


@cache
def quantile(chance: float, degrees: int) -> float:
    """What a chi-squared variable exceeds with the probability `chance`."""
    return float(chi2.isf(chance, degrees))


def ks(expected: np.ndarray, seen: np.ndarray) -> float:
    """The Kolmogorov–Smirnov distance of two lists of counts in the order of the bins: the largest difference of the
    shares up to a bin. 0 where one has no rows.

    >>> round(ks(np.array([50, 50, 0]), np.array([0, 50, 50])), 3)
    0.5
    """
    if not expected.sum() or not seen.sum():
        return 0.0
    return float(np.abs(np.cumsum(expected) / expected.sum() - np.cumsum(seen) / seen.sum()).max())
