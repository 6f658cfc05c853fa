"""The training as it would have been earlier: each algorithm learns from earlier rows, and is measured on later rows
whose outcomes were known before the test rows. It chooses the champion and calibrates the scores, so that the test rows
choose nothing."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from features.risk import Protocol, Risk
from features.utc import midnight
from jobs.train.cases import DAY, TRAIN_SHARE, Parts, split
from jobs.train.fitting import FIT
from model.card import Calibration, Metrics, Rehearsal
from model.link import LINKS
from model.publishing.calibration import line
from model.publishing.fitted import Fitted
from model.publishing.measures import TASKS, Labels
from model.publishing.version import Rows, split_of


def parts(
    frame: pd.DataFrame, risk: Risk, now: datetime, protocol: Protocol | None, start: datetime | None, used: Parts
) -> Parts:
    """The rows to learn from and to measure on, of `frame`, oldest first. `used` are those of the training itself.

    With a protocol, it is the same protocol so much earlier that its test days begin with the training days. Without
    one, the first 70 % of the training rows, and those of the rest whose outcomes were not yet known then.
    """
    if protocol is not None:
        length = protocol.train_days + protocol.delay_days + protocol.test_days
        first = midnight(start or now - risk.outcomes.matures_after - length * DAY)
        earlier = split(frame, risk, now, protocol, first - (protocol.train_days + protocol.delay_days) * DAY)
        return Parts(earlier.train, earlier.test & used.train)
    index = np.flatnonzero(used.train)
    train = np.isin(np.arange(len(frame)), index[: int(len(index) * TRAIN_SHARE)])
    times = frame["event_timestamp"]
    return Parts(train, used.train & (times > times[train].max() + risk.outcomes.matures_after).to_numpy())


@dataclass(frozen=True)
class Rehearsed:
    """What each algorithm reached, and its calibration, if it gives probabilities. `rehearsal` says so on the card; it
    is None if there were too few rows to choose or to calibrate by."""

    rehearsal: Rehearsal | None
    metrics: dict[str, Metrics]
    calibrations: dict[str, Calibration]


NONE = Rehearsed(None, {}, {})


def rehearsed(risk: Risk, past: Rows, later: Rows) -> Rehearsed:
    """Fit each of the risk's algorithms on `past`, and measure it on `later`."""
    task = TASKS[risk.task]
    for labels in map(pd.Series, (past.labels, later.labels)):
        if not len(labels) or task.lack(labels) or task.few(labels):
            return NONE
    metrics: dict[str, Metrics] = {}
    calibrations: dict[str, Calibration] = {}
    for name in risk.algorithms:
        score = FIT[risk.task][name](risk, past.matrix, past.labels).scores
        assert score is not None, "it was fitted here"
        scores = score(later.matrix)
        if risk.task == "classification":
            sums = LINKS[risk.task].sum_of(scores)
            calibrations[name] = line(sums, later.labels)
            scores = LINKS[risk.task].of_sum(calibrations[name].slope * sums + calibrations[name].intercept)
        metrics[name] = task.metrics(risk, later.frame, Labels(past.labels, later.labels), scores)
    card = Rehearsal(train=split_of(risk, past), test=split_of(risk, later), metrics=metrics)
    return Rehearsed(card, metrics, calibrations)


def fitted(risk: Risk, rows: Rows, before: Rehearsed) -> dict[str, Fitted]:
    """Algorithm → its model of the training rows, calibrated as the rehearsal says."""
    return {
        name: replace(
            FIT[risk.task][name](risk, rows.matrix, rows.labels, *filter(None, [before.calibrations.get(name)])),
            rehearsed=before.metrics.get(name),
        )
        for name in risk.algorithms
    }
