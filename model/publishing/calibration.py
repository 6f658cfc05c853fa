"""Makes probabilities mean what they say: a line through the log-odds of a model, fitted on later rows.

The line becomes part of the model: of its weights and intercept, or of the leaves of its trees. So contributions sum to
the calibrated log-odds, and serving knows nothing of it.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from model.card import Calibration

#: A model's scores keep their order.
LEAST_SLOPE, MOST_SLOPE = 0.05, 20.0
BINS = 10


def line(sums: np.ndarray, labels: np.ndarray) -> Calibration:
    """The slope and intercept with the least log loss, after Platt. `sums` are log-odds, (n,), of rows that the model
    did not learn from; `labels`, (n,), are 0 or 1, both of them. Each class counts as if one row of it were of the
    other: rows that the model parts perfectly would else make it certain.

    >>> sums = np.repeat([-2.0, 2.0], 1000)
    >>> labels = np.tile(np.repeat([0, 1], [750, 250]), 2)
    >>> labels[1000:] = 1 - labels[1000:]
    >>> line(sums, labels).slope  # the scores are too sure by far: log-odds of 3 to 1 are 1.1
    0.548
    """
    bad = int((labels == 1).sum())
    targets = np.where(labels == 1, (bad + 1) / (bad + 2), 1 / (len(labels) - bad + 2))

    def loss(parts: np.ndarray) -> tuple[float, np.ndarray]:
        slope, intercept = parts
        log_odds = slope * sums + intercept
        excess = expit(log_odds) - targets
        losses = np.logaddexp(0, log_odds) - targets * log_odds
        return float(losses.mean()), np.array([(excess * sums).mean(), excess.mean()])

    bounds = [(LEAST_SLOPE, MOST_SLOPE), (None, None)]
    slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return Calibration(slope=round(float(slope), 3), intercept=round(float(intercept), 3))


def error(labels: np.ndarray, scores: np.ndarray) -> float:
    """The expected calibration error: in ten bins of the score, how far the mean score is from the share that came
    true, weighted by rows.

    >>> round(error(np.array([0, 0, 0, 1]), np.array([0.25, 0.25, 0.25, 0.25])), 3)
    0.0
    >>> round(error(np.array([0, 0, 0, 1]), np.array([0.75, 0.75, 0.75, 0.75])), 3)
    0.5
    """
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = np.bincount(places, weights=scores - labels, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))
