"""From a score to a decision: the band, the policies and the reasons. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

import numpy as np

from features.risk import Appetite, Reason, Risk
from model.card import Card

MOST_REASONS = 3


@dataclass(frozen=True)
class GivenReason:
    """A reason of one decision. `contribution` is what it added to the log-odds of a probability, or to an estimated
    number: a positive one raised the score. A policy contributes 0."""

    code: str
    text: str
    contribution: float


@dataclass(frozen=True)
class Decision:
    """One decision. `decision` is one of the risk's words."""

    decision_id: str
    decision: str
    score: float
    reasons: tuple[GivenReason, ...]
    features: Mapping[str, Any]
    model: Mapping[str, str]
    as_of: datetime

    def as_json(self) -> dict[str, Any]:
        """The decision as a caller and the audit log get it."""
        reasons = [vars(reason) for reason in self.reasons]
        return {**vars(self), "reasons": reasons, "as_of": self.as_of.isoformat()}


def band_of(score: float, appetite: Appetite) -> int:
    """0 below the low threshold, 1 between the two, 2 from the high one on: the index of the outcome in the risk's
    words.

    >>> [band_of(score, Appetite(low=0.2, high=0.7)) for score in (0.19, 0.2, 0.69, 0.7)]
    [0, 1, 1, 2]
    """
    if score < appetite.low:
        return 0
    return 2 if score >= appetite.high else 1


def decide(
    decision_id: str,
    risk: Risk,
    card: Card,
    features: Mapping[str, Any],
    score: float,
    contributions: np.ndarray,
    as_of: datetime,
) -> Decision:
    """The model's outcome, or a stricter one if a policy demands it. `contributions` has shape (inputs,). The reasons
    of policies come first, then the model's strongest reasons."""
    words, band = risk.appetite.words, band_of(score, risk.appetite)
    policies = [policy for policy in risk.policies if policy.applies(features)]
    outcome = words[max([band, *(words.index(policy.outcome) for policy in policies)])]
    policy_reasons = [GivenReason(policy.reason.code, policy.reason.text, 0.0) for policy in policies]
    reasons = policy_reasons + _model_reasons(risk, card, contributions, band)
    return Decision(
        decision_id, outcome, score, tuple(reasons[:MOST_REASONS]), features,
        {"name": card.name, "version": card.version}, as_of,
    )  # fmt: skip


def _model_reasons(risk: Risk, card: Card, contributions: np.ndarray, band: int) -> list[GivenReason]:
    """The inputs that did most for the model's outcome. Either all of them raised the score, or all lowered it."""
    declared = {i.name: i for i in risk.inputs}
    is_raised = _is_raised(card, contributions, band)
    strongest = sorted(zip(contributions.tolist(), card.inputs, strict=True), key=itemgetter(0), reverse=is_raised)
    reasons = []
    for contribution, card_input in strongest[:MOST_REASONS]:
        if contribution > 0 if is_raised else contribution < 0:
            declaration = declared[card_input.name]
            reason: Reason = declaration.raises if is_raised else declaration.lowers
            reasons.append(GivenReason(reason.code, reason.text, contribution))
    return reasons


def _is_raised(card: Card, contributions: np.ndarray, band: int) -> bool:
    """Whether the reasons are the inputs that raised the score. In the first band they are those that lowered it, and
    in the third those that raised it. In the second band a person wants to know what speaks against the first; an
    estimated number may have come there from below or from above."""
    if band == 1 and card.task == "regression":
        return bool(contributions.sum() > 0)
    return band > 0
