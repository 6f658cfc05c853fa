"""The one table of errors: docs/reference/errors.md and the OpenAPI document are printed from it."""

from dataclasses import dataclass

from errors.base import RiskError


@dataclass(frozen=True)
class Entry:
    """An error that is raised. `status` is of HTTP, `exit_code` of a job; an error has the one or the other."""

    code: int
    name: str
    status: int | None
    exit_code: int | None
    meaning: str
    remedy: str


def entries(*bases: type[RiskError]) -> list[Entry]:
    """The errors below some classes that are raised, by code.

    >>> from errors import NotReady
    >>> [(entry.code, entry.name) for entry in entries(NotReady)][:2]
    [(1301, 'model_not_trained'), (1302, 'model_broken')]
    """
    kinds = {kind for base in bases for kind in _raised(base)}
    return [_entry(kind) for kind in sorted(kinds, key=lambda kind: kind.code)]


def _raised(base: type[RiskError]) -> list[type[RiskError]]:
    """The leaves of the tree. A test may derive errors of its own, which are in no table."""
    children = [kind for kind in base.__subclasses__() if kind.__module__.startswith("errors.")]
    return [kind for child in children for kind in _raised(child)] or [base]


def _entry(kind: type[RiskError]) -> Entry:
    return Entry(
        kind.code, kind("").name, getattr(kind, "status", None), getattr(kind, "exit_code", None),
        " ".join((kind.__doc__ or "").split()), kind.remedy,
    )  # fmt: skip
