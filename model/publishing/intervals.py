"""How uncertain metrics are: their 95 % intervals, by bootstrap over the test rows."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from features.risk import Task
from model.card import Metrics

RESAMPLES, SEED = 300, 0
ENDS = (0.025, 0.975)
#: The metrics of one resample, in the order of the names.
_Values = tuple[float, ...]


def intervals(task: Task, metrics: Metrics, labels: np.ndarray, scores: np.ndarray) -> dict[str, tuple[float, float]]:
    """Metric → its 95 % interval around the value that `metrics` has. `labels` and `scores` have shape (n,). Each
    resample draws n rows with replacement.

    >>> few = np.array([0, 0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9])
    >>> perfect = Metrics(roc_auc=1.0, average_precision=1.0)
    >>> low, high = intervals("classification", perfect, *few)["roc_auc"]
    >>> low < 0.7, high
    (True, 1.0)
    """
    names, resamples = _TASKS[task]
    ends = np.quantile(list(resamples(labels, scores)), ENDS, axis=0)
    values = [getattr(metrics, name) for name in names]
    return {
        name: (min(float(low), value), max(float(high), value))
        for name, value, low, high in zip(names, values, *ends, strict=True)
    }


def _ranks(labels: np.ndarray, scores: np.ndarray) -> Iterator[_Values]:
    """ROC AUC and average precision. Few rows may be in a perfect order by luck, and then all their resamples are. So
    each resample has one row more of each class, at the score of any row. Beside many rows, these change nothing."""
    rng, count, order = np.random.default_rng(SEED), len(labels), np.argsort(-scores, kind="stable")
    is_bad = labels[order] == 1
    firsts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))  # of each run of equal scores
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(0, count, count), minlength=count)
        bad, good = np.where(is_bad, drawn, 0), np.where(is_bad, 0, drawn)
        bad[rng.integers(count)] += 1
        good[rng.integers(count)] += 1
        bad, good = np.add.reduceat(bad, firsts), np.add.reduceat(good, firsts)
        all_bad, all_good = bad.cumsum(), good.cumsum()
        above = all_bad - bad / 2
        roc_auc = (good * above).sum() / (all_bad[-1] * all_good[-1])
        some = all_bad + all_good
        yield roc_auc, (bad * all_bad / np.maximum(some, 1)).sum() / all_bad[-1]


def _errors(labels: np.ndarray, scores: np.ndarray) -> Iterator[_Values]:
    """RMSE and MAE."""
    rng, errors = np.random.default_rng(SEED), np.abs(labels - scores)
    for _ in range(RESAMPLES):
        drawn = rng.choice(errors, len(errors))
        yield float(np.sqrt((drawn**2).mean())), float(drawn.mean())


_TASKS: Mapping[Task, tuple[tuple[str, str], Callable[[np.ndarray, np.ndarray], Iterator[_Values]]]] = {
    "classification": (("roc_auc", "average_precision"), _ranks),
    "regression": (("rmse", "mae"), _errors),
}
