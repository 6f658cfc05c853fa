"""The generated raw events."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from errors import Busy
from files import locked
from jobs.build.work import OnPart
from jobs.world.check import Share
from jobs.world.generate import generate as generate_tables
from jobs.world.marker import World
from root import Root


def generate(
    root: Root, world: World, day: datetime, shares: Sequence[Share], claim: Callable[[], object], on_part: OnPart
) -> str:
    """Write the raw tables of the domains with these shares, once `claim` has let the root belong to the world's hash
    key. Raises NotGenerated, Busy."""
    rows = 0

    def on_table(table: str, count: int) -> None:
        nonlocal rows
        rows += count
        on_part(table)

    generate_tables(root, world, day, shares, claim, on_table)
    _remove_states([share.state for share in shares])
    return f"{rows:,} rows as of {day:%Y-%m-%d}"


def _remove_states(states: Sequence[Path]) -> None:
    """The same events have other timestamps now, so the next run of a stream job folds new states, from the new raw
    tables and from what it has logged. A job that is at work keeps its states."""
    for state in states:
        with suppress(Busy), locked(state.with_suffix(".lock"), Busy(f"A stream job is at work on {state}.")):
            for file in state.parent.glob(f"{state.name}*"):
                file.unlink()
