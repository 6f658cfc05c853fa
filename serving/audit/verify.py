"""Checks the chain of an audit log, line by line, while others may append to it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

from serving.audit.chain import START, Head, digest, is_record, link_of
from serving.audit.writer import days
from serving.lines import SUFFIX


class Line(NamedTuple):
    """A record of the log: the name of its file, the number of its line, its bytes, its link and its digest. `before`
    are the records without a link that stand between it and the one before it."""

    file: str
    number: int
    text: bytes
    link: Head
    digest: str
    before: tuple["Line", ...] = ()

    def __str__(self) -> str:
        """File, line, and the id of the decision."""
        try:
            decision = from_json(self.text).get("decision_id")
        except (ValueError, AttributeError):
            decision = None
        return f"{self.file}:{self.number}" + (f" (decision {decision})" if decision else "")

    def follows(self, before: "Line") -> bool:
        """Whether this record is the one after `before`."""
        return self.link == (before.link.number + 1, before.digest)


@dataclass
class Verified:
    """What a check found. `records` and `days` count what is chained, and `first` is where the chain begins. `unlinked`
    counts the records before it, which an older version wrote. `cut` names the lines that a crash cut. `faults` are
    sentences. `head` is the last record."""

    records: int = 0
    days: int = 0
    unlinked: int = 0
    first: str = ""
    head: Head = START
    cut: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class _Check:
    def __init__(self, heads: Iterable[Mapping[str, Any]]) -> None:
        self.result = Verified()
        self._heads = {int(head["records"]): head for head in heads}
        #: The last record that is in its place. An edited one is not trusted: its digest is lost.
        self._last: Line | None = None
        self._is_trusted = True
        self._unlinked: Line | None = None
        self._is_split = False  # an unlinked record came after `_last`

    def _begin(self, line: Line, after: Line | None) -> None:
        """The first record of the chain. Where earlier files were pruned, a published head has what it follows."""
        self.result.first = f"{line.file}:{line.number}"
        number, before = line.link.number - 1, line.link.digest
        if number == 0:
            if before != (self._unlinked.digest if self._unlinked else START.digest):
                self._fault(f"{line} is the first record, and does not hold the digest of what stands before it.")
        elif number not in self._heads:
            after_old = f", after {self._unlinked}, which has no link" if self._unlinked else ""
            self._fault(
                f"{_records_named(1, number)} missing before {line}{after_old}. No published head names the last."
            )
        elif self._heads[number]["digest"] != before:
            self._fault(f"{line} does not follow the published head of record {number}.")
        if after is not None and self.result.faults and after.link.number != line.link.number + 1:
            line = line._replace(link=Head(after.link.number - 1, before))  # its number was edited
        self._accept(line, is_trusted=not self.result.faults)

    def take(self, line: Line, after: Line | None) -> None:
        """A record, and the one after it."""
        for unlinked in line.before:
            self.unlinked(unlinked)
        last = self._last
        if last is None:
            self._begin(line, after)
            return
        expected = last.link.number + 1
        continues = line.follows(last) or (not self._is_trusted and line.link.number == expected)
        if not continues and self._is_split and self._unlinked:  # an older version went on with the chain
            continues = line.link == (expected, self._unlinked.digest)
        if continues:
            self._accept(line)
        elif after is not None and after.follows(last):
            self._fault(f"{line} is out of place: {after} follows {last}. It was inserted, moved or copied there.")
        elif line.link.number == expected:
            self._edited(last, line, after)
        elif line.link.number > expected:
            self._gap(last, line, after)
        elif line.link.number == last.link.number and after is not None and after.follows(line):
            self._fault(f"{last} is out of place: {after} follows {line}. It was inserted.")
            self.result.records -= 1
            self._accept(line)
        else:
            self._fault(f"{line} is out of place: its number is {line.link.number}, and it stands after {last}.")

    def _edited(self, last: Line, line: Line, after: Line | None) -> None:
        """The numbers fit, the digests do not."""
        if not is_record(last.text):  # a power cut lost a part of it, and nobody got its decision
            self.result.cut.append(f"{last.file}:{last.number}")
            self._accept(line)
        elif after is not None and after.follows(line):
            self._fault(f"{last} was edited: {line} holds another digest of it.")
            self._accept(line)
        else:
            self._fault(f"{last} or {line} was edited: the second holds another digest of the first.")
            self._accept(line, is_trusted=after is None)

    def _gap(self, last: Line, line: Line, after: Line | None) -> None:
        expected = last.link.number + 1
        if line.link.digest == last.digest and after is not None and after.link.number == expected + 1:
            self._fault(f"{line} was edited: its number is {line.link.number}, not {expected}.")
            self._accept(line._replace(link=Head(expected, line.link.digest)), is_trusted=False)
            return
        self._fault(f"{_records_named(expected, line.link.number - 1)} missing between {last} and {line}.")
        self._accept(line)

    def unlinked(self, line: Line) -> None:
        """A record without a link."""
        if self._last is None:
            self.result.unlinked += 1
        else:
            self._fault(f"{line} has no link: it was inserted or edited, or an older version wrote it.")
            self._is_split = True
        self._unlinked = line

    def end(self) -> None:
        """Compare with the heads that were published after the last record."""
        last = self._last.link.number if self._last else 0
        self.result.head = Head(last, self._last.digest) if self._last else START
        for number, head in self._heads.items():
            if number > last:
                self._fault(
                    f"The log ends at record {last}, and the head of {head.get('at')} names record {number}: records "
                    "are missing at the end."
                )

    def _accept(self, line: Line, is_trusted: bool = True) -> None:
        self._last, self._is_trusted, self._is_split = line, is_trusted, False
        self.result.records += 1
        head = self._heads.get(line.link.number)
        if head is not None and head["digest"] != line.digest:
            self._fault(f"{line} is not the record {line.link.number} of the head of {head.get('at')}: it was edited.")

    def _fault(self, sentence: str) -> None:
        self.result.faults.append(sentence)


def verify(folder: Path, heads: Iterable[Mapping[str, Any]] = ()) -> Verified:
    """Check the log in a folder: that each record holds the digest of the one before it, and that the published heads
    are in it. It reads what is there now, a line at a time. Raises OSError."""
    check, files = _Check(heads), set[str]()
    rest: list[Line] = []
    for line, after in pairwise(chain(_records(folder, check.result, rest), [None])):
        if line is not None:
            files.add(line.file)
            check.take(line, after)
    for line in rest:
        check.unlinked(line)
    check.result.days = len(files)
    check.end()
    return check.result


def _records_named(first: int, last: int) -> str:
    return f"Record {first} is" if first == last else f"Records {first} to {last} are"


def _records(folder: Path, result: Verified, unlinked: list[Line]) -> Iterator[Line | None]:
    """The records with a link. Those without one that come after the last are left in `unlinked`."""
    for day in days(folder):
        path = folder / f"{day}{SUFFIX}"
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                line = text[:-1]
                link = link_of(line)
                if text[-1:] != b"\n":
                    result.cut.append(f"{path.name}:{number}")
                elif link:
                    yield Line(path.name, number, line, link, digest(line), tuple(unlinked))
                    unlinked.clear()
                elif is_record(line):
                    unlinked.append(Line(path.name, number, line, START, digest(line)))
                elif line:
                    result.cut.append(f"{path.name}:{number}")
