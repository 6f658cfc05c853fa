"""What a classification and a regression do each in their own way: the cases they need, and the figures of a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from features.risk import Risk, Task
from jobs.train.cases import card_precision
from model.card import Metrics

FEWEST_ROWS, FEWEST_OF_A_KIND = 200, 10


@dataclass(frozen=True)
class Labels:
    """`past` and `future`: those of the training and of the test rows, (n,)."""

    past: np.ndarray
    future: np.ndarray


@dataclass(frozen=True)
class OfTask:
    """`lack` says what is wrong with too few labels, and nothing if they will do. `metrics` are of a model's scores on
    the test rows, and `worth` makes one number of them, the larger the better. `split` and `outcome` are what the card
    says of some labels; `shuffled` is scikit-learn's name of the figure that an input is important for."""

    dtype: type
    shuffled: str
    lack: Callable[[pd.Series], str]
    metrics: Callable[[Risk, pd.DataFrame, Labels, np.ndarray], Metrics]
    worth: Callable[[Metrics], float]
    split: Callable[[np.ndarray], dict[str, Any]]
    outcome: Callable[[np.ndarray], dict[str, Any]]


def _lacks_a_kind(labels: pd.Series) -> str:
    kinds = labels.value_counts()
    if len(labels) >= FEWEST_ROWS and len(kinds) >= 2 and kinds.min() >= FEWEST_OF_A_KIND:
        return ""
    return (
        f"with {dict(kinds)} outcomes are too few: {FEWEST_ROWS} with {FEWEST_OF_A_KIND} of each kind are needed. "
        "Bring more history, or train on other days."
    )


def _lacks_numbers(labels: pd.Series) -> str:
    different = labels.nunique()
    if len(labels) >= FEWEST_ROWS and different >= 2:
        return ""
    return (
        f"with {different} different outcomes are too few: {FEWEST_ROWS} that are not all alike are needed. "
        "Bring more history, or train on other days."
    )


def _of_probabilities(risk: Risk, rows: pd.DataFrame, labels: Labels, scores: np.ndarray) -> Metrics:
    of_cards, protocol, seen = None, risk.protocol, labels.future
    if protocol:
        of_cards = card_precision(rows[protocol.who], rows["event_timestamp"], seen, scores, protocol.top)
    return Metrics(
        roc_auc=roc_auc_score(seen, scores),
        average_precision=average_precision_score(seen, scores),
        brier=brier_score_loss(seen, scores),
        log_loss=log_loss(seen, scores),
        card_precision=of_cards,
    )


def _of_numbers(risk: Risk, rows: pd.DataFrame, labels: Labels, scores: np.ndarray) -> Metrics:
    seen = labels.future
    return Metrics(
        rmse=root_mean_squared_error(seen, scores),
        mae=mean_absolute_error(seen, scores),
        r2=r2_score(seen, scores),
        baseline_rmse=root_mean_squared_error(seen, np.full(len(seen), labels.past.mean())),
    )


TASKS: Mapping[Task, OfTask] = {
    "classification": OfTask(
        dtype=int,
        shuffled="roc_auc",
        lack=_lacks_a_kind,
        metrics=_of_probabilities,
        worth=lambda of: of.average_precision or 0.0,
        split=lambda labels: {"positives": int(labels.sum())},
        outcome=lambda labels: {"positive_rate": float(labels.mean()) if len(labels) else None},
    ),
    "regression": OfTask(
        dtype=float,
        shuffled="neg_root_mean_squared_error",
        lack=_lacks_numbers,
        metrics=_of_numbers,
        worth=lambda of: -(of.rmse or 0.0),
        split=lambda labels: {"mean": float(labels.mean())},
        outcome=lambda labels: {"mean": float(labels.mean()) if len(labels) else None},
    ),
}
