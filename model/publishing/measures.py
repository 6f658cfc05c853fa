"""Where classification and regression differ: the cases that training needs, and the metrics of a model."""

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
from model.card import Metrics
from model.publishing.calibration import error

#: The importance of an input is measured on at most this many test rows, shuffled this many times.
SHUFFLED_ROWS, SHUFFLES = 2_000, 5
#: A model without exact contributions may be slow, as one of nearest neighbours is. It is measured on fewer rows.
SLOW_ROWS = 600
#: With fewer training or test rows, or fewer of a class, the card warns: other rows might give another model.
FEW_ROWS, FEW_OF_A_CLASS = 500, 50


@dataclass(frozen=True)
class Labels:
    """The labels of the training rows (`past`) and of the test rows (`future`), shape (n,) each."""

    past: np.ndarray
    future: np.ndarray


@dataclass(frozen=True)
class TaskRules:
    """What training needs to know of a task.

    `lack` says why nothing can be learned or measured on some labels, and is empty otherwise. `few` says that they are
    few. `metrics` measures a model's scores on the test rows, and `worth` makes one number of the metrics: the larger,
    the better. `split` and `outcome` are what the card says about some labels. For the importance of an input, `loss`
    measures scores against labels, and `sample` chooses at most so many rows by their labels.
    """

    dtype: type
    lack: Callable[[pd.Series], str]
    few: Callable[[pd.Series], str]
    metrics: Callable[[Risk, pd.DataFrame, Labels, np.ndarray], Metrics]
    worth: Callable[[Metrics], float]
    split: Callable[[np.ndarray], dict[str, Any]]
    outcome: Callable[[np.ndarray], dict[str, Any]]
    loss: Callable[[np.ndarray, np.ndarray], float]
    sample: Callable[[np.random.Generator, np.ndarray, int], np.ndarray]


def _class_lack(labels: pd.Series) -> str:
    if labels.nunique() >= 2:
        return ""
    return (
        f"({_by_class(labels)}) lack a class: a model needs cases of both, earlier ones to learn from and later ones "
        "for the test. Bring more history, or train on other days."
    )


def _by_class(labels: pd.Series) -> str:
    counts = labels.value_counts()
    return ", ".join(f"{count:,} of class {label:g}" for label, count in counts.items()) or "none"


def _class_few(labels: pd.Series) -> str:
    is_few = len(labels) < FEW_ROWS or labels.value_counts().min() < FEW_OF_A_CLASS
    return f"({_by_class(labels)})" if is_few else ""


def _number_lack(labels: pd.Series) -> str:
    distinct = labels.nunique()
    if distinct >= 2:
        return ""
    return (
        f"({distinct:,} distinct labels) are too few: a model needs 2 distinct labels at least. "
        "Bring more history, or train on other days."
    )


def _number_few(labels: pd.Series) -> str:
    return f"({labels.nunique():,} distinct labels)" if len(labels) < FEW_ROWS else ""


def _probability_metrics(risk: Risk, rows: pd.DataFrame, labels: Labels, scores: np.ndarray) -> Metrics:
    protocol, truth = risk.protocol, labels.future
    precision = None
    if protocol and {protocol.who, "event_timestamp"} <= set(rows):
        precision = card_precision(rows[protocol.who], rows["event_timestamp"], truth, scores, protocol.top)
    return Metrics(
        roc_auc=roc_auc_score(truth, scores),
        average_precision=average_precision_score(truth, scores),
        brier=brier_score_loss(truth, scores),
        log_loss=log_loss(truth, scores),
        calibration_error=error(truth, scores),
        card_precision=precision,
    )


def _number_metrics(risk: Risk, rows: pd.DataFrame, labels: Labels, scores: np.ndarray) -> Metrics:
    truth = labels.future
    return Metrics(
        rmse=root_mean_squared_error(truth, scores),
        mae=mean_absolute_error(truth, scores),
        r2=r2_score(truth, scores),
        baseline_rmse=root_mean_squared_error(truth, np.full(len(truth), labels.past.mean())),
    )


def _of_both_classes(rng: np.random.Generator, labels: np.ndarray, most: int) -> np.ndarray:
    """As many of each class, where there are: the share of the classes does not change the AUC, and few frauds make it
    uncertain."""
    return np.concatenate([rng.permutation(np.flatnonzero(labels == label))[: most // 2] for label in (0, 1)])


TASKS: Mapping[Task, TaskRules] = {
    "classification": TaskRules(
        dtype=int,
        lack=_class_lack,
        few=_class_few,
        metrics=_probability_metrics,
        worth=lambda metrics: metrics.average_precision or 0.0,
        split=lambda labels: {"positives": int(labels.sum())},
        outcome=lambda labels: {"positive_rate": float(labels.mean()) if len(labels) else None},
        loss=lambda labels, scores: 1 - roc_auc_score(labels, scores),
        sample=_of_both_classes,
    ),
    "regression": TaskRules(
        dtype=float,
        lack=_number_lack,
        few=_number_few,
        metrics=_number_metrics,
        worth=lambda metrics: -(metrics.rmse or 0.0),
        split=lambda labels: {"mean": float(labels.mean())},
        outcome=lambda labels: {"mean": float(labels.mean()) if len(labels) else None},
        loss=root_mean_squared_error,
        sample=lambda rng, labels, most: rng.permutation(len(labels))[:most],
    ),
}


def importance(
    task: TaskRules,
    score: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    labels: np.ndarray,
    most: int = SHUFFLED_ROWS,
) -> np.ndarray:
    """How much worse the scores become if an input has the values of other test rows, drawn at random. Measured on at
    most `most` test rows. In AUC or RMSE, shape (inputs,)."""
    rng = np.random.default_rng(0)
    sample = task.sample(rng, labels, most)
    chosen, labels = rows[sample], labels[sample]
    if len(np.unique(labels)) < 2:  # such a sample has no AUC
        return np.zeros(rows.shape[1])
    whole, lost = task.loss(labels, score(chosen)), np.zeros(rows.shape[1])
    for column in range(rows.shape[1]):
        shuffled = chosen.copy()
        for _ in range(SHUFFLES):
            shuffled[:, column] = rng.choice(rows[:, column], len(chosen))
            lost[column] += (task.loss(labels, score(shuffled)) - whole) / SHUFFLES
    return lost


def card_precision(who: pd.Series, timestamps: pd.Series, labels: np.ndarray, scores: np.ndarray, top: int) -> float:
    """The share that was bad of the `top` entities with the highest scores of a day, as a mean over the days. An entity
    that was bad on one day is left out on the days after it."""
    frame = pd.DataFrame(
        {"who": who.to_numpy(), "day": timestamps.dt.date.to_numpy(), "label": labels, "score": scores}
    )
    caught: set[object] = set()
    shares = []
    for _, day in frame.groupby("day"):
        entities = day[~day["who"].isin(caught)].groupby("who")[["score", "label"]].max()
        suspects = entities.nlargest(top, "score")
        bad = suspects.index[suspects["label"] == 1]
        shares.append(len(bad) / top)
        caught |= set(bad)
    return float(np.mean(shares))
