"""Which versions of a model served, in order: `models/<name>/served.json`, a JSON list with the current one last.

A roll-back takes the last one off. So two roll-backs go back two versions, and never to and fro between a good and a
bad one.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from files import replacing

HISTORY = "served.json"
#: The list keeps this many versions.
MOST_VERSIONS = 100


def versions(folder: Path) -> list[str]:
    """The complete versions in a model's folder, in the order of their names, which begin with their timestamps."""
    cards = folder.glob("*/card.json")
    return sorted({card.parent.name for card in cards if not card.parent.is_symlink() and card.parent.name[0] != "."})


def latest(folder: Path) -> str | None:
    """The version that was put on the shelf last; None where there is none. Its name need not be the last one: that has
    the timestamp as of which it was trained."""
    return max(versions(folder), key=lambda version: (folder / version / "card.json").stat().st_mtime_ns, default=None)


def served(folder: Path, current: str) -> list[str]:
    """The versions that served, oldest first, `current` last.

    `current` is what the link says, and the link is right: a crash, or somebody who moved it by hand, may have left
    the list behind. Where there is no list, the versions that are older than `current` served before it.
    """
    try:
        kept = json.loads((folder / HISTORY).read_text())
        listed = [str(version) for version in kept] if isinstance(kept, list) else []
    except (FileNotFoundError, ValueError):
        listed = [version for version in versions(folder) if version < current]
    if current not in listed:
        return [*listed, current]
    return listed[: len(listed) - listed[::-1].index(current)]


def write(folder: Path, listed: Sequence[str]) -> None:
    """Replace the list."""
    with replacing(folder / HISTORY) as beside:
        beside.write_text(json.dumps(listed[-MOST_VERSIONS:]))
