"""A score, the business's policies, and why: pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

import numpy as np

from features.declaration import Outcome, Reason, Risk
from model.card import Card, Thresholds

MOST_REASONS = 3
_SEVERITY: dict[Outcome, int] = {"approve": 0, "review": 1, "decline": 2}


@dataclass(frozen=True)
class GivenReason:
    """`contribution` is what it added to the log-odds of the score: positive raises the risk. A policy's is 0."""

    code: str
    text: str
    contribution: float


@dataclass(frozen=True)
class Decision:
    decision_id: str
    decision: Outcome
    score: float
    reasons: tuple[GivenReason, ...]
    features: Mapping[str, Any]
    model: Mapping[str, str]
    as_of: datetime

    def as_json(self) -> dict[str, Any]:
        reasons = [vars(reason) for reason in self.reasons]
        return {**vars(self), "reasons": reasons, "as_of": self.as_of.isoformat()}


def outcome_of(score: float, thresholds: Thresholds) -> Outcome:
    """`approve` below the first threshold, `decline` from the second on, `review` between."""
    if score < thresholds.approve_below:
        return "approve"
    return "decline" if score >= thresholds.decline_from else "review"


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
    outcome = outcome_of(score, card.thresholds)
    policies = [policy for policy in risk.policies if policy.applies(features)]
    for policy in policies:
        outcome = max(outcome, policy.outcome, key=_SEVERITY.__getitem__)
    of_policies = [GivenReason(policy.reason.code, policy.reason.text, 0.0) for policy in policies]
    reasons = of_policies + _model_reasons(risk, card, contributions, outcome_of(score, card.thresholds))
    return Decision(
        decision_id, outcome, score, tuple(reasons[:MOST_REASONS]), features,
        {"name": card.name, "version": card.version}, as_of,
    )  # fmt: skip


def _model_reasons(risk: Risk, card: Card, contributions: np.ndarray, outcome: Outcome) -> list[GivenReason]:
    """What spoke most for the model's outcome: what lowered the risk of an approval, what raised that of the others."""
    declared = {i.name: i for i in risk.inputs}
    approves = outcome == "approve"
    strongest = sorted(zip(contributions.tolist(), card.inputs, strict=True), key=itemgetter(0), reverse=not approves)
    given = []
    for contribution, of in strongest[:MOST_REASONS]:
        if contribution < 0 if approves else contribution > 0:
            side: Reason = declared[of.name].lowers if approves else declared[of.name].raises
            given.append(GivenReason(side.code, side.text, contribution))
    return given
