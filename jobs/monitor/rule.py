"""The alarm rule: two consecutive windows beyond a limit begin an alarm, and two that are not end it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: So many consecutive windows begin or end an alarm.
CONSECUTIVE = 2
#: A batch view has a new row for each day. Two days without one are too many.
DAY_US = 24 * 3600 * 1_000_000
BATCH_LIMIT_US = 2 * DAY_US
#: A live view is late if the age of its newest event is more than this many times the highest age of recent windows
#: that were in time, and a window's length more. Before `LEAST_AGES` windows nobody can tell.
TIMES, LEAST_AGES, MOST_AGES = 2, 3, 50

Change = Literal["begins", "ends"]


@dataclass
class Streaks:
    """By kind and name: how many windows in a row were beyond the limit (positive) or not (negative), and which alarms
    go on. `ages` has the ages in µs of live views in the recent windows that were in time."""

    counts: dict[str, int] = field(default_factory=dict)
    open: dict[str, bool] = field(default_factory=dict)
    ages: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Streaks":
        """What `vars` gave, read from JSON."""
        return cls(**values)

    def step(self, name: str, is_beyond: bool) -> Change | None:
        """Take one more window into account."""
        before = self.counts.get(name, 0)
        self.counts[name] = max(before, 0) + 1 if is_beyond else min(before, 0) - 1
        if self.counts[name] >= CONSECUTIVE and not self.open.get(name):
            self.open[name] = True
            return "begins"
        if self.counts[name] <= -CONSECUTIVE and self.open.pop(name, False):
            return "ends"
        return None

    def is_late(self, view: str, age: int, is_live: bool, length: int) -> bool | None:
        """Whether a view is late whose newest event is `age` old, µs, at the end of a window of `length`, µs. None if
        nobody can tell yet."""
        if not is_live:
            return age > BATCH_LIMIT_US
        ages = self.ages.setdefault(view, [])
        if len(ages) >= LEAST_AGES and age > TIMES * max(ages) + length:
            return True
        self.ages[view] = [*ages, max(age, 0)][-MOST_AGES:]
        return False if len(ages) >= LEAST_AGES else None
