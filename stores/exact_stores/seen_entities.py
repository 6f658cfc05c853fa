"""The entity frame of `get_historical_features` with a range of time instead of an entity frame."""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import pandas as pd
from feast.infra.offline_stores.offline_utils import DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL
from feast.repo_config import RepoConfig

from exact_stores.entity_frame import to_pandas
from exact_stores.parquet_files import ParquetFiles
from exact_stores.point_in_time import ViewRequest
from exact_stores.sql import identifier
from exact_stores.utc_duckdb import connect


def seen_entities(requests: Sequence[ViewRequest], start: datetime, end: datetime, config: RepoConfig) -> pd.DataFrame:
    """Each entity that has a row in one of the views from `start` to `end`, both included.

    One row for each entity, sorted, with its join keys and `end` as its `event_timestamp`. Raises ValueError if the
    views are about different entities.
    """
    requests_with_keys = [request for request in requests if request.keys]
    entity_kinds = {tuple(sorted(request.keys.values())) for request in requests_with_keys}
    if len(entity_kinds) > 1:
        kinds = "; ".join(sorted(", ".join(columns) for columns in entity_kinds))
        raise ValueError(
            f"The views are about different entities ({kinds}). Ask for each kind alone, or give an entity frame."
        )
    frame = pd.DataFrame(index=[0])
    if requests_with_keys:
        with connect(config.offline_store.memory_limit) as connection:
            queries = [_entities_query(request, start, end, config, connection) for request in requests_with_keys]
            frame = to_pandas(connection.sql(f"{' UNION '.join(queries)} ORDER BY ALL").to_arrow_table())
    return frame.assign(**{DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL: pd.Timestamp(end)})


def _entities_query(
    request: ViewRequest, start: datetime, end: datetime, config: RepoConfig, connection: duckdb.DuckDBPyConnection
) -> str:
    files = ParquetFiles.from_source(request.source, config, connection)
    keys = sorted((column, files.column(key)) for key, column in request.keys.items())
    columns = ", ".join(f"{key} AS {identifier(column)}" for column, key in keys)
    between = files.between(request.source.timestamp_field, start, end)
    is_whole = " AND ".join(f"NOT {files.is_missing(key)}" for key in request.keys)
    return f"SELECT {columns} FROM {files.relation} WHERE ({between}) AND {is_whole}"
