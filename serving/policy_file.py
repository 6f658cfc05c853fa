"""Reads a policy file, `policies/<risk>.yaml`: thresholds, lists and rules. Every fault is told with its line.

PyYAML reads the file into nodes, which know their lines. The values are taken from the nodes here: YAML's own types
would make a number of `1:30`, and a text of `1e-3`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import yaml

from choices import did_you_mean
from errors import SHOWN_CHARACTERS, PolicyBroken
from features.policy import Policy
from features.risk import Appetite, Reason, Risk, Rule
from features.rules import RuleFault, parsed

SECTIONS = ("thresholds", "lists", "rules", "reasons", "owner", "note")
THRESHOLDS = ("low", "high")
RULE = ("when", "outcome", "reason", "text", "allow")
#: A number as text. Python reads more: `1_000`, `nan` and the digits of other scripts.
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9_]*")
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True)
class Written:
    """What a file says. `rules` and `lists` have their lines. A section that the file leaves out is None."""

    appetite: Appetite
    rules: tuple[tuple[int, Rule], ...] | None
    lists: Mapping[str, tuple[int, str]]
    #: Texts in place of the declared ones, by the reason's code.
    reasons: Mapping[str, str]
    owner: str
    note: str


def read(name: str, content: bytes, risk: Risk) -> Written:
    """The content of the file `name`. Raises PolicyBroken."""
    return _File(name, risk).written(content)


class _File:
    def __init__(self, name: str, risk: Risk) -> None:
        self._name, self._risk = name, risk

    def written(self, content: bytes) -> Written:
        sections = self._mapping(self._root(content), SECTIONS)
        appetite = self._appetite(sections["thresholds"]) if "thresholds" in sections else self._risk.appetite
        rules = self._rules(sections["rules"], appetite) if "rules" in sections else None
        return Written(
            appetite,
            rules,
            self._lists(sections["lists"]) if "lists" in sections else {},
            self._reasons(sections["reasons"]) if "reasons" in sections else {},
            *(self._text(sections[name], name) if name in sections else "" for name in ("owner", "note")),
        )

    def _root(self, content: bytes) -> yaml.Node:
        try:
            node = yaml.compose(content, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.fail(mark.line + 1 if mark else 1, f"this is not YAML: {error.problem or error.context}. Correct it")
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            self.fail(1, f"this is not YAML: {str(error).splitlines()[0]}. Write it as UTF-8 text")
        if node is None:
            self.fail(1, "the file is empty. Write thresholds or rules, or remove the file")
        return node

    def _appetite(self, node: yaml.Node) -> Appetite:
        parts = self._mapping(node, THRESHOLDS, THRESHOLDS)
        low, high = (self._number(parts[name], name) for name in THRESHOLDS)
        if low > high:
            self.fail(_line(node), f"low is {low:g}, above high, {high:g}. Exchange them")
        return replace(self._risk.appetite, low=low, high=high)

    def _number(self, node: yaml.Node, name: str) -> float:
        least, most = self._risk.score_range
        is_number = isinstance(node, yaml.ScalarNode) and node.style is None and NUMBER.fullmatch(node.value)
        if not is_number:
            self.fail(_line(node), f"{name} is {_shown(node)}, which is no number. Write one, such as 0.25")
        number = float(node.value)
        if not (least <= number <= most and math.isfinite(number)):
            remedy = f"Write a number from {least:g} to {most:g}" if math.isfinite(most) else "Write a smaller one"
            self.fail(_line(node), f"{name} is {node.value}, and no score is. {remedy}")
        return number

    def _lists(self, node: yaml.Node) -> dict[str, tuple[int, str]]:
        parts = self._mapping(node)
        for name, path in parts.items():
            if not _CODE.fullmatch(name):
                self.fail(_line(path), f"{name!r} is no name of a list. Write small letters, digits and _")
        return {name: (_line(path), self._text(path, name)) for name, path in parts.items()}

    def _reasons(self, node: yaml.Node) -> dict[str, str]:
        inputs = self._risk.inputs
        codes = tuple(dict.fromkeys(code for i in inputs for code in (i.raises.code, i.lowers.code)))
        return {code: self._text(text, code) for code, text in self._mapping(node, codes).items()}

    def _rules(self, node: yaml.Node, appetite: Appetite) -> tuple[tuple[int, Rule], ...]:
        if not isinstance(node, yaml.SequenceNode):
            self.fail(_line(node), f"rules is {_shown(node)}. Write a list: each rule begins with a dash")
        return tuple(self._rule(item, appetite) for item in node.value)

    def _rule(self, node: yaml.Node, appetite: Appetite) -> tuple[int, Rule]:
        parts = self._mapping(node, RULE, RULE[:4])
        when, outcome, code, text = (self._text(parts[name], name) for name in RULE[:4])
        if not _CODE.fullmatch(code):
            self.fail(_line(parts["reason"]), f"reason is {code!r}. Write a code of small letters, digits and _")
        allow = self._flag(parts["allow"]) if "allow" in parts else False
        rule = Rule(when, outcome, Reason(code, text), allow)
        for part, check in (("outcome", lambda: rule.check(appetite)), ("when", lambda: parsed(when))):
            try:
                check()
            except RuleFault as fault:
                self.fail(_line(parts[part]), str(fault))
        return _line(parts["when"]), rule

    def _flag(self, node: yaml.Node) -> bool:
        if not isinstance(node, yaml.ScalarNode) or node.style is not None or node.value not in _FLAGS:
            self.fail(_line(node), f"allow is {_shown(node)}. Write true or false")
        return _FLAGS[node.value]

    def _text(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            self.fail(_line(node), f"{name} is {_shown(node)}. Write a text")
        return str(node.value.strip())

    def _mapping(
        self, node: yaml.Node, allowed: tuple[str, ...] | None = None, needed: tuple[str, ...] = ()
    ) -> dict[str, yaml.Node]:
        """The parts of a mapping by name. A name stands once, and is one of `allowed`."""
        if not isinstance(node, yaml.MappingNode):
            example = f"{(allowed or ('name',))[0]}: …"
            self.fail(_line(node), f"{_shown(node)} stands where names are needed. Write {example}")
        parts: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else _shown(key)
            if name in parts:
                self.fail(_line(key), f"{name!r} stands a second time. Keep one of them")
            if allowed is not None and name not in allowed:
                hint = did_you_mean(name, allowed)
                self.fail(_line(key), f"{name[:SHOWN_CHARACTERS]!r} is unknown. {hint}Use: {', '.join(allowed)}")
            parts[name] = value
        if absent := [name for name in needed if name not in parts]:
            self.fail(_line(node), f"{absent[0]} is missing. Write {', '.join(needed)}")
        return parts

    def fail(self, line: int, fault: str) -> NoReturn:
        raise broken(self._name, line, fault)


def dumped(policy: Policy) -> bytes:
    """A policy as a file that reads back to the same version."""
    text: str = yaml.safe_dump(policy.as_written(), sort_keys=False, allow_unicode=True, width=10_000)
    return text.encode()


def broken(name: str, line: int | None, fault: str) -> PolicyBroken:
    """The error for a fault in a file."""
    return PolicyBroken(f"{name}{'' if line is None else f', line {line}'}: {fault}.")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _shown(node: Any) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:SHOWN_CHARACTERS]) if node.value else "empty"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
