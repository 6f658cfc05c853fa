"""What a raw event table must look like: data, which `jobs/inputs.py` holds every input to."""

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["string", "int", "float", "timestamp"]


@dataclass(frozen=True)
class Column:
    """`is_optional`: an input may lack it, or leave it empty; what rests on it is missing then.
    `minimum`: the smallest value that can be."""

    name: str
    dtype: Dtype
    is_optional: bool = False
    minimum: float | None = None


@dataclass(frozen=True)
class RawTable:
    """One kind of event, `raw/<name>`. Every timestamp says its time zone.

    `time` is when it happened. `id` names an event: of several rows with the same one, one counts. `created` is when
    we learned of it, where that is recorded; elsewhere it was known at once.
    """

    name: str
    columns: tuple[Column, ...] = ()
    time: str = "event_timestamp"
    id: str | None = None
    created: str | None = None

    def column(self, name: str) -> Column:
        """Raises KeyError."""
        moments = {self.time: False, self.created: False}
        declared = {c.name: c for c in self.columns} | {
            moment: Column(moment, "timestamp") for moment in moments if moment
        }
        return declared[name]
