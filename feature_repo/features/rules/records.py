"""A condition as records, and what its names stand for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from choices import did_you_mean, listed

#: What a value is. A `hash` is the keyed hash of a secret. A value of another kind can only be missing or not.
Kind = Literal["number", "text", "hash", "time", "flag", "other"]
Literals = int | float | str | bool


class RuleFault(ValueError):
    """A condition cannot be read, or names what is not there. The message says what was seen, then what to do."""


class Name(NamedTuple):
    """What a name in a condition stands for: `source` is 0 for a feature and 1 for a request field."""

    source: Literal[0, 1]
    key: str
    kind: Kind


class Names:
    """The names that a condition may use: `amount`, or `feature.amount` and `request.amount` where both have one."""

    def __init__(self, features: Mapping[str, Kind], request: Mapping[str, Kind]) -> None:
        self._features, self._request = features, request

    def __getitem__(self, name: str) -> Name:
        """Raises RuleFault."""
        head, dot, rest = name.partition(".")
        is_feature = name in self._features if not dot else head == "feature" and rest in self._features
        is_field = name in self._request if not dot else head == "request" and rest in self._request
        key = rest or name
        if is_feature and is_field:
            raise RuleFault(f"{name!r} is a feature and a field of the request. Write feature.{name} or request.{name}")
        if is_feature:
            return Name(0, key, self._features[key])
        if is_field:
            return Name(1, key, self._request[key])
        known = [*self._features, *self._request]
        there_are = f"There are: {listed(known, key)}"
        raise RuleFault(f"there is no feature or request field {name!r}. {did_you_mean(key, known)}{there_are}")


@dataclass(frozen=True)
class Comparison:
    """`amount > 500`."""

    name: str
    operator: str
    value: Literals

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {_written(self.value)}"


@dataclass(frozen=True)
class Between:
    """`amount between 5 and 10`: both ends included."""

    name: str
    low: Literals
    high: Literals

    def __str__(self) -> str:
        return f"{self.name} between {_written(self.low)} and {_written(self.high)}"


@dataclass(frozen=True)
class Within:
    """`state in ["CA", "NY"]`, or `user_id in list blocked_users`: then `values` is the list's name."""

    name: str
    values: tuple[Literals, ...] | str
    is_negated: bool

    def __str__(self) -> str:
        is_list = isinstance(self.values, str)
        values = f"list {self.values}" if is_list else f"[{', '.join(map(_written, self.values))}]"
        return f"{self.name} {'not ' * self.is_negated}in {values}"


@dataclass(frozen=True)
class Missing:
    """`amount is missing`."""

    name: str
    is_negated: bool

    def __str__(self) -> str:
        return f"{self.name} is {'not ' * self.is_negated}missing"


@dataclass(frozen=True)
class Not:
    """`not …`: true where the condition is false, so also where it compares a missing value."""

    condition: "Condition"

    def __str__(self) -> str:
        return f"not ({self.condition})"


@dataclass(frozen=True)
class Several:
    """Conditions joined by `and`, or by `or`."""

    word: Literal["and", "or"]
    conditions: "tuple[Condition, ...]"

    def __str__(self) -> str:
        parts = (f"({part})" if isinstance(part, Several) else str(part) for part in self.conditions)
        return f" {self.word} ".join(parts)


Condition = Comparison | Between | Within | Missing | Not | Several


def names_in(condition: Condition) -> Iterator[str]:
    """The names that a condition uses."""
    if isinstance(condition, Not):
        yield from names_in(condition.condition)
    elif isinstance(condition, Several):
        for part in condition.conditions:
            yield from names_in(part)
    else:
        yield condition.name


def lists_in(condition: Condition) -> Iterator[tuple[str, str]]:
    """The lists that a condition uses: (name of the value, name of the list)."""
    if isinstance(condition, Not):
        yield from lists_in(condition.condition)
    elif isinstance(condition, Several):
        for part in condition.conditions:
            yield from lists_in(part)
    elif isinstance(condition, Within) and isinstance(condition.values, str):
        yield condition.name, condition.values


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or an empty text."""
    return value is None or value == "" or bool(value != value)  # NaN is not equal to itself


def _written(value: Literals) -> str:
    """A literal as a condition writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'" if '"' in value else f'"{value}"'
    return repr(value)
