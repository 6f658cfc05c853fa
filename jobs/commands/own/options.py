"""What `import` and `new` ask about a file: its dialect, its words, where its bad rows go."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from errors import BadParameter

#: How somebody states a tab: a shell has no easy way to write one.
TAB = r"\t"
#: Option → the field of a Mapping, and its help.
_DIALECT = {
    "--delimiter": ("delimiter", "What stands between two cells of a CSV file."),
    "--quote": ("quote", "What stands around a cell of a CSV file."),
    "--escape": ("escape", "What stands before a quote in a cell, where a quote is not doubled."),
    "--encoding": ("encoding", "How a CSV file writes characters as bytes: utf-8, cp1252."),
    "--decimal": ("decimal", "What stands before the fraction of a number."),
    "--thousands": ("thousands", "What stands between thousands."),
    "--time-zone": ("time_zone", "Where the clock of timestamps without a zone was: Europe/Berlin."),
    "--time-format": ("time_format", "How timestamps are written, as strptime has it: '%d.%m.%Y %H:%M:%S'."),
    "--sheet": ("sheet", "The sheet of an Excel workbook."),
}
_KEPT = {
    "delimiter": ",", "quote": '"', "escape": "a quote is doubled", "encoding": "utf-8", "decimal": ".",
    "thousands": "nothing", "time_zone": "each timestamp states its own", "time_format": "ISO 8601",
    "sheet": "the only one",
}  # fmt: skip
_WORDS = {
    "--true": ("ones", "A word for 1 in a column of whole numbers. May be repeated.", "1"),
    "--false": ("zeros", "A word for 0 in a column of whole numbers. May be repeated.", "0"),
    "--missing": ("missing", "A word for an empty cell. May be repeated.", "an empty cell"),
}


def dialect_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about a file to a command. It gets what was stated as `stated`: field of a Mapping → value."""

    @wraps(command)
    def with_stated(**params: Any) -> Any:
        fields = [*(field for field, _ in _DIALECT.values()), *(field for field, *_ in _WORDS.values())]
        stated = {field: value for field in fields if (value := params.pop(field)) not in (None, ())}
        if stated.get("delimiter") == TAB:
            stated["delimiter"] = "\t"
        values: dict[str, dict[str, str]] = {}
        for text in params.pop("values"):
            column, theirs, ours = _value(text)
            values.setdefault(column, {})[theirs] = ours
        return command(stated=stated | ({"values": values} if values else {}), **params)

    decorated: Callable[..., Any] = with_stated
    decorated = click.option(
        "--quarantine",
        type=click.Path(path_type=Path, dir_okay=False),
        show_default="a bad row stops the import",
        help="Write bad rows with their reasons to this file (.csv or .parquet) and go on.",
    )(decorated)
    decorated = click.option(
        "--value", "values", multiple=True, metavar="COLUMN:THEIRS=OURS", show_default="none",
        help="A value in a column of ours that their file writes otherwise. May be repeated.",
    )(decorated)  # fmt: skip
    for name, (field, about, default) in reversed(_WORDS.items()):
        decorated = click.option(name, field, multiple=True, metavar="TEXT", show_default=default, help=about)(
            decorated
        )
    for name, (field, about) in reversed(_DIALECT.items()):
        decorated = click.option(name, field, metavar="TEXT", show_default=_KEPT[field], help=about)(decorated)
    return decorated


def is_terminal() -> bool:
    """Whether somebody answers questions, and no program."""
    return sys.stdin.isatty()


def pair(text: str, option: str) -> tuple[str, str]:
    """`ours=theirs` → (ours, theirs). Raises BadParameter."""
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise BadParameter(f"{option} {text!r} has not the form OURS=THEIRS. Write {option} amount=Betrag.")
    return ours.strip(), theirs


def _value(text: str) -> tuple[str, str, str]:
    column, colon, rest = text.partition(":")
    theirs, equals, ours = rest.rpartition("=")
    if not (column and colon and equals):
        raise BadParameter(f"--value {text!r} has not the form COLUMN:THEIRS=OURS. Write --value is_fraud:yes=1.")
    return column, theirs, ours
