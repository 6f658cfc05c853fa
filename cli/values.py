"""The types of values on a command line. A wrong value is refused with what was seen and what to write instead."""

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import click

from choices import unknown
from errors import SHOWN_CHARACTERS
from features.utc import OutOfBounds, bounded

LONGEST_DAYS = 9_999
LARGEST_PORT = 65_535
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Parameter: TypeAlias = click.Parameter | None
Context: TypeAlias = click.Context | None


def _shown(value: Any) -> str:
    return repr(str(value)[:SHOWN_CHARACTERS])


class Timestamp(click.ParamType):
    """An ISO timestamp. Without an offset it is UTC."""

    name = "timestamp"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> datetime:
        """`2026-01-31` → midnight of that day, UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return bounded(value)
        except OutOfBounds as error:
            self.fail(f"{_shown(value)} {error}.", param, ctx)
        except ValueError:
            self.fail(f"{_shown(value)} is not a timestamp. Write 2026-01-31 or 2026-01-31T12:00:00Z.", param, ctx)


class Duration(click.ParamType):
    """A number and its unit: `30s`, `15m`, `24h` or `1d`."""

    name = "duration"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> timedelta:
        """`15m` → 15 minutes."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,9})([smhd])", value)
        duration = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta(0)
        if not timedelta(0) < duration <= timedelta(days=LONGEST_DAYS):
            self.fail(f"{_shown(value)} is not a duration. Write 30s, 15m, 24h or 1d.", param, ctx)
        return duration


class Delays(click.ParamType):
    """The shortest and the longest delay in seconds, as `0.1:3`."""

    name = "seconds:seconds"

    def __init__(self, longest_seconds: float) -> None:
        self.longest_seconds = longest_seconds

    def convert(self, value: Any, param: Parameter, ctx: Context) -> tuple[float, float]:
        """`0.1:3` → (0.1, 3.0)."""
        if isinstance(value, tuple):
            return value
        try:
            shortest, longest = map(float, value.split(":"))
        except ValueError:
            shortest, longest = math.nan, math.nan
        if not 0 <= shortest <= longest <= self.longest_seconds:
            self.fail(
                f"{_shown(value)} is not a shortest and a longest delay. "
                f"Give two numbers of seconds up to {self.longest_seconds:g}, such as 0.1:3.",
                param,
                ctx,
            )
        return shortest, longest


class Whole(click.IntRange):
    """A whole number in a range. `why` says what is wrong with a number outside of it."""

    name = "n"

    def __init__(self, least: int, most: int | None = None, why: str = "is not allowed") -> None:
        super().__init__(min=least, max=most)
        self.why = why

    def convert(self, value: Any, param: Parameter, ctx: Context) -> int:
        """`7` → 7."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{_shown(value)} is not a whole number. {self._advice()}", param, ctx)
        if number < (self.min or 0) or (self.max is not None and number > self.max):
            self.fail(f"{number} {self.why}. {self._advice()}", param, ctx)
        return number

    def _advice(self) -> str:
        return f"Give at least {self.min}." if self.max is None else f"Give {self.min} to {self.max}."


class Number(click.FloatRange):
    """A number in a range; NaN is in none."""

    name = "n"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> float:
        """`0.5` → 0.5."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        low, high = self.min or 0, math.inf if self.max is None else self.max
        if not low <= number <= high or (self.min_open and number == low):
            above = "above" if self.min_open else "from"
            self.fail(f"{_shown(value)} is not a number {above} {low:g} to {high:g}. Give one.", param, ctx)
        return number


class OneOf(click.Choice[str]):
    """One of the names of a kind of thing. The nearest name is suggested for a wrong one."""

    def __init__(self, kind: str, names: Iterable[str]) -> None:
        super().__init__(tuple(names))
        self.kind = kind

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """The name itself."""
        if value not in self.choices:
            self.fail(unknown(self.kind, value, self.choices, "There are none.").message, param, ctx)
        return str(value)


TIMESTAMP, DURATION = Timestamp(), Duration()
DAYS = Whole(1, LONGEST_DAYS)
PORT = Whole(1, LARGEST_PORT, why="is not a port")
#: NumPy takes no negative one.
SEED = Whole(0)
