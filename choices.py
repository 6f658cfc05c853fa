"""A wrong name is answered with the nearest of those there are."""

from collections.abc import Iterable
from difflib import get_close_matches

from errors import SHOWN_CHARACTERS, BadParameter


def unknown(kind: str, name: str, names: Iterable[str], when_none: str, field: str | None = None) -> BadParameter:
    """The error for a name that is not among `names`. It suggests the nearest one and lists them all; where there are
    none, it says `when_none`.

    >>> unknown("risk", "copon", ["daily", "coupon"], "No domain declares one.").message
    "There is no risk 'copon'. Did you mean 'coupon'? Choose one of: daily, coupon."
    >>> unknown("risk", "coupon", [], "No domain declares one.").message
    "There is no risk 'coupon'. No domain declares one."
    """
    known = list(names)
    choice = f"Choose one of: {', '.join(known)}." if known else when_none
    return BadParameter(f"There is no {kind} {name[:SHOWN_CHARACTERS]!r}. {did_you_mean(name, known)}{choice}", field)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question with a space behind it, or nothing where no name is near.

    >>> did_you_mean("copon", ["daily", "coupon"]), did_you_mean("xyz", ["daily"])
    ("Did you mean 'coupon'? ", '')
    """
    close = get_close_matches(name, list(names), n=1)
    return f"Did you mean {close[0]!r}? " if close else ""
