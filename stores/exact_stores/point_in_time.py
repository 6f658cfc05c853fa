"""The point-in-time join of one feature view, as SQL for DuckDB.

A source of numbers that fits in memory is searched, by `searched.py`. For others, the join has two steps. First, an
ASOF join over keys and timestamps alone: for each row of the entity frame, the event timestamp of the latest source
row. Then the source rows with just these keys and event timestamps, with their features.

A corrected row has several versions with the same key and event timestamp. Only if there are such versions does a third
query choose, for each row of the frame, the version that was known at its timestamp.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from feast import FeatureView, FileSource
from feast.feature_view import DUMMY_ENTITY_ID
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from exact_stores import searched
from exact_stores.declared import as_declared
from exact_stores.entity_frame import FOR_EVER, EntityFrame
from exact_stores.parquet_files import ParquetFiles, is_local_parquet
from exact_stores.utc_duckdb import connect

#: `entity_rows` is the table of `EntityFrame.join_input`.
_VERSIONS = """
SELECT {columns}, {event_time} AS event_time, {created} AS created, file_index, file_row_number
FROM {files} WHERE {range}
"""
_JOIN = """
WITH versions AS NOT MATERIALIZED (
    {versions}
), latest AS MATERIALIZED (
    {latest}
)
SELECT latest.row, latest.entity_timestamp, {features}, created, file_index, file_row_number
FROM latest JOIN versions ON {on_keys} latest.event_time = versions.event_time
"""
_LATEST = """
SELECT entity_rows.*, past.event_time
FROM entity_rows ASOF JOIN (SELECT {keys} event_time FROM versions {semi_join}) past
    ON {on_keys} entity_rows.entity_timestamp >= past.event_time
WHERE past.event_time >= entity_rows.oldest
"""
#: Only rows created by the entity's timestamp count. An ASOF join bounds one column, and here two are bounded.
_LATEST_CREATED = """
SELECT entity_rows.*, max(past.event_time) AS event_time
FROM entity_rows JOIN versions past
    ON {on_keys} past.event_time BETWEEN entity_rows.oldest AND entity_rows.entity_timestamp
    AND past.created <= entity_rows.entity_timestamp
GROUP BY ALL
"""
#: Of a row's versions: the last that was known. If none was, the first created. If `created` is null, the last in the
#: files.
_CHOOSE_VERSION = """
SELECT position FROM (
    SELECT *, coalesce(created <= entity_timestamp, true) AS is_known, coalesce(created, {for_ever}) AS created_at
    FROM versions
)
QUALIFY row_number() OVER (
    PARTITION BY row
    ORDER BY is_known DESC, if(is_known, created_at, -created_at) DESC,
        file_index DESC, file_row_number DESC
) = 1
"""

#: A source with more than this many rows for each row of the frame is reduced to the frame's keys before the join.
_MANY_SOURCE_ROWS = 10


@dataclass(frozen=True)
class ViewRequest:
    """The features that are requested of one view.

    `keys` maps the view's join keys to columns of the entity frame, `features` its features to names in the result, and
    `types` its features to their declared types.
    """

    source: FileSource
    ttl: timedelta | None
    keys: Mapping[str, str]
    features: Mapping[str, str]
    types: Mapping[str, ValueType]

    @staticmethod
    def from_view(view: FeatureView, feature_refs: list[str], full_feature_names: bool) -> "ViewRequest":
        """The part of `feature_refs` (such as `stats:trips`) that is this view's."""
        assert is_local_parquet(view.batch_source)
        projection = view.projection
        prefix = f"{projection.name_to_use()}:"  # type: ignore[no-untyped-call]
        features = [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]
        result_prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
        join_keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
        return ViewRequest(
            source=view.batch_source,
            ttl=view.ttl,
            keys={key: projection.join_key_map.get(key, key) for key in join_keys},
            features={name: result_prefix + name for name in features},
            types={field.name: field.dtype.to_value_type() for field in view.features if field.name in features},
        )

    def run(
        self, entities: EntityFrame, config: RepoConfig, connection: duckdb.DuckDBPyConnection, filter_by_created: bool
    ) -> pa.Table:
        """The features of each row of the frame, in the frame's order, null where the source has no row.

        `filter_by_created` leaves out source rows that were created after the row's timestamp. It is Feast's
        `filter_by_created_timestamp`. Raises ValueError for a key of another type than the source's, or for a feature
        of another type than declared.
        """
        files = ParquetFiles.from_source(self.source, config, connection)
        versions = self._versions(files, entities, filter_by_created)
        chosen = _choose_versions(versions, connection)
        positions = np.full(len(entities.rows), -1)
        positions[versions["row"].to_numpy()[chosen]] = chosen
        features = versions.select([f"f{i}" for i in range(len(self.features))]).combine_chunks()
        result = features.take(pa.array(positions, mask=positions < 0))
        columns = [
            as_declared(_one_array(values), name, self.types[name])
            for name, values in zip(self.features, result.columns, strict=True)
        ]
        return pa.table(columns, names=list(self.features.values()))

    def _versions(self, files: ParquetFiles, entities: EntityFrame, filter_by_created: bool) -> pa.Table:
        """The latest source row of each row of the frame, in all its versions. The features are `f0`, `f1`, …"""
        event_timestamp, created = self.source.timestamp_field, self.source.created_timestamp_column
        time_columns = [event_timestamp, created] if created else [event_timestamp]
        unit = "ns" if any(files.type_of(name).endswith("_NS") for name in time_columns) else "us"
        keys = {column: files.type_of(key) for key, column in self.keys.items()}
        entity_rows = entities.join_input(keys, self.ttl, unit)
        key_names = [f"k{i}" for i in range(len(keys))]
        columns = [f"{files.column(key)} AS {name}" for key, name in zip(self.keys, key_names, strict=True)]
        columns += [f"{files.column(feature)} AS f{i}" for i, feature in enumerate(self.features)]
        files.connection.register("entity_rows", entity_rows)
        versions = _VERSIONS.format(
            columns=", ".join(columns),
            event_time=files.since_1970(event_timestamp, unit),
            created=files.since_1970(created, unit) if created else "NULL::BIGINT",
            files=files.relation,
            range=files.between(event_timestamp, *entities.source_range(self.ttl)),
        )
        row_count, is_filtered = files.row_count, filter_by_created and bool(created)
        semi_join = _semi_join(key_names) if entity_rows.num_rows * _MANY_SOURCE_ROWS < row_count else ""
        if (
            not is_filtered
            and searched.has_numbered_keys(entity_rows, dict(zip(key_names, keys.values(), strict=True)))
            and searched.fits(files.connection, row_count, map(files.type_of, self.features))
        ):
            query = f"SELECT * FROM ({versions}) versions {semi_join} WHERE event_time IS NOT NULL"
            return searched.latest_versions(files.connection.sql(query), entity_rows, key_names)
        latest = _LATEST_CREATED if is_filtered else _LATEST
        query = _JOIN.format(
            versions=versions,
            latest=latest.format(
                keys="".join(f"{name}, " for name in key_names),
                semi_join=semi_join,
                on_keys="".join(f"entity_rows.{name} = past.{name} AND " for name in key_names),
            ),
            features=", ".join(f"f{i}" for i in range(len(self.features))),
            on_keys="".join(f"latest.{name} = versions.{name} AND " for name in key_names),
        )
        if is_filtered:
            query += " WHERE created <= latest.entity_timestamp"
        return files.connection.sql(query).to_arrow_table()


def run_all(
    entities: EntityFrame, requests: Sequence[ViewRequest], config: RepoConfig, filter_by_created: bool
) -> list[pa.Table]:
    """The features of each request, as `ViewRequest.run` returns them.

    Two requests run at a time: some parts of a query use one thread only.
    """
    with connect(config.offline_store.memory_limit) as connection, ThreadPoolExecutor(2) as pool:
        cursors = [connection.cursor() for _ in requests]
        try:
            return list(
                pool.map(lambda r, cursor: r.run(entities, config, cursor, filter_by_created), requests, cursors)
            )
        except BaseException:  # Ctrl-C too: the other queries are of no use any more
            for cursor in cursors:
                cursor.interrupt()
            raise


def refuse_repeated_names(entities: EntityFrame, requests: Sequence[ViewRequest]) -> None:
    """Raises ValueError if two columns of the result would have one name."""
    names = [*entities.rows.columns, *(name for request in requests for name in request.features.values())]
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"The result would have these columns twice: {', '.join(repeated)}. "
            "Rename them in the entity frame, or ask with full_feature_names=True."
        )


def _one_array(values: pa.ChunkedArray) -> pa.Array:
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def _semi_join(key_names: list[str]) -> str:
    """SQL that keeps the rows with the frame's keys, so that no others are sorted."""
    on = " AND ".join(f"versions.{name} = entity_rows.{name}" for name in key_names)
    return f"SEMI JOIN entity_rows ON {on}" if on else ""


def _choose_versions(versions: pa.Table, connection: duckdb.DuckDBPyConnection) -> np.ndarray[Any, Any]:
    """The positions in `versions` of the version that answers each row of the frame."""
    rows = versions["row"].to_numpy()
    has_several = np.bincount(rows)[rows] > 1
    several = np.flatnonzero(has_several)
    if not len(several):
        return np.arange(len(rows))
    columns = ["row", "entity_timestamp", "created", "file_index", "file_row_number"]
    candidates = versions.select(columns).take(several).append_column("position", pa.array(several))
    connection.register("versions", candidates)
    chosen = connection.sql(_CHOOSE_VERSION.format(for_ever=FOR_EVER)).to_arrow_table()["position"].to_numpy()
    return np.append(np.flatnonzero(~has_several), chosen)
