"""What people do about decisions that nobody made alone: those with the middle outcome, such as `review`. Each act is a
record of a log of its own, which is chained and kept as the audit log is. What a case is now follows from its acts."""

import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic_core import from_json

from errors import AuditUnavailable, BadParameter
from features.domains import risks
from features.identifiers import holds_ssn
from features.risk import Risk
from features.utc import utc
from files import explained, locked
from serving import audit
from serving.lines import SUFFIX

TAKE, RELEASE, NOTE, MILD, STRICT = "take", "release", "note", "mild", "strict"
#: What a person may do. The last two settle the case: with the first and with the third word of the risk.
ACTS = (TAKE, RELEASE, NOTE, MILD, STRICT)
LONGEST_NOTE = 2000
_SETTLED = "This case is settled: {word}, by {by}. Add a note, if something has to be said."


@dataclass(frozen=True)
class Act:
    """What somebody did. `caller` is "" where nobody has to sign in."""

    act: str
    caller: str
    at: datetime
    note: str


@dataclass
class Case:
    """The acts on a decision, oldest first, and what follows from them: who has taken it, and the word that settled it,
    None if it is open."""

    acts: list[Act] = field(default_factory=list)
    taken_by: str | None = None
    settled: str | None = None


def is_case(record: Mapping[str, Any]) -> bool:
    """Whether a person has to decide: the outcome is the middle word of a classification."""
    risk = risks().get(record["risk"])
    return risk is not None and risk.task == "classification" and record["decision"] == risk.appetite.words[1]


def word_of(risk: Risk, act: str) -> str:
    """The word that an act settles a case with."""
    return risk.appetite.words[0 if act == MILD else 2]


class Cases:
    """The acts in a folder. Every method may raise AuditUnavailable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cases: dict[str, Case] = {}
        #: File → how many of its bytes are read.
        self._read: dict[str, int] = {}
        self._turn = Lock()

    def case(self, decision_id: str) -> Case:
        """The case of a decision. One that nobody has touched has no acts."""
        with self._turn:
            self._catch_up()
            return self._cases.get(decision_id, Case())

    def settled(self) -> set[str]:
        """The ids of the decisions that are settled."""
        with self._turn:
            self._catch_up()
            return {name for name, case in self._cases.items() if case.settled}

    def act(
        self,
        record: Mapping[str, Any],
        act: str,
        caller: str,
        request_id: str,
        at: datetime,
        note: str = "",
        is_admin: bool = False,
    ) -> None:
        """Do something about the decision of an audit record. Once this returns, a power cut does not undo it. Of two
        who take a case at once, one is refused. An admin may release a case that another person has taken. Raises
        BadParameter."""
        note = note.strip()
        if act not in ACTS:
            raise BadParameter(f"There is no act {act[:40]!r}. Choose one of: {', '.join(ACTS)}.", "act")
        if len(note) > LONGEST_NOTE:
            raise BadParameter(f"The note has {len(note):,} characters. Write up to {LONGEST_NOTE:,}.", "note")
        if holds_ssn(note):
            raise BadParameter("The note has nine digits as an SSN has them. Leave them out.", "note")
        with explained(self._folder, AuditUnavailable, "Move it away."), locked(self._folder.with_name("cases.lock")):
            case = self.case(record["decision_id"])
            word = self._checked(record, case, act, caller, note, is_admin)
            line = {
                "decision_id": record["decision_id"], "of_risk": record["risk"], "act": act, "word": word,
                "caller": caller, "request_id": request_id, "at": at.isoformat(), "note": note,
            }  # fmt: skip
            on_disk = audit.append(self._folder, at, [line])
        on_disk()

    def _checked(
        self, record: Mapping[str, Any], case: Case, act: str, caller: str, note: str, is_admin: bool
    ) -> str | None:
        """The word that the act settles the case with. Raises BadParameter."""
        if not is_case(record):
            raise BadParameter(f"The decision is {record['decision']}: there is nothing to decide.", "decision_id")
        if act == NOTE:
            if not note:
                raise BadParameter("The note is empty. Write what has to be said.", "note")
            return None
        if case.settled:
            by = case.acts[-1].caller or "somebody"
            raise BadParameter(_SETTLED.format(word=case.settled, by=by), "act")
        if case.taken_by not in (None, caller) and not (is_admin and act == RELEASE):
            by = case.taken_by or "somebody"
            raise BadParameter(f"The case is taken by {by}. Ask them, or an admin, to release it.", "act")
        if act == RELEASE and case.taken_by is None:
            raise BadParameter("Nobody has taken the case. Take it first.", "act")
        return word_of(risks()[record["risk"]], act) if act in (MILD, STRICT) else None

    def _catch_up(self) -> None:
        """Read what is new in the log."""
        with explained(self._folder, AuditUnavailable, "Move it away."):
            for file in sorted(self._folder.glob(f"*{SUFFIX}")):
                for line in self._new_lines(file):
                    _add(self._cases.setdefault(line["decision_id"], Case()), line)

    def _new_lines(self, file: Path) -> Iterator[dict[str, Any]]:
        offset = self._read.get(file.name, 0)
        if file.stat().st_size <= offset:
            return
        with file.open("rb") as log:
            fcntl.flock(log, fcntl.LOCK_SH)  # a writer holds it until its lines are whole
            log.seek(offset)
            chunk = log.read()
        end = chunk.rfind(b"\n") + 1
        self._read[file.name] = offset + end
        for text in chunk[:end].split(b"\n"):
            try:
                line = from_json(text)
            except ValueError:
                continue  # a crash cut it
            if isinstance(line, dict) and isinstance(line.get("decision_id"), str) and line.get("act") in ACTS:
                yield line


def _add(case: Case, line: Mapping[str, Any]) -> None:
    act = Act(line["act"], line.get("caller", ""), utc(line["at"]), line.get("note", ""))
    case.acts.append(act)
    if act.act == TAKE:
        case.taken_by = act.caller
    elif act.act == RELEASE:
        case.taken_by = None
    elif act.act in (MILD, STRICT):
        case.settled, case.taken_by = line["word"], act.caller
