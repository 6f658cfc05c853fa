"""What Feast gets back from the offline store: a question that is answered when it is read."""

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
    """A `read` that gives an Arrow table, each time anew.

    `to_arrow` gives integers with nulls as such; `to_df` as pandas and Feast do, as floats. The columns of
    `entity_rows` are in `to_df` the very ones that were given, whatever their dtype.
    """

    read: Callable[[], pa.Table]
    repo_path: str
    full_feature_names: bool = False  # type: ignore[assignment]
    on_demand_feature_views: Sequence[OnDemandFeatureView] = ()  # type: ignore[assignment]
    metadata: RetrievalMetadata | None = None  # type: ignore[assignment]
    entity_rows: pd.DataFrame | None = None

    def to_df(self, validation_reference: ValidationReference | None = None, timeout: int | None = None) -> Any:
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
        """Writes the whole answer, on-demand features too. Raises SavedDatasetLocationAlreadyExists."""
        table = ibis.memtable(self.to_arrow(timeout=timeout))
        _write_data_source(table, storage.to_data_source(), self.repo_path, "overwrite", allow_overwrite)
