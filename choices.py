"""The error for a wrong name: it suggests the nearest of those there are."""

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
    message = f"There is no {kind} {name[:SHOWN_CHARACTERS]!r}."
    if close := get_close_matches(name, known, n=1):
        message += f" Did you mean {close[0]!r}?"
    choice = f"Choose one of: {', '.join(known)}." if known else when_none
    return BadParameter(f"{message} {choice}", field)
