"""A score, the business's policies, and why: pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

import numpy as np

from features.risk import Reason, Risk
from model.card import Card, Thresholds

MOST_REASONS = 3


@dataclass(frozen=True)
class GivenReason:
    """`contribution` is what it added to the log-odds of a probability, or to an estimated number itself: positive
    raises the score. A policy's is 0."""

    code: str
    text: str
    contribution: float


@dataclass(frozen=True)
class Decision:
    """`decision` is one of the risk's words."""

    decision_id: str
    decision: str
    score: float
    reasons: tuple[GivenReason, ...]
    features: Mapping[str, Any]
    model: Mapping[str, str]
    as_of: datetime

    def as_json(self) -> dict[str, Any]:
        reasons = [vars(reason) for reason in self.reasons]
        return {**vars(self), "reasons": reasons, "as_of": self.as_of.isoformat()}


def band_of(score: float, thresholds: Thresholds) -> int:
    """0 below the first threshold, 2 from the second on, 1 between: the place of the outcome in the risk's words."""
    if score < thresholds.low:
        return 0
    return 2 if score >= thresholds.high else 1


def decide(
    decision_id: str,
    risk: Risk,
    card: Card,
    features: Mapping[str, Any],
    score: float,
    contributions: np.ndarray,
    as_of: datetime,
) -> Decision:
    """The model's outcome, made stricter, never milder, by the policies. `contributions`: shape (inputs,)."""
    words, band = risk.appetite.words, band_of(score, card.thresholds)
    policies = [policy for policy in risk.policies if policy.applies(features)]
    outcome = words[max([band, *(words.index(policy.outcome) for policy in policies)])]
    of_policies = [GivenReason(policy.reason.code, policy.reason.text, 0.0) for policy in policies]
    reasons = of_policies + _model_reasons(risk, card, contributions, band)
    return Decision(
        decision_id, outcome, score, tuple(reasons[:MOST_REASONS]), features,
        {"name": card.name, "version": card.version}, as_of,
    )  # fmt: skip


def _model_reasons(risk: Risk, card: Card, contributions: np.ndarray, band: int) -> list[GivenReason]:
    """What spoke most for the model's outcome: all of them raised the score, or all lowered it."""
    declared = {i.name: i for i in risk.inputs}
    up = _is_up(card, contributions, band)
    strongest = sorted(zip(contributions.tolist(), card.inputs, strict=True), key=itemgetter(0), reverse=up)
    given = []
    for contribution, of in strongest[:MOST_REASONS]:
        if contribution > 0 if up else contribution < 0:
            side: Reason = declared[of.name].raises if up else declared[of.name].lowers
            given.append(GivenReason(side.code, side.text, contribution))
    return given


def _is_up(card: Card, contributions: np.ndarray, band: int) -> bool:
    """Only what lowers a score leads to the first band, and only what raises it to the last. Between them a person asks
    what speaks against approval; an estimated number may have come there from either side."""
    if band == 1 and card.task == "regression":
        return bool(contributions.sum() > 0)
    return band > 0
