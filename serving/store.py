"""What the service needs from a feature store. `serving/retrieval.py` has the real one; tests use a small fake."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import pandas as pd
import pyarrow as pa

from features.risk import Risk

#: A stored row: its event time (µs since 1970) and its values.
StoredRow = tuple[int, tuple[Any, ...]]
#: Join keys and request data of one entity, by name.
Row = Mapping[str, Any]
#: View → the event time of the stored row that its features are from, None where there is none.
EventTimes = dict[str, datetime | None]


class Vector(NamedTuple):
    """The answer of an online read about one entity, by feature.

    `features` has its value, None where nothing is stored. `event_timestamps` has the date of its stored row, None for
    a computed feature. `statuses` has Feast's word: PRESENT, NULL_VALUE, NOT_FOUND or OUTSIDE_MAX_AGE. Vectors of one
    read share dicts that are equal, so nobody may change one.
    """

    features: dict[str, Any]
    event_timestamps: dict[str, datetime | None]
    statuses: dict[str, str]


class Answers(NamedTuple):
    """The features of many entities, in order: a dict each, None where nothing is stored. `event_times` has those of
    each. Of a view that is computed, it is the newest of the rows that it was computed from."""

    features: list[dict[str, Any]]
    event_times: list[EventTimes]


class Store(Protocol):
    """Reads and writes features. Every method may raise FeaturesNotReady."""

    def services(self) -> list[str]:
        """The names of the applied feature services, sorted."""

    def views(self, service: str) -> dict[str, str]:
        """The features of the service: name → feature view, in the service's order."""

    def asks(self, service: str) -> dict[str, str]:
        """The columns of a row of the service: name → Feast type, such as INT64. `as_of` is not one of them."""

    def types(self, service: str) -> Mapping[str, str]:
        """The features of the service: name → Feast type, such as INT64."""

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        """The features of many entities at `as_of`, in order, with the date and the status of each value. `clock` is
        now: nothing that is stored may be dated later."""

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        """The features of one entity at `as_of`, None where nothing is stored."""

    def online_many(self, risk: Risk, rows: Sequence[Row], as_of: datetime) -> Answers:
        """The same for many entities, in order, with the event time of each view."""

    def historical(self, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
        """Point-in-time features: the rows of `frame` in the same order, each as of its `event_timestamp`."""

    def joined_times(self, risk: Risk, frame: pd.DataFrame) -> list[EventTimes]:
        """The event times of the rows that `historical` takes features from, for each row of `frame`. Live views are
        left out."""

    def stored(self, view: str, keys: Row) -> dict[str, Any]:
        """The newest stored values of one entity in a feature view, however old they are; None where there are none."""

    def kept(self, view: str, names: Sequence[str], keys: Sequence[tuple[Any, ...]]) -> list[StoredRow | None]:
        """The stored row of each key (the values of the view's join keys), with the values of `names`, in order,
        whatever its date is. None where nothing is stored, or nothing can be read."""

    def check(self, service: str, now: datetime) -> None:
        """Read what a decision by the service reads, about an entity that is not there."""

    def materialized(self) -> dict[str, datetime]:
        """Until when rows of each view were materialized, UTC. A view that never was is left out."""

    def write(self, view: str, row: Row) -> None:
        """Write one row, with its `event_timestamp` and `created`, into the online store."""

    def write_table(self, view: str, table: pa.Table) -> None:
        """Write many rows: the view's join keys and features, `event_timestamp` and `created`."""

    def write_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """`write_table` for each view. A store that can write all of them at once does."""
        for view, table in tables.items():
            self.write_table(view, table)
