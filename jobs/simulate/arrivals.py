"""When the events of a run arrived at the service, by the service's own event log."""

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from features.windows.events import ACCEPTED, NUMBER, PRODUCER
from serving import lines


@dataclass
class Arrivals:
    """`at` is when each event first arrived, by producer and number. `duplicates` counts the events that arrived again;
    `overtaken` those that arrived after a higher number of the same producer."""

    at: dict[tuple[str, int], datetime] = field(default_factory=dict)
    duplicates: int = 0
    overtaken: int = 0
    _highest: dict[str, int] = field(default_factory=dict)

    def add(self, producer: str, number: int, at: datetime) -> None:
        """Count a message of a producer: its first arrival, a duplicate, or one that a later number overtook."""
        if (producer, number) in self.at:
            self.duplicates += 1
            return
        self.at[producer, number] = at
        highest = self._highest.get(producer, 0)
        self.overtaken += number < highest
        self._highest[producer] = max(number, highest)


def read(log: Path, producers: Container[str]) -> Arrivals:
    """The arrivals of the events that some producers sent. `log` is the folder of the event log."""
    arrivals = Arrivals()
    for event in lines.read_folder(log):
        if event.get(PRODUCER) in producers and event.get(NUMBER):
            arrivals.add(event[PRODUCER], event[NUMBER], datetime.fromisoformat(event[ACCEPTED]))
    return arrivals
