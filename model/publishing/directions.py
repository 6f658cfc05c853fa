"""Whether a model of somebody's own goes in the directions that the risk declares."""

from collections.abc import Callable

import numpy as np

from features.risk import Risk

#: Training rows that are probed, and values that an input takes in each of them, between two quantiles.
PROBED_ROWS, STEPS, QUANTILES = 200, 9, (0.02, 0.98)
#: A model goes against a direction if moving the input shifts the score the wrong way by this share of the standard
#: deviation of the scores, on average; and a single step in one row counts if it is larger than the same.
NOTED_SHARE = 0.01


def against(
    risk: Risk, sums: Callable[[np.ndarray], np.ndarray], rows: np.ndarray
) -> tuple[tuple[str, ...], dict[str, float]]:
    """The inputs in which the model goes against the declared direction on average; and of the other ones, input → the
    share of the probed rows in which a step goes the wrong way. `sums` gives log-odds or numbers, (n, inputs) → (n,).
    """
    some = rows[np.random.default_rng(0).permutation(len(rows))[:PROBED_ROWS]]
    limit = NOTED_SHARE * float(sums(rows).std())
    wrong, wavering = [], {}
    for column, declared in enumerate(risk.inputs):
        low, high = np.quantile(rows[:, column], QUANTILES)
        if low == high:
            low, high = rows[:, column].min(), rows[:, column].max()
        if not declared.direction or low == high:
            continue
        moved = np.repeat(some[:, None, :], STEPS, axis=1)
        moved[:, :, column] = np.linspace(low, high, STEPS)
        path = declared.direction * sums(moved.reshape(-1, rows.shape[1])).reshape(len(some), STEPS)
        if (path[:, -1] - path[:, 0]).mean() < -limit:
            wrong.append(declared.name)
        elif (share := float((np.diff(path, axis=1).min(axis=1) < -limit).mean())) > 0:
            wavering[declared.name] = share
    return tuple(wrong), wavering
