"""The online store: one SQLite row for each entity of a feature view. Time never goes back in a row."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
from feast import Entity, FeatureView
from feast.infra.infra_object import InfraObject
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteTable
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import field_validator

from exact_stores import arrow_rows, feast_rows, keys, names, rows, tables
from exact_stores.exact_online import ExactOnlineStore, Row, RowReader
from exact_stores.feast_rows import FeastAnswer, FeastRow
from exact_stores.paths import below_data, require_place
from exact_stores.reader import FEW_KEYS, Reader, read_few
from exact_stores.sqlite_file import SqliteFile
from exact_stores.timestamps import from_microseconds

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


class WideSqliteOnlineStore(OnlineStore, ExactOnlineStore):
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
        new_rows = feast_rows.stored_rows(config, table, data, self.clock())
        with self._file(config).writing() as connection:
            tables.upsert(connection, names.table_name(config, table), rows.columns(table), new_rows)
        if progress:
            progress(len(data))

    def write_tables(
        self,
        config: RepoConfig,
        new_tables: Sequence[tuple[FeatureView, pa.Table | pa.RecordBatch]],
        event_timestamp: str = "event_timestamp",
        created: str | None = None,
    ) -> None:
        """As `ExactOnlineStore.write_tables`, all of them in one transaction."""
        whole = [(view, t if isinstance(t, pa.Table) else pa.Table.from_batches([t])) for view, t in new_tables]
        for view, table in whole:
            arrow_rows.refuse_null_keys(table, view)
        if not whole:
            return  # an empty transaction would wait for other writers, and for the disk
        with self._file(config).writing() as connection:
            for view, table in whole:
                for batch in table.to_batches(_BATCH_ROWS):
                    new_rows = arrow_rows.from_batch(batch, view, event_timestamp, created)
                    tables.upsert(connection, names.table_name(config, view), rows.columns(view), new_rows)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[FeastAnswer]:
        """The event timestamp and the features of each key, in order. Feast calls this.

        Both are None if no row is stored, or if it is past the view's TTL or dated later than now.
        """
        layout = feast_rows.layout_of(table, requested_features)
        reader = self._reader(self._file(config), names.table_name(config, table), layout)
        stored = reader.read_stored([feast_rows.key_bytes(config, key) for key in entity_keys])
        return feast_rows.answers(table, layout, stored, self.clock())

    def reader(self, config: RepoConfig, view: FeatureView, feature_names: Sequence[str]) -> Reader:
        """A reader of these features, in this order. Raises KeyError for a feature that the view has not."""
        by_name = {column.feature: column for column in rows.columns(view)}
        layout = [by_name[name] for name in feature_names]
        return Reader(self._file(config), names.table_name(config, view), layout)

    def read_together(self, requests: Sequence[tuple[RowReader, Sequence[bytes]]]) -> list[list[Row | None]]:
        """What each reader reads of its keys. All of it is from one commit."""
        readers = cast(Sequence[tuple[Reader, Sequence[bytes]]], requests)
        if not readers:
            return []
        if sum(len(keys) for _, keys in readers) <= FEW_KEYS:
            with readers[0][0].file.reading() as connection:
                return read_few(connection, readers)
        with readers[0][0].file.snapshot() as connection:
            return [reader.read_by(connection, keys) for reader, keys in readers]

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
            tables.set_last_run(connection, names.table_name(config, view), feast_rows.event_time(timestamp))

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
            view
            for view in feast_rows.online_views(desired_registry_proto)
            if names.table_name(config, view) not in existing
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

    def _file(self, config: RepoConfig) -> SqliteFile:
        settings = config.online_store
        key = (below_data(settings.path, config.repo_path), settings.synchronous)
        if key not in self._files:
            self._files[key] = SqliteFile(*key)
        return self._files[key]
