"""What people write, held to one form: a date of birth, a US state, a moment."""

import re
from collections.abc import Callable
from datetime import datetime

from errors import BadDate, BadParameter, BadState
from features.identifiers import shape

STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH "
    "OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY".split()
)
_DATES = {re.compile(r"\d{4}-\d{2}-\d{2}"): "%Y-%m-%d", re.compile(r"\d{2}-\d{2}-\d{4}"): "%m-%d-%Y"}


def birth_date(text: str) -> str:
    """`1990-05-17` or `05-17-1990` as ISO. Raises BadDate."""
    form = next((form for pattern, form in _DATES.items() if pattern.fullmatch(text.strip())), None)
    if form is None:
        raise BadDate(f"dob has the form {shape(text)!r}. Write YYYY-MM-DD or MM-DD-YYYY.", "dob")
    try:
        born = datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 a birthday has no time zone
    except ValueError:
        raise BadDate(f"dob is {text.strip()}, a day that never was. Check it.", "dob") from None
    if born.year < 1900:
        raise BadDate(f"dob is {born}, before 1900. Check the year.", "dob")
    return born.isoformat()


def state_code(text: str) -> str:
    """Two capital letters. Raises BadState on what is no state; an unopened state is a state."""
    code = text.strip().upper()
    if code not in STATES or not text.isascii():
        raise BadState(f"state is {shape(text)!r}. Write the two letters of a US state, such as CA.", "state")
    return code


def zoned(field: str) -> Callable[[str], str]:
    """A validator of an ISO moment that says its zone; it raises BadParameter, and names the field."""

    def valid(text: str) -> str:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            wanted = "Write it with its zone, as 2026-01-31T12:00:00Z"
            raise BadParameter(f"{field} is {text[:40]!r}. {wanted}.", field)
        return text

    return valid
