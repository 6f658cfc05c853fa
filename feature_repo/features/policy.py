"""A policy: the thresholds and rules that are in force beside the model of a risk. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
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
    #: The text of each reason that a model gives: code → text.
    reasons: Mapping[str, str] = field(default_factory=dict)
    #: Who answers for the policy, and why it is as it is. Both decide nothing, so the version does not have them.
    owner: str = ""
    note: str = ""

    def as_written(self) -> dict[str, Any]:
        """The policy as its file says it."""
        written: dict[str, Any] = {name: text for name in ("owner", "note") if (text := getattr(self, name))}
        written["thresholds"] = {"low": self.appetite.low, "high": self.appetite.high}
        if self.lists:
            written["lists"] = dict(self.lists)
        if self.reasons:
            written["reasons"] = dict(self.reasons)
        written["rules"] = [
            {"when": r.when, "outcome": r.outcome, "reason": r.reason.code, "text": r.reason.text}
            | ({"allow": True} if r.allow else {})
            for r in (active.rule for active in self.rules)
        ]
        return written


def active(rule: Rule, appetite: Appetite, names: Names, lists: Mapping[str, frozenset[Any]]) -> ActiveRule:
    """A rule, checked and compiled. Raises RuleFault."""
    return ActiveRule(rule, appetite.severity(rule.outcome), compiled(parsed(rule.when), names, lists))


def declared_reasons(risk: Risk) -> dict[str, str]:
    """The texts of the reasons that a model of the risk gives, by code. A code with two texts is left out."""
    texts: dict[str, set[str]] = {}
    for reason in (reason for declared in risk.inputs for reason in (declared.raises, declared.lowers)):
        texts.setdefault(reason.code, set()).add(reason.text)
    return {code: text for code, (text, *others) in texts.items() if not others}


def in_force(
    risk: Risk,
    appetite: Appetite,
    rules: Iterable[ActiveRule],
    lists: Mapping[str, frozenset[Any]],
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> Policy:
    """The policy of a risk. `lists` are the values of its lists, by name. `reasons` are texts in place of the declared
    ones, by code."""
    kept, texts = tuple(rules), declared_reasons(risk)
    changed = {code: text for code, text in reasons.items() if texts.get(code) != text}
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
    if changed:  # a policy without them keeps the version that older logs have
        says["reasons"] = changed
    digest = hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()
    return Policy(risk.name, digest[:VERSION_DIGITS], appetite, kept, reasons=texts | changed)


def declared(risk: Risk, names: Names) -> Policy:
    """The policy that a risk declares in code. Raises RuleFault."""
    return in_force(risk, risk.appetite, (active(rule, risk.appetite, names, {}) for rule in risk.policies), {})
