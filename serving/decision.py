"""From a score to a decision: the band, what is not known, the rules and the reasons. Pure."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

import numpy as np

from errors import ModelBroken
from features.domains import internal_features
from features.policy import ActiveRule, Policy
from features.risk import Appetite, Risk
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
        return self._as_json(self.features)

    def as_record(self) -> dict[str, Any]:
        """The decision as the audit log gets it."""
        return self._as_json({**self.features, **self.internal})

    def _as_json(self, features: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "decision_id": self.decision_id,
            "decision": self.decision,
            "score": self.score,
            "reasons": [vars(reason) for reason in self.reasons],
            "features": features,
            "model": self.model,
            "policy": self.policy,
            "as_of": self.as_of.isoformat(),
        }


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


class Decider:
    """Decides by a card and a policy of a risk. What is the same for all rows is worked out once."""

    def __init__(self, risk: Risk, card: Card, policy: Policy) -> None:
        """Raises ModelBroken if the card has an input that the risk does not declare."""
        self._risk, self._card, self._policy = risk, card, policy
        self._inputs = [i.name for i in card.inputs]
        if gone := [name for name in self._inputs if name not in risk.by_input]:
            raise ModelBroken(
                f"{card.name} {card.version} takes {gone[0]!r}, which is no input of the risk any more. Train again, "
                f"or go back: python -m jobs models {card.name} rollback"
            )
        self._declared = [risk.by_input[name] for name in self._inputs]
        self._needed = dict.fromkeys((*risk.needs, *(name for i in self._declared for name in i.known_by)))
        groups: dict[int, list[int]] = {}
        for place, name in enumerate(self._inputs):
            groups.setdefault(risk.reason_groups[name], []).append(place)
        #: The places of the inputs that share a reason.
        self._groups = list(groups.values())
        self._model = {"name": card.name, "version": card.version}
        self._version = {"name": policy.name, "version": policy.version}

    def decide(
        self,
        decision_id: str,
        features: Mapping[str, Any],
        fields: Mapping[str, Any],
        score: float,
        contributions: np.ndarray,
        as_of: datetime,
    ) -> Decision:
        """The model's outcome by the policy's thresholds, made stricter by what is not known and by rules. `fields` are
        those of the request (`RiskRequest.fields`). `contributions` has shape (inputs,).

        The reasons of rules come first, before all of rules with the outcome of the decision; then what is not known,
        then the model's strongest reasons. A code stands once.
        """
        appetite = self._policy.appetite
        band = band_of(score, appetite)
        absent = {name for name in self._needed if is_missing((features if name in features else fields).get(name))}
        are_known = self._are_known(features, absent)
        lacking = self._lacking(absent, are_known)
        rules = [rule for rule in self._policy.rules if rule.applies(features, fields)]
        severity = _severity(appetite.severity(appetite.words[band]), bool(lacking), rules)
        deciding_first = sorted(rules, key=lambda rule: rule.severity != severity)
        given = [GivenReason(rule.rule.reason.code, rule.rule.reason.text, 0.0) for rule in deciding_first]
        if lacking:
            given.insert(min(len(given), MOST_REASONS - 1), _not_enough_known(lacking))
        given += self._model_reasons(contributions.tolist(), are_known, _is_raised(self._card, contributions, band))
        shown = dict(features)
        internal = {name: shown.pop(name) for name in internal_features() & shown.keys()}
        return Decision(
            decision_id, appetite.word(severity), score, _once_each(given), shown, self._model, self._version, as_of,
            internal,
        )  # fmt: skip

    def _are_known(self, features: Mapping[str, Any], absent: Set[str]) -> list[bool]:
        """Whether each of the card's inputs is known. For the others, the matrix has a stand-in."""
        values = map(features.get, self._inputs)
        # `is_missing`, without a call: it runs for every input.
        are_known = [value is not None and value == value and value != "" for value in values]
        if absent:
            pairs = zip(are_known, self._declared, strict=True)
            return [is_known and absent.isdisjoint(declared.known_by) for is_known, declared in pairs]
        return are_known

    def _lacking(self, absent: Set[str], are_known: Sequence[bool]) -> list[str]:
        """The needs of the risk that are missing. Where no input of the model is known, it lacks all of them."""
        lacking = [name for name in self._risk.needs if name in absent]
        return lacking or ([] if any(are_known) or not are_known else [i.name for i in self._risk.inputs])

    def _model_reasons(
        self, contributions: Sequence[float], are_known: Sequence[bool], is_raised: bool
    ) -> list[GivenReason]:
        """The inputs that did most for the model's outcome. Either all of them raised the score, or all lowered it.
        Inputs that share a reason count as one, and their contributions are added. A stand-in gives no reason."""
        if not all(are_known):
            contributions = [c if is_known else 0.0 for c, is_known in zip(contributions, are_known, strict=True)]
        sums = []
        for group in self._groups:
            total = 0.0  # not `sum`, which rounds in another way from Python 3.12 on
            for place in group:
                total += contributions[place]
            if total > 0 if is_raised else total < 0:
                sums.append((total, group))
        reasons = []
        for total, group in sorted(sums, key=itemgetter(0), reverse=is_raised)[:MOST_REASONS]:
            strongest = self._declared[(max if is_raised else min)(group, key=contributions.__getitem__)]
            reason = strongest.raises if is_raised else strongest.lowers
            reasons.append(GivenReason(reason.code, self._policy.reasons.get(reason.code, reason.text), total))
        return reasons


def _severity(severity: int, is_lacking: bool, rules: Sequence[ActiveRule]) -> int:
    """The severity of the outcome. What is not known counts as the model's: an `allow` rule may go below it. Every
    other rule is a minimum."""
    if is_lacking:
        severity = max(severity, UNKNOWN_SEVERITY)
    if rules:
        severity = min([severity, *(rule.severity for rule in rules if rule.rule.allow)])
        severity = max([severity, *(rule.severity for rule in rules if not rule.rule.allow)])
    return severity


def _not_enough_known(lacking: Sequence[str]) -> GivenReason:
    *most, last = lacking
    names = f"{', '.join(most)} and {last} are" if most else f"{last} is"
    return GivenReason(NOT_ENOUGH_KNOWN, f"Not enough is known: {names} missing.", 0.0)


def _once_each(reasons: Iterable[GivenReason]) -> tuple[GivenReason, ...]:
    """At most `MOST_REASONS`, each code once: with the first text, and the sum of the contributions."""
    by_code: dict[str, GivenReason] = {}
    for reason in reasons:
        first = by_code.setdefault(reason.code, reason)
        if first is not reason:
            total = first.contribution + reason.contribution
            by_code[reason.code] = GivenReason(reason.code, first.text, total)
    return tuple(by_code.values())[:MOST_REASONS]


def _is_raised(card: Card, contributions: np.ndarray, band: int) -> bool:
    """Whether the reasons are the inputs that raised the score. In the first band they are those that lowered it, and
    in the third those that raised it. In the second band a person wants to know what speaks against the first; an
    estimated number may have come there from below or from above."""
    if band == 1 and card.task == "regression":
        return bool(contributions.sum() > 0)
    return band > 0
