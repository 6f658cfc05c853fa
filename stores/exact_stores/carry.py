"""Carries the rows of one online store's file to the online store of a repository, in both directions.

After a switch, a materialization fills the new store from the files of the sources. What was pushed online only is
nowhere but in the old store's file.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from feast import FeatureStore
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from exact_stores import names, rows, tables
from exact_stores.sql import identifier
from exact_stores.timestamps import from_microseconds

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
_BATCH_ROWS = 10_000


def carry(store: FeatureStore, file: Path) -> dict[str, tuple[int, int]]:
    """Write the rows of `file`, which Feast's SQLite store or ours has made, to the repository's online store.

    A row that is there with the same or a later event timestamp stays. Returns view → the numbers of rows in the file
    and of rows written, for each view that has a table in the file. Raises FileNotFoundError, and sqlite3's errors.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is no file. Write the path of the old online store.")
    counts: dict[str, tuple[int, int]] = {}
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        for view in sorted(store.list_all_feature_views(), key=lambda view: view.name):
            if (stored := _rows(connection, store.config, view)) is not None:
                counts[view.name] = _write(store, view, stored)
    return counts


def _write(store: FeatureStore, view: Any, stored: Iterator[Row]) -> tuple[int, int]:
    provider, read, written = store._get_provider(), 0, 0
    while batch := list(islice(stored, _BATCH_ROWS)):
        present = provider.online_read(store.config, view, [key for key, *_ in batch], None)
        newer = [
            row
            for row, (event, _) in zip(batch, present, strict=True)
            if event is None or event.astimezone(UTC) < row[2]  # Feast's store reads local time, without a zone
        ]
        if newer:
            provider.online_write_batch(store.config, view, newer, None)
        read, written = read + len(batch), written + len(newer)
    return read, written


def _rows(connection: sqlite3.Connection, config: RepoConfig, view: Any) -> Iterator[Row] | None:
    """The rows of the view's table in the file. None if there is no such table."""
    feasts_own = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    if tables.exists(connection, names.table_name(config, view)):
        return _our_rows(connection, names.table_name(config, view), config, view)
    return _feasts_rows(connection, feasts_own, config) if tables.exists(connection, feasts_own) else None


def _our_rows(connection: sqlite3.Connection, table: str, config: RepoConfig, view: Any) -> Iterator[Row]:
    existing = tables.feature_columns(connection, table)
    layout = [column for column in rows.columns(view) if column.name in existing]
    columns = ", ".join(identifier(column.name) for column in layout)
    query = f"SELECT entity_key, event_timestamp, created, {columns or 'NULL'} FROM {identifier(table)}"
    for key, event, created, *stored in connection.execute(query):
        values = {column.feature: column.to_value(item) for column, item in zip(layout, stored, strict=False)}
        known = None if created is None else from_microseconds(created)
        yield _entity_key(key, config), values, from_microseconds(event), known


def _feasts_rows(connection: sqlite3.Connection, table: str, config: RepoConfig) -> Iterator[Row]:
    """Feast's table has a row for each value of an entity, dated in whole seconds since 1970."""
    query = f"SELECT entity_key, feature_name, value, event_ts, created_ts FROM {identifier(table)} ORDER BY entity_key"
    for key, group in groupby(connection.execute(query), key=lambda row: row[0]):
        items = list(group)
        values = {name: Value.FromString(value) for _, name, value, _, _ in items}
        event, created = items[0][3], items[0][4]
        known = None if created is None else datetime.fromtimestamp(created, UTC)
        yield _entity_key(key, config), values, datetime.fromtimestamp(event, UTC), known


def _entity_key(key: bytes, config: RepoConfig) -> EntityKey:
    return deserialize_entity_key(key, config.entity_key_serialization_version)
