"""What stands in the way of a generator: raw events that are not generated, and events that others sent."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from errors import NotGenerated
from files import sha256
from jobs.world.marker import Marker, World
from root import Root

#: A message names at most this many files.
SHOWN_FILES = 3
#: The start of the name of a file without rows. It shows a reader the schema.
EMPTY = "0-0."
#: Raw table that is a folder → pattern of the files that the service adds there; empty if it adds none.
Folders = Mapping[str, str]


@dataclass(frozen=True)
class Share:
    """What a root may hold of a domain: its raw tables, the raw tables of its streams, the folders of what is computed,
    and the state file of its stream job. None of them has to be there."""

    domain: str
    tables: tuple[str, ...]
    streams: tuple[str, ...]
    computed: tuple[Path, ...]
    state: Path


def may_generate(marker: Marker, world: World, share: Share, folders: Folders) -> None:
    """Raises NotGenerated if the generator would replace, or mix with others, what it did not make."""
    domain, part = share.domain, marker.parts.get(share.domain)
    known = {Path(name).parts[1].removesuffix(".parquet") for name in (part.digests if part else ())}
    refuse_foreign(marker, domain, sorted({*share.tables, *known}), folders)
    if is_other(marker, world, domain) and (events := list(islice(_accepted(marker.root, share, folders), 100))):
        raise _refusal(marker.root, domain, [f"{_named(marker.root, events)}, which this world did not make"])


def is_other(marker: Marker, world: World, domain: str) -> bool:
    """Whether the root has no data of the domain that are of this world."""
    part = marker.parts.get(domain)
    if part is None and old_marker(marker.root).is_file():
        return old_marker(marker.root).read_text() != world.old_fingerprint()
    return part is None or part.world != world.identity()


def refuse_foreign(marker: Marker, domain: str, tables: Iterable[str], folders: Folders) -> list[Path]:
    """Raises NotGenerated if a file at the places of these raw tables was not generated, or was changed since. Returns
    the files that an older version generated: it knew no digests, so one may be the user's own after all."""
    root, old, foreign, changed = marker.root, list[Path](), list[Path](), list[Path]()
    is_ours = domain in marker.parts or old_marker(root).is_file()
    for file in (file for table in tables for file in _occupants(root, table)):
        pattern = folders.get(file.parent.name)
        if is_ours and pattern and file.match(pattern):
            continue
        digests = marker.digests(file)
        if digests and file.is_file() and sha256(file) in digests:
            continue
        if domain not in marker.parts and _was_made_by_older_version(root, file):
            old.append(file)
        else:
            (changed if digests else foreign).append(file)
    faults = [f"{_named(root, foreign)}, which was not generated"] if foreign else []
    faults += [f"{_named(root, changed)}, which was changed after it was generated"] if changed else []
    if faults:
        raise _refusal(root, domain, faults)
    return old


def old_marker(root: Root) -> Path:
    """The marker of older versions, which is written no more."""
    return root.raw / "world"


def _occupants(root: Root, table: str) -> list[Path]:
    """Whatever is at the place of a raw table: a file, and all files in a folder of its name."""
    place = root.raw_table(table)
    paths = [path for suffix in (".parquet", ".csv") if os.path.lexists(path := place.with_suffix(suffix))]
    paths += [p for p in sorted(place.rglob("*")) if not p.is_dir()] if place.is_dir() else []
    return [path for path in paths if not path.name.startswith(".")]


def _was_made_by_older_version(root: Root, file: Path) -> bool:
    """Older versions wrote their marker last. What is newer was put there by somebody else."""
    marker = old_marker(root)
    return marker.is_file() and file.is_file() and file.stat().st_mtime_ns <= marker.stat().st_mtime_ns


def _accepted(root: Root, share: Share, folders: Folders) -> Iterator[Path]:
    """Files with events that others sent: nobody can generate them again."""
    logs = (root.event_log, root.offline_log, root.dead_letters)
    for folder in (log(name) for name in share.streams for log in logs):
        yield from (f for f in sorted(folder.rglob("*")) if f.is_file() and not f.name.startswith((".", EMPTY)))
    for table, pattern in folders.items():
        yield from sorted(root.raw_table(table).glob(pattern)) if pattern else ()


def _named(root: Root, paths: list[Path]) -> str:
    names = [str(path.relative_to(root.path)) for path in paths[:SHOWN_FILES]]
    return ", ".join(names) + (" and others" if len(paths) > SHOWN_FILES else "")


def _refusal(root: Root, domain: str, faults: list[str]) -> NotGenerated:
    return NotGenerated(
        f"{root} holds {'; and '.join(faults)}. Nothing was changed. Set RISK_DATA to another root, or give "
        f"--replace-demo: it moves what is there to {root.replaced}/ and deletes nothing. If these raw events are "
        f"yours to keep, delete simulators/{domain}.py: the pipeline then takes them as they are."
    )
