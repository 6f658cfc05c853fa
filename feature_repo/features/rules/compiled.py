"""Checks a condition against the names and lists that there are, and compiles it into a function."""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from choices import listed
from features.identifiers import is_hash
from features.rules.records import (
    Between,
    Comparison,
    Condition,
    Kind,
    Literals,
    Missing,
    Name,
    Names,
    Not,
    RuleFault,
    Several,
    Within,
    is_missing,
)  # fmt: skip
from features.utc import as_utc, utc

#: Whether a condition holds, given features and request fields.
Test = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
Value = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_CLASSES: Mapping[Kind, Any] = {"number": (int, float), "text": str, "hash": str, "time": datetime, "flag": (bool, int)}
_REMEDIES: Mapping[Kind, str] = {
    "number": "Write a number without quotes",
    "text": 'Write a text in quotes, such as "CA"',
    "hash": "Write hashes: python -m jobs policy RISK hash FIELD prints them",
    "time": 'Write a timestamp in quotes, such as "2026-01-31T12:00:00Z"',
    "flag": "Write true or false",
    "other": "Ask only whether it is missing",
}


def compiled(condition: Condition, names: Names, lists: Mapping[str, frozenset[Any]]) -> Test:
    """A function of features and request fields. `lists` has the values of each list, of the kind of what is looked up
    in it. Raises RuleFault."""
    if isinstance(condition, Several):
        return _several(condition, names, lists)
    if isinstance(condition, Not):
        inner = compiled(condition.condition, names, lists)
        return lambda features, request: not inner(features, request)
    name = names[condition.name]
    value = _value(name)
    if isinstance(condition, Missing):
        return _missing(name, condition.is_negated)
    if isinstance(condition, Comparison):
        compare = _COMPARE[condition.operator]
        if condition.operator not in ("==", "!="):
            _check_order(condition.name, name)
        bound = _literal(name, condition.value)
        if name.kind == "hash":
            return _among(value, frozenset({bound}), condition.operator == "!=")
        return lambda features, request: (v := value(features, request)) is not None and compare(v, bound)
    if isinstance(condition, Between):
        return _between(condition, name, value)
    return _within(condition, name, value, lists)


def _several(condition: Several, names: Names, lists: Mapping[str, frozenset[Any]]) -> Test:
    tests = tuple(compiled(part, names, lists) for part in condition.conditions)
    decisive = condition.word == "or"  # the first part with this answer is the answer

    def test(features: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        for part in tests:
            if part(features, request) is decisive:
                return decisive
        return not decisive

    return test


def _missing(name: Name, is_negated: bool) -> Test:
    key, source = name.key, name.source

    def test(features: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        return is_missing((request if source else features).get(key)) is not is_negated

    return test


def _between(condition: Between, name: Name, value: Value) -> Test:
    _check_order(condition.name, name)
    low, high = _literal(name, condition.low), _literal(name, condition.high)
    if low > high:
        raise RuleFault(f"{condition.low!r} is above {condition.high!r}. Exchange the ends of between")
    return lambda features, request: (v := value(features, request)) is not None and low <= v <= high


def _check_order(written: str, name: Name) -> None:
    """Raises RuleFault where values of a kind are only equal or not."""
    if name.kind in ("text", "hash", "flag"):
        remedy = "Use == or !=" if name.kind == "flag" else "Use ==, != or in"
        raise RuleFault(f"{written} is a {name.kind}, which has no order. {remedy}")


def _within(condition: Within, name: Name, value: Value, lists: Mapping[str, frozenset[Any]]) -> Test:
    if name.kind not in ("text", "hash", "number"):
        raise RuleFault(f"{condition.name} is a {name.kind}, which no list holds. Use another operator")
    if isinstance(condition.values, str):
        if condition.values not in lists:
            known = f"There are: {listed(lists, condition.values)}" if lists else "Declare it under lists:"
            raise RuleFault(f"there is no list {condition.values!r}. {known}")
        values = lists[condition.values]
    else:
        values = frozenset(_literal(name, literal) for literal in condition.values)
    if name.kind == "hash":
        return _among(value, values, condition.is_negated)
    if condition.is_negated:
        return lambda features, request: (v := value(features, request)) is not None and v not in values
    return lambda features, request: value(features, request) in values


def _among(value: Value, values: frozenset[Any], is_negated: bool) -> Test:
    """Whether a keyed hash, or what it was under the key of before, is one of the values."""

    def test(features: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
        seen = value(features, request)
        if seen is None:
            return False
        return (seen in values or getattr(seen, "old", None) in values) is not is_negated

    return test


def _value(name: Name) -> Value:
    """The value behind a name, None where it is missing or of another kind than declared."""
    key, source, classes = name.key, name.source, _CLASSES.get(name.kind, ())
    is_time = name.kind == "time"

    def value(features: Mapping[str, Any], request: Mapping[str, Any]) -> Any:
        seen = (request if source else features).get(key)
        if not isinstance(seen, classes) or is_missing(seen):
            return None
        return as_utc(seen) if is_time else seen

    return value


def _literal(name: Name, literal: Literals) -> Any:
    """The literal as the value is. Raises RuleFault."""
    kind = name.kind
    if kind == "time" and isinstance(literal, str):
        try:
            return utc(literal)
        except (ValueError, OverflowError):
            raise RuleFault(f"{literal!r} is not a timestamp. {_REMEDIES[kind]}") from None
    fits = {
        "number": isinstance(literal, int | float) and not isinstance(literal, bool),
        "text": isinstance(literal, str) and literal != "",
        "flag": isinstance(literal, bool) or literal in (0, 1),
    }
    if literal == "" and kind == "text":
        raise RuleFault(f"an empty text is missing. Write: {name.key} is missing")
    if kind == "hash":
        if isinstance(literal, str) and is_hash(literal):
            return literal
        raise RuleFault(f"{name.key} is a secret, and the rule holds no keyed hash of it. {_REMEDIES[kind]}")
    if not fits.get(kind, False):
        raise RuleFault(f"{name.key} is a {kind}, and {literal!r} is none. {_REMEDIES[kind]}")
    return literal
