"""The history of a risk's policies: `policies/history/<risk>/<timestamp>-<version>.yaml`, a file for each time that
somebody put a policy in force, or that a decision used a version for the first time.

Such a file is the policy file as it was, after one line of comment with who, when and why. A list that a policy names
is kept once for each content, as `policies/history/lists/<sha256>.txt`. Files are written whole, under a lock, and
never changed: a crash leaves a file, or none.
"""

import codecs
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import files
from features.policy import Policy
from features.utc import MICROSECOND, utc
from serving import policy_file

HISTORY, LISTS = "history", "lists"
#: What happened: somebody applied a file or rolled back; a decision used a version first; a file was found in force
#: that nobody had applied.
Act = Literal["applied", "rolled back", "decided", "found", "unknown"]
#: In the place of the version of a file that is no policy.
BROKEN = "broken"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-(\w+)\.yaml", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """A file of the history, without its content. `back_to` is the name of the file that a roll-back went back to.
    `lists` maps the path of a list to its number of lines and its SHA-256."""

    at: datetime
    version: str
    act: Act
    by: str = ""
    note: str = ""
    is_default: bool = False
    back_to: str = ""
    lists: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.at:{_TIME}}-{self.version}.yaml"


class History:
    """The history of one risk. `policies` is the folder of the policy files. Every method may raise OSError."""

    def __init__(self, policies: Path, risk: str) -> None:
        self._history, self.file = policies / HISTORY, policies / f"{risk}.yaml"
        self._folder = self._history / risk

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else add to the history meanwhile, or put a policy in force with a command."""
        with files.locked(self._history / f"{self._folder.name}.lock"):
            yield

    def entries(self) -> list[Entry]:
        """All files, oldest first."""
        return [entry for path in sorted(self._folder.glob("*.yaml")) if (entry := _entry(path))]

    def content(self, entry: Entry) -> bytes:
        """The policy file as it was."""
        content = (self._folder / entry.name).read_bytes()
        return content if entry.act == "unknown" else content.partition(b"\n")[2]

    def in_force(self) -> bytes | None:
        """The content of the policy file, None where there is none."""
        try:
            return _as_utf8(self.file.read_bytes())
        except FileNotFoundError:
            return None

    def served(self, entries: Sequence[Entry]) -> list[Entry]:
        """The policies that were in force one after the other, as roll-backs left them: the last one is the newest, and
        the one before it is what a roll-back goes back to."""
        stack: list[Entry] = []
        for entry in entries:
            names = [earlier.name for earlier in stack]
            if entry.back_to in names:
                del stack[names.index(entry.back_to) + 1 :]
            elif not stack or not self._is_same(entry, stack[-1]):
                stack.append(entry)
        return stack

    def is_in_force(self, entry: Entry | None) -> bool:
        """Whether the policy file is that of the entry; for None, and for a policy that was declared, that there is no
        file."""
        content = self.in_force()
        if entry is None or entry.is_default:
            return content is None
        return content == self.content(entry)

    def not_needed(self, cutoff: datetime, versions: Collection[str]) -> list[Entry]:
        """The entries from before `cutoff` that nobody needs: neither the policy in force nor the one to roll back to,
        nor the newest entry of one of these `versions`."""
        entries = self.entries()
        needed = {entry.name for entry in self.served(entries)[-2:]}
        needed |= {entry.name for entry in {entry.version: entry for entry in entries}.values()
                   if entry.version in versions}  # fmt: skip
        return [entry for entry in entries if entry.at < cutoff and entry.name not in needed]

    def path(self, entry: Entry) -> Path:
        """Its file."""
        return self._folder / entry.name

    def keep(self, policy: Policy, content: bytes | None, lists: Mapping[str, bytes], as_of: datetime) -> None:
        """Keep the policy of a decision, if its version is not kept yet."""
        if not any(self._folder.glob(f"*-{policy.version}.yaml")):
            with self.locked():
                if not any(self._folder.glob(f"*-{policy.version}.yaml")):
                    entry = Entry(as_of, policy.version, "decided", is_default=content is None)
                    self.add(entry, policy_file.dumped(policy) if content is None else content, lists)

    def add(self, entry: Entry, content: bytes, lists: Mapping[str, bytes]) -> Entry:
        """Write a file after all others, and the lists, by their paths, which are not kept yet. The caller holds the
        lock. Returns the entry with its own timestamp."""
        newest = [earlier.at + MICROSECOND for earlier in self.entries()[-1:]]
        kept = {path: self._keep_list(values) for path, values in lists.items()}
        entry = replace(entry, at=max([entry.at, *newest]), lists=kept)
        facts = asdict(entry) | {"at": entry.at.isoformat()}
        files.remove_left(self._folder)
        with files.replacing(self._folder / entry.name) as beside:
            beside.write_bytes(f"# {json.dumps(facts)}\n".encode() + _as_utf8(content))
        return entry

    def _keep_list(self, values: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(values).hexdigest()
        path = self._history / LISTS / f"{digest}.txt"
        try:
            os.utime(path)  # so that nobody removes it for old before the entry names it
        except FileNotFoundError:
            with files.locked(self._history / f"{LISTS}.lock"):
                files.remove_left(path.parent)
                with files.replacing(path) as beside:
                    beside.write_bytes(values)
        return {"lines": len(values.split()), "sha256": digest}

    def _is_same(self, entry: Entry, other: Entry) -> bool:
        if entry.is_default or other.is_default:
            return entry.is_default and other.is_default
        return self.content(entry) == self.content(other)


def _as_utf8(content: bytes) -> bytes:
    """The content without a byte order mark: a line of comment goes before it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16").encode()
        except UnicodeDecodeError:
            return content
    return content.removeprefix(codecs.BOM_UTF8)


def _entry(path: Path) -> Entry | None:
    """What a file says. Of a file that somebody else put there only its name tells, or nothing."""
    with path.open("rb") as file:
        line = file.readline()
    try:
        facts = json.loads(line.removeprefix(b"# "))
        entry = Entry(**facts | {"at": utc(facts["at"])})
    except (ValueError, TypeError, KeyError):
        entry = None
    if entry is not None and entry.name == path.name:
        return entry
    try:
        name = _NAME.fullmatch(path.name)
        return name and Entry(datetime.strptime(name[1], _TIME).replace(tzinfo=UTC), name[2], "unknown")
    except ValueError:
        return None
