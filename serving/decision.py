"""From a score to a decision: the band, what is not known, the rules and the reasons. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from errors import ModelBroken
from features.domains import internal_features
from features.policy import ActiveRule, Policy
from features.risk import Appetite, Input, Risk
from features.rules import is_missing
from model.card import Card

MOST_REASONS = 3
#: The reason's code where the risk's needs are missing.
NOT_ENOUGH_KNOWN = "not_enough_known"
#: The severity of an outcome on which not enough is known: at least the middle one.
UNKNOWN_SEVERITY = 1


@dataclass(frozen=True)
class GivenReason:
    """A reason of one decision. `contribution` is what its inputs together added to the log-odds of a probability, or
    to an estimated number: a positive one raised the score. A rule contributes 0."""

    code: str
    text: str
    contribution: float


@dataclass(frozen=True)
class Decision:
    """One decision. `decision` is one of the risk's words. `internal` are the features that only the audit log gets."""

    decision_id: str
    decision: str
    score: float
    reasons: tuple[GivenReason, ...]
    features: Mapping[str, Any]
    model: Mapping[str, str]
    policy: Mapping[str, str]
    as_of: datetime
    internal: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The decision as a caller gets it."""
        answer = {**vars(self), "reasons": [vars(reason) for reason in self.reasons], "as_of": self.as_of.isoformat()}
        del answer["internal"]
        return answer

    def as_record(self) -> dict[str, Any]:
        """The decision as the audit log gets it."""
        return {**self.as_json(), "features": {**self.features, **self.internal}}


def from_record(record: Mapping[str, Any]) -> Decision:
    """The decision in a record of the audit log, as it was made."""
    features, secret = record["features"], internal_features()
    return Decision(
        decision_id=record["decision_id"],
        decision=record["decision"],
        score=record["score"],
        reasons=tuple(GivenReason(**reason) for reason in record["reasons"]),
        features={name: value for name, value in features.items() if name not in secret},
        model=record["model"],
        policy=record["policy"],
        as_of=datetime.fromisoformat(record["as_of"]),
        internal={name: value for name, value in features.items() if name in secret},
    )


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
    policy: Policy,
    features: Mapping[str, Any],
    fields: Mapping[str, Any],
    score: float,
    contributions: np.ndarray,
    as_of: datetime,
) -> Decision:
    """The model's outcome by the policy's thresholds, made stricter by what is not known and by rules. `fields` are
    those of the request (`RiskRequest.fields`). `contributions` has shape (inputs,).

    The reasons of rules come first, before all of rules with the outcome of the decision; then what is not known, then
    the model's strongest reasons. A code stands once.
    Raises ModelBroken if the card has an input that the risk does not declare.
    """
    appetite = policy.appetite
    band = band_of(score, appetite)
    known = _known_inputs(risk, card, features, fields)
    lacking = _lacking(risk, known, features, fields)
    rules = [rule for rule in policy.rules if rule.applies(features, fields)]
    severity = _severity(appetite.severity(appetite.words[band]), bool(lacking), rules)
    outcome = appetite.word(severity)
    deciding_first = sorted(rules, key=lambda rule: rule.severity != severity)
    given = [GivenReason(rule.rule.reason.code, rule.rule.reason.text, 0.0) for rule in deciding_first]
    if lacking:
        given.insert(min(len(given), MOST_REASONS - 1), _not_enough_known(lacking))
    given += _model_reasons(risk, card, policy, contributions, known, band)
    internal = {name: features[name] for name in internal_features() & features.keys()}
    shown = {name: value for name, value in features.items() if name not in internal} if internal else features
    return Decision(
        decision_id, outcome, score, _once_each(given), shown, {"name": card.name, "version": card.version},
        {"name": policy.name, "version": policy.version}, as_of, internal,
    )  # fmt: skip


def _severity(severity: int, is_lacking: bool, rules: Sequence[ActiveRule]) -> int:
    """The severity of the outcome. What is not known counts as the model's: an `allow` rule may go below it. Every
    other rule is a minimum."""
    if is_lacking:
        severity = max(severity, UNKNOWN_SEVERITY)
    if rules:
        severity = min([severity, *(rule.severity for rule in rules if rule.rule.allow)])
        severity = max([severity, *(rule.severity for rule in rules if not rule.rule.allow)])
    return severity


def _known_inputs(risk: Risk, card: Card, features: Mapping[str, Any], fields: Mapping[str, Any]) -> list[Input | None]:
    """The declaration of each of the card's inputs, None where the matrix has a stand-in for the value."""
    needed = {name for declared in risk.inputs for name in declared.known_by}
    absent = {name for name in needed if _is_absent(name, features, fields)}
    known: list[Input | None] = []
    for card_input in card.inputs:
        declared = risk.by_input.get(card_input.name)
        if declared is None:
            raise ModelBroken(
                f"{card.name} {card.version} takes {card_input.name!r}, which is no input of the risk any more. Train "
                f"again, or go back: python -m jobs models {card.name} rollback"
            )
        is_known = not is_missing(features.get(declared.name)) and absent.isdisjoint(declared.known_by)
        known.append(declared if is_known else None)
    return known


def _lacking(
    risk: Risk, known: Sequence[Input | None], features: Mapping[str, Any], fields: Mapping[str, Any]
) -> list[str]:
    """The needs of the risk that are missing. Where no input of the model is known, it lacks all of them."""
    lacking = [name for name in risk.needs if _is_absent(name, features, fields)]
    return lacking or ([] if any(known) or not known else [i.name for i in risk.inputs])


def _is_absent(name: str, features: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    return is_missing(features[name] if name in features else fields.get(name))


def _not_enough_known(lacking: Sequence[str]) -> GivenReason:
    *most, last = lacking
    names = f"{', '.join(most)} and {last} are" if most else f"{last} is"
    return GivenReason(NOT_ENOUGH_KNOWN, f"Not enough is known: {names} missing.", 0.0)


def _model_reasons(
    risk: Risk, card: Card, policy: Policy, contributions: np.ndarray, known: Sequence[Input | None], band: int
) -> list[GivenReason]:
    """The inputs that did most for the model's outcome. Either all of them raised the score, or all lowered it. Inputs
    that share a reason count as one, and their contributions are added. A stand-in gives no reason."""
    is_raised = _is_raised(card, contributions, band)
    groups, sums = risk.reason_groups, dict[int, float]()
    strongest: dict[int, tuple[float, Input]] = {}
    for contribution, declared in zip(contributions.tolist(), known, strict=True):
        if declared is not None:
            group = groups[declared.name]
            sums[group] = sums.get(group, 0.0) + contribution
            towards = contribution if is_raised else -contribution
            if group not in strongest or towards > strongest[group][0]:
                strongest[group] = towards, declared
    reasons = []
    for group in sorted(sums, key=lambda group: sums[group], reverse=is_raised)[:MOST_REASONS]:
        if sums[group] > 0 if is_raised else sums[group] < 0:
            declared = strongest[group][1]
            reason = declared.raises if is_raised else declared.lowers
            text = policy.reasons.get(reason.code, reason.text)
            reasons.append(GivenReason(reason.code, text, sums[group]))
    return reasons


def _once_each(reasons: Iterable[GivenReason]) -> tuple[GivenReason, ...]:
    """At most `MOST_REASONS`, each code once: with the first text, and the sum of the contributions."""
    by_code: dict[str, GivenReason] = {}
    for reason in reasons:
        first = by_code.get(reason.code)
        total = reason.contribution + (first.contribution if first else 0.0)
        by_code[reason.code] = GivenReason(reason.code, first.text if first else reason.text, total)
    return tuple(by_code.values())[:MOST_REASONS]


def _is_raised(card: Card, contributions: np.ndarray, band: int) -> bool:
    """Whether the reasons are the inputs that raised the score. In the first band they are those that lowered it, and
    in the third those that raised it. In the second band a person wants to know what speaks against the first; an
    estimated number may have come there from below or from above."""
    if band == 1 and card.task == "regression":
        return bool(contributions.sum() > 0)
    return band > 0
