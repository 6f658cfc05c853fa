"""The offline store with its point-in-time join on Spark, for entity frames and sources that one machine does not hold.

`type: exact_stores.spark_offline.SparkAsofOfflineStore`. It gives the rows of `AsofDuckDBOfflineStore`. It needs
PySpark, and each path must be the same on the driver and on all executors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from pydantic import Field

from exact_stores import spark_join
from exact_stores.declared import as_declared
from exact_stores.entity_frame import FOR_EVER, EntityFrame
from exact_stores.offline import AsofDuckDBOfflineStore, AsofDuckDBOfflineStoreConfig
from exact_stores.parquet_files import ParquetFiles, is_local_parquet
from exact_stores.point_in_time import ViewRequest, refuse_repeated_names
from exact_stores.retrieval_job import ArrowRetrievalJob
from exact_stores.utc_duckdb import connect

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_MICROSECOND = timedelta(microseconds=1)
#: What the join rests on.
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
}
#: The column with a row's place in a data frame.
_PLACE = ":place"


class SparkAsofOfflineStoreConfig(AsofDuckDBOfflineStoreConfig):
    """The `offline_store:` of `feature_store.yaml`. `spark_conf` has options of Spark, such as `spark.master`."""

    type: Literal["exact_stores.spark_offline.SparkAsofOfflineStore"] = (
        "exact_stores.spark_offline.SparkAsofOfflineStore"  # type: ignore[assignment]
    )
    spark_conf: dict[str, str] = Field(default_factory=dict)


class SparkAsofOfflineStore(AsofDuckDBOfflineStore):
    """`AsofDuckDBOfflineStore`, with its point-in-time join on Spark. Pulls and writes are as there."""

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
        """As `AsofDuckDBOfflineStore`, but SQL is for Spark: its rows come in any order, and never to the driver where
        `SparkRetrievalJob.to_spark_df` reads the job."""
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        if entity_df is None or not all(is_local_parquet(view.batch_source) for view in feature_views):
            return AsofDuckDBOfflineStore.get_historical_features(
                config, feature_views, feature_refs, entity_df, registry, project,
                full_feature_names, filter_by_created_timestamp, start_date, end_date,
            )  # fmt: skip
        requests = [ViewRequest.from_view(view, feature_refs, full_feature_names) for view in feature_views]
        join = _Join(config, requests, filter_by_created_timestamp)
        job = partial(SparkRetrievalJob, repo_path=str(config.repo_path), full_feature_names=full_feature_names,
                      on_demand_feature_views=on_demand)  # fmt: skip
        if isinstance(entity_df, str):
            query: str = entity_df
            return job(
                read=lambda: join.declared(join.of_query(query).toArrow()),
                frame=lambda: join.of_query(query),
                metadata=RetrievalMetadata(features=feature_refs, keys=join.keys),
            )
        entities = EntityFrame.from_input(entity_df)
        entities.require(set(join.keys))
        refuse_repeated_names(entities, requests)
        first, last = entities.range
        keys = [name for name in entities.rows.columns if name != entities.time_column]
        return job(
            read=lambda: join.of_frame(entities),
            entity_rows=entities.rows,
            metadata=RetrievalMetadata(
                features=feature_refs, keys=keys, min_event_timestamp=first, max_event_timestamp=last
            ),
        )


@dataclass
class SparkRetrievalJob(ArrowRetrievalJob):
    """An `ArrowRetrievalJob` whose rows may stay on Spark."""

    frame: Callable[[], "DataFrame"] | None = None

    def to_spark_df(self) -> "DataFrame":
        """The rows as a frame of Spark, without on-demand features. Raises ValueError if the frame was not SQL."""
        if self.frame is None:
            raise ValueError("The entity frame lies in this process. Give it as SQL for Spark.")
        return self.frame()


@dataclass(frozen=True)
class _Join:
    config: RepoConfig
    requests: list[ViewRequest]
    filter_by_created: bool

    @property
    def keys(self) -> list[str]:
        return list(dict.fromkeys(column for request in self.requests for column in request.keys.values()))

    def of_frame(self, entities: EntityFrame) -> pa.Table:
        """The rows of an entity frame with their features, in its order."""
        spark, table = self._session(), entities.to_arrow()
        with connect(self.config.offline_store.memory_limit) as connection:
            for request in self.requests:
                files = ParquetFiles.from_source(request.source, self.config, connection)
                types = {column: files.type_of(key) for key, column in request.keys.items()}
                names = [_PLACE, *(f"__k{number}" for number in range(len(types)))]
                rows = entities.join_input(types, request.ttl, "us")
                rows = rows.select(["row", *(f"k{i}" for i in range(len(types))), "entity_timestamp", "oldest"])
                rows = rows.rename_columns([*names, "__timestamp", "__oldest"])
                joined = spark_join.join(spark, spark.createDataFrame(rows), request, files, self.filter_by_created)
                answers = joined.toArrow()
                places = np.full(len(table), -1)
                places[answers[_PLACE].to_numpy()] = np.arange(len(answers))
                indices = pa.array(places, mask=places < 0)
                for feature, name in request.features.items():
                    values = answers[name].combine_chunks().take(indices)
                    table = table.append_column(name, as_declared(values, feature, request.types[feature]))
        return table

    def of_query(self, query: str) -> "DataFrame":
        """The rows of a query with their features. Raises Feast's EntityTimestampInferenceException, and ValueError."""
        spark = self._session()
        frame = spark.sql(query)
        kinds = {name: "datetime64[ns]" if kind.startswith("timestamp") else "O" for name, kind in frame.dtypes}
        time_column = infer_event_timestamp_from_entity_df({name: np.dtype(kind) for name, kind in kinds.items()})
        if kinds[time_column] == "O":
            kind = frame.schema[time_column].dataType.simpleString()
            raise ValueError(
                f"Column {time_column!r} of the entity frame is {kind}. Select a timestamp in microseconds."
            )
        timestamp = f"unix_micros(CAST({spark_join.quoted(time_column)} AS TIMESTAMP))"
        with connect(self.config.offline_store.memory_limit) as connection:
            for request in self.requests:
                files = ParquetFiles.from_source(request.source, self.config, connection)
                oldest = f"{timestamp} - {request.ttl // _MICROSECOND}L" if request.ttl else f"{FOR_EVER}L"
                keys = [f"{spark_join.quoted(name)} AS __k{i}" for i, name in enumerate(request.keys.values())]
                frame = frame.selectExpr("*", *keys, f"{timestamp} AS __timestamp", f"{oldest} AS __oldest")
                frame = spark_join.join(spark, frame, request, files, self.filter_by_created)
        return frame

    def declared(self, table: pa.Table) -> pa.Table:
        """The table with its features in their declared types."""
        for request in self.requests:
            for feature, name in request.features.items():
                values = as_declared(table[name].combine_chunks(), feature, request.types[feature])
                table = table.set_column(table.schema.get_field_index(name), name, values)
        return table

    def _session(self) -> "SparkSession":
        """A session with settings and views of its own, of the Spark that this process has."""
        from pyspark.sql import SparkSession

        builder = SparkSession.builder
        for name, value in self.config.offline_store.spark_conf.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate().newSession()
        for name, value in _FIXED.items():
            session.conf.set(name, value)
        return session
