"""The policies in force: the file `policies/<risk>.yaml`, or what the risk declares where there is no file. A changed
file or list is in force from the next decision on.

A broken file is an error of each decision, and the service does not go on with the policy from before. Whoever changed
the file believes that the new rules hold. A process that started later would know no policy from before, so two
processes would decide differently.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import files
from errors import PolicyBroken
from features import policy
from features.domains import internal_features
from features.identifiers import is_hash
from features.policy import Policy
from features.risk import Appetite, Risk, Rule
from features.rules import Kind, Names, RuleFault, lists_in, parsed
from serving import policy_file
from serving.policy_file import NUMBER, Written, broken
from serving.store import Store

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
class _Watched:
    """A file that was read, or a folder that lacks what was looked for: then `content` is None. `seen` is None where
    there is nothing at `path`. While the signature of something settled stays, so does its content."""

    path: str
    seen: files.Signature | None
    is_settled: bool
    content: bytes | None

    def is_current(self) -> bool:
        """Whether it still says the same. Reads it only if its signature does not tell."""
        try:
            now = files.signature(self.path)
        except OSError:
            return self.seen is None
        if now == self.seen and self.is_settled:
            return True
        if self.content is None:
            return False
        self.is_settled = files.is_settled(now)
        self.seen = now
        try:
            return Path(self.path).read_bytes() == self.content
        except OSError:
            return False


def _watch_absence(folder: Path) -> _Watched:
    """Watch a folder, in which a file may appear. Raises PolicyBroken."""
    try:
        seen = files.signature(folder)
    except FileNotFoundError:
        if folder.is_symlink():
            raise PolicyBroken(f"{folder} is a link to nothing. Make the folder, or remove the link.") from None
        return _Watched(str(folder), None, True, None)
    return _Watched(str(folder), seen, files.is_settled(seen), None)


@dataclass
class _Loaded:
    policy: Policy
    types: Mapping[str, str]
    watched: list[_Watched] = field(default_factory=list)


def _read(folder: Path, name: str) -> _Watched | None:
    """The file `name` below a folder; an absolute path stands for itself. None if it is not there. Raises
    PolicyBroken."""
    path = folder / name
    try:
        seen = files.signature(path)
        is_settled = files.is_settled(seen)  # asked before the content is read: a change in between is then seen
        return _Watched(str(path), seen, is_settled, path.read_bytes())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return None
        raise PolicyBroken(f"{folder.name}/{name} cannot be read. {files.fault(error, path)}") from error


def appetite(folder: Path, risk: Risk) -> Appetite:
    """The thresholds in force, without a look at the rules. Raises PolicyBroken."""
    name = risk.name + SUFFIX
    watched = _read(folder, name)
    if watched is None or watched.content is None:
        return risk.appetite
    return policy_file.read(f"{folder.name}/{name}", watched.content, risk).appetite


class Policies:
    """The policy in force of each risk. Features and their types come from `store`."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store = folder, store
        self._loaded: dict[str, _Loaded] = {}

    def __getitem__(self, risk: Risk) -> Policy:
        """Raises PolicyBroken, FeaturesNotReady."""
        types, loaded = self._store.types(risk.name), self._loaded.get(risk.name)
        if loaded and (types is loaded.types or types == loaded.types) and all(w.is_current() for w in loaded.watched):
            return loaded.policy
        loaded = self._loaded[risk.name] = self._load(risk, types)
        return loaded.policy

    def check(self, risk: Risk, path: Path) -> Policy:
        """The policy that the file at `path` would be. Raises PolicyBroken, FeaturesNotReady."""
        watched = _read(path.parent, path.name)
        if watched is None or watched.content is None:
            raise PolicyBroken(f"{path} is not there. Name a policy file.")
        return self._from_file(risk, str(path), watched.content, self._names(risk), [])

    def _load(self, risk: Risk, types: Mapping[str, str]) -> _Loaded:
        names, name = self._names(risk), f"{self._folder.name}/{risk.name}{SUFFIX}"
        absence = _watch_absence(self._folder)  # before the look for files: one that appears in between is then seen
        file = _read(self._folder, risk.name + SUFFIX)
        if file and file.content is not None:
            watched = [file]
            return _Loaded(self._from_file(risk, name, file.content, names, watched), types, watched)
        if wrong := [
            path.name
            for path in self._folder.glob("*")
            if path.name.lower() in (f"{risk.name}{suffix}" for suffix in SUFFIXES)
        ]:
            raise PolicyBroken(f"{self._folder.name}/{wrong[0]} is not read. Rename it to {name}.")
        try:
            return _Loaded(policy.declared(risk, names), types, [absence])
        except RuleFault as fault:
            raise PolicyBroken(f"The declared rules of {risk.name}: {fault}.") from None

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

    def _from_file(self, risk: Risk, name: str, content: bytes, names: Names, watched: list[_Watched]) -> Policy:
        """The files of its lists are added to `watched`."""
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
                            by_kind[key] = self._list(name, written, *key, watched)
                        lists[list_name] = by_kind[key]
                rules.append(policy.active(rule, written.appetite, names, lists))
            except RuleFault as fault:
                raise broken(name, line, str(fault)) from None
        paths = {list_name: path for list_name, (_, path) in written.lists.items()}
        return replace(policy.in_force(risk, written.appetite, rules, lists), lists=paths)

    def _list(self, name: str, written: Written, list_name: str, kind: Kind, watched: list[_Watched]) -> frozenset[Any]:
        """The values of a list: a line is a value. Blank lines count for nothing."""
        line, path = written.lists[list_name]
        file = _read(self._folder, path)
        if file is None or file.content is None:
            raise broken(name, line, f"the list {path} is not there. Write it; it may be empty")
        watched.append(file)
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
