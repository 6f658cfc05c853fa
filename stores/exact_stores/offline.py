"""The offline store: point-in-time joins and pulls over Parquet files, in plain DuckDB SQL.

`offline_store: {type: exact_stores.offline.AsofDuckDBOfflineStore}` takes the place of `{type: duckdb}`. What is not Parquet
on a local disk, such as a Delta table or `s3://…`, goes to Feast's own DuckDB store as before.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureView
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.utils import compute_non_entity_date_range

from exact_stores import parquet_append
from exact_stores.entity_frame import EntityFrame
from exact_stores.parquet_files import columns_and_types, is_local_parquet, local_path, open_connection, require_times
from exact_stores.point_in_time import ViewRequest
from exact_stores.pull import (
    as_moments,
    changed_rows,
    every_row,
    in_key_order,
    latest_rows,
    read_batches,
    source_columns,
)
from exact_stores.retrieval_job import ArrowRetrievalJob
from exact_stores.seen_entities import seen_entities


class AsofDuckDBOfflineStoreConfig(DuckDBOfflineStoreConfig):
    type: Literal["exact_stores.offline.AsofDuckDBOfflineStore", "stores.offline.AsofDuckDBOfflineStore"] = (
        "exact_stores.offline.AsofDuckDBOfflineStore"  # type: ignore[assignment]
    )
    memory_limit: str = "1GB"
    """What one call's DuckDB may hold in memory before it spills to the folder for temporary files. Under some 200 MB a
    large join or pull may fail for want of memory."""


class AsofDuckDBOfflineStore(DuckDBOfflineStore):
    """Feast's DuckDB store with these promises: the rows of an entity frame come back all, in order and unchanged;
    a TTL is exact; of the versions of a corrected row the one that was known at the moment answers."""

    @staticmethod
    def get_historical_features(  # type: ignore[override]
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """The features of each row of `entity_df` (a frame, or SQL for DuckDB) at its own moment. Without it, the
        features at `end_date` of whoever has a row since `start_date` (default: since the longest TTL).

        Raises FeastEntityDFMissingColumnsError, ValueError for keys of another kind than the source's or for a
        feature named as a column of the frame, FileNotFoundError for a source without files.
        """
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        if not _is_ours(feature_views, on_demand):
            return DuckDBOfflineStore.get_historical_features(
                config, feature_views, feature_refs, entity_df, registry, project,
                full_feature_names, filter_by_created_timestamp,
            )  # fmt: skip
        requests = [ViewRequest.of(view, feature_refs, full_feature_names) for view in feature_views]
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, start_date, end_date)
            entity_df = seen_entities(requests, start, end, config)
        entities = EntityFrame.of(entity_df)
        entities.require({column for request in requests for column in request.keys.values()})
        _refuse_two_of_one_name(entities, requests)

        def read() -> pa.Table:
            table = entities.to_arrow()
            for answer in _answers(entities, requests, config, filter_by_created_timestamp):
                for name in answer.column_names:
                    table = table.append_column(name, answer[name])
            return table

        first, last = entities.range
        return ArrowRetrievalJob(
            read=read,
            repo_path=str(config.repo_path),
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in entities.rows.columns if name != entities.time_column],
                min_event_timestamp=first,
                max_event_timestamp=last,
            ),
            entity_rows=entities.rows,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The latest row of each key with start ≤ event time ≤ end."""
        if not is_local_parquet(data_source):
            return DuckDBOfflineStore.pull_latest_from_table_or_query(
                config, data_source, join_key_columns, feature_name_columns, timestamp_field,
                created_timestamp_column, start_date, end_date,
            )  # fmt: skip
        columns = source_columns(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        query = latest_rows(columns, join_key_columns, timestamp_field, created_timestamp_column, start_date, end_date)
        return ArrowRetrievalJob(lambda: read_batches(config, data_source, query).read_all(), str(config.repo_path))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Every row with start ≤ event time ≤ end."""
        if not is_local_parquet(data_source):
            return DuckDBOfflineStore.pull_all_from_table_or_query(
                config, data_source, join_key_columns, feature_name_columns, timestamp_field,
                created_timestamp_column, start_date, end_date,
            )  # fmt: skip
        columns = source_columns(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        query = every_row(columns, timestamp_field, start_date, end_date)
        return ArrowRetrievalJob(lambda: read_batches(config, data_source, query).read_all(), str(config.repo_path))

    @staticmethod
    def pull_changed(
        config: RepoConfig,
        data_source: DataSource,
        join_keys: list[str],
        feature_columns: list[str],
        timestamp_field: str,
        created_column: str | None,
        start: datetime,
        end: datetime,
        created_after: datetime | None,
    ) -> pa.RecordBatchReader:
        """As `pull_latest_from_table_or_query`, and also of rows that were written after `created_after`, whatever
        their event time up to `end`: late ones. A stream, roughly in the order of the serialized keys; it takes no
        more memory than `memory_limit` and a batch.

        All names are the source's own columns. Raises ValueError for a source that is not Parquet on a local disk.
        """
        if not is_local_parquet(data_source):
            raise ValueError(
                f"Source {data_source.name!r} is not Parquet on a local disk. Use pull_latest_from_table_or_query."
            )
        columns = source_columns(join_keys, feature_columns, timestamp_field, created_column)
        query = changed_rows(columns, join_keys, timestamp_field, created_column, start, end, created_after)
        mapping = data_source.field_mapping or {}
        ordered = in_key_order(query, sorted(join_keys, key=lambda key: mapping.get(key, key)))
        times = [timestamp_field, *([created_column] if created_column else [])]
        return read_batches(config, data_source, as_moments(ordered, times))

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Appends rows to the view's source: to its file, or as a new file in its folder. Raises ValueError for
        columns other than the source's."""
        if not is_local_parquet(feature_view.batch_source):
            DuckDBOfflineStore.offline_write_batch(config, feature_view, table, progress)
            return
        parquet_append.append(feature_view.batch_source, table, config)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Adds the logs, a table or a folder of Parquet files, to the destination's folder."""
        destination = logging_config.destination
        target = destination.to_data_source()
        if not (isinstance(destination, FileLoggingDestination) and is_local_parquet(target)):
            DuckDBOfflineStore.write_logged_features(config, data, source, logging_config, registry)
            return
        table = pq.read_table(data) if isinstance(data, Path) else data
        parquet_append.append_to_folder(Path(local_path(target, config)), table, destination.partition_by)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Raises FileNotFoundError where no file lies, ValueError where a time column is missing."""
        if is_local_parquet(data_source):
            require_times(data_source, config)
        else:
            super().validate_data_source(config, data_source)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """The columns in the files themselves: Hive partitions are no features."""
        if is_local_parquet(data_source):
            return columns_and_types(data_source, config)
        return super().get_table_column_names_and_types_from_data_source(config, data_source)


def _answers(
    entities: EntityFrame, requests: list[ViewRequest], config: RepoConfig, only_written: bool
) -> list[pa.Table]:
    """Of two views at once: what one thread must do for the one goes on beside what many do for the other."""
    with open_connection(config) as connection, ThreadPoolExecutor(2) as pool:
        cursors = [connection.cursor() for _ in requests]
        try:
            return list(pool.map(lambda r, cursor: r.answer(entities, config, cursor, only_written), requests, cursors))
        except BaseException:  # Ctrl-C too: nobody waits for the others any more
            for cursor in cursors:
                cursor.interrupt()
            raise


def _is_ours(views: list[FeatureView], on_demand: list[OnDemandFeatureView]) -> bool:
    return all(is_local_parquet(view.batch_source) for view in views) and all(
        view.mode != "substrait" for view in on_demand
    )


def _refuse_two_of_one_name(entities: EntityFrame, requests: list[ViewRequest]) -> None:
    names = [*entities.rows.columns, *(name for request in requests for name in request.features.values())]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"The answer would have these columns twice: {', '.join(twice)}. "
            "Rename them in the entity frame, or ask with full_feature_names=True."
        )
