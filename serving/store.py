"""What the service needs of a feature store. `serving/retrieval.py` is the real one; tests pass a ten-line fake."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import pandas as pd
import pyarrow as pa

from features.risk import Risk

Row = Mapping[str, Any]


class Vector(NamedTuple):
    """What an online read says of one entity. By feature: its value, None where nothing is stored; when it is dated,
    None where it is not stored but computed; and its status in Feast's words: PRESENT, NULL_VALUE, NOT_FOUND or
    OUTSIDE_MAX_AGE. Vectors of one answer share what is the same in them: none is to be changed."""

    features: dict[str, Any]
    event_timestamps: dict[str, datetime | None]
    statuses: dict[str, str]


class Store(Protocol):
    def services(self) -> list[str]:
        """The names of the feature services that are applied."""

    def views(self, service: str) -> dict[str, str]:
        """Each feature of the service, and the feature view that it comes from."""

    def asks(self, service: str) -> dict[str, str]:
        """What a row of the service has, beside the moment: name → Feast type, such as INT64."""

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime) -> list[Vector]:
        """The features of many entities at `as_of`, in order."""

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        """The features of one entity at `as_of`, None where nothing is stored."""

    def online_many(self, risk: Risk, rows: Sequence[Row], as_of: datetime) -> list[dict[str, Any]]:
        """The same of many, in order."""

    def historical(self, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
        """Point-in-time features of many, the same rows in the same order."""

    def stored(self, view: str, keys: Row) -> dict[str, Any]:
        """The newest stored values of one entity of a feature view, whatever their age, None where there are none."""

    def write(self, view: str, row: Row) -> None:
        """Put one row, with its `event_timestamp` and `created`, into the online store."""

    def write_table(self, view: str, table: pa.Table) -> None:
        """The same of many: the view's join keys and features, `event_timestamp` and `created`."""
