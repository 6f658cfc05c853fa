"""What our online stores offer beyond Feast's interface: to the compute engine, to pushes, and to the service's plans.

`exact_stores.online` (SQLite) and `exact_stores.redis_online` (Redis) both implement it. Whoever uses it asks
`isinstance(store, ExactOnlineStore)`, and goes Feast's own way with any other store.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import click
import pyarrow as pa
from feast import FeatureView
from feast.repo_config import RepoConfig

#: A stored row: its event timestamp (microseconds since 1970) and its features.
Row = tuple[int, tuple[Any, ...]]


class OnlineStoreError(click.ClickException):
    """The online store cannot be read or written. The message names the place, the cause and the remedy, and `feast`
    prints it without a traceback."""


class NotApplied(OnlineStoreError):
    """The online store does not have the view: it was never applied, or the store was removed."""


class RowReader(Protocol):
    """Reads some features of one view. Threads may share it. It ignores the view's TTL: the caller compares the event
    timestamps, as only the caller knows the timestamp to compare with."""

    def read(self, keys: Sequence[bytes]) -> list[Row | None]:
        """For each entity key, in order: its row with the features as Python values, or None if no row is stored.

        Raises OnlineStoreError.
        """


@runtime_checkable
class ExactOnlineStore(Protocol):
    """An online store in which a row never goes back in time. Every method may raise OnlineStoreError."""

    clock: Callable[[], datetime]
    """The present time. What is dated later than it is not served."""

    def write_table(
        self,
        config: RepoConfig,
        view: FeatureView,
        table: pa.Table | pa.RecordBatch,
        event_timestamp: str = "event_timestamp",
        created: str | None = None,
    ) -> None:
        """Write one table, as `write_tables` does."""
        self.write_tables(config, [(view, table)], event_timestamp, created)

    def write_tables(
        self,
        config: RepoConfig,
        new_tables: Sequence[tuple[FeatureView, pa.Table | pa.RecordBatch]],
        event_timestamp: str = "event_timestamp",
        created: str | None = None,
    ) -> None:
        """Write an Arrow table for each view: the view's join keys and features by name, in Arrow types that Feast
        accepts for theirs, and one or two timestamp columns by their names. Other columns are ignored. A row replaces
        an older one only: by event timestamp, then by `created`, then by its values.

        Raises TypeError or ValueError for a row that cannot be written, and then writes none of any table.
        """

    def reader(self, config: RepoConfig, view: FeatureView, feature_names: Sequence[str]) -> RowReader:
        """A reader of these features, in this order. Raises NotApplied, and KeyError for a feature that the view has
        not."""

    def read_together(self, requests: Sequence[tuple[RowReader, Sequence[bytes]]]) -> list[list[Row | None]]:
        """What each of this store's readers reads of its keys. A store at the other end of a network is asked once."""

    def entity_key(self, view: FeatureView) -> Callable[..., bytes]:
        """A function from the values of the view's join keys, in the order of `view.entity_columns`, to the entity key
        that a reader takes."""

    def last_run(self, config: RepoConfig, view: FeatureView) -> datetime | None:
        """When the view was last materialized. None if never, or if the rows were lost since."""

    def set_last_run(self, config: RepoConfig, view: FeatureView, timestamp: datetime) -> None:
        """Store when the view was last materialized."""
