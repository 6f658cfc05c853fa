"""The online store on Redis: Feast's own, with the guarantees of `exact_stores.online`. Time never goes back."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, cast

import pyarrow as pa
from feast import Entity, FeatureView, utils
from feast.infra.infra_object import InfraObject
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.infra.online_stores.redis import RedisClient, RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.online_stores.sqlite import SqliteTable
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.repo_config import RepoConfig
from pydantic import field_validator, model_validator

from exact_stores import arrow_rows, feast_rows, keys, redis_rows, rows
from exact_stores.exact_online import ExactOnlineStore, OnlineStoreError, Row, RowReader
from exact_stores.feast_rows import FeastAnswer, FeastRow
from exact_stores.redis_client import Server, nodes_and_options
from exact_stores.redis_reader import RedisReader, read_together
from exact_stores.redis_rows import Layout
from exact_stores.redis_write import require_view, write
from exact_stores.timestamps import from_microseconds

_KEYS_PER_TRIP = 1000


class PackedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """The `online_store:` of `feature_store.yaml`, with the options of Feast's own `type: redis`. Raises
    OnlineStoreError, whose message has no password."""

    type: Literal["exact_stores.redis_online.PackedRedisOnlineStore"] = (
        "exact_stores.redis_online.PackedRedisOnlineStore"  # type: ignore[assignment]
    )

    @field_validator("connection_string")
    @classmethod
    def _has_address(cls, connection_string: str) -> str:
        nodes_and_options(connection_string)
        return connection_string

    @model_validator(mode="after")
    def _keeps_guarantees(self) -> "PackedRedisOnlineStoreConfig":
        if self.skip_dedup:
            raise OnlineStoreError("skip_dedup would let an older row replace a newer one. Remove it.")
        if self.key_ttl_seconds:
            raise OnlineStoreError(
                "key_ttl_seconds would make a known entity read as a new one. Remove it, and set a view's ttl."
            )
        if self.client == RedisClient.glide:
            raise OnlineStoreError("client: glide is not supported: this store sends its commands itself. Remove it.")
        return self


class PackedRedisOnlineStore(RedisOnlineStore, ExactOnlineStore):
    """A hash for each entity key of a project, with a field for each feature view that holds the whole row.

    A row is written whole, and only over an older one. A method raises OnlineStoreError if Redis cannot be reached or
    refuses, and TypeError or ValueError for a row that cannot be written. A batch with such a row changes nothing.
    Otherwise each row is written for itself: a reader may see half of a batch, but never half of a row.
    """

    _versioned_read_supported = True  # Feast asks for this, and otherwise allows its own stores only

    def __init__(self) -> None:
        self._servers: dict[tuple[Any, ...], Server] = {}
        self._readers: dict[tuple[Any, ...], RedisReader] = {}
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows. Feast's own engine calls this. Rows without a key or dated later than now are left out, and
        standard error gets their number."""
        self._write(config, table, feast_rows.stored_rows(config, table, data, self.clock()))
        if progress:
            progress(len(data))

    def write_tables(
        self,
        config: RepoConfig,
        new_tables: Sequence[tuple[FeatureView, pa.Table | pa.RecordBatch]],
        event_timestamp: str = "event_timestamp",
        created: str | None = None,
    ) -> None:
        """As `ExactOnlineStore.write_tables`, one after the other. The last row of a table is written last."""
        new_rows = []
        for view, table in new_tables:
            whole = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
            arrow_rows.refuse_null_keys(whole, view)
            batches = [arrow_rows.from_batch(batch, view, event_timestamp, created) for batch in whole.to_batches()]
            new_rows.append((view, [row for batch in batches for row in batch]))
        for view, rows_of_view in new_rows:
            self._write(config, view, rows_of_view)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[FeastAnswer]:
        """The event timestamp and the features of each key, in order. Both are None if no row is stored, or if it is
        past the view's TTL or dated later than now."""
        layout = feast_rows.layout_of(table, requested_features)
        reader = self._stored_reader(config, table, layout)
        stored = reader.read([feast_rows.key_bytes(config, key) for key in entity_keys])
        return feast_rows.answers(table, layout, stored, self.clock())

    def reader(self, config: RepoConfig, view: FeatureView, feature_names: Sequence[str]) -> RedisReader:
        """A reader of these features, in this order. Raises NotApplied, and KeyError for a feature that the view has
        not."""
        by_name = {column.feature: column for column in rows.columns(view)}
        layout = [by_name[name] for name in feature_names]
        reader = RedisReader(self._server(config), config, _name(config, view), layout)
        reader.read([])
        return reader

    def read_together(self, requests: Sequence[tuple[RowReader, Sequence[bytes]]]) -> list[list[Row | None]]:
        """What each reader reads of its keys, in one round trip."""
        return read_together(cast(Sequence[tuple[RedisReader, Sequence[bytes]]], requests))

    def entity_key(self, view: FeatureView) -> keys.EntityKey:
        """As `WideSqliteOnlineStore.entity_key`."""
        return keys.entity_key(rows.join_keys(view))

    def last_run(self, config: RepoConfig, view: FeatureView) -> datetime | None:
        """The timestamp that `set_last_run` stored last for this view. None if never, or if Redis lost it."""
        ((since_1970,),) = self._server(config).ask([("HMGET", redis_rows.views_key(config), _name(config, view))])
        return from_microseconds(int(since_1970)) if since_1970 else None

    def set_last_run(self, config: RepoConfig, view: FeatureView, timestamp: datetime) -> None:
        """Store when the view was last materialized. Raises NotApplied."""
        since_1970, server, name = feast_rows.event_time(timestamp), self._server(config), _name(config, view)
        require_view(server, config, name.encode())
        server.ask([("HSET", redis_rows.views_key(config), name, since_1970)])

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Note the views, and remove the rows of deleted views. `feast apply` calls this. With
        `full_scan_for_deletion: false`, their rows stay, and are read again if the view comes back."""
        server, views = self._server(config), redis_rows.views_key(config)
        server.ask([("HSETNX", views, _name(config, view), "") for view in tables_to_keep])
        deleted = [_name(config, view).encode() for view in tables_to_delete]
        if not deleted:
            return
        server.ask([("HDEL", views, *deleted)])
        if config.online_store.full_scan_for_deletion:
            for some in _pages(server.keys(redis_rows.prefix(config))):
                server.ask([("HDEL", key, *deleted) for key in some])
            server.ask([("DEL", redis_rows.layouts_key(config, view)) for view in deleted])

    def plan(self, config: RepoConfig, desired_registry_proto: Registry) -> list[InfraObject]:
        """The views that `feast apply` would note. Feast lists all of them as created."""
        views = feast_rows.online_views(desired_registry_proto)
        names = [_name(config, view) for view in views]
        (noted,) = self._server(config).ask([("HMGET", redis_rows.views_key(config), *names)]) if names else ([],)
        # Feast shows objects of its own classes only, and opens the file of each. Hence a file in memory.
        missing = [view for view, state in zip(views, noted, strict=True) if state is None]
        return [SqliteTable(":memory:", f"{config.project}_{view.name}") for view in missing]

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Remove all that the project has in Redis."""
        server = self._server(config)
        for prefix in (redis_rows.prefix(config), redis_rows.layouts_key(config, b"")):
            for some in _pages(server.keys(prefix)):
                server.ask([("UNLINK", key) for key in some])
        server.ask([("UNLINK", redis_rows.views_key(config))])
        server.close()

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: Sequence[tuple[FeatureView, list[str]]],
        join_key_values: dict[str, Any],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: Any,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        """All views of `get_online_features` in one round trip."""
        requests, views = [], []
        for view, features in grouped_refs:
            entities, places, count = utils._get_unique_entities(view, join_key_values, entity_name_to_join_key_map)
            entity_keys = [feast_rows.key_bytes(config, key) for key in utils._get_entity_key_protos(entities)]
            layout = feast_rows.layout_of(view, features)
            requests.append((self._stored_reader(config, view, layout), entity_keys))
            views.append((view, features, layout, places, count))
        now = self.clock()
        for (view, features, layout, places, count), stored in zip(views, read_together(requests), strict=True):
            utils._populate_response_from_feature_data(
                features, feast_rows.answers(view, layout, stored, now), places, online_features_response,
                full_feature_names, view, count, include_feature_view_version_metadata,
            )  # fmt: skip

    async def _read_features_per_fv_async(self, *args: Any, **options: Any) -> None:
        await asyncio.to_thread(self._read_features_per_fv, *args, **options)

    async def online_read_async(self, *args: Any, **options: Any) -> list[FeastAnswer]:
        """As `online_read`, in a thread."""
        return await asyncio.to_thread(self.online_read, *args, **options)

    async def online_write_batch_async(self, *args: Any, **options: Any) -> None:
        """As `online_write_batch`, in a thread."""
        await asyncio.to_thread(self.online_write_batch, *args, **options)

    def _write(self, config: RepoConfig, view: FeatureView, stored: Sequence[tuple[Any, ...]]) -> None:
        layout = Layout(rows.columns(view))
        write(
            self._server(config), config, _name(config, view), layout, [(key, layout.pack(row)) for key, *row in stored]
        )

    def _stored_reader(self, config: RepoConfig, view: FeatureView, layout: tuple[rows.Column, ...]) -> RedisReader:
        """A reader of values as they are stored, from the cache."""
        server, name = self._server(config), _name(config, view)
        key = (server, config.project, name, layout)
        if key not in self._readers:
            self._readers[key] = RedisReader(server, config, name, layout, as_python=False)
        return self._readers[key]

    def _server(self, config: RepoConfig) -> Server:
        settings = config.online_store
        key = (settings.connection_string, settings.redis_type, settings.sentinel_master)
        if key not in self._servers:
            self._servers[key] = Server(settings)
        return self._servers[key]


def _name(config: RepoConfig, view: FeatureView) -> str:
    return compute_versioned_name(view, config.registry.enable_online_feature_view_versioning)


def _pages(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    keys = iter(keys)
    return iter(lambda: list(islice(keys, _KEYS_PER_TRIP)), [])
