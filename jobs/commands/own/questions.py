"""What `python -m jobs new` was told on its command line, and the questions about the rest."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import normalize

import click

from choices import listed, unknown
from errors import BadInput, BadParameter
from jobs.commands.own.asking import NONE, Example, ask
from jobs.commands.own.options import TAB
from jobs.own.forms.csv_form import undecodable
from jobs.own.mapping import Mapping
from jobs.own.new import naming
from jobs.own.new.spec import Spec

CSV = (".csv", ".txt", ".tsv")
MOST_DAYS = 3650
#: Which options must be given where nobody can be asked.
_OPTIONS = {"time": "--time", "keys": "--key", "identity": "--id", "label": "--label", "label_after": "--label-after"}


@dataclass
class Answers:
    """`columns` has the options of `new` about columns, `stated` those about the file. `is_asking`: somebody answers
    questions."""

    domain: str
    files: Sequence[Path]
    stated: dict[str, Any]
    columns: dict[str, Any]
    is_asking: bool
    theirs: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    def spec(self) -> Spec:
        """Raises BadParameter where something is missing and nobody can be asked; BadInput."""
        is_text = self.files[0].suffix.lower() in CSV
        if self.is_asking and is_text:
            self._ask_how_it_is_written()
        example = self._example()
        header = example.header
        if self.is_asking:
            example.show()
        else:
            self._check_that_all_is_stated(header)
        time = self._one("time", "--time", "Which column is the time of the event?", header)
        if self.is_asking:
            self._ask_about_timestamps(self.theirs[time])
        keys = self._several(
            "keys", "--key", "Which columns have a history, such as a customer or a merchant? (a,b)", header
        )
        amounts = self._several(
            "amounts", "--amount", f"Which columns are numbers, such as an amount? (a,b; {NONE} for none)", header
        )
        if self.is_asking and is_text and amounts and "decimal" not in self.stated:
            check = partial(self._changed, "decimal", [(self.theirs[name], "float") for name in amounts])
            ask("What stands before the fraction of a number?", check, ".")
        identity, parts = self._identity(header, [time, *keys, *amounts])
        label = self._label(header)
        if self.columns["label_after"] is None:
            days = click.IntRange(0, MOST_DAYS)
            self.columns["label_after"] = click.prompt("How many days after an event is its end known?", type=days)
        return Spec(
            domain=self.domain,
            table=self.columns["table"] or f"{self.domain}_events",
            time=time,
            id=identity,
            keys=keys,
            amounts=amounts,
            label=label,
            known_after=self.columns["label_after"],
            theirs=self.theirs,
            id_of=parts,
            is_dated=bool(self.columns["label_time"]),
            stated=self.stated,
        )

    def _example(self, **changes: Any) -> Example:
        return Example(self.files[0], Mapping().changed(self.stated | changes))

    def _check_that_all_is_stated(self, header: Sequence[str]) -> None:
        given = self.columns | {"label": self.columns["label"] or self.columns["label_time"]}
        if missing := [option for name, option in _OPTIONS.items() if given[name] in (None, ())]:
            raise BadParameter(f"State {', '.join(missing)}. The columns are: {listed(header)}.")

    # How the file is written

    def _ask_how_it_is_written(self) -> None:
        encoding = self.stated.get("encoding", Mapping().encoding)
        if undecodable(self.files[0], encoding):
            question = f"The file is not {encoding}. Which encoding does it have, such as cp1252 or latin-1?"
            ask(question, partial(self._changed, "encoding", ()), "cp1252")
        if "delimiter" not in self.stated:
            ask("What stands between two cells?", partial(self._changed, "delimiter", ()), ",")

    def _ask_about_timestamps(self, theirs: str) -> None:
        if "time_format" not in self.stated:
            question = f"How are timestamps written, such as %d.%m.%Y %H:%M:%S? ({NONE} for ISO 8601)"
            check = partial(self._changed, "time_format", [(theirs, "timestamp")], passes="is without a time zone")
            ask(question, check, NONE)
        if "time_zone" not in self.stated and "%z" not in self.stated.get("time_format", ""):
            question = f"In which time zone was the clock, such as Europe/Berlin? ({NONE} if each says its own)"
            ask(question, partial(self._changed, "time_zone", [(theirs, "timestamp")]), NONE)

    def _changed(self, name: str, checked: Sequence[tuple[str, Any]], answer: str, passes: str = "") -> None:
        """State a field of the mapping, if the file can be read with it: its header, and cells of the columns that are
        checked. Raises BadParameter, BadInput."""
        value = {NONE: None, TAB: "\t"}.get(answer, answer)
        example = self._example(**{name: value})
        if name == "delimiter" and len(example.header) == 1:
            raise BadInput(f"With {answer!r} between cells, the first row is one cell: {example.header[0]}")
        for theirs, dtype in checked:
            example.check(theirs, dtype, passes)
        if value is not None:
            self.stated[name] = value

    # Which columns it has

    def _one(self, name: str, option: str, question: str, header: Sequence[str]) -> str:
        """Our name of the column that an option names."""
        if self.columns[name]:
            return self._ours(self.columns[name], option, header)
        return ask(question, lambda answer: self._ours(answer, option, header))

    def _several(self, name: str, option: str, question: str, header: Sequence[str]) -> tuple[str, ...]:
        """Our names of the columns that an option names."""
        given = self.columns[name]
        if given or not self.is_asking:
            return tuple(self._ours(text, option, header) for text in given)

        def ours(answer: str) -> tuple[str, ...]:
            texts = [] if answer == NONE else [text for text in map(str.strip, answer.split(",")) if text]
            if not texts and option == "--key":
                raise BadParameter("A domain has a key at least: the column of a customer, a merchant or a device.")
            before = dict(self.theirs), dict(self.parts)
            try:
                return tuple(self._ours(text, option, header) for text in texts)
            except BadParameter:
                self.theirs, self.parts = before
                raise

        return ask(question, ours)

    def _identity(self, header: Sequence[str], known: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """Our column that names an event, and the columns that it is made of."""

        def taken(answer: str) -> tuple[str, tuple[str, ...]]:
            parts = tuple(part.strip() for part in answer.split(","))
            if len(parts) == 1:
                return self._ours(answer, "--id", header), ()
            if wrong := [part for part in parts if part not in known]:
                raise unknown("column to make an id of", wrong[0], known, "")
            return f"{self.domain}_id", parts

        if self.columns["identity"]:
            return taken(self.columns["identity"])
        return ask("Which column names an event? (several of ours, a,b, if none does)", taken)

    def _label(self, header: Sequence[str]) -> str:
        if self.columns["label"] and self.columns["label_time"]:
            raise BadParameter("--label and --label-time say the same. Give one of them.")
        if self.columns["label_time"]:
            return self._ours(self.columns["label_time"], "--label-time", header)
        label = self._one("label", "--label", "Which column says that an event ended badly?", header)
        if self.is_asking and "ones" not in self.stated:
            for name, value in (("ones", "1"), ("zeros", "0")):
                check = partial(self._example().check_word, self.theirs[label])
                word = ask(f"Which word in it is {value}?", check, value)
                self.stated |= {} if word == value else {name: (word,)}
        return label

    def _ours(self, text: str, option: str, header: Sequence[str]) -> str:
        """Our name of a column, and note theirs. Raises BadParameter."""
        text = normalize("NFC", text)
        ours, equals, theirs = text.partition("=")
        if not equals or text in header:
            ours = theirs = text
        if theirs not in header:
            raise unknown("column", theirs, header, f"{self.files[0]} has no columns.")
        check: Callable[[str], str] = partial(self._noted, option=option, theirs=theirs)
        if ours == theirs and naming.fault_of(ours) and self.is_asking:
            return ask(f"A name of ours for {theirs!r}", check, naming.proposed(theirs) or None)
        return check(ours)

    def _noted(self, ours: str, option: str, theirs: str) -> str:
        """Raises BadParameter where the name cannot be used, or stands for another column."""
        naming.check_column(ours, option)
        if self.theirs.get(ours, theirs) != theirs:
            raise BadParameter(f"{option}: {ours} is the column {self.theirs[ours]!r} already. Give another name.")
        before = self.parts.get(ours)
        if before is not None and {before, option} != {"--key", "--id"}:
            raise BadParameter(f"{ours!r} is stated twice. A column has one part: time, id, key, amount or label.")
        self.theirs[ours], self.parts[ours] = theirs, option
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
