"""A wrong name is answered with the nearest of those there are."""

from collections.abc import Iterable
from difflib import get_close_matches

from errors import SHOWN_CHARACTERS, BadParameter

#: So many names are listed in full. Of more, a message shows the few that are nearest.
MOST_NAMES, FEW_NAMES = 12, 5


def listed(names: Iterable[str], near: str = "") -> str:
    """The names for a message. Of many, only those nearest to `near`, or the first ones, and how many more there are.

    >>> listed(["daily", "coupon"])
    'daily, coupon'
    >>> listed([f"column_{n}" for n in range(300)], "column_77")
    'column_77, column_277, column_177, column_7, column_97 and 295 more'
    """
    known = list(names)
    if len(known) <= MOST_NAMES:
        return ", ".join(known)
    shown = get_close_matches(near, known, n=FEW_NAMES) if near else []
    shown += [name for name in known if name not in shown][: FEW_NAMES - len(shown)]
    return f"{', '.join(shown)} and {len(known) - FEW_NAMES:,} more"


def unknown(kind: str, name: str, names: Iterable[str], when_none: str, field: str | None = None) -> BadParameter:
    """The error for a name that is not among `names`. It suggests the nearest one and lists them; where there are
    none, it says `when_none`.

    >>> unknown("risk", "copon", ["daily", "coupon"], "No domain declares one.").message
    "There is no risk 'copon'. Did you mean 'coupon'? Choose one of: daily, coupon."
    >>> unknown("risk", "coupon", [], "No domain declares one.").message
    "There is no risk 'coupon'. No domain declares one."
    """
    known = list(names)
    choice = f"Choose one of: {listed(known, name)}." if known else when_none
    return BadParameter(f"There is no {kind} {name[:SHOWN_CHARACTERS]!r}. {did_you_mean(name, known)}{choice}", field)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question with a space behind it, or nothing where no name is near.

    >>> did_you_mean("copon", ["daily", "coupon"]), did_you_mean("xyz", ["daily"])
    ("Did you mean 'coupon'? ", '')
    """
    close = get_close_matches(name, list(names), n=1)
    return f"Did you mean {close[0]!r}? " if close else ""
