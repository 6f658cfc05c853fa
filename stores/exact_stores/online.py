"""The online store: one SQLite row for each entity of a feature view, in which time never goes back."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

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

from exact_stores import keys, names, rows, tables
from exact_stores.paths import below_data
from exact_stores.reader import Reader
from exact_stores.sqlite_file import SqliteFile

FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]

#: The key of a view without entities. Feast reads by this one, but writes by an empty one, and so finds nothing.
_NOBODY = EntityKey(join_keys=[DUMMY_ENTITY_ID], entity_values=[Value(string_val=DUMMY_ENTITY_VAL)])

#: Rows of an Arrow table that are Python objects at one time.
_CHUNK = 50_000


class WideSqliteOnlineStoreConfig(FeastConfigBaseModel):
    type: Literal["exact_stores.online.WideSqliteOnlineStore", "stores.online.WideSqliteOnlineStore"] = (
        "exact_stores.online.WideSqliteOnlineStore"
    )
    path: str = "online.db"
    """A relative path counts from `$RISK_DATA`, else from `data` beside the repository."""
    synchronous: Literal["full", "normal"] = "full"
    """Whether a commit survives a power cut (full), or only the end of the process (normal). For a push of one row that
    is the difference between some 5 ms and 0.1; for a large batch it is none."""


class WideSqliteOnlineStore(OnlineStore):
    """A table for each feature view and project, a row for each entity key, a column for each feature.

    A row is written whole, and only over an older one. `get_online_features` reports a row older than its view's TTL
    as absent. Errors are OnlineStoreError, and TypeError or ValueError for rows that cannot be written; a batch with
    one of those changes nothing.
    """

    _versioned_read_supported = True  # Feast asks for this, and else knows its own stores only

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
        """Feast's own way in, one transaction a call; `progress` hears of the rows once they are kept."""
        layout = rows.columns(table)
        written = [
            (_key(config, key), _event_time(event), rows.microseconds(created), *rows.from_values(layout, values))
            for key, values, event, created in data
        ]
        with self._file(config).writing() as connection:
            tables.upsert(connection, names.table(config, table), layout, written)
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
        """Write many rows in one transaction. The table has the view's join keys and features, by name and of Arrow
        types that Feast takes for theirs, and two columns of moments; other columns are left alone."""
        layout = rows.columns(view)
        whole = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
        with self._file(config).writing() as connection:
            for batch in whole.to_batches(_CHUNK):
                written = _from_arrow(batch, view, event_timestamp, created)
                tables.upsert(connection, names.table(config, view), layout, written)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Event time and features of each key, and two Nones where nothing is stored, or it is past the view's TTL, or
        dated later than now."""
        layout = tuple(c for c in rows.columns(table) if requested_features is None or c.feature in requested_features)
        asked = [_key(config, key) for key in entity_keys]
        oldest, newest = self._oldest(table), _event_time(self.clock())
        answer: list[tuple[datetime | None, dict[str, Value] | None]] = []
        for row in self._reader(self._file(config), names.table(config, table), layout).kept(asked):
            if row is None or not oldest <= row[0] <= newest:
                answer.append((None, None))
            else:
                values = {c.feature: c.to_value(kept) for c, kept in zip(layout, row[1], strict=True)}
                answer.append((rows.moment(row[0]), values))
        return answer

    def reader(self, config: RepoConfig, view: FeatureView, feature_names: Sequence[str]) -> Reader:
        """These features of a view, in this order, to be read by entity key. Raises KeyError for one it has not."""
        by_name = {column.feature: column for column in rows.columns(view)}
        layout = [by_name[name] for name in feature_names]
        return Reader(self._file(config), names.table(config, view), layout)

    def entity_key(self, view: FeatureView) -> keys.EntityKey:
        """A function of the view's join key values, in the order of `view.entity_columns`, that makes entity keys."""
        return keys.entity_key(rows.join_keys(view))

    def last_run(self, config: RepoConfig, view: FeatureView) -> datetime | None:
        """The moment that `set_last_run` was told last, None if never."""
        file = self._file(config)
        if not file.path.exists():
            return None
        with file.reading() as connection:
            moment = tables.last_run(connection, names.table(config, view))
        return None if moment is None else rows.moment(moment)

    def set_last_run(self, config: RepoConfig, view: FeatureView, moment: datetime) -> None:
        with self._file(config).writing() as connection:
            tables.set_last_run(connection, names.table(config, view), _event_time(moment))

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables and columns that are not there, and drop the tables of views that are gone."""
        with self._file(config).writing() as connection:
            for view in tables_to_keep:
                tables.prepare(connection, names.table(config, view), rows.columns(view))
            for view in tables_to_delete:
                tables.drop(connection, names.table(config, view))

    def plan(self, config: RepoConfig, desired_registry_proto: Registry) -> list[InfraObject]:
        """The tables that `feast apply` would make: Feast calls all that is listed here created."""
        there: set[str] = set()
        if (file := self._file(config)).path.exists():
            with file.reading() as connection:
                there = set(tables.of_project(connection, names.project(config)))
        missing = [view for view in _stored(desired_registry_proto) if names.table(config, view) not in there]
        # Feast shows objects of its own classes only, by a name that begins so. It opens their files: it gets none.
        return [SqliteTable(":memory:", f"{config.project}_{view.name}") for view in missing]

    def teardown(self, config: RepoConfig, views: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop all tables of the project. The file stays: another project, or a running service, may use it."""
        file = self._file(config)
        if file.path.exists():
            with file.writing() as connection:
                for name in tables.of_project(connection, names.project(config)):
                    tables.drop(connection, name)

    def _reader(self, file: SqliteFile, table: str, layout: tuple[rows.Column, ...]) -> Reader:
        """One made before, unless a table of the file has changed since."""
        with file.reading() as connection:
            (schema,) = connection.execute("PRAGMA schema_version").fetchone()
        made_at, reader = self._readers.get((file.path, table, layout), (None, None))
        if reader is None or made_at != schema:
            reader = Reader(file, table, layout)
            self._readers[file.path, table, layout] = (schema, reader)
        return reader

    def _oldest(self, view: FeatureView) -> float:
        """The event time (µs since 1970) from which on the view's rows are within its TTL now."""
        ttl: timedelta | None = getattr(view, "ttl", None)  # to Feast, none and 0 both mean for ever
        return _event_time(self.clock() - ttl) if ttl else float("-inf")

    def _file(self, config: RepoConfig) -> SqliteFile:
        settings = config.online_store
        where = (below_data(settings.path, config.repo_path), settings.synchronous)
        return self._files.get(where) or self._files.setdefault(where, SqliteFile(*where))


def _key(config: RepoConfig, key: EntityKey) -> bytes:
    return serialize_entity_key(key if key.join_keys else _NOBODY, config.entity_key_serialization_version)


def _event_time(moment: datetime) -> int:
    time = rows.microseconds(moment)
    if time is None:
        raise ValueError("An event timestamp is null. Write rows that have one.")
    return time


def _from_arrow(batch: pa.RecordBatch, view: FeatureView, event_timestamp: str, created: str | None) -> Iterable[Any]:
    layout, join_keys = rows.columns(view), rows.join_keys(view)
    wanted = [*join_keys, *(column.feature for column in layout), event_timestamp, *([created] if created else [])]
    lacking = [name for name in wanted if name not in batch.schema.names and name != DUMMY_ENTITY_ID]
    if lacking:
        raise ValueError(f"The columns {lacking} of {view.name!r} are missing. The table has {batch.schema.names}.")
    events = rows.moments(batch, event_timestamp)
    if None in events:
        raise ValueError(f"{events.count(None)} of {len(events)} {event_timestamp} are null. Drop these rows.")
    values = (
        rows.Column(name, kind).from_arrow(batch.column(name))
        if name in batch.schema.names
        else repeat(DUMMY_ENTITY_VAL)
        for name, kind in join_keys.items()
    )
    return zip(
        map(keys.entity_key(join_keys), *values),
        events,
        rows.moments(batch, created) if created else repeat(None),
        *(column.from_arrow(batch.column(column.feature)) for column in layout),
        strict=False,
    )


def _stored(registry: Registry) -> list[Any]:
    """The views of a registry that have a table."""
    views: list[Any] = [FeatureView.from_proto(proto) for proto in registry.feature_views]
    views += [StreamFeatureView.from_proto(proto) for proto in registry.stream_feature_views]
    views += [LabelView.from_proto(proto) for proto in registry.label_views]
    on_demand = [OnDemandFeatureView.from_proto(proto) for proto in registry.on_demand_feature_views]
    return [view for view in views if view.online] + [view for view in on_demand if view.write_to_online_store]
