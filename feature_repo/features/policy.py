"""A policy: the thresholds and rules that are in force beside the model of a risk. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from features.risk import Appetite, Risk, Rule
from features.rules import Names, Test, compiled, lists_in, parsed

#: Hex digits of a policy's version.
VERSION_DIGITS = 12


@dataclass(frozen=True)
class ActiveRule:
    """A rule that is ready to be asked. `severity` is that of its outcome, 0 for the mildest."""

    rule: Rule
    severity: int
    applies: Test


@dataclass(frozen=True)
class Policy:
    """What turns a score into an outcome. `version` is a digest of all that it says: two policies that say the same
    have the same version."""

    name: str
    version: str
    appetite: Appetite
    rules: tuple[ActiveRule, ...]
    #: The lists that the file declares: name → path.
    lists: Mapping[str, str] = field(default_factory=dict)

    def as_written(self) -> dict[str, Any]:
        """The policy as its file says it."""
        written: dict[str, Any] = {"thresholds": {"low": self.appetite.low, "high": self.appetite.high}}
        if self.lists:
            written["lists"] = dict(self.lists)
        written["rules"] = [
            {"when": r.when, "outcome": r.outcome, "reason": r.reason.code, "text": r.reason.text}
            | ({"allow": True} if r.allow else {})
            for r in (active.rule for active in self.rules)
        ]
        return written


def active(rule: Rule, appetite: Appetite, names: Names, lists: Mapping[str, frozenset[Any]]) -> ActiveRule:
    """A rule, checked and compiled. Raises RuleFault."""
    return ActiveRule(rule, appetite.severity(rule.outcome), compiled(parsed(rule.when), names, lists))


def in_force(
    risk: Risk, appetite: Appetite, rules: Iterable[ActiveRule], lists: Mapping[str, frozenset[Any]]
) -> Policy:
    """The policy of a risk. `lists` are the values of its lists, by name."""
    kept = tuple(rules)
    used = {name for rule in kept for _, name in lists_in(parsed(rule.rule.when))}
    says = {
        "thresholds": [appetite.low, appetite.high],
        "words": [*appetite.words, appetite.strict],
        "needs": risk.needs,
        "rules": [
            [str(parsed(r.rule.when)), r.rule.outcome, r.rule.allow, r.rule.reason.code, r.rule.reason.text]
            for r in kept
        ],
        "lists": {name: sorted(map(str, lists[name])) for name in sorted(used)},
    }
    digest = hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()
    return Policy(risk.name, digest[:VERSION_DIGITS], appetite, kept)


def declared(risk: Risk, names: Names) -> Policy:
    """The policy that a risk declares in code. Raises RuleFault."""
    return in_force(risk, risk.appetite, (active(rule, risk.appetite, names, {}) for rule in risk.policies), {})
