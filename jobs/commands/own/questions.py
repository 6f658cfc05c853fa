"""What `python -m jobs new` was told on its command line, and the questions about the rest."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

import click

from choices import unknown
from cli import console
from errors import SHOWN_CHARACTERS, BadParameter
from jobs.own import reading
from jobs.own.mapping import Mapping
from jobs.own.new import naming
from jobs.own.new.spec import Spec

CSV = (".csv", ".txt", ".tsv")
MOST_DAYS = 3650
#: Which options are asked for where they are not given, and what is asked.
_QUESTIONS = {
    "time": "Which column is the time of the event?",
    "keys": "Which columns have a history, such as a customer or a merchant? (a,b)",
    "amounts": "Which columns are numbers, such as an amount? (a,b; - for none)",
    "identity": "Which column names an event? (several of ours, a,b, if none does)",
    "label": "Which column says that an event ended badly?",
}
_OPTIONS = {"time": "--time", "keys": "--key", "identity": "--id", "label": "--label"}


@dataclass
class Answers:
    """`columns` has the options of `new` about columns, `stated` those about the file. `is_asking`: somebody answers
    questions. `unused` are their columns that no option names."""

    domain: str
    files: Sequence[Path]
    stated: dict[str, Any]
    columns: dict[str, Any]
    is_asking: bool
    theirs: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def spec(self) -> Spec:
        """Raises BadParameter where something is missing and nobody can be asked; BadInput."""
        self._ask_about_the_file()
        header = reading.open_file(self.files[0], Mapping().changed(self.stated)).header
        if self.is_asking:
            self._show(header)
        self._ask_about_the_columns(header)
        label, label_time = self.columns["label"], self.columns["label_time"]
        if label and label_time:
            raise BadParameter("--label and --label-time say the same. Give one of them.")
        time = self._ours(self.columns["time"], "--time", header)
        keys = tuple(self._ours(text, "--key", header) for text in self.columns["keys"])
        amounts = tuple(self._ours(text, "--amount", header) for text in self.columns["amounts"])
        bad = self._ours(label or label_time, "--label" if label else "--label-time", header)
        parts = tuple(name.strip() for name in self.columns["identity"].split(","))
        is_made = len(parts) > 1
        name = f"{self.domain}_id" if is_made else self._ours(self.columns["identity"], "--id", header)
        self.unused = [theirs for theirs in header if theirs and theirs not in self.theirs.values()]
        return Spec(
            domain=self.domain,
            table=self.columns["table"] or f"{self.domain}_events",
            time=time,
            id=name,
            keys=keys,
            amounts=amounts,
            label=bad,
            known_after=self.columns["label_after"],
            theirs=self.theirs,
            id_of=parts if is_made else (),
            is_dated=bool(label_time),
            stated=self.stated,
        )

    def _ask_about_the_file(self) -> None:
        if not self.is_asking:
            return
        if self.files[0].suffix.lower() in CSV and "delimiter" not in self.stated:
            self._ask("delimiter", "What stands between two cells?", ",")
        if "time_format" not in self.stated:
            self._ask("time_format", "How are timestamps written, such as %d.%m.%Y %H:%M:%S? (- for ISO 8601)", "-")
        if "time_zone" not in self.stated and "%z" not in self.stated.get("time_format", ""):
            self._ask(
                "time_zone", "In which time zone was the clock, such as Europe/Berlin? (- if each says its own)", "-"
            )
        if "decimal" not in self.stated and self.files[0].suffix.lower() in CSV:
            self._ask("decimal", "What stands before the fraction of a number?", ".")

    def _ask(self, name: str, question: str, default: str) -> None:
        answer = click.prompt(question, default=default)
        if answer != "-":
            self.stated[name] = answer

    def _show(self, header: Sequence[str]) -> None:
        """The columns, each with the cell of the first row."""
        file = reading.open_file(self.files[0], Mapping().changed(self.stated))
        first = next(file.batches(), None)
        rows = []
        for name in filter(None, header):
            cell = next((c for c in first.cells[name] if c not in (None, "")), "") if first else ""
            rows.append((name, naming.proposed(name), str(cell)[:SHOWN_CHARACTERS]))
        console.table(
            [console.Column("column"), console.Column("a name of ours"), console.Column("a cell")], rows, True
        )

    def _ask_about_the_columns(self, header: Sequence[str]) -> None:
        if self.columns["label_time"] and not self.columns["label"]:
            questions = {name: text for name, text in _QUESTIONS.items() if name != "label"}
        else:
            questions = _QUESTIONS
        missing = [name for name in questions if not self.columns[name] and name in _OPTIONS]
        if not self.is_asking:
            if missing or self.columns["label_after"] is None:
                options = [*(_OPTIONS[name] for name in missing)]
                options += ["--label-after"] if self.columns["label_after"] is None else []
                raise BadParameter(f"State {', '.join(options)}. The columns are: {', '.join(filter(None, header))}.")
            return
        for name, text in questions.items():
            if not self.columns[name]:
                answer = click.prompt(text)
                self.columns[name] = answer if name not in ("keys", "amounts") else _parts(answer)
        if "ones" not in self.stated and self.columns["label"]:
            for name, value in (("ones", "1"), ("zeros", "0")):
                answer = click.prompt(f"Which word in it is {value}?", default=value)
                self.stated |= {} if answer == value else {name: (answer,)}
        if self.columns["label_after"] is None:
            days = click.IntRange(0, MOST_DAYS)
            self.columns["label_after"] = click.prompt("How many days after an event is its end known?", type=days)

    def _ours(self, text: str, option: str, header: Sequence[str]) -> str:
        """Our name of a column, and note theirs. Raises BadParameter."""
        text = normalize("NFC", text)
        ours, equals, theirs = text.partition("=")
        if not equals or text in header:
            ours = theirs = text
            if theirs in header and naming.fault_of(theirs) and self.is_asking:
                ours = click.prompt(f"A name of ours for {theirs!r}", default=naming.proposed(theirs) or None)
        if theirs not in header:
            raise unknown("column", theirs, filter(None, header), f"{self.files[0]} has no columns.")
        naming.check_column(ours, option)
        if self.theirs.get(ours, theirs) != theirs:
            raise BadParameter(f"{option}: {ours} is the column {self.theirs[ours]!r} already. Give another name.")
        self.theirs[ours] = theirs
        return ours


def command_line(spec: Spec, files: Sequence[Path], rest: Sequence[str]) -> str:
    """The command that says the same without questions. `rest`: the options that are not in the spec."""
    words = ["python", "-m", "jobs", "new", spec.domain, *rest]
    for file in files:
        words += ["--from", str(file)]
    words += ["--id", ",".join(spec.id_of) or _pair(spec, spec.id), "--time", _pair(spec, spec.time)]
    words += [word for key in spec.keys for word in ("--key", _pair(spec, key))]
    words += [word for amount in spec.amounts for word in ("--amount", _pair(spec, amount))]
    words += ["--label-time" if spec.is_dated else "--label", _pair(spec, spec.label)]
    words += ["--label-after", str(spec.known_after), "--table", spec.table]
    for name, value in spec.stated.items():
        for column, texts in value.items() if name == "values" else ():
            words += [word for theirs, ours in texts.items() for word in ("--value", f"{column}:{theirs}={ours}")]
        option = {"ones": "--true", "zeros": "--false"}.get(name, f"--{name.replace('_', '-')}")
        texts = () if name == "values" else value if isinstance(value, tuple) else (value,)
        words += [word for text in texts for word in (option, text)]
    return shlex.join(words)


def _pair(spec: Spec, ours: str) -> str:
    return ours if spec.theirs[ours] == ours else f"{ours}={spec.theirs[ours]}"


def _parts(answer: str) -> tuple[str, ...]:
    return () if answer.strip() == "-" else tuple(part.strip() for part in answer.split(",") if part.strip())
