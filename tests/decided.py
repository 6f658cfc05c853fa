"""A made-up risk of four inputs, and decisions about it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from features import policy as policies
from features.risk import Appetite, Input, Outcomes, Reason, Risk, RiskRequest, Rule
from features.rules import Kind, Names
from features.windows import RawTable
from model.card import Card, CardInput
from serving.decision import Decider, Decision

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NAMES = ("trips", "seen", "age", "rate")
SEVERITY = ("approve", "review", "decline")
CARD = Card.model_construct(
    name="made_up", version="v1",
    inputs=tuple(CardInput.model_construct(name=name, missing=float(n)) for n, name in enumerate(NAMES)),
)  # fmt: skip
INPUTS = tuple(
    Input(name, "float", 0, Reason(f"{name}_high", f"{name} is high."), Reason(f"{name}_low", f"{name} is low."))
    for name in reversed(NAMES)
)
KNOWN: dict[str, Any] = dict.fromkeys(NAMES, 1.0)
KINDS: dict[str, Kind] = dict.fromkeys(("state", *NAMES), "number")


def rule(outcome: str, allow: bool = False, when: str = "state == 0", code: str = "policy") -> Rule:
    return Rule(when, outcome, Reason(f"{code}_{outcome}", f"The policy says {outcome}."), allow)


def decision(
    score: float = 0.1,
    contributions: tuple[float, ...] = (0, 0, 0, 0),
    *rules: Rule,
    state: int = 1,
    as_of: datetime = NOON,
    number: str = "d-1",
    words: tuple[str, str, str] = ("approve", "review", "decline"),
    card: Card = CARD,
    values: Mapping[str, Any] = KNOWN,
    fields: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Decision:
    """A decision on these values of the inputs and `fields` of the request. `changes` are those of the risk."""
    table = RawTable("cases", ())
    declared = {"inputs": INPUTS, "appetite": Appetite(0.2, 0.7, words), **changes}
    risk = Risk(
        name="made_up", title="", description="", request=RiskRequest, entity_keys=(), policies=rules,
        outcomes=Outcomes(table, "is_bad", timedelta()), **declared,
    )  # fmt: skip
    kinds: dict[str, Kind] = dict.fromkeys(fields or {}, "text")
    policy = policies.declared(risk, Names(KINDS, kinds))
    features = {"state": state, **values}
    decide = Decider(risk, card, policy).decide
    return decide(number, features, fields or {}, score, np.array(contributions, float), as_of)
