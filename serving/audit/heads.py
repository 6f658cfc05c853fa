"""Heads of the chain, published: a file of JSON lines that can be kept elsewhere. Who can write the log could write its
whole chain again; a head that somebody else keeps shows it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from serving import lines
from serving.audit.chain import Head


def published(folder: Path) -> Path:
    """The file of heads beside the folder of an audit log."""
    return folder.with_name(f"{folder.name}.heads")


def publish(path: Path, head: Head, day: str, at: datetime) -> dict[str, Any]:
    """Append a head, unless it is the last of the file. `day` is that of the file that the record is in, and `at` is
    now. Returns the line. Raises OSError."""
    line = {"day": day, "records": head.number, "digest": head.digest, "at": at.isoformat()}
    *_, newest = [None, *read(path)]
    if newest is None or head != Head(newest["records"], newest["digest"]):
        lines.append(path, [line], to_disk=True)
    return line


def read(path: Path) -> Iterator[Mapping[str, Any]]:
    """The heads of a file, the oldest first. Other lines are passed over. A file that does not exist has none. Raises
    OSError."""
    for line in lines.read(path):
        if type(line.get("records")) is int and type(line.get("digest")) is str:
            yield line
