"""The offline store: point-in-time joins and pulls over Parquet files, in DuckDB's SQL.

`type: exact_stores.offline.AsofDuckDBOfflineStore` takes the place of `type: duckdb`. A source that is not Parquet on a
local disk, such as a Delta table or `s3://…`, is read by Feast's own DuckDB store.
"""

from collections.abc import Callable, Iterable
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
from pydantic import field_validator

from exact_stores import arrow_rows, parquet_append, parquet_files, pull, rows
from exact_stores.entity_frame import EntityFrame
from exact_stores.parquet_files import is_local_parquet
from exact_stores.point_in_time import ViewRequest, refuse_repeated_names, run_all
from exact_stores.retrieval_job import ArrowRetrievalJob
from exact_stores.seen_entities import seen_entities
from exact_stores.utc_duckdb import require_memory_limit


class AsofDuckDBOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """The `offline_store:` of `feature_store.yaml`. The second `type` is the name before the package had its own."""

    type: Literal["exact_stores.offline.AsofDuckDBOfflineStore", "stores.offline.AsofDuckDBOfflineStore"] = (
        "exact_stores.offline.AsofDuckDBOfflineStore"
    )
    memory_limit: str = "1GB"
    """How much memory the DuckDB of one call may hold before it spills to the folder for temporary files. With less
    than about 200 MB, a large join or pull may fail."""

    @field_validator("memory_limit")
    @classmethod
    def _is_size(cls, memory_limit: str) -> str:
        require_memory_limit(memory_limit)
        return memory_limit


class AsofDuckDBOfflineStore(DuckDBOfflineStore):
    """Feast's DuckDB store with three promises.

    All rows of an entity frame come back, in order and unchanged. A TTL is exact to the unit of the timestamps. A
    corrected row answers with the version that was known at the entity frame's timestamp.
    """

    @staticmethod
    def get_historical_features(
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
        """The features of each row of the entity frame, at the row's own timestamp.

        `entity_df` is a data frame, or SQL for DuckDB. If it is None, the result has the features at `end_date` of each
        entity that has a row since `start_date` (default: `end_date` minus the longest TTL).

        Raises FeastEntityDFMissingColumnsError for a missing key column, ValueError for a key of another type than the
        source's or for two columns of one name, FileNotFoundError for a source without files.
        """
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        if not _is_ours(feature_views, on_demand):
            return DuckDBOfflineStore.get_historical_features(
                config, feature_views, feature_refs, entity_df, registry, project,
                full_feature_names, filter_by_created_timestamp,
            )  # fmt: skip
        requests = [ViewRequest.from_view(view, feature_refs, full_feature_names) for view in feature_views]
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, start_date, end_date)
            entity_df = seen_entities(requests, start, end, config)
        entities = EntityFrame.from_input(entity_df)
        entities.require({column for request in requests for column in request.keys.values()})
        refuse_repeated_names(entities, requests)

        def read() -> pa.Table:
            table = entities.to_arrow()
            for features in run_all(entities, requests, config, filter_by_created_timestamp):
                for name in features.column_names:
                    table = table.append_column(name, features[name])
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
        """The latest row of each key from `start_date` to `end_date`, both included, by event timestamp."""
        if not is_local_parquet(data_source):
            return DuckDBOfflineStore.pull_latest_from_table_or_query(
                config, data_source, join_key_columns, feature_name_columns, timestamp_field,
                created_timestamp_column, start_date, end_date,
            )  # fmt: skip
        columns = pull.source_columns(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        query = pull.latest_rows(
            columns, join_key_columns, timestamp_field, created_timestamp_column, start_date, end_date
        )
        return ArrowRetrievalJob(
            lambda: pull.read_batches(config, data_source, query).read_all(), str(config.repo_path)
        )

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
        """Every row from `start_date` to `end_date`, both included, by event timestamp. None is no limit."""
        if not is_local_parquet(data_source):
            return DuckDBOfflineStore.pull_all_from_table_or_query(
                config, data_source, join_key_columns, feature_name_columns, timestamp_field,
                created_timestamp_column, start_date, end_date,
            )  # fmt: skip
        columns = pull.source_columns(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        query = pull.every_row(columns, timestamp_field, start_date, end_date)
        return ArrowRetrievalJob(
            lambda: pull.read_batches(config, data_source, query).read_all(), str(config.repo_path)
        )

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
        """The latest row of each key, as `pull_latest_from_table_or_query`, late rows included.

        A late row was created after `created_after`, and may be dated long before `start`. The rows are streamed,
        roughly in the order of their entity keys, in no more memory than `memory_limit` and one batch.

        All names are the source's own columns. Raises ValueError for a source that is not Parquet on a local disk.
        """
        if not is_local_parquet(data_source):
            raise ValueError(
                f"Source {data_source.name!r} is not Parquet on a local disk. Use pull_latest_from_table_or_query."
            )
        columns = pull.source_columns(join_keys, feature_columns, timestamp_field, created_column)
        query = pull.latest_rows(
            columns, join_keys, timestamp_field, created_column, start, end, created_after, as_timestamps=True
        )
        mapping = data_source.field_mapping or {}
        ordered = pull.in_key_order(query, sorted(join_keys, key=lambda key: mapping.get(key, key)))
        return pull.read_batches(config, data_source, ordered)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Add rows to the view's source: to its file, or as a new file in its folder.

        Raises ValueError if the columns are not the source's, for a row without a key, or for a value that does not
        fit the source's type.
        """
        if not is_local_parquet(feature_view.batch_source):
            DuckDBOfflineStore.offline_write_batch(config, feature_view, table, progress)
            return
        arrow_rows.refuse_null_keys(table, feature_view)
        parquet_append.append(feature_view.batch_source, table, config, rows.declared_types(feature_view))
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
        """Add logged features, a table or a folder of Parquet files, to the destination's folder."""
        destination = logging_config.destination
        target = destination.to_data_source()
        if not (isinstance(destination, FileLoggingDestination) and is_local_parquet(target)):
            DuckDBOfflineStore.write_logged_features(config, data, source, logging_config, registry)
            return
        table = pq.read_table(data) if isinstance(data, Path) else data
        parquet_append.append_to_folder(Path(parquet_files.local_path(target, config)), table, destination.partition_by)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Raises FileNotFoundError for a missing file, ValueError for a missing column. A folder may still be empty."""
        if is_local_parquet(data_source):
            parquet_files.require_time_columns(data_source, config)
        else:
            super().validate_data_source(config, data_source)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """The columns in the files, without Hive partitions, which are no features."""
        if is_local_parquet(data_source):
            return parquet_files.columns_and_types(data_source, config)
        return super().get_table_column_names_and_types_from_data_source(config, data_source)


def _is_ours(views: list[FeatureView], on_demand: list[OnDemandFeatureView]) -> bool:
    return all(is_local_parquet(view.batch_source) for view in views) and all(
        view.mode != "substrait" for view in on_demand
    )
