"""How the events of a run came to the service: by its own log, in the order of their arrival."""

from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from features.windows.events import ACCEPTED, NUMBER, PRODUCER


@dataclass
class Arrivals:
    """`at`: producer and number → when it first came. `duplicates` came again, `overtaken` after a later number of
    their producer."""

    at: dict[tuple[str, int], datetime] = field(default_factory=dict)
    duplicates: int = 0
    overtaken: int = 0
    _highest: dict[str, int] = field(default_factory=dict)

    def add(self, producer: str, number: int, at: datetime) -> None:
        if (producer, number) in self.at:
            self.duplicates += 1
            return
        self.at[producer, number] = at
        highest = self._highest.get(producer, 0)
        self.overtaken += number < highest
        self._highest[producer] = max(number, highest)


def accepted(log: Path) -> Iterator[Mapping[str, Any]]:
    """The events of a stream, oldest first, as the service took them. Half a line, as a crash leaves it, is none."""
    for file in sorted(log.glob("*.jsonl")):
        with file.open("rb") as lines:
            for line in lines:
                with suppress(ValueError):
                    yield from_json(line)


def of(log: Path, producers: Container[str]) -> Arrivals:
    """Those of some producers."""
    arrivals = Arrivals()
    for event in accepted(log):
        if event.get(PRODUCER) in producers and event.get(NUMBER):
            arrivals.add(event[PRODUCER], event[NUMBER], datetime.fromisoformat(event[ACCEPTED]))
    return arrivals
