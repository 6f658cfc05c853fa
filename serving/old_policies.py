"""Which policies and lists of the history are old: those that no decision of the log needs to be made again."""

import mmap
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from root import Root
from serving import audit
from serving.lines import SUFFIX
from serving.policy_history import HISTORY, LISTS, History

#: The policy of a decision, as a line of the log has it: name of the risk, version.
_POLICY = re.compile(rb'"policy":\{"name":"([^"]+)","version":"([^"]+)"')


def old_policies(root: Root, cutoff: datetime) -> Iterator[tuple[str, Path]]:
    """The policies that nobody needs, then the lists that only they name."""
    folder = root.policies / HISTORY
    histories = [History(root.policies, path.name) for path in sorted(folder.glob("*")) if path.name != LISTS]
    if not any(history.not_needed(cutoff, ()) for history in histories):
        versions = set[str]()  # then nobody needs to read the log
    else:
        versions = _versions(root.decisions, cutoff)
    named = set[str]()
    for history in histories:
        gone = {entry.name for entry in history.not_needed(cutoff, versions)}
        for entry in history.entries():
            if entry.name in gone:
                yield "policies", history.path(entry)
            else:
                named |= {str(kept["sha256"]) for kept in entry.lists.values()}
    for file in sorted((folder / LISTS).glob("*.txt")):
        if file.stem not in named and file.stat().st_mtime < cutoff.timestamp():
            yield "lists of policies", file


def _versions(log: Path, cutoff: datetime) -> set[str]:
    """The versions of policies that decisions name, on the days that stay. A version is a digest, so it needs no
    risk."""
    versions = set[str]()
    newest = max(audit.days(log), default="")
    for day in audit.days(log):
        if day >= f"{cutoff.date()}" or day == newest:
            file = log / f"{day}{SUFFIX}"
            with file.open("rb") as opened:
                if file.stat().st_size:
                    with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as text:
                        versions |= {match[2].decode() for match in _POLICY.finditer(text)}
    return versions
