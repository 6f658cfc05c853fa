"""Validators of request fields: a date of birth, a US state, a timestamp. Each gives one form of what people write."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator

from errors import SHOWN_CHARACTERS, BadDate, BadParameter, BadState
from features.identifiers import shape
from features.utc import OutOfBounds, bounded, has_zone
from features.windows.events import ANY, digits

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, ValidationError

STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH "
    "OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY".split()
)
#: Somebody who was born before this is not alive.
OLDEST_BIRTH = datetime(1900, 1, 1, tzinfo=UTC)
#: Pattern → how `strptime` reads it.
_DATES = {re.compile(r"\d{4}-\d{2}-\d{2}"): "%Y-%m-%d", re.compile(r"\d{2}-\d{2}-\d{4}"): "%m-%d-%Y"}


#: The type of an id in a request. Our ids are texts; a caller that keeps them as whole numbers sends 42 for "42".
Id = Annotated[str, BeforeValidator(digits)]


def birth_date(text: str) -> str:
    """A date of birth as YYYY-MM-DD. Raises BadDate.

    >>> birth_date("05-17-1990")
    '1990-05-17'
    """
    form = next((form for pattern, form in _DATES.items() if pattern.fullmatch(text.strip())), None)
    if form is None:
        raise BadDate(
            f"dob {f'has the form {shape(text)!r}' if text else 'is empty'}. Write YYYY-MM-DD or MM-DD-YYYY.", "dob"
        )
    try:
        born = datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 a birthday has no time zone
    except ValueError:
        raise BadDate(f"dob is {text.strip()}, and that day does not exist. Check the date.", "dob") from None
    if born < OLDEST_BIRTH.date():
        raise BadDate(f"dob is {born}, before {OLDEST_BIRTH.year}. Check the year.", "dob")
    return born.isoformat()


def state_code(text: str) -> str:
    """The code of a US state in capitals, also of a state where the business is not open. Raises BadState."""
    code = text.strip().upper()
    if code not in STATES or not text.isascii():
        raise BadState(
            f"state is {repr(shape(text)) if text else 'empty'}. Write the two letters of a US state, such as CA.",
            "state",
        )
    return code


def first_fault(error: "ValidationError") -> "ErrorDetails":
    """The fault of a request or an event that a message is about: the first. A field that is missing may be there under
    a misspelled name; then the unknown field beside it, as its message says how to mend both."""
    first, *others = error.errors(include_input=False, include_url=False, include_context=False)
    if first["type"] != "missing":
        return first
    beside = (fault for fault in others if fault["loc"][:-1] == first["loc"][:-1])
    return next((fault for fault in beside if fault["type"] == "extra_forbidden"), first)


def fault_of(error: "ErrorDetails") -> str:
    """What pydantic found, as the words after the name of a field.

    >>> fault_of({"type": "timezone_aware", "loc": ("at",), "msg": "Input should have timezone info", "input": ""})
    'has no time zone; add Z or +01:00'
    """
    if error["type"] == "timezone_aware":
        return "has no time zone; add Z or +01:00"
    if error["type"].startswith("datetime_"):
        return "is no timestamp; write it as 2026-01-31T12:00:00Z"
    if error["msg"].endswith(f"'^(?:{ANY})$'"):
        return "has a NUL character; remove it"
    return f"is invalid: {error['msg'][0].lower()}{error['msg'][1:]}"


def zoned(field: str) -> Callable[[str], str]:
    """A validator of an ISO 8601 timestamp with a zone, in the years that may enter. It raises BadParameter, which
    names the field."""

    def validate(text: str) -> str:
        shown = f"{field} is {text[:SHOWN_CHARACTERS]!r}"
        try:
            bounded(text)
            is_zoned = has_zone(text)
        except OutOfBounds as error:
            raise BadParameter(f"{shown}, which {error}. Check the year.", field) from None
        except ValueError:
            is_zoned = False
        if not is_zoned:
            raise BadParameter(f"{shown}. Write a timestamp with its zone, such as 2026-01-31T12:00:00Z.", field)
        return text

    return validate
