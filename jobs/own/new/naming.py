"""Which names a new domain may use. A name is in Python, in SQL, in URLs and in file names, so it is refused where one
of them would read it otherwise."""

import keyword
import re
import unicodedata
from functools import cache
from pathlib import Path

import duckdb

from errors import BadParameter
from features.risk import RiskRequest
from features.windows.events import ENVELOPE
from features.windows.raw import CREATED
from features.windows.tables import RESERVED

MOST_CHARACTERS = 30
FORM = re.compile(rf"[a-z][a-z0-9_]{{1,{MOST_CHARACTERS - 1}}}")
#: What rows have beside the declared columns: in files, in relations, in requests.
TAKEN = {CREATED, *(column.name for column in ENVELOPE), "event_timestamp", "as_of", "filename"} | {
    "year", "month", "day", "superseded", "n", "label",
}  # fmt: skip
ENDINGS = ("_state", "_seen", "_now", "_timestamp")
_LETTERS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa", "ł": "l", "đ": "d"}
#: Where a module of a domain's name would be taken for the domain's.
_ROOMS = ("feature_repo/features", "feature_repo/views", "simulators", "web", "serving", "jobs/simulate")


def proposed(theirs: str) -> str:
    """A valid name that is near to theirs, to show to somebody; "" where there is none.

    >>> proposed("Kunden-Nr."), proposed("Händler"), proposed("Order ID"), proposed("2nd"), proposed("日本")
    ('kunden_nr', 'haendler', 'order_id', 'x2nd', '')
    """
    text = "".join(_LETTERS.get(letter, letter) for letter in theirs.lower())
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", ascii_text).strip("_")[:MOST_CHARACTERS].rstrip("_")
    name = f"x{name}"[:MOST_CHARACTERS] if name[:1].isdigit() else name
    return f"{name[: MOST_CHARACTERS - 4]}_col" if name and fault_of(name) else name


def check_column(name: str, option: str) -> None:
    """Raises BadParameter where a column cannot have this name."""
    if fault := fault_of(name):
        example = f", such as {other}=…" if (other := proposed(name)) and other != name else ""
        raise BadParameter(f"{option}: the name {name!r} {fault}. Give another name of ours: OURS=THEIRS{example}.")


def fault_of(name: str) -> str:
    """Why a name cannot be used; "" where it can."""
    if not FORM.fullmatch(name):
        return f"is not made of 2 to {MOST_CHARACTERS} small letters, digits and _, with a letter first"
    if "__" in name or name.endswith("_"):
        return "has __ in it, or _ at its end"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "is a word of Python"
    if name in _reserved():
        return "is a word of SQL"
    if name in TAKEN or RESERVED.fullmatch(name) or name.endswith(ENDINGS):
        return "is used, or ends as a name that is used"
    if hasattr(RiskRequest, name) or name.startswith("model_"):
        return "is a word of a request"
    return ""


@cache
def _reserved() -> frozenset[str]:
    """Words that SQL takes for its own where a column is named without quotes."""
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'")
        return frozenset(name for (name,) in rows.fetchall())


def check_domain(name: str, project: Path, domains: tuple[str, ...]) -> None:
    """Raises BadParameter where a domain cannot have this name, or there is a file of it."""
    if name in domains:
        raise BadParameter(f"There is a domain {name!r}. Choose another name.")
    if fault := fault_of(name):
        raise BadParameter(f"The name {name!r} {fault}. Choose another for the domain.")
    places = [project / room / name for room in _ROOMS]
    places += [place.with_suffix(".py") for place in places] + [project / "tests" / f"test_{name}.py"]
    if taken := [place for place in places if place.exists()]:
        raise BadParameter(f"{taken[0]} is there. Choose another name for the domain, or remove the file.")
