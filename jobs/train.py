"""Point-in-time rows → a model with its card and report."""

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version as library_version

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import settings
from errors import ModelRefused, NoData
from features.declaration import Risk
from jobs import partitions
from jobs.report import report
from model import shelf
from model.card import Card, CardInput, Metrics, OutcomeRate, Split, Thresholds
from serving import featurization
from serving.source import FeatureSource

TRAIN_SHARE = 0.7
FEWEST_ROWS, FEWEST_OF_A_KIND = 200, 10
LIBRARIES = ("feast", "numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


def training_rows(source: FeatureSource, risk: Risk, now: datetime) -> pd.DataFrame:
    """The risk's past cases whose outcome was known at `now`, oldest first, with the features that Feast joins at each
    case's own moment. Never reads a feature from the raw table. Raises NoData, FeaturesNotReady."""
    cases = pd.read_parquet(partitions.raw(risk.outcomes.table))
    known = (cases["event_timestamp"] + risk.outcomes.matures_after <= now) & (cases["created"] <= now)
    cases = cases[known & cases[risk.outcomes.label].notna()].drop(columns="created")
    cases = cases.sort_values("event_timestamp", kind="stable", ignore_index=True)
    return featurization.complete_frame(source.historical(risk, cases), source.views(risk))


def train(source: FeatureSource, risk: Risk, now: datetime, done: Callable[[str], object] = lambda step: None) -> Card:
    """Train, describe and shelve one model; it serves from then on. `done` hears of each of the four steps.

    Raises NoData on too few cases, ModelRefused on a model that goes against a declared direction.
    """
    rows = training_rows(source, risk, now)
    cut = int(len(rows) * TRAIN_SHARE)
    past, future = rows.iloc[:cut], rows.iloc[cut:]
    for name, part in (("training", past), ("test", future)):
        kinds = part[risk.outcomes.label].value_counts()
        if len(part) < FEWEST_ROWS or len(kinds) < 2 or kinds.min() < FEWEST_OF_A_KIND:
            raise NoData(
                f"{len(part)} {name} rows of {risk.name} with {dict(kinds)} outcomes are too few: {FEWEST_ROWS} with "
                f"{FEWEST_OF_A_KIND} of each kind are needed. Bring more history."
            )
    done("rows")

    names = [i.name for i in risk.inputs]
    missing = past[names].astype(float).median().fillna(0)
    x_past, x_future = (part[names].astype(float).fillna(missing).to_numpy() for part in (past, future))
    y_past, y_future = (part[risk.outcomes.label].to_numpy(int) for part in (past, future))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000)).fit(x_past, y_past)
    onnx = to_onnx(
        pipeline, initial_types=[("rows", FloatTensorType([None, len(names)]))], options={"zipmap": False}
    ).SerializeToString()
    done("fit")

    scores = pipeline.predict_proba(x_future)[:, 1]
    card = Card(
        name=risk.name,
        version=f"{now:%Y%m%dT%H%M%S}-{shelf.sha256(onnx)[:8]}",
        feature_service=risk.name,
        algorithm="Logistic regression on standardized inputs",
        inputs=_card_inputs(risk, pipeline, missing.to_numpy()),
        base=float(pipeline[-1].intercept_[0]),
        train=_split(past, y_past),
        test=_split(future, y_future),
        metrics=Metrics(
            auc=roc_auc_score(y_future, scores),
            average_precision=average_precision_score(y_future, scores),
            brier=brier_score_loss(y_future, scores),
            log_loss=log_loss(y_future, scores),
        ),
        thresholds=Thresholds(approve_below=risk.appetite.approve_below, decline_from=risk.appetite.decline_from),
        outcomes=_outcome_rates(risk, y_future, scores),
        libraries={name: library_version(name) for name in LIBRARIES},
        model_sha256=shelf.sha256(onnx),
    )
    done("card")

    shuffled = permutation_importance(pipeline, x_future, y_future, scoring="roc_auc", n_repeats=5, random_state=0)
    page = report(card, y_future, scores, shuffled.importances_mean)
    shelf.put(settings.models(), card, onnx, page)
    done("report")
    return card


def _card_inputs(risk: Risk, pipeline: Pipeline, missing: np.ndarray) -> tuple[CardInput, ...]:
    scaler, regression = pipeline[0], pipeline[-1]
    weights = regression.coef_[0] / scaler.scale_
    against = [i.name for i, w in zip(risk.inputs, weights, strict=True) if i.direction * w < 0]
    if against:
        raise ModelRefused(
            f"The model of {risk.name} goes against what the business declared of {', '.join(against)}. Look at the "
            f"data, or at the declared direction in features; the current model stays."
        )
    return tuple(
        CardInput(name=i.name, dtype=i.dtype, missing=m, weight=w, mean=mean)
        for i, m, w, mean in zip(risk.inputs, missing, weights, scaler.mean_, strict=True)
    )


def _split(rows: pd.DataFrame, labels: np.ndarray) -> Split:
    times = rows["event_timestamp"]
    return Split(since=times.min(), until=times.max(), rows=len(rows), positives=int(labels.sum()))


def _outcome_rates(risk: Risk, labels: np.ndarray, scores: np.ndarray) -> dict:
    approved, declined = scores < risk.appetite.approve_below, scores >= risk.appetite.decline_from
    groups = {"approve": approved, "review": ~approved & ~declined, "decline": declined}
    return {
        name: OutcomeRate(share=float(group.mean()), positive_rate=float(labels[group].mean()) if group.any() else None)
        for name, group in groups.items()
    }
