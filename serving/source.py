"""What the service needs of a feature store. `serving/retrieval.py` is the real one; tests pass a ten-line fake."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from features.declaration import Risk

Row = Mapping[str, Any]


class FeatureSource(Protocol):
    def views(self, risk: Risk) -> dict[str, str]:
        """Each feature of the risk's service, and the feature view that it comes from."""

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
