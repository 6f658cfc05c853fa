"""A model of a team's own: a fitted estimator or an ONNX file, with the frame that it was fitted on."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from errors import BadInput, ModelRefused
from features.risk import Appetite, Risk
from features.utc import EARLIEST, LATEST
from model import shelf
from model.card import OWN, Card
from model.link import LINKS
from model.publishing import directions
from model.publishing.estimators import fitted_with
from model.publishing.fitted import Fitted
from model.publishing.onnx_files import read, served
from model.publishing.proof import STAYS
from model.publishing.version import Rows, rows_of
from model.publishing.version import publish as publish_version
from model.session import Session

#: From this share on, rows that are in both frames are no chance.
LEAST_SHARED = 0.01


def publish(
    models: Path,
    risk: Risk,
    appetite: Appetite,
    estimator: Any,
    training_frame: pd.DataFrame,
    test_frame: pd.DataFrame | None,
    now: datetime,
    log: shelf.Log,
    label: str | None = None,
    missing: Mapping[str, float] | None = None,
    algorithm: str | None = None,
    accept_against: tuple[str, ...] = (),
    tell: Callable[[str], object] = lambda line: None,
) -> Card:
    """As `model.publish`, which explains the arguments; without a clock and settings. `models` is the shelf, and
    `appetite` the thresholds of today. `log` gets the version before it serves, `tell` a line about what goes on."""
    label = label or risk.outcomes.label
    for given in (missing or {}, accept_against):
        _check_names(risk, given)
    _check(risk, training_frame, label, "training")
    if test_frame is not None:
        _check(risk, test_frame, label, "test")
    names = [i.name for i in risk.inputs]
    medians = training_frame[names].astype(float).median().fillna(0)
    filled = pd.Series({**medians.to_dict(), **{name: float(value) for name, value in (missing or {}).items()}})
    past = rows_of(risk, training_frame, label, filled)
    future = past if test_frame is None else rows_of(risk, test_frame, label, filled)
    notes = _time_notes(risk, training_frame, test_frame, label) + _missing_notes(risk, training_frame, filled)
    ways = _onnx_file(risk, estimator) if isinstance(estimator, str | Path | bytes) else fitted_with(risk, estimator)
    refusal: ModelRefused | None = None
    for fitted in ways:
        fitted = replace(fitted, algorithm=algorithm or f"Own model: {fitted.algorithm}")
        tell(
            f"{fitted.algorithm}: now its scores on {len(past.labels):,} training rows are compared, its {len(names)} "
            "inputs are probed, and some scores are explained. A slow model takes minutes."
        )
        try:
            fitted = _directed(risk, fitted, past, accept_against)
            place = partial(shelf.put, log=log)
            return publish_version(models, risk, appetite, now, {OWN: fitted}, past, future, filled, notes, place=place)
        except ModelRefused as error:
            refusal = refusal or error
    assert refusal is not None, "there is a way at least"
    raise refusal


def _onnx_file(risk: Risk, file: str | Path | bytes) -> list[Fitted]:
    """The model of an ONNX file. Raises ModelRefused, BadInput."""
    try:
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"The ONNX file {file!s} cannot be read ({error.strerror}). Give the path of a file.") from error
    words = "an ONNX file" if isinstance(file, bytes) else f"the ONNX file {Path(str(file)).name}"
    return [Fitted(words, served(read(content), [i.name for i in risk.inputs], risk.task), None)]


def _directed(risk: Risk, fitted: Fitted, past: Rows, accepted: tuple[str, ...]) -> Fitted:
    """The model with a note for each input in which it wavers. Raises ModelRefused if it goes against a declared
    direction, or if its answer is not one score for each row."""
    link = LINKS[risk.task]
    try:
        session = Session(fitted.onnx)
        scores = link.score_of(session.answer(past.matrix))
    except Exception as error:  # onnxruntime has a class for each fault
        raise ModelRefused(
            f"The model of {risk.name} cannot be served. It cannot be run ({error}). Use another step or estimator. "
            f"{STAYS}"
        ) from error
    is_score = np.isfinite(scores) & ((scores >= 0) & (scores <= 1) | (risk.task == "regression"))
    if scores.shape != past.labels.shape or not is_score.all():
        seen = scores[~is_score][0] if scores.shape == past.labels.shape else f"{len(scores)} scores"
        raise ModelRefused(
            f"The model of {risk.name} gives {seen} for {len(past.labels):,} training rows. The service needs "
            f"{'a probability' if risk.task == 'classification' else 'a number'} for each row. {STAYS}"
        )
    wrong, wavering = directions.against(
        risk, lambda rows: link.sum_of(link.score_of(session.answer(rows))), past.matrix
    )
    if refused := [name for name in wrong if name not in accepted]:
        raise ModelRefused(
            f"The model of {risk.name} goes against the declared direction of {', '.join(refused)}. Fit it with "
            f"monotone constraints, change the direction in features, or accept it with accept_against. {STAYS}"
        )
    notes = [f"It goes against the declared direction of {name}, which was accepted." for name in wrong]
    notes += [
        f"In {100 * share:.0f} % of the probed rows, it goes against the declared direction of {name} for a while."
        for name, share in wavering.items()
    ]
    return replace(fitted, notes=(*fitted.notes, *notes))


def _check_names(risk: Risk, names: Any) -> None:
    known = [i.name for i in risk.inputs]
    if unknown := [name for name in names if name not in known]:
        raise BadInput(f"{unknown[0]!r} is no input of {risk.name}. Its inputs are {', '.join(known)}.")


def _check(risk: Risk, frame: pd.DataFrame, label: str, part: str) -> None:
    """Raises BadInput if the frame cannot be the training or the test frame."""
    names = [i.name for i in risk.inputs]
    if lacking := [name for name in (*names, label) if name not in frame]:
        seen = ", ".join(map(str, frame.columns[:20]))
        raise BadInput(f"The {part} frame has no {', '.join(lacking)}. It has {seen}. {risk.name} needs the inputs "
                       f"{', '.join(names)} and the label {label}.")  # fmt: skip
    if not len(frame):
        raise BadInput(f"The {part} frame has no rows.")
    for name in (*names, label):
        column = frame[name]
        if isinstance(column, pd.DataFrame):
            raise BadInput(f"The {part} frame has {name} {column.shape[1]} times. Keep one of them.")
        if column.dtype == object:
            column = column.infer_objects()
        if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column) or column.isna().all()):
            raise BadInput(f"{name} of the {part} frame is {column.dtype}. A model takes numbers: encode it as one.")
        if infinite := int(np.isinf(column.astype(float)).sum()):
            raise BadInput(
                f"{name} is infinite in {infinite:,} of {len(frame):,} {part} rows. Use null if it is missing."
            )
    _check_label(risk, frame[label], label, part)
    if "event_timestamp" in frame:
        _check_timestamps(frame["event_timestamp"], part)


def _check_label(risk: Risk, labels: pd.Series, label: str, part: str) -> None:
    if unknown := int(labels.isna().sum()):
        raise BadInput(f"{label} is missing in {unknown:,} of {len(labels):,} {part} rows. Leave these rows out.")
    values = sorted(set(labels.astype(float).unique()))
    if risk.task == "classification" and values != [0.0, 1.0]:
        seen = ", ".join(f"{value:g}" for value in values[:5])
        raise BadInput(f"{label} of the {part} frame is {seen}. A classification needs rows with 0 and rows with 1.")


def _check_timestamps(timestamps: pd.Series, part: str) -> None:
    if not isinstance(timestamps.dtype, pd.DatetimeTZDtype):
        raise BadInput(
            f"event_timestamp of the {part} frame is {timestamps.dtype}, without a time zone. Make it UTC: "
            "frame['event_timestamp'].dt.tz_localize('UTC'), or leave the column out."
        )
    if timestamps.isna().any() or timestamps.min() < EARLIEST or timestamps.max() >= LATEST:
        raise BadInput(
            f"event_timestamp of the {part} frame has nulls, or years outside of 1970 to 2199. Correct them."
        )


#: A note names at most this many inputs with missing values, those with the most first.
MOST_NAMED = 5


def _missing_notes(risk: Risk, frame: pd.DataFrame, filled: pd.Series) -> tuple[str, ...]:
    """What the model gets where the frame has nulls, in one note."""
    shares = frame[[i.name for i in risk.inputs]].isna().mean()
    shares = shares[shares > 0].sort_values(ascending=False, kind="stable")
    if shares.empty:
        return ()
    named = [f"{name} in {100 * share:.1f} % ({filled[name]:g})" for name, share in shares.head(MOST_NAMED).items()]
    more = f", and {len(shares) - MOST_NAMED} more in fewer rows" if len(shares) > MOST_NAMED else ""
    return (
        f"{len(shares)} of {len(risk.inputs)} inputs are missing in some training rows. The model gets the number in "
        f"brackets there, here and in the service: {', '.join(named)}{more}. The card has each number.",
    )


def _time_notes(risk: Risk, past: pd.DataFrame, future: pd.DataFrame | None, label: str) -> tuple[str, ...]:
    """Why the metrics are better than those of later rows would be; nothing if the test rows are later, or if that
    cannot be seen."""
    if future is None:
        return ("The metrics are those of the training rows, which the model has seen. Later rows would be worse.",)
    columns = [*(i.name for i in risk.inputs), label]
    columns += ["event_timestamp"] if "event_timestamp" in past and "event_timestamp" in future else []
    seen = pd.util.hash_pandas_object(_plain(past[columns]), index=False)
    shared = float(pd.util.hash_pandas_object(_plain(future[columns]), index=False).isin(seen).mean())
    notes = []
    if shared >= LEAST_SHARED and ("event_timestamp" in columns or shared == 1):
        notes.append(
            f"{100 * shared:.0f} % of the test rows are training rows, which the model has seen. The metrics are too "
            "good: test on later rows."
        )
    elif "event_timestamp" in columns:
        early = float((future["event_timestamp"] <= past["event_timestamp"].max()).mean())
        if early > 0:
            notes.append(
                f"{100 * early:.0f} % of the test rows are not later than every training row. The model has learned "
                "from what came after them, so the metrics may be too good: test on later rows."
            )
    return tuple(notes)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers of one type, so that equal rows have equal digests."""
    times = {"event_timestamp"} & set(frame)
    numbers = frame.drop(columns=list(times)).astype(float) + 0.0
    return numbers.assign(**{name: frame[name].dt.tz_convert("UTC").dt.as_unit("us") for name in times})
