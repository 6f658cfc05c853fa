"""What the offline store returns to Feast: a query that runs when its rows are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.offline_stores.duckdb import _write_data_source
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage, ValidationReference

from exact_stores.entity_frame import WHOLE_NUMBERS

#: Up to here, every whole number is a float of 64 bits.
_LARGEST_FLOAT = 2**53


@dataclass
class ArrowRetrievalJob(RetrievalJob):
    """A retrieval job on `read`, a function that runs the query and returns an Arrow table. Each read runs it again.

    `to_arrow` keeps integers with nulls as integers. `to_df` makes floats of them, as pandas and Feast do, unless a
    float would change one. It returns the columns of `entity_rows` as they were given, with their dtypes.
    """

    read: Callable[[], pa.Table]
    repo_path: str
    full_feature_names: bool = False
    on_demand_feature_views: Sequence[OnDemandFeatureView] = ()  # type: ignore[assignment]
    metadata: RetrievalMetadata | None = None
    entity_rows: pd.DataFrame | None = None

    def to_df(self, validation_reference: ValidationReference | None = None, timeout: int | None = None) -> Any:
        """The rows as a pandas data frame, with on-demand features. `timeout` is ignored."""
        frame = _to_pandas(self.to_arrow(validation_reference, timeout))
        if self.entity_rows is not None:
            for name in self.entity_rows.columns:
                frame[name] = self.entity_rows[name].array
        return frame

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self.read()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return _to_pandas(self.read())

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write all rows and features, on-demand features too, to the storage.

        Raises SavedDatasetLocationAlreadyExists if files lie there and `allow_overwrite` is false.
        """
        table = ibis.memtable(self.to_arrow(timeout=timeout))
        _write_data_source(table, storage.to_data_source(), self.repo_path, "overwrite", allow_overwrite)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """pandas would make floats of whole numbers in a structure, and pairs of a map."""
    frame = table.to_pandas()
    for name, values in zip(table.column_names, table.columns, strict=True):
        if _holds_records(values.type):
            frame[name] = pd.Series(values.to_pylist(maps_as_pydicts="strict"), dtype=object)
        elif pa.types.is_integer(values.type) and values.null_count and _is_beyond_floats(values):
            frame[name] = values.to_pandas(types_mapper=WHOLE_NUMBERS.get)
    return frame


def _holds_records(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _holds_records(kind.value_type)
    return bool(pa.types.is_struct(kind) or pa.types.is_map(kind))


def _is_beyond_floats(values: pa.ChunkedArray) -> bool:
    """Whether a number is so large that not every whole number of its size is a float."""
    ends = pc.min_max(values).values()
    return any(abs(end.as_py() or 0) > _LARGEST_FLOAT for end in ends)
