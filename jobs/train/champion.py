"""Trains the models of a risk on point-in-time rows. The best one serves, with its card and its report."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.metadata import version as library_version

import numpy as np
import pandas as pd
from joblib import parallel_config
from sklearn.inspection import permutation_importance

from errors import BadInput, ModelRefused, NoData
from features.risk import Appetite, Protocol, Risk
from jobs import point_in_time
from jobs.train.cases import Parts, known_cases, split
from jobs.train.fitting import FIT, Fitted
from jobs.train.report import report
from jobs.train.tasks import TASKS, Labels
from model import shelf
from model.card import Card, CardInput, Metrics, OutcomeRate, Split
from model.publishing.proof import hold, loaded, taken
from model.scorer import Scorer
from root import Root
from serving import policies
from serving.store import Store

#: The importance of an input is measured on at most this many test rows.
SHUFFLED_ROWS = 20_000
LIBRARIES = ("feast", "lightgbm", "numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


def train(
    root: Root,
    store: Store,
    risk: Risk,
    now: datetime,
    done: Callable[[str], object] = lambda step: None,
    protocol: Protocol | None = None,
    start: datetime | None = None,
) -> Card:
    """Train a model with each of the risk's algorithms and put the best one on the shelf, where it serves from then on.

    `done` is called after each of the four steps. `protocol` and `start` choose the days; by default the risk does.
    Before it serves, the scorer of the service loads the model, and must give the trained scores on the training rows;
    all metrics are those of that scorer. Raises NoData if there are too few cases, BadInput if an input is infinite,
    ModelRefused if every model goes against a declared direction or cannot be served, and PolicyBroken. Then nothing changes.
    """
    appetite = policies.appetite(root.policies, risk)
    past, future = _rows(root, store, risk, now, protocol or risk.protocol, start)
    done("rows")

    task = TASKS[risk.task]
    names = [i.name for i in risk.inputs]
    missing = past[names].astype(float).median().fillna(0)
    x_past, x_future = (part[names].astype(float).fillna(missing).to_numpy() for part in (past, future))
    y_past, y_future = (part[risk.outcomes.label].to_numpy(task.dtype) for part in (past, future))
    fitted: dict[str, Fitted] = {name: FIT[risk.task][name](risk, x_past, y_past) for name in risk.algorithms}
    done("fit")

    splits = _split(risk, past, y_past), _split(risk, future, y_future)
    drafts = {
        name: _draft(risk, name, model, now, splits, _card_inputs(risk, model, x_past, missing.to_numpy()))
        for name, model in fitted.items()
    }
    scorers, unserved = _scorers(risk, fitted, drafts, x_past)
    scores = {name: scorer.score(x_future) for name, scorer in scorers.items()}
    labels = Labels(y_past, y_future)
    metrics = {name: task.metrics(risk, future, labels, values) for name, values in scores.items()}
    champion = _champion(risk, {name: fitted[name] for name in scorers}, metrics)
    best = fitted[champion]
    card = drafts[champion].model_copy(
        update={
            "metrics": metrics,
            "outcomes": _outcome_rates(risk, appetite, y_future, scores[champion]),
            "refused": {name: model.against for name, model in fitted.items() if model.against},
            "unserved": unserved,
        }
    )
    done("card")

    sample = np.random.default_rng(0).permutation(len(y_future))[:SHUFFLED_ROWS]
    with parallel_config("threading", n_jobs=-1):
        shuffled = permutation_importance(
            best.estimator, x_future[sample], y_future[sample], scoring=task.shuffled, n_repeats=5, random_state=0
        )
    page = report(card, appetite, y_future, scores[champion], shuffled.importances_mean)
    others = {f"{name}.onnx": model.onnx for name, model in fitted.items() if name != champion}
    others |= {shelf.TREES: best.trees.encode()} if best.trees else {}
    trained = best.scores(x_past)
    shelf.put(root.models, card, best.onnx, page, others, prove=lambda folder: hold(taken(folder), x_past, trained))
    done("report")
    return card


def _draft(
    risk: Risk, name: str, model: Fitted, now: datetime, splits: tuple[Split, Split], inputs: tuple[CardInput, ...]
) -> Card:
    """The card before anything is measured."""
    digest = shelf.sha256(model.onnx)
    return Card(
        name=risk.name,
        version=f"{now:%Y%m%dT%H%M%S}-{digest[:8]}",
        feature_service=risk.name,
        champion=name,
        algorithm=model.algorithm,
        inputs=inputs,
        base=model.base,
        train=splits[0],
        test=splits[1],
        metrics={},
        outcomes={},
        libraries={library: library_version(library) for library in LIBRARIES},
        model_sha256=digest,
        trees_sha256=shelf.sha256(model.trees.encode()) if model.trees else None,
        task=risk.task,
        bounds=risk.bounds,
        top=risk.protocol.top if risk.protocol and risk.task == "classification" else None,
    )


def _scorers(
    risk: Risk, fitted: dict[str, Fitted], drafts: dict[str, Card], rows: np.ndarray
) -> tuple[dict[str, Scorer], dict[str, str]]:
    """The scorer of each model that can be served, and why the others cannot. Raises ModelRefused if none can."""
    scorers, unserved, refusal = {}, {}, None
    for name, model in fitted.items():
        try:
            scorers[name] = loaded(risk.name, partial(Scorer, drafts[name], model.onnx, model.trees))
            hold(scorers[name], rows, model.scores(rows))
        except ModelRefused as error:
            scorers.pop(name, None)
            unserved[name], refusal = error.message, error
    if refusal and not scorers:
        raise refusal
    return scorers, unserved


def _rows(
    root: Root, store: Store, risk: Risk, now: datetime, protocol: Protocol | None, start: datetime | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training and the test rows, with features. Raises NoData, BadInput."""
    frame = known_cases(root, risk, now)
    parts: Parts = split(frame, risk, now, protocol, start)
    label = risk.outcomes.label
    for name, part in (("training", frame[parts.train]), ("test", frame[parts.test])):
        if lack := TASKS[risk.task].lack(part[label]):
            raise NoData(f"{len(part)} {name} rows of {risk.name} {lack}")
    used = parts.train | parts.test
    rows = point_in_time.features(root, store, risk, frame[used].reset_index(drop=True))
    for i in risk.inputs:
        if infinite := int(np.isinf(rows[i.name].astype(float)).sum()):
            raise BadInput(
                f"{i.name} is infinite in {infinite:,} of {len(rows):,} rows of {risk.name}. No model can learn from "
                "that. Correct the feature's source: a missing value is null."
            )
    return rows[parts.train[used]], rows[parts.test[used]]


def _champion(risk: Risk, fitted: dict[str, Fitted], metrics: dict[str, Metrics]) -> str:
    """The best of the models that go in the declared directions. Raises ModelRefused."""
    allowed = [name for name, model in fitted.items() if not model.against]
    if not allowed:
        against = ", ".join(sorted({name for model in fitted.values() for name in model.against}))
        raise ModelRefused(
            f"The model of {risk.name} goes against the declared direction of {against}. Check the data, or the "
            "direction in features. The current model stays."
        )
    return max(allowed, key=lambda name: TASKS[risk.task].worth(metrics[name]))


def _card_inputs(risk: Risk, fitted: Fitted, rows: np.ndarray, medians: np.ndarray) -> tuple[CardInput, ...]:
    weights = [None] * len(risk.inputs) if fitted.weights is None else fitted.weights
    low, high = rows.min(axis=0), rows.max(axis=0)
    return tuple(
        CardInput(name=i.name, dtype=i.dtype, missing=median, mean=mean, low=least, high=most, weight=weight)
        for i, median, mean, least, most, weight in zip(
            risk.inputs, medians, rows.mean(axis=0), low, high, weights, strict=True
        )
    )


def _split(risk: Risk, rows: pd.DataFrame, labels: np.ndarray) -> Split:
    timestamps = rows["event_timestamp"]
    return Split(since=timestamps.min(), until=timestamps.max(), rows=len(rows), **TASKS[risk.task].split(labels))


def _outcome_rates(risk: Risk, appetite: Appetite, labels: np.ndarray, scores: np.ndarray) -> dict[str, OutcomeRate]:
    bands = np.digitize(scores, [appetite.low, appetite.high])
    return {
        word: OutcomeRate(share=float((bands == band).mean()), **TASKS[risk.task].outcome(labels[bands == band]))
        for band, word in enumerate(appetite.words)
    }
