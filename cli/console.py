"""What a command prints: lines, tables, and its progress.

On a terminal a table is as wide as the terminal, and rich draws it. Anywhere else it is plain text, for grep and awk: a
line for each row, never wrapped.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:  # slow to import, and most commands do without
    from rich.progress import Progress


@dataclass(frozen=True)
class Column:
    """A column of a table. In plain text, where there are no headings, `plain` says what a cell is, such as
    `{} equal`. On a terminal, cells wrap unless `wraps` is false."""

    heading: str
    justify: Literal["left", "right"] = "left"
    plain: str = "{}"
    wraps: bool = True


def line(text: str = "") -> None:
    """Print a line, at once."""
    click.echo(text)


def progress() -> "Progress":
    """What goes on, and for how long, on stderr. It shows only on a terminal, and leaves nothing behind."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], headings: bool = False, indent: int = 0) -> None:
    """Print a table. `headings`: also in plain text, which is then indented by `indent` spaces."""
    cells = [tuple(row) for row in rows]
    if is_terminal():
        _rich(columns, cells)
    else:
        line(plain(columns, cells, headings, indent))


def is_terminal() -> bool:
    """Whether somebody reads stdout, and no program."""
    return sys.stdout.isatty()


def plain(columns: Sequence[Column], rows: Iterable[Sequence[str]], headings: bool = False, indent: int = 0) -> str:
    """The rows as lines whose cells stand below each other."""
    cells = [tuple(column.heading for column in columns)] if headings else []
    cells += [tuple(_with_words(column, cell) for column, cell in zip(columns, row, strict=True)) for row in rows]
    widths = [max(map(len, texts), default=0) for texts in zip(*cells, strict=True)]
    sides = ["<" if column.justify == "left" else ">" for column in columns]
    lines = (
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
        for row in cells
    )
    return "\n".join((" " * indent + text).rstrip() for text in lines)


def _with_words(column: Column, cell: str) -> str:
    return column.plain.format(cell) if cell else ""


def _rich(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    has_headings = any(column.heading for column in columns)
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_header=has_headings)
    for column in columns:
        shown.add_column(column.heading, justify=column.justify, overflow="fold", no_wrap=not column.wraps)
    for row in rows:
        shown.add_row(*row)
    Console(highlight=False, markup=False).print(shown)
