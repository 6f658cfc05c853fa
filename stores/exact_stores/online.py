"""The online store: one SQLite row for each entity of a feature view. Time never goes back in a row."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import click
import pyarrow as pa
from feast import Entity, FeatureView, OnDemandFeatureView, StreamFeatureView
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.infra_object import InfraObject
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteTable
from feast.labeling.label_view import LabelView
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import field_validator

from exact_stores import arrow_rows, keys, names, rows, tables
from exact_stores.paths import below_data, require_place
from exact_stores.reader import Reader
from exact_stores.sqlite_file import SqliteFile
from exact_stores.timestamps import SLACK, from_microseconds, to_microseconds

FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]

#: The key of a view without entities. Feast reads by this key but writes by an empty one, and so finds nothing.
_NO_ENTITY = EntityKey(join_keys=[DUMMY_ENTITY_ID], entity_values=[Value(string_val=DUMMY_ENTITY_VAL)])

#: How many rows of an Arrow table are Python objects at one time.
_BATCH_ROWS = 50_000


class WideSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """The `online_store:` of `feature_store.yaml`. The second `type` is the name before the package had its own."""

    type: Literal["exact_stores.online.WideSqliteOnlineStore", "stores.online.WideSqliteOnlineStore"] = (
        "exact_stores.online.WideSqliteOnlineStore"
    )
    path: str = "online.db"
    """A relative path counts from `$RISK_DATA`, else from `data` beside the repository."""
    synchronous: Literal["full", "normal"] = "full"
    """What a commit survives: a power cut (full), or only the end of the process (normal). A push of one row takes
    about 5 ms with full and 0.1 ms with normal. For a large batch there is no difference."""

    @field_validator("path")
    @classmethod
    def _is_place(cls, path: str) -> str:
        require_place(path)
        return path


class WideSqliteOnlineStore(OnlineStore):
    """A table for each feature view of a project, a row for each entity key, a column for each feature.

    A row is written whole, and only over an older one. `get_online_features` reports a row older than its view's TTL
    as absent. A method raises OnlineStoreError if the file cannot be read or written, and TypeError or ValueError for a
    row that cannot be written. A batch with such a row changes nothing.
    """

    _versioned_read_supported = True  # Feast asks for this, and otherwise allows its own stores only

    def __init__(self) -> None:
        self._files: dict[tuple[Path, str], SqliteFile] = {}
        self._readers: dict[tuple[Path, str, tuple[rows.Column, ...]], tuple[int, Reader]] = {}
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows in one transaction. Feast's own engine calls this. `progress` gets their number after the commit.

        Rows without a key or dated later than now are left out, and standard error gets their number: the engine takes
        all rows of a source.
        """
        layout = rows.columns(table)
        keyed = [row for row in data if all(value.WhichOneof("val") for value in row[0].entity_values)]
        newest = _event_time(self.clock() + SLACK)
        current = [row for row in keyed if _event_time(row[2]) <= newest]
        if left_out := len(data) - len(current):
            click.echo(
                f"{left_out} of {len(data)} rows of the view {table.name!r} were left out: {len(data) - len(keyed)} "
                f"have no key, {len(keyed) - len(current)} are dated later than now.",
                err=True,
            )
        new_rows = [
            (_key(config, key), _event_time(event), to_microseconds(created), *rows.from_values(layout, values))
            for key, values, event, created in current
        ]
        with self._file(config).writing() as connection:
            tables.upsert(connection, names.table_name(config, table), layout, new_rows)
        if progress:
            progress(len(data))

    def write_table(
        self,
        config: RepoConfig,
        view: FeatureView,
        table: pa.Table | pa.RecordBatch,
        event_timestamp: str = "event_timestamp",
        created: str | None = None,
    ) -> None:
        """Write an Arrow table in one transaction.

        The table has the view's join keys and features by name, in Arrow types that Feast accepts for theirs, and one
        or two timestamp columns, named by `event_timestamp` and `created`. Other columns are ignored.
        """
        layout = rows.columns(view)
        whole = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
        arrow_rows.refuse_null_keys(whole, view)
        with self._file(config).writing() as connection:
            for batch in whole.to_batches(_BATCH_ROWS):
                new_rows = arrow_rows.from_batch(batch, view, event_timestamp, created)
                tables.upsert(connection, names.table_name(config, view), layout, new_rows)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """The event timestamp and the features of each key, in order. Feast calls this.

        Both are None if no row is stored, or if it is past the view's TTL or dated later than now.
        """
        layout = tuple(c for c in rows.columns(table) if requested_features is None or c.feature in requested_features)
        key_bytes = [_key(config, key) for key in entity_keys]
        oldest, newest = self._oldest(table), _event_time(self.clock())
        results: list[tuple[datetime | None, dict[str, Value] | None]] = []
        for row in self._reader(self._file(config), names.table_name(config, table), layout).read_stored(key_bytes):
            if row is None or not oldest <= row[0] <= newest:
                results.append((None, None))
            else:
                values = {c.feature: c.to_value(stored) for c, stored in zip(layout, row[1], strict=True)}
                results.append((from_microseconds(row[0]), values))
        return results

    def reader(self, config: RepoConfig, view: FeatureView, feature_names: Sequence[str]) -> Reader:
        """A reader of these features, in this order. Raises KeyError for a feature that the view has not."""
        by_name = {column.feature: column for column in rows.columns(view)}
        layout = [by_name[name] for name in feature_names]
        return Reader(self._file(config), names.table_name(config, view), layout)

    def entity_key(self, view: FeatureView) -> keys.EntityKey:
        """A function that takes the view's join key values, in the order of `view.entity_columns`, and returns the
        entity key, for `Reader.read`."""
        return keys.entity_key(rows.join_keys(view))

    def last_run(self, config: RepoConfig, view: FeatureView) -> datetime | None:
        """The timestamp that `set_last_run` stored last for this view. None if never."""
        file = self._file(config)
        if not file.path.exists():
            return None
        with file.reading() as connection:
            since_1970 = tables.last_run(connection, names.table_name(config, view))
        return None if since_1970 is None else from_microseconds(since_1970)

    def set_last_run(self, config: RepoConfig, view: FeatureView, timestamp: datetime) -> None:
        """Store when the view was last materialized."""
        with self._file(config).writing() as connection:
            tables.set_last_run(connection, names.table_name(config, view), _event_time(timestamp))

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make missing tables and columns, and drop the tables of deleted views. `feast apply` calls this."""
        with self._file(config).writing() as connection:
            for view in tables_to_keep:
                tables.prepare(connection, names.table_name(config, view), rows.columns(view))
            for view in tables_to_delete:
                tables.drop(connection, names.table_name(config, view))

    def plan(self, config: RepoConfig, desired_registry_proto: Registry) -> list[InfraObject]:
        """The tables that `feast apply` would make. Feast lists all of them as created."""
        existing: set[str] = set()
        if (file := self._file(config)).path.exists():
            with file.reading() as connection:
                existing = set(tables.names_with_prefix(connection, names.table_prefix(config)))
        missing = [
            view for view in _online_views(desired_registry_proto) if names.table_name(config, view) not in existing
        ]
        # Feast shows objects of its own classes only, and opens the file of each. Hence a file in memory.
        return [SqliteTable(":memory:", f"{config.project}_{view.name}") for view in missing]

    def teardown(self, config: RepoConfig, views: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop all tables of the project. The file stays, as another project or a running service may use it."""
        file = self._file(config)
        if file.path.exists():
            with file.writing() as connection:
                for name in tables.names_with_prefix(connection, names.table_prefix(config)):
                    tables.drop(connection, name)

    def _reader(self, file: SqliteFile, table: str, layout: tuple[rows.Column, ...]) -> Reader:
        """A reader from the cache, unless a table of the file has changed since it was made."""
        with file.reading() as connection:
            (schema,) = connection.execute("PRAGMA schema_version").fetchone()
        cached_schema, reader = self._readers.get((file.path, table, layout), (None, None))
        if reader is None or cached_schema != schema:
            reader = Reader(file, table, layout)
            self._readers[file.path, table, layout] = (schema, reader)
        return reader

    def _oldest(self, view: FeatureView) -> float:
        """The oldest event timestamp (microseconds since 1970) that is within the view's TTL now."""
        ttl: timedelta | None = getattr(view, "ttl", None)  # to Feast, None and 0 both mean for ever
        return _event_time(self.clock() - ttl) if ttl else float("-inf")

    def _file(self, config: RepoConfig) -> SqliteFile:
        settings = config.online_store
        key = (below_data(settings.path, config.repo_path), settings.synchronous)
        if key not in self._files:
            self._files[key] = SqliteFile(*key)
        return self._files[key]


def _key(config: RepoConfig, key: EntityKey) -> bytes:
    return serialize_entity_key(key if key.join_keys else _NO_ENTITY, config.entity_key_serialization_version)


def _event_time(timestamp: datetime) -> int:
    since_1970 = to_microseconds(timestamp)
    if since_1970 is None:
        raise ValueError("An event timestamp is null. Write rows that have one.")
    return since_1970


def _online_views(registry: Registry) -> list[Any]:
    """The views of a registry that have a table."""
    views: list[Any] = [FeatureView.from_proto(proto) for proto in registry.feature_views]
    views += [StreamFeatureView.from_proto(proto) for proto in registry.stream_feature_views]
    views += [LabelView.from_proto(proto) for proto in registry.label_views]
    on_demand = [OnDemandFeatureView.from_proto(proto) for proto in registry.on_demand_feature_views]
    return [view for view in views if view.online] + [view for view in on_demand if view.write_to_online_store]
