"""The policies in force: the file `policies/<risk>.yaml`, or what the risk declares where there is no file. A changed
file or list is in force from the next decision on.

A broken file is an error of each decision, and the service does not go on with the policy from before. Whoever changed
the file believes that the new rules hold. A process that started later would know no policy from before, so two
processes would decide differently.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from errors import PolicyBroken
from features import policy
from features.domains import internal_features
from features.identifiers import is_hash
from features.policy import Policy
from features.risk import Appetite, Risk, Rule
from features.rules import Kind, Names, RuleFault, lists_in, parsed
from serving import policy_file
from serving.policy_file import NUMBER, Written, broken
from serving.policy_history import History
from serving.store import Store
from serving.watched import Watched, read_watched, watch_absence

SUFFIX = ".yaml"
#: What somebody may take for the suffix, also in capitals.
SUFFIXES = (SUFFIX, ".yml")
_KINDS: Mapping[str, Kind] = {
    "INT32": "number", "INT64": "number", "FLOAT": "number", "DOUBLE": "number",
    "STRING": "text", "BOOL": "flag", "UNIX_TIMESTAMP": "time",
}  # fmt: skip
_FIELD_KINDS: Mapping[Any, Kind] = {bool: "flag", int: "number", float: "number", str: "text", datetime: "time"}
#: A list's file is shown in a message by its line, and a line by at most this many characters.
SHOWN_CHARACTERS = 40


@dataclass
class _Loaded:
    policy: Policy
    types: Mapping[str, str]
    watched: list[Watched] = field(default_factory=list)
    #: The content of its file, None where there is none, and of the lists, by their path.
    content: bytes | None = None
    lists: Mapping[str, bytes] = field(default_factory=dict)


def appetite(folder: Path, risk: Risk) -> Appetite:
    """The thresholds in force, without a look at the rules. Raises PolicyBroken."""
    name = risk.name + SUFFIX
    file = read_watched(folder, name)
    if file is None or file.content is None:
        return risk.appetite
    return policy_file.read(f"{folder.name}/{name}", file.content, risk).appetite


class Policies:
    """The policy in force of each risk. Features and their types come from `store`. `folder` has the policy files.
    `lists` is the folder that the paths of lists are relative to, `folder` where it is None."""

    def __init__(self, folder: Path, store: Store, lists: Path | None = None) -> None:
        self._folder, self._store, self._lists = folder, store, lists or folder
        self._loaded: dict[str, _Loaded] = {}
        self._kept: set[tuple[str, str]] = set()

    def __getitem__(self, risk: Risk) -> Policy:
        """Raises PolicyBroken, FeaturesNotReady."""
        types, loaded = self._store.types(risk.name), self._loaded.get(risk.name)
        if loaded and (types is loaded.types or types == loaded.types) and all(w.is_current() for w in loaded.watched):
            return loaded.policy
        loaded = self._loaded[risk.name] = self._load(risk, types)
        return loaded.policy

    def deciding(self, risk: Risk, as_of: datetime) -> Policy:
        """The policy in force, for decisions of `as_of`. The first of them with a version keeps a copy of the policy in
        the history, so that the version in the log leads to it. A history that cannot be written stops no decision.
        Raises PolicyBroken, FeaturesNotReady."""
        in_force = self[risk]
        if (risk.name, in_force.version) not in self._kept:
            self._kept.add((risk.name, in_force.version))
            loaded = self._loaded[risk.name]
            with suppress(OSError):
                History(self._folder, risk.name).keep(in_force, loaded.content, loaded.lists, as_of)
        return in_force

    def check(self, risk: Risk, path: Path) -> Policy:
        """The policy that the file at `path` would be. Raises PolicyBroken, FeaturesNotReady."""
        file = read_watched(path.parent, path.name)
        if file is None or file.content is None:
            raise PolicyBroken(f"{path} is not there. Name a policy file.")
        return self.read(risk, str(path), file.content)[0]

    def read(self, risk: Risk, name: str, content: bytes) -> tuple[Policy, dict[str, bytes]]:
        """The policy that the content of the file `name` would be, and the content of its lists, by their path. Raises
        PolicyBroken, FeaturesNotReady."""
        lists: list[tuple[str, Watched]] = []
        return self._from_file(risk, name, content, self._names(risk), lists), _contents(lists)

    def declared(self, risk: Risk) -> Policy:
        """The policy that the risk declares. Raises PolicyBroken, FeaturesNotReady."""
        try:
            return policy.declared(risk, self._names(risk))
        except RuleFault as fault:
            raise PolicyBroken(f"The declared rules of {risk.name}: {fault}.") from None

    def _load(self, risk: Risk, types: Mapping[str, str]) -> _Loaded:
        name = f"{self._folder.name}/{risk.name}{SUFFIX}"
        absence = watch_absence(self._folder)  # before the look for files: one that appears in between is then seen
        file = read_watched(self._folder, risk.name + SUFFIX)
        if file and file.content is not None:
            lists: list[tuple[str, Watched]] = []
            made = self._from_file(risk, name, file.content, self._names(risk), lists)
            return _Loaded(made, types, [file, *(watched for _, watched in lists)], file.content, _contents(lists))
        if wrong := [
            path.name
            for path in self._folder.glob("*")
            if path.name.lower() in (f"{risk.name}{suffix}" for suffix in SUFFIXES)
        ]:
            raise PolicyBroken(f"{self._folder.name}/{wrong[0]} is not read. Rename it to {name}.")
        return _Loaded(self.declared(risk), types, [absence])

    def _names(self, risk: Risk) -> Names:
        types, asks = self._store.types(risk.name), self._store.asks(risk.name)
        features = {name: _KINDS.get(kind, "other") for name, kind in types.items() if name not in internal_features()}
        request: dict[str, Kind] = {
            name: "hash"
            if name in risk.request.secrets
            else _KINDS.get(asks[name], "other")
            if name in asks
            else _kind(declared.annotation)
            for name, declared in risk.request.model_fields.items()
        }
        needed = {*risk.needs, *(name for declared in risk.inputs for name in declared.known_by)}
        if unknown := sorted(needed - features.keys() - request.keys()):
            raise PolicyBroken(
                f"{risk.name} needs {unknown[0]!r}, which is no feature of its service and no field of its request. "
                "Correct its declaration, or apply the features: make pipeline"
            )
        return Names(features, request)

    def _from_file(
        self, risk: Risk, name: str, content: bytes, names: Names, read: list[tuple[str, Watched]]
    ) -> Policy:
        """Its lists are added to `read`, with their paths."""
        written = policy_file.read(name, content, risk)
        if written.rules is None:
            numbered: list[tuple[int | None, Rule]] = [(None, rule) for rule in risk.policies]
        else:
            numbered = [*written.rules]
        lists: dict[str, frozenset[Any]] = {}
        by_kind: dict[tuple[str, Kind], frozenset[Any]] = {}
        rules = []
        for line, rule in numbered:
            try:
                for value, list_name in lists_in(parsed(rule.when)):
                    if list_name in written.lists:
                        key = list_name, names[value].kind
                        if key not in by_kind:
                            by_kind[key] = self._list(name, written, *key, read)
                        lists[list_name] = by_kind[key]
                rules.append(policy.active(rule, written.appetite, names, lists))
            except RuleFault as fault:
                raise broken(name, line, str(fault)) from None
        paths = {list_name: path for list_name, (_, path) in written.lists.items()}
        made = policy.in_force(risk, written.appetite, rules, lists, written.reasons)
        return replace(made, lists=paths, owner=written.owner, note=written.note)

    def _list(
        self, name: str, written: Written, list_name: str, kind: Kind, read: list[tuple[str, Watched]]
    ) -> frozenset[Any]:
        """The values of a list: a line is a value. Blank lines count for nothing."""
        line, path = written.lists[list_name]
        file = read_watched(self._lists, path)
        if file is None or file.content is None:
            raise broken(name, line, f"the list {path} is not there. Write it; it may be empty")
        read.append((path, file))
        try:
            lines = file.content.decode("utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            where = file.content[: error.start].count(b"\n") + 1
            raise broken(path, where, "this is no UTF-8. Write the list as UTF-8") from None
        if nul := next((number for number, text in enumerate(lines, 1) if "\0" in text), None):
            raise broken(path, nul, "this has a NUL character. Write the list as UTF-8")
        values = {number: text.strip() for number, text in enumerate(lines, 1) if text.strip()}
        if kind not in _CHECKED:
            return frozenset(values.values())
        return frozenset(_CHECKED[kind](path, number, text) for number, text in values.items())


def _contents(lists: Iterable[tuple[str, Watched]]) -> dict[str, bytes]:
    return {path: watched.content or b"" for path, watched in lists}


def _number(path: str, line: int, text: str) -> int | float:
    if NUMBER.fullmatch(text) and not math.isinf(number := float(text)):
        return number if set(text) & set(".eE") else int(text)
    fault = f"{text[:SHOWN_CHARACTERS]!r} is no number, and a rule looks up a number. Write numbers"
    raise broken(path, line, fault)


def _hash(path: str, line: int, text: str) -> str:
    if not is_hash(text):
        remedy = "Write hashes: python -m jobs policy RISK hash FIELD prints them"
        raise broken(path, line, f"this is no keyed hash, and a rule looks up a secret. {remedy}")
    return text


_CHECKED: Mapping[Kind, Callable[[str, int, str], Any]] = {"number": _number, "hash": _hash}


def _kind(annotation: Any) -> Kind:
    """The kind of a request field: `Annotated[str, …] | None` is a text."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        parts = get_args(annotation)
        kinds = [_kind(part) for part in (parts[:1] if get_origin(annotation) is Annotated else parts)]
        return next((kind for kind in kinds if kind != "other"), "other")
    return _FIELD_KINDS.get(annotation, "other")
