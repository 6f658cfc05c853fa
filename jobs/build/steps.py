"""A pipeline's bookkeeping: a step is stale when what it rests on has changed, or what it made is gone."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from files import fingerprint, replacing

Tell = Callable[[str], None]
"""A step in progress says what it has just finished."""


@dataclass(frozen=True)
class Step:
    name: str
    #: What the result depends on, JSON-able; asked just before the step would run.
    rests_on: Callable[[], Any]
    #: What the step leaves behind.
    makes: Callable[[], list[Path]]
    #: Does the work and says in a few words what came out.
    run: Callable[[Tell], str]
    #: How many times `run` tells, for the progress bar; None if unknown.
    parts: int | None = None


@dataclass
class Stamps:
    """Step → fingerprint of what it rested on when it last finished, kept in one file."""

    path: Path
    seen: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Stamps":
        """A missing or torn file means that everything is stale."""
        try:
            return cls(path, dict(json.loads(path.read_text())))
        except (FileNotFoundError, ValueError, TypeError):
            return cls(path)

    def is_fresh(self, step: Step) -> bool:
        return self.seen.get(step.name) == fingerprint(step.rests_on()) and all(p.exists() for p in step.makes())

    def stamp(self, step: Step) -> None:
        self.seen[step.name] = fingerprint(step.rests_on())
        with replacing(self.path) as beside:
            beside.write_text(json.dumps(self.seen, indent=1))


def code(*paths: Path) -> str:
    """Fingerprint of the Python and YAML files at or below the paths."""
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    wanted = [file for file in files if file.suffix in (".py", ".yaml")]
    return fingerprint([[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in wanted])
