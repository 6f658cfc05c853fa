"""What the offline store returns to Feast: a query that runs when its rows are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.duckdb import _write_data_source
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage, ValidationReference


@dataclass
class ArrowRetrievalJob(RetrievalJob):
    """A retrieval job on `read`, a function that runs the query and returns an Arrow table. Each read runs it again.

    `to_arrow` keeps integers with nulls as integers. `to_df` makes floats of them, as pandas and Feast do, except in
    the columns of `entity_rows`: `to_df` returns those as they were given, with their dtypes.
    """

    read: Callable[[], pa.Table]
    repo_path: str
    full_feature_names: bool = False
    on_demand_feature_views: Sequence[OnDemandFeatureView] = ()  # type: ignore[assignment]
    metadata: RetrievalMetadata | None = None
    entity_rows: pd.DataFrame | None = None

    def to_df(self, validation_reference: ValidationReference | None = None, timeout: int | None = None) -> Any:
        """The rows as a pandas data frame, with on-demand features. `timeout` is ignored."""
        frame = super().to_df(validation_reference, timeout)
        if self.entity_rows is not None:
            for name in self.entity_rows.columns:
                frame[name] = self.entity_rows[name].array
        return frame

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self.read()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self.read().to_pandas()

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write all rows and features, on-demand features too, to the storage.

        Raises SavedDatasetLocationAlreadyExists if files lie there and `allow_overwrite` is false.
        """
        table = ibis.memtable(self.to_arrow(timeout=timeout))
        _write_data_source(table, storage.to_data_source(), self.repo_path, "overwrite", allow_overwrite)
