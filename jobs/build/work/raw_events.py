"""The raw events of a made-up world."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import settings
from errors import Busy
from files import fingerprint, locked, replacing
from jobs.build.work import OnPart
from jobs.raw.generate import generate as generate_tables
from root import Root
from simulators import Size


def generate(
    root: Root,
    seed: int,
    size: Size,
    day: datetime,
    world: dict[str, Any],
    domains: Sequence[str],
    states: Sequence[Path],
    on_part: OnPart,
) -> str:
    """Write the raw tables of the domains. `world` identifies the made-up world: its seed, its size and the hash key.
    If the root holds another world, all that was made of it is removed first; models and decisions stay. `states` are
    the state files of the domains' streams."""
    marker = root.raw / "world"
    if marker.exists() and marker.read_text() != fingerprint(world):
        _remove_world(root)
    rows = 0

    def on_table(table: str, count: int) -> None:
        nonlocal rows
        rows += count
        on_part(table)

    generate_tables(root, seed, day, size, settings.hash_key(), on_table, domains)
    _remove_states(states)
    with replacing(marker) as beside:
        beside.write_text(fingerprint(world))
    return f"{rows:,} rows as of {day:%Y-%m-%d}"


def _remove_world(root: Root) -> None:
    for path in root.world():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _remove_states(states: Sequence[Path]) -> None:
    """The same events have other timestamps now, so the next run of a stream job folds new states, from the new raw
    tables and from what it has logged. A job that is at work keeps its states."""
    for state in states:
        with suppress(Busy), locked(state.with_suffix(".lock"), Busy(f"A stream job is at work on {state}.")):
            for file in state.parent.glob(f"{state.name}*"):
                file.unlink()
