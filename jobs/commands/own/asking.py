"""Questions on a terminal. An answer that cannot be is asked for again, with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from choices import listed
from cli import console
from errors import SHOWN_CHARACTERS, BadParameter, RiskError
from features.utc import LATEST
from features.windows.raw import Column, RawTable
from jobs.own import reading
from jobs.own.cells import Fault, converter
from jobs.own.hints import hints
from jobs.own.mapping import Mapping
from jobs.own.new import naming

#: The answer for none.
NONE = "-"
Answer = TypeVar("Answer")


def ask(question: str, check: Callable[[str], Answer], default: str | None = None) -> Answer:
    """What `check` makes of the answer. It raises an error of ours where the answer cannot be."""

    def checked(answer: str) -> Answer:
        try:
            return check(answer.strip())
        except RiskError as error:
            raise click.UsageError(error.message) from None

    return click.prompt(question, default=default, value_proc=checked)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Example:
    """The file that a domain is written from, and how it is read. Raises BadInput, BadParameter."""

    path: Path
    mapping: Mapping

    @property
    def header(self) -> list[str]:
        """The names of its columns."""
        return [name for name in reading.open_file(self.path, self.mapping).header if name]

    def show(self) -> None:
        """Print the columns, each with a cell."""
        columns = [console.Column("column"), console.Column("a name of ours"), console.Column("a cell")]
        cells = self._first()
        rows = [
            (n, naming.proposed(n), _text(next(iter(cells.get(n, [])), ""))[:SHOWN_CHARACTERS]) for n in self.header
        ]
        console.table(columns, rows, True)

    def check(self, theirs: str, dtype: Any, passes: str = "") -> None:
        """Whether the mapping reads any cell of this column among the first rows. A cell of which the fault is `passes`
        counts as read. Raises BadParameter."""
        column = Column(theirs, dtype)
        cells, convert = self._first().get(theirs, []), converter(column, self.mapping, LATEST)
        faults: dict[tuple[str, str], list[Any]] = {}
        for cell in cells:
            try:
                convert(cell)
                return
            except Fault as fault:
                if str(fault) == passes:
                    return
                faults.setdefault((theirs, str(fault)), []).append(cell)
        if faults:
            (_, first), some = next(iter(faults.items()))
            advice = " ".join(hints(faults, self.mapping, RawTable("", (column,), time=theirs)))
            raise BadParameter(f"{theirs} has {_text(some[0])[:SHOWN_CHARACTERS]!r}, which {first}. {advice}".strip())

    def check_word(self, theirs: str, word: str) -> str:
        """The word, if any row of the file has it in this column. Raises BadParameter."""
        words: dict[str, None] = {}
        for batch in reading.open_file(self.path, self.mapping).batches():
            words |= dict.fromkeys(map(_text, _filled(batch.cells[theirs])))
        if word not in words:
            raise BadParameter(
                f"No row has {word!r} as {theirs}. The rows have: {listed(map(repr, words), repr(word))}."
            )
        return word

    def _first(self) -> dict[str, list[Any]]:
        """Their column → its filled cells among the first rows."""
        first = next(reading.open_file(self.path, self.mapping).batches(), None)
        return {name: _filled(cells) for name, cells in first.cells.items()} if first else {}


def _filled(cells: Sequence[Any]) -> list[Any]:
    return [cell for cell in cells if cell is not None and str(cell).strip()]


def _text(cell: Any) -> str:
    """As somebody would state it: 1 for 1.0, TRUE as Excel shows it."""
    if isinstance(cell, bool):
        return str(cell).upper()
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
