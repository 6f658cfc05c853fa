"""Trains the models of a risk on point-in-time rows. The best one serves, with its card and its report, unless a team
published a model of its own."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from errors import BadInput, ModelBroken, NoData
from features.risk import Protocol, Risk
from jobs import point_in_time
from jobs.train import fed_back, rehearsal
from jobs.train.cases import Parts, known_cases, parted, split
from model import promotion, shelf
from model.card import Card
from model.publishing import version
from model.publishing.measures import TASKS
from model.publishing.version import rows_of
from root import Root
from serving import policies
from serving.store import Store


# Steps of the pipeline share the cores, and BLAS threads that wait for each other need several times the time.
@threadpool_limits.wrap(limits=1)
def train(
    root: Root,
    store: Store,
    risk: Risk,
    now: datetime,
    log: shelf.Log,
    done: Callable[[str], object] = lambda step: None,
    protocol: Protocol | None = None,
    start: datetime | None = None,
    quarantine: Path | None = None,
    beside: bool = False,
) -> Card:
    """Train a model with each of the risk's algorithms and put the best one on the shelf, where it serves from then on.
    A model that a team published itself still serves: training does not displace it, unless it cannot serve any more.
    With `beside`, it displaces no version that can serve.

    `log` gets the version before it serves. `done` is called after each of the four steps. `protocol` and `start`
    choose the days; by default the risk does. Invalid rows go to the file `quarantine`; without it, they are an error.
    Before it serves, the scorer of the service loads the model, and must give the trained scores on the training rows;
    all metrics are those of that scorer. Few cases make a model with a warning on its card. Raises NoData if there are
    no cases of a class to learn from or to be tested on, BadInput if an input is infinite,
    ModelRefused if every model goes against a declared direction or cannot be served, and PolicyBroken. Then nothing
    changes.
    """
    appetite = policies.appetite(root.policies, risk)
    cases = _chosen(root, risk, now, protocol or risk.protocol, start, quarantine)
    earlier = rehearsal.parts(cases.frame, risk, now, cases.protocol, start, cases.parts)
    past, future, *before = _joined(root, store, risk, cases, [cases.parts, earlier], quarantine)
    done("rows")

    label = risk.outcomes.label
    missing = past[[i.name for i in risk.inputs]].astype(float).median().fillna(0)
    training, test = (rows_of(risk, part, label, missing) for part in (past, future))
    rehearsed = rehearsal.rehearsed(risk, *(rows_of(risk, part, label, missing) for part in before))
    fitted = rehearsal.fitted(risk, training, rehearsed)
    done("fit")
    notes = fed_back.notes(past, future)
    try:
        promotion.that_stays(root.models, risk.name, risk.by_input)
    except ModelBroken as error:
        cause = re.split(r" (?:Train again|Choose another)", error.message)[0]
        notes += (f"It takes the place of a version that cannot serve. {cause}",)
    place = partial(shelf.put, log=log, displaces=partial(_displaces, root, risk, beside))
    return version.publish(
        root.models, risk, appetite, now, fitted, training, test, missing, notes, done, rehearsed.rehearsal, place=place
    )


def _displaces(root: Root, risk: Risk, beside: bool) -> bool:
    """Whether a trained version is to serve in the place of the one that serves now."""
    try:
        return promotion.that_stays(root.models, risk.name, risk.by_input, beside) is None
    except ModelBroken:
        return True


def case_rows(
    root: Root,
    store: Store,
    risk: Risk,
    now: datetime,
    protocol: Protocol | None,
    start: datetime | None,
    quarantine: Path | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training and the test rows, with features, and FED_BACK. Raises NoData, BadInput, FeaturesNotReady."""
    cases = _chosen(root, risk, now, protocol, start, quarantine)
    past, future = _joined(root, store, risk, cases, [cases.parts], quarantine)
    return past, future


@dataclass(frozen=True)
class _Cases:
    """Past cases, and which of them are for training and test. `frame` has those of the `raw` table and those `fed`
    back together, without features. `protocol` is the one that chose the parts, if one did."""

    raw: pd.DataFrame
    fed: fed_back.Cases
    frame: pd.DataFrame
    parts: Parts
    protocol: Protocol | None


def _chosen(
    root: Root, risk: Risk, now: datetime, protocol: Protocol | None, start: datetime | None, quarantine: Path | None
) -> _Cases:
    """Raises NoData, BadInput."""
    fed, label = fed_back.cases(root, risk, now), risk.outcomes.label
    raw = fed_back.without(risk, _known(root, risk, now, quarantine, fed), fed)
    names = ["event_timestamp", label, *([protocol.who] if protocol else [])]
    frame = fed_back.together(raw, fed, names)
    parts = split(frame, risk, now, protocol, start)
    if protocol == risk.protocol and start is None and _lack(frame, parts, risk):
        parts, protocol = parted(frame, risk), None  # nobody asked for these days
    if lack := _lack(frame, parts, risk):
        raise NoData(lack)
    return _Cases(raw, fed, frame, parts, protocol)


def _joined(
    root: Root, store: Store, risk: Risk, cases: _Cases, parts: Sequence[Parts], quarantine: Path | None
) -> list[pd.DataFrame]:
    """The training and the test rows of each of `parts`, with features. They are joined once. Raises as `case_rows`."""
    masks = [mask for part in parts for mask in (part.train, part.test)]
    used = np.logical_or.reduce(masks)
    point_in_time.require_inputs(risk, store)
    rows = fed_back.rows(
        cases.raw, cases.fed, cases.frame[used].index,
        lambda some: point_in_time.features(root, store, risk, some, quarantine),
    )  # fmt: skip
    for i in risk.inputs:
        if infinite := int(np.isinf(rows[i.name].astype(float)).sum()):
            raise BadInput(
                f"{i.name} is infinite in {infinite:,} of {len(rows):,} rows of {risk.name}. No model can learn from "
                "that. Correct the feature's source: a missing value is null."
            )
    return [rows[mask[used]] for mask in masks]


def _lack(frame: pd.DataFrame, parts: Parts, risk: Risk) -> str:
    """Why a part has too little to learn from, or to be tested on. Empty if neither has."""
    for name, part in (("training", frame[parts.train]), ("test", frame[parts.test])):
        if lack := TASKS[risk.task].lack(part[risk.outcomes.label]):
            return f"{len(part)} {name} rows of {risk.name} {lack}"
    return ""


def _known(root: Root, risk: Risk, now: datetime, quarantine: Path | None, fed: fed_back.Cases) -> pd.DataFrame:
    """The cases of the raw table. Without a raw table there are none, if outcomes were fed back; else it is NoData."""
    try:
        return known_cases(root, risk, now, quarantine)
    except NoData:
        if not fed.keys:
            raise
        return fed.rows[:0]
