"""Past cases with their outcomes, and how they are decided: logged decisions, or cases of the dataset."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from errors import BadParameter, NoData
from features.risk import Risk
from jobs import point_in_time
from jobs.replay import comparing
from jobs.replay.deciding import Again
from jobs.replay.records import Logged
from jobs.replay.versions import Versions
from jobs.train.cases import known_cases
from model.card import Card
from root import Root
from serving import featurization
from serving.audit import outcomes
from serving.audit.lookup import OUTCOMES
from serving.audit.positions import Positions
from serving.store import Store

INSTANT = timedelta(microseconds=1)
#: Thresholds are chosen by at least this many cases.
FEWEST = 100
#: The columns of a side: the outcome by severity, 0 for the mildest, and the score.
SEVERITY, SCORE = "severity", "score"


@dataclass(frozen=True)
class Cases:
    """Cases whose outcome is known. `rows` has what is known of each, `bad` whether it ended badly, `before` and
    `after` how each is decided: columns SEVERITY and SCORE. `left_out` counts, by cause, what cannot be compared."""

    rows: pd.DataFrame
    bad: np.ndarray
    before: pd.DataFrame
    after: pd.DataFrame
    left_out: Counter[str] = field(default_factory=Counter)


def require_bad_cases(risk: Risk) -> None:
    """Raises BadParameter on a risk that estimates a number: nothing of it is bad."""
    if risk.task != "classification":
        raise BadParameter(
            f"{risk.name} estimates a number, so no case of it is bad. To see which outcomes change, run: "
            f"python -m jobs replay {risk.name} --policy FILE"
        )


def of_dataset(
    root: Root, store: Store, risk: Risk, now: datetime, since: datetime | None, until: datetime | None
) -> pd.DataFrame:
    """The past cases with since ≤ `event_timestamp` < until whose outcome was known at `now`, with their features,
    oldest first. Raises NoData, BadInput, FeaturesNotReady."""
    frame = known_cases(root, risk, now)
    times = frame["event_timestamp"]
    inside = np.ones(len(frame), bool)
    inside &= True if since is None else (times >= pd.Timestamp(since)).to_numpy()
    inside &= True if until is None else (times < pd.Timestamp(until)).to_numpy()
    if not inside.any():
        raise NoData(f"{risk.name} has no past case of the interval whose outcome is known. Choose another interval.")
    point_in_time.require_inputs(risk, store)
    return point_in_time.features(root, store, risk, frame[inside].reset_index(drop=True))


def held_out(root: Root, store: Store, risk: Risk, now: datetime, card: Card) -> pd.DataFrame:
    """The past cases that are newer than all that the model has learned from, as `of_dataset`. Raises NoData where
    there are too few to choose by, and the errors of `of_dataset`."""
    until = card.train.until
    rows = of_dataset(root, store, risk, now, None if until is None else until + INSTANT, None)
    bad = int((rows[risk.outcomes.label] == 1).sum())
    if len(rows) < FEWEST or not 0 < bad < len(rows):
        raise NoData(
            f"{len(rows):,} cases of {risk.name} are newer than those that {card.version} learned from, {bad:,} of "
            f"them bad. It takes {FEWEST} cases, and some of both kinds. Wait for outcomes, or train on earlier days."
        )
    return rows


def compared_on_dataset(risk: Risk, store: Store, rows: pd.DataFrame, before: Again, after: Again) -> Cases:
    """The cases of the dataset, decided by both. Raises ModelBroken, BadParameter."""
    views = store.views(risk.name)
    values = rows.astype(object).where(rows.notna(), None).to_dict("records")
    features = [featurization.complete({name: row[name] for name in views}, views) for row in values]
    fields = [{name: row[name] for name in risk.request.model_fields if name in row} for row in values]
    times = [row["event_timestamp"].to_pydatetime() for row in values]
    record: Mapping[str, Any] = {"decision_id": "", "model": {}, "policy": {}, "score": None}
    many = [Logged(record, *parts) for parts in zip(features, fields, times, strict=True)]
    sides = []
    for again in (before, after):
        if lacking := again.lacks(many[0]):
            raise BadParameter(
                f"The policy or the model reads {lacking}, which the cases of {risk.name} do not have. Compare logged "
                "decisions instead: --on log"
            )
        decisions = [d for begin in range(0, len(many), comparing.BATCH)
                     for d in again.decide(many[begin : begin + comparing.BATCH])]  # fmt: skip
        sides.append(_side(risk, [(d.decision, d.score) for d in decisions]))
    return Cases(rows, (rows[risk.outcomes.label] == 1).to_numpy(), *sides)


def compared_on_log(
    root: Root, store: Store, risk: Risk, now: datetime, versions: Versions, since: datetime | None,
    until: datetime | None,
) -> Cases:  # fmt: skip
    """The logged decisions whose outcome is known, as they were made and as the versions make them. An outcome is what
    a caller fed back, or else the label of the past case of the same number. Raises NoData, BadInput,
    FeaturesNotReady, ModelBroken, RootBroken."""
    fed_back, labels, number = _fed_back(root, now), _labels(root, risk, now), risk.outcomes.table.id or ""
    left_out: Counter[str] = Counter()
    rows, bad, before, after = (
        list[dict[str, Any]](),
        list[bool](),
        list[tuple[str, float]](),
        list[tuple[str, float]](),
    )
    for logged, again in comparing.decided(root, store, risk, versions, since, until, left_out):
        label = fed_back.get(logged.decision_id, labels.get(logged.fields.get(number)))
        if label is None:
            left_out["its outcome is not known"] += 1
            continue
        rows.append({**logged.features, **logged.fields})
        bad.append(label == 1)
        before.append((logged.record["decision"], float(logged.record["score"])))
        after.append((again.decision, again.score))
    if not rows:
        causes = "; ".join(f"{count:,} as {cause}" for cause, count in left_out.most_common())
        raise NoData(
            f"No logged decision of {risk.name} can be compared{': ' + causes if causes else ''}. Compare the cases of "
            "the dataset instead: --on cases"
        )
    return Cases(pd.DataFrame(rows), np.array(bad), _side(risk, before), _side(risk, after), left_out)


def _fed_back(root: Root, now: datetime) -> dict[str, float]:
    """Decision → the outcome that was fed back, as known at `now`."""
    newest = (
        (record["decision_id"], outcomes.latest(record[OUTCOMES], now))
        for records in outcomes.with_outcome(Positions(root.decisions, root.outcomes))
        for record in records
    )
    return {number: given["outcome"] for number, given in newest if given}


def _labels(root: Root, risk: Risk, now: datetime) -> dict[Any, float]:
    """Number of a case → its label; nothing where no column names a case in the raw table and in the request."""
    number = risk.outcomes.table.id
    if number is None or number not in risk.request.model_fields:
        return {}
    with suppress(NoData):
        past = known_cases(root, risk, now)
        return dict(zip(past[number].tolist(), past[risk.outcomes.label].tolist(), strict=True))
    return {}


def _side(risk: Risk, decisions: list[tuple[str, float]]) -> pd.DataFrame:
    appetite = risk.appetite
    return pd.DataFrame(
        {SEVERITY: [appetite.severity(word) for word, _ in decisions], SCORE: [score for _, score in decisions]}
    )
