"""From fitted models to a version that serves: each is loaded, held to what was fitted and measured; the best one gets
a card and a report, and goes on the shelf."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version as library_version
from pathlib import Path

import numpy as np
import pandas as pd

from errors import ModelRefused, RiskError
from features.risk import Appetite, Risk
from model import shelf
from model.card import Card, CardInput, Metrics, OutcomeRate, Rehearsal, Replaced, Split
from model.publishing.contributions import explained
from model.publishing.drawn import reference
from model.publishing.fitted import Fitted
from model.publishing.intervals import intervals
from model.publishing.measures import SHUFFLED_ROWS, SLOW_ROWS, TASKS, Labels, importance
from model.publishing.proof import STAYS, hold, loaded, taken
from model.report.page import report
from model.scorer import Scorer, Scorers

LIBRARIES = ("numpy", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Rows:
    """Training or test rows. `frame` has the risk's inputs and may have `event_timestamp` and the protocol's entity.
    `matrix` has shape (n, inputs), in the risk's order and without missing values; `labels` has shape (n,)."""

    frame: pd.DataFrame
    matrix: np.ndarray
    labels: np.ndarray


def rows_of(risk: Risk, frame: pd.DataFrame, label: str, missing: pd.Series) -> Rows:
    """The rows of a frame, with the numbers of `missing` where an input is missing."""
    names = [i.name for i in risk.inputs]
    matrix = frame[names].astype(float).fillna(missing).to_numpy()
    return Rows(frame, matrix, frame[label].to_numpy(TASKS[risk.task].dtype))


@dataclass(frozen=True)
class _Candidate:
    """A model that the service can load, with the file that explains it."""

    card: Card
    fitted: Fitted
    explanation: str | None
    scorer: Scorer


def publish(
    models: Path,
    risk: Risk,
    appetite: Appetite,
    now: datetime,
    fitted: Mapping[str, Fitted],
    past: Rows,
    future: Rows,
    missing: pd.Series,
    notes: tuple[str, ...] = (),
    done: Callable[[str], object] = lambda step: None,
    rehearsal: Rehearsal | None = None,
    *,
    place: Callable[..., Path],
) -> Card:
    """Put the best of the models on the shelf with `place`: with `shelf.put` it serves from then on, and with
    `shelf.add` what serves stays. `appetite` are the thresholds of today, for the figures of the card and the report.
    `fitted` maps an algorithm to its model, `past` are the training rows, and `future` the test rows. Raises
    ModelRefused if every model goes against a declared direction or cannot be served. The best is that of the
    `rehearsal`; without one, that of the test rows."""
    candidates, unserved = _candidates(risk, now, fitted, past, future, missing)
    scores = {name: candidate.scorer.score(future.matrix) for name, candidate in candidates.items()}
    labels, task = Labels(past.labels, future.labels), TASKS[risk.task]
    metrics = {name: task.metrics(risk, future.frame, labels, values) for name, values in scores.items()}
    champion = _champion(risk, {name: fitted[name] for name in candidates}, metrics)
    best = candidates[champion]
    card = best.card.model_copy(
        update={
            "metrics": metrics,
            "intervals": intervals(risk.task, metrics[champion], future.labels, scores[champion]),
            "outcomes": _outcome_rates(risk, appetite, future.labels, scores[champion]),
            "refused": {name: model.against for name, model in fitted.items() if model.against},
            "unserved": unserved,
            "notes": (*notes, *_few(risk, past, future), *best.fitted.notes),
            "rehearsal": rehearsal,
            "calibration": best.fitted.calibration,
            "replaced": _replaced(models, risk, labels, future),
        }
    )
    drawn = reference(risk, past.frame, best.scorer.score(past.matrix)).model_dump_json(exclude_defaults=True).encode()
    card = card.model_copy(update={"reference_sha256": shelf.sha256(drawn)})
    done("card")
    most = SLOW_ROWS if card.sampled else SHUFFLED_ROWS
    lost = importance(task, best.scorer.score, future.matrix, future.labels, most)
    page = report(card, risk, appetite, future.frame, future.labels, scores[champion], lost)
    others = {f"{name}.onnx": model.onnx for name, model in fitted.items() if name != champion}
    others[shelf.REFERENCE] = drawn
    if best.explanation is not None:
        others[shelf.TREES if card.trees_sha256 else shelf.BACKGROUND] = best.explanation.encode()
    try:
        place(models, card, best.fitted.onnx, page, others, prove=partial(_prove, fitted=best.fitted, past=past))
    except FileExistsError as error:
        raise ModelRefused(f"{error} {STAYS}") from error
    done("report")
    return card


def _prove(version: Path, fitted: Fitted, past: Rows) -> None:
    _hold(taken(version), fitted, past)


def _hold(scorer: Scorer, fitted: Fitted, past: Rows) -> None:
    """Of an ONNX file alone, nothing is known but that its scores must be scores."""
    trained = fitted.scores(past.matrix) if fitted.scores else scorer.score(past.matrix)
    hold(scorer, past.matrix, trained)


def _candidates(
    risk: Risk, now: datetime, fitted: Mapping[str, Fitted], past: Rows, future: Rows, missing: pd.Series
) -> tuple[dict[str, _Candidate], dict[str, str]]:
    """The models that can be served, and why the others cannot. Raises ModelRefused if none can."""
    candidates, unserved, refusal = {}, {}, None
    for name, model in fitted.items():
        try:
            candidates[name] = _candidate(_draft(risk, name, model, now, past, future, missing), model, past)
        except ModelRefused as error:
            unserved[name], refusal = error.message, error
    if refusal and not candidates:
        raise refusal
    return candidates, unserved


def _candidate(draft: Card, model: Fitted, past: Rows) -> _Candidate:
    """Raises ModelRefused if the service could not load the model, or would give other scores."""
    try:
        card, explanation = explained(draft, model, past.matrix)
    except Exception as error:  # onnxruntime has a class for each fault
        raise ModelRefused(
            f"The model of {draft.name} cannot be served. It cannot be run ({error}). {STAYS}"
        ) from error
    scorer = loaded(card.name, partial(Scorer, card, model.onnx, explanation))
    _hold(scorer, model, past)
    return _Candidate(card, model, explanation, scorer)


def _draft(risk: Risk, name: str, model: Fitted, now: datetime, past: Rows, future: Rows, missing: pd.Series) -> Card:
    """The card before anything is measured."""
    digest = shelf.sha256(model.onnx)
    return Card(
        name=risk.name,
        version=f"{now:%Y%m%dT%H%M%S}-{digest[:8]}",
        feature_service=risk.name,
        champion=name,
        algorithm=model.algorithm,
        inputs=_card_inputs(risk, model, past.matrix, missing),
        base=model.base,
        train=split_of(risk, past),
        test=split_of(risk, future),
        metrics={},
        outcomes={},
        libraries={library: library_version(library) for library in (*LIBRARIES, *model.libraries)},
        model_sha256=digest,
        trees_sha256=shelf.sha256(model.trees.encode()) if model.trees else None,
        task=risk.task,
        bounds=risk.bounds,
        top=risk.protocol.top if risk.protocol and risk.task == "classification" else None,
    )


def _card_inputs(risk: Risk, fitted: Fitted, rows: np.ndarray, missing: pd.Series) -> tuple[CardInput, ...]:
    weights = [None] * len(risk.inputs) if fitted.weights is None else fitted.weights
    return tuple(
        CardInput(
            name=i.name, dtype=i.dtype, missing=missing[i.name], mean=column.mean(), low=column.min(),
            high=column.max(), weight=weight,
        )
        for i, column, weight in zip(risk.inputs, rows.T, weights, strict=True)
    )  # fmt: skip


def split_of(risk: Risk, rows: Rows) -> Split:
    """What a card says of some rows."""
    since = until = None
    if "event_timestamp" in rows.frame:
        since, until = rows.frame["event_timestamp"].min(), rows.frame["event_timestamp"].max()
    return Split(since=since, until=until, rows=len(rows.labels), **TASKS[risk.task].split(rows.labels))


def _champion(risk: Risk, fitted: Mapping[str, Fitted], metrics: Mapping[str, Metrics]) -> str:
    """The best of the models that go in the declared directions. Raises ModelRefused."""
    allowed = [name for name, model in fitted.items() if not model.against]
    if not allowed:
        against = ", ".join(sorted({name for model in fitted.values() for name in model.against}))
        raise ModelRefused(
            f"The model of {risk.name} goes against the declared direction of {against}. Check the data, or the "
            f"direction in features. {STAYS}"
        )
    return max(allowed, key=lambda name: TASKS[risk.task].worth(fitted[name].rehearsed or metrics[name]))


def _outcome_rates(risk: Risk, appetite: Appetite, labels: np.ndarray, scores: np.ndarray) -> dict[str, OutcomeRate]:
    bands = np.digitize(scores, [appetite.low, appetite.high])
    return {
        word: OutcomeRate(share=float((bands == band).mean()), **TASKS[risk.task].outcome(labels[bands == band]))
        for band, word in enumerate(appetite.words)
    }


def _few(risk: Risk, past: Rows, future: Rows) -> tuple[str, ...]:
    """A warning if there are few rows."""
    parts = {"training": pd.Series(past.labels), "test": pd.Series(future.labels)}
    few = [
        f"{len(labels):,} {name} rows {text}"
        for name, labels in parts.items()
        if (text := TASKS[risk.task].few(labels))
    ]
    warning = (
        f"Few cases: {' and '.join(few)}. Other cases might give another model. Its metrics are uncertain: "
        "the report has their 95 % intervals."
    )
    return (warning,) if few else ()


def _replaced(models: Path, risk: Risk, labels: Labels, future: Rows) -> Replaced | None:
    """The version that serves now, on the same test rows. None if there is none, or if it cannot score them."""
    try:
        scorer = Scorers(models)[risk.name]
    except RiskError:
        return None
    inputs = {i.name: i.missing for i in scorer.card.inputs}
    if scorer.card.task != risk.task or not inputs.keys() <= set(future.frame):
        return None
    matrix = future.frame[list(inputs)].astype(float).fillna(inputs).to_numpy()
    metrics = TASKS[risk.task].metrics(risk, future.frame, labels, scorer.score(matrix))
    return Replaced(version=scorer.card.version, metrics=metrics)
