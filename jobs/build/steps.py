"""When a step of the pipeline is stale: what it depends on has changed, or something that it made is gone."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from files import fingerprint, replacing
from jobs.build.imports import Sources


@dataclass(frozen=True)
class Step:
    """One thing that the pipeline makes."""

    name: str
    #: Does the work, a function of a module in `jobs/build/work`, and returns a short summary, and below it lines that
    #: somebody must read. It takes one more argument: a function to call after each part.
    work: partial[str]
    #: What the result depends on beside code, as JSON: parameters, and listings of files. Called before the work.
    inputs: Callable[[], Any]
    #: The files and folders that the step leaves.
    outputs: Callable[[], list[Path]]
    #: How many parts the work has; None if that is unknown.
    parts: int | None = 1
    #: What the result depends on beside the code that `work` imports: other names that `Sources` knows.
    code: tuple[str, ...] = ()
    #: Whether the outputs are still what the step made, where another command may have replaced them.
    is_intact: Callable[[], bool] = lambda: True
    #: The names of the steps that have to be done before. A pipeline may lack some of them.
    after: tuple[str, ...] = ()

    def fingerprint(self, sources: Sources) -> str:
        """Changes with the code and the inputs that the result depends on."""
        return fingerprint([sources.fingerprint(self.work.func.__module__, *self.code), self.inputs()])


@dataclass
class Finished:
    """Step → its fingerprint when it last began a run that it finished. Kept in one file."""

    path: Path
    fingerprints: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Finished":
        """If the file is missing or damaged, everything is stale."""
        try:
            return cls(path, dict(json.loads(path.read_text())))
        except (FileNotFoundError, ValueError, TypeError):
            return cls(path)

    def is_fresh(self, step: Step, fingerprint: str) -> bool:
        """Whether the step finished with this fingerprint and everything it made is still there."""
        is_known = self.fingerprints.get(step.name) == fingerprint
        return is_known and all(path.exists() for path in step.outputs()) and step.is_intact()

    def forget(self, step: Step) -> None:
        """Note that the step begins, and keep it in the file: while its outputs are half new, it is stale for every
        input, also for that of the run before."""
        if self.fingerprints.pop(step.name, None) is not None:
            self._write()

    def add(self, step: Step, fingerprint: str) -> None:
        """Note that the step finished, and keep it in the file."""
        self.fingerprints[step.name] = fingerprint
        self._write()

    def _write(self) -> None:
        with replacing(self.path) as beside:
            beside.write_text(json.dumps(self.fingerprints, indent=1))
