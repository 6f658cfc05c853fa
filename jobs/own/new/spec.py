"""What somebody states about a new domain, and what follows from it: a raw table, a mapping, the text of each file."""

import re
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from choices import unknown
from errors import BadParameter
from features.windows import Column, RawTable
from jobs.own.mapping import Mapping
from jobs.own.new import naming

MOST_DAYS = 3650
LONGEST_LINE = 120
DATED = 'f"is_{LABEL}", KNOWN_AFTER, happened=f"{LABEL}_timestamp"'
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Spec:
    """A domain. Each column is ours; `theirs` has the names in their file.

    id             the column that names an event, or made of `id_of`
    label          a column of 0 and 1; with `is_dated`, their column has the timestamp of the bad end instead
    known_after    days until the end of an event is known
    """

    domain: str
    table: str
    time: str
    id: str
    keys: tuple[str, ...]
    amounts: tuple[str, ...]
    label: str
    known_after: int
    theirs: Dictionary[str, str]
    id_of: tuple[str, ...] = ()
    is_dated: bool = False
    stated: Dictionary[str, Any] = field(default_factory=dict)

    @property
    def happened(self) -> str:
        """The column of the timestamp of a bad end."""
        return f"{self.label}_timestamp"

    @property
    def raw(self) -> RawTable:
        """The table of its events."""
        columns = [Column(name, "string", from_number=True) for name in dict.fromkeys([self.id, *self.keys])]
        columns += [Column(name, "float") for name in self.amounts]
        if not self.is_dated:
            columns.append(Column(self.label, "int", is_optional=True, minimum=0, maximum=1))
        columns.append(Column(self.happened, "timestamp", is_optional=True))
        return RawTable(self.table, tuple(columns), time=self.time, id=self.id, is_live=True)

    @property
    def mapping(self) -> Mapping:
        """How files of its events are read. Raises BadParameter."""
        happened = {} if self.is_dated else {self.happened: self.label}
        columns = {self.happened if self.is_dated and ours == self.label else ours: theirs
                   for ours, theirs in self.theirs.items()}  # fmt: skip
        return Mapping().changed({"columns": columns, "id": self.id_of, "happened": happened, **self.stated})

    @property
    def feature_names(self) -> list[str]:
        """The names that its features have, beside those of its columns."""
        names = [f"{key}_count" for key in self.keys] + [f"{key}_{self.label}_share" for key in self.keys]
        names += [f"{key}_{amount}" for key in self.keys for amount in self.amounts]
        return names + [f"{amount}_of_{key}" for key in self.keys for amount in self.amounts]


def check(spec: Spec, project: Path, domains: tuple[str, ...], tables: list[str]) -> None:
    """Whether every name can be used. `tables`: the names of the raw and feature tables that there are. Raises
    BadParameter."""
    naming.check_domain(spec.domain, project, domains)
    if fault := naming.fault_of(spec.table):
        raise BadParameter(f"--table: the name {spec.table!r} {fault}. Choose another.")
    options = {spec.time: "--time", spec.id: "--id", spec.label: "--label"}
    options |= dict.fromkeys(spec.keys, "--key") | dict.fromkeys(spec.amounts, "--amount")
    for name, option in options.items():
        naming.check_column(name, option)
    columns = [spec.time, spec.id, *spec.keys, *spec.amounts, spec.label]
    if again := [name for name in columns if columns.count(name) > 1 and not (name == spec.id and name in spec.keys)]:
        raise BadParameter(f"{again[0]!r} is stated twice. A column has one part: time, id, key, amount or label.")
    if again := [name for name in spec.feature_names if spec.feature_names.count(name) > 1]:
        raise BadParameter(f"Two features would have the name {again[0]!r}. Give a key or an amount another name.")
    own = [spec.table, f"{spec.domain}_now", *(f"{spec.domain}_{key}" for key in spec.keys)]
    if taken := [name for name in own if name in tables]:
        raise BadParameter(f"There is a table {taken[0]!r}. Choose another name: --table NAME, or of the domain.")
    if not spec.keys:
        raise BadParameter("No key is stated. Name the column of a customer, a merchant or a device: --key COLUMN.")
    for name in spec.id_of:
        if name not in (spec.time, *spec.keys, *spec.amounts):
            raise unknown("column to make an id of", name, [spec.time, *spec.keys, *spec.amounts], "")


def files(spec: Spec, project: Path, bad_share: float) -> dict[Path, str]:
    """Path → text of the files of the domain. `bad_share`: the share of the known events that ended badly."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters["python_tuple"] = python_tuple
    low, high = appetite(bad_share)
    context = {
        **{name: getattr(spec, name) for name in ("domain", "table", "time", "id", "keys", "amounts", "label")},
        "known_after_days": spec.known_after,
        "columns": [_column(column) for column in spec.raw.columns],
        "strings": [*([] if spec.id_of else [(spec.id, "The number of the event.")]),
                    *((key, f"The {key} of the event.") for key in spec.keys if key != spec.id)],
        "entity_keys": list(dict.fromkeys([*([] if spec.id_of else [spec.id]), *spec.keys])),
        "outcome": DATED if spec.is_dated else "LABEL, KNOWN_AFTER",
        "low": low,
        "high": high,
        "appetite": f"In the example, {bad_share:.1%} of the known events were bad. Twice that share is reviewed.",
    }  # fmt: skip
    places = {
        "features.py.j2": f"feature_repo/features/{spec.domain}.py",
        "views.py.j2": f"feature_repo/views/{spec.domain}.py",
        "test.py.j2": f"tests/test_{spec.domain}.py",
    }
    return {project / place: environment.get_template(name).render(context) for name, place in places.items()}


def appetite(bad_share: float) -> tuple[float, float]:
    """Two thresholds to begin with: twice the bad share, and ten times it, each well below 1.

    >>> appetite(0.03), appetite(0.2)
    ((0.06, 0.3), (0.3, 0.7))
    """
    low = min(max(round(2 * bad_share, 3), 0.002), 0.3)
    return low, max(min(round(10 * bad_share, 3), 0.7), round(low + 0.001, 3))


def python_tuple(names: Sequence[str], indent: int = 0) -> str:
    """A tuple of strings as ruff formats it: of several, each on a line of its own.

    >>> python_tuple(["a"])
    '("a",)'
    """
    if len(names) == 1:
        return f'("{names[0]}",)'
    lines = [f'{" " * (indent + 4)}"{name}",' for name in names]
    return "\n".join(["(", *lines, f"{' ' * indent})"])


def _column(column: Column) -> str:
    parts = [f'"{column.name}"', f'"{column.dtype}"', *(["is_optional=True"] if column.is_optional else [])]
    parts += ["from_number=True"] if column.from_number else []
    bounds = {"minimum": column.minimum, "maximum": column.maximum}
    parts += [f"{name}={bound:g}" for name, bound in bounds.items() if bound is not None]
    return f"Column({', '.join(parts)})"


def with_domain(text: str, domains: tuple[str, ...]) -> str:
    """The text of `features/__init__.py` with these domains. Raises BadParameter where it has no line of domains."""
    names = [f'"{domain}"' for domain in domains]
    line = f"DOMAINS = ({', '.join(names)}{',' if len(names) == 1 else ''})"
    if len(line) > LONGEST_LINE:
        line = "\n".join(["DOMAINS = (", *(f"    {name}," for name in names), ")"])
    changed, count = re.subn(r"^DOMAINS = \([^)]*\)", lambda _: line, text, flags=re.MULTILINE)
    if count != 1:
        raise BadParameter("feature_repo/features/__init__.py has no one line DOMAINS = (…). Write it again.")
    return changed
