"""The entity frame that Feast leaves out when it is asked for a stretch of time and not for rows."""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import pandas as pd
from feast.infra.offline_stores.offline_utils import DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL
from feast.repo_config import RepoConfig

from exact_stores.names import quoted
from exact_stores.parquet_files import ParquetFiles, open_connection
from exact_stores.point_in_time import ViewRequest


def seen_entities(requests: Sequence[ViewRequest], start: datetime, end: datetime, config: RepoConfig) -> pd.DataFrame:
    """Whoever has a row in one of the views with start ≤ event time ≤ end, in order, each once, with `end` as the
    moment. Raises ValueError where the views are about different entities."""
    keyed = [request for request in requests if request.keys]
    about = {tuple(sorted(request.keys.values())) for request in keyed}
    if len(about) > 1:
        kinds = "; ".join(sorted(", ".join(columns) for columns in about))
        raise ValueError(f"The views are about different entities ({kinds}). Ask for each kind alone, or give rows.")
    frame = pd.DataFrame(index=[0])
    if keyed:
        with open_connection(config) as connection:
            queries = [_seen(request, start, end, config, connection) for request in keyed]
            frame = connection.sql(f"{' UNION '.join(queries)} ORDER BY ALL").df()
    return frame.assign(**{DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL: pd.Timestamp(end)})


def _seen(
    request: ViewRequest, start: datetime, end: datetime, config: RepoConfig, connection: duckdb.DuckDBPyConnection
) -> str:
    files = ParquetFiles.of(request.source, config, connection)
    by_column = sorted((column, files.column(key)) for key, column in request.keys.items())
    columns = ", ".join(f"{key} AS {quoted(column)}" for column, key in by_column)
    between = files.between(request.source.timestamp_field, start, end)
    return f"SELECT {columns} FROM {files.relation} WHERE {between}"
