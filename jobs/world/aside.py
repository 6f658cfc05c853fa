"""Moves files of a root aside, or removes what was computed, so that another world can take their place."""

import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from errors import Busy
from files import locked, replace
from jobs.world.check import Share
from root import Root

#: Folders that have a part for each raw table. Everything else in a root is of all domains together.
BY_TABLE = ("raw", "log", "events", "dead_letters")
#: The start of the names of what is computed for all domains together.
SHARED = ("registry.db", "online.db", "scores.db", "materialized")


def move(root: Root, paths: list[Path], now: datetime) -> Path | None:
    """Move these files and folders of a root to a dated folder, which is returned; None where there are none."""
    if not paths:
        return None
    name, number = f"{now:%Y-%m-%dT%H%M%SZ}", 1
    while any(os.path.lexists(root.replaced / name / path.relative_to(root.path)) for path in paths):
        number += 1
        name = f"{now:%Y-%m-%dT%H%M%SZ}-{number}"
    folder = root.replaced / name
    replace({path: folder / path.relative_to(root.path) for path in paths})
    return folder


def parts(root: Root, kept: Collection[str]) -> Iterator[Path]:
    """The files and folders of the present world, without the raw events and logs of the raw tables `kept`."""
    for path in root.world():
        if kept and path.name in BY_TABLE and path.is_dir():
            yield from (part for part in sorted(path.iterdir()) if part.name.partition(".")[0] not in kept)
        else:
            yield path


def remove_computed(root: Root, shares: Iterable[Share]) -> None:
    """Remove what was computed from the raw events of these domains, and the shared stores. All of it can be computed
    again: `check.may_generate` refuses a root with events that cannot. Raises Busy if a stream job is at work."""
    shares = list(shares)
    with without_stream_jobs(root, shares):
        shared = [path for name in SHARED for path in root.path.glob(f"{name}*")]
        for path in [*(path for share in shares for path in _computed(root, share)), *shared]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _computed(root: Root, share: Share) -> Iterator[Path]:
    yield from share.computed
    for name in share.streams:
        yield from (root.event_log(name), root.offline_log(name), root.dead_letters(name))
    yield from sorted(share.state.parent.glob(f"{share.state.name}*"))


def without_stream_jobs(root: Root, shares: Iterable[Share]) -> ExitStack:
    """Holds the lock of every stream that has one. Raises Busy."""
    with ExitStack() as locks:
        for share in shares:
            lock = share.state.with_suffix(".lock")
            if lock.exists():
                busy = Busy(f"A stream job is at work on {share.domain} in {root}. Stop it first.")
                locks.enter_context(locked(lock, busy))
        return locks.pop_all()
