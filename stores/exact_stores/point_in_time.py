"""The point-in-time join of one feature view, as SQL for DuckDB.

It goes in two steps. An ASOF join over keys and times alone finds, for each moment, the time of the latest row. Then
the rows of just these keys and times are fetched, with their features. A row that was corrected has several versions
of one key and time: only if there are any is it looked at which of them was known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
from feast import FeatureView, FileSource
from feast.feature_view import DUMMY_ENTITY_ID
from feast.repo_config import RepoConfig

from exact_stores.entity_frame import FOR_EVER, EntityFrame
from exact_stores.parquet_files import ParquetFiles, is_local_parquet

_ROWS = """
WITH versions AS NOT MATERIALIZED (
    SELECT {columns}, {time} AS happened, {created} AS created, file_index, file_row_number FROM {files} WHERE {span}
), latest AS MATERIALIZED (
    {latest}
)
SELECT latest.row, latest.moment, {features}, created, file_index, file_row_number
FROM latest JOIN versions ON {on_keys} latest.happened = versions.happened
"""
_LATEST = """
SELECT moments.*, past.happened
FROM moments ASOF JOIN (SELECT {keys} happened FROM versions {asked}) past ON {on_keys} moments.moment >= past.happened
WHERE past.happened >= moments.oldest
"""
#: Only rows that were written by the moment count at all: no ASOF join, for two columns bound them.
_LATEST_WRITTEN = """
SELECT moments.*, max(past.happened) AS happened
FROM moments JOIN versions past ON {on_keys} past.happened BETWEEN moments.oldest AND moments.moment
    AND past.created <= moments.moment
GROUP BY ALL
"""
#: Of the versions of a row: the last that was known; if none was, the first written; if that is not told, the last.
_KNOWN = """
SELECT position FROM (
    SELECT *, coalesce(created <= moment, true) AS known, coalesce(created, {for_ever}) AS written FROM versions
)
QUALIFY row_number() OVER (
    PARTITION BY row ORDER BY known DESC, if(known, written, -written) DESC, file_index DESC, file_row_number DESC
) = 1
"""


#: Moments are few if a view has so many times as many rows: then it pays to look for the rows of their keys first.
_FEW = 10


@dataclass(frozen=True)
class ViewRequest:
    """What is asked of one view: its join key → the frame's column, its feature → the name in the answer."""

    source: FileSource
    ttl: timedelta | None
    keys: Mapping[str, str]
    features: Mapping[str, str]

    @staticmethod
    def of(view: FeatureView, feature_refs: list[str], full_feature_names: bool) -> "ViewRequest":
        assert is_local_parquet(view.batch_source)
        projection = view.projection
        asked = [ref.removeprefix(f"{projection.name_to_use()}:") for ref in feature_refs]
        asked = [name for name, ref in zip(asked, feature_refs, strict=True) if name != ref]
        prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
        joined = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
        return ViewRequest(
            source=view.batch_source,
            ttl=view.ttl,
            keys={key: projection.join_key_map.get(key, key) for key in joined},
            features={name: prefix + name for name in asked},
        )

    def answer(
        self, entities: EntityFrame, config: RepoConfig, connection: duckdb.DuckDBPyConnection, only_written: bool
    ) -> pa.Table:
        """The features at each row's moment, in the rows' order, null where there is none.

        `only_written` leaves out what was written after the moment (Feast's `filter_by_created_timestamp`).
        """
        files = ParquetFiles.of(self.source, config, connection)
        found = self._found(files, entities, only_written)
        chosen = _chosen(found, connection)
        positions = np.full(len(entities.rows), -1)
        positions[found["row"].to_numpy()[chosen]] = chosen
        features = found.select([f"f{i}" for i in range(len(self.features))]).combine_chunks()
        answer = features.take(pa.array(positions, mask=positions < 0))
        return answer.rename_columns(list(self.features.values()))

    def _found(self, files: ParquetFiles, entities: EntityFrame, only_written: bool) -> pa.Table:
        """For each row that has one, the latest row of the source, in all its versions; features as `f0`, `f1`, …"""
        event, written = self.source.timestamp_field, self.source.created_timestamp_column
        unit = "ns" if any(files.type_of(name).endswith("_NS") for name in (event, written) if name) else "us"
        keys = {column: files.type_of(key) for key, column in self.keys.items()}
        moments = entities.moments(keys, self.ttl, unit)
        key_names = [f"k{i}" for i in range(len(keys))]
        columns = [f"{files.column(key)} AS {name}" for key, name in zip(self.keys, key_names, strict=True)]
        columns += [f"{files.column(feature)} AS f{i}" for i, feature in enumerate(self.features)]
        latest = _LATEST_WRITTEN if only_written and written else _LATEST
        files.connection.register("moments", moments)
        query = _ROWS.format(
            columns=", ".join(columns),
            time=files.time(event, unit),
            created=files.time(written, unit) if written else "NULL::BIGINT",
            files=files.relation,
            span=files.between(event, *entities.span(self.ttl)),
            latest=latest.format(
                keys="".join(f"{name}, " for name in key_names),
                asked=_asked(key_names) if moments.num_rows * _FEW < files.row_count else "",
                on_keys="".join(f"moments.{name} = past.{name} AND " for name in key_names),
            ),
            features=", ".join(f"f{i}" for i in range(len(self.features))),
            on_keys="".join(f"latest.{name} = versions.{name} AND " for name in key_names),
        )
        if only_written and written:
            query += " WHERE created <= latest.moment"
        return files.connection.sql(query).to_arrow_table()


def _asked(key_names: list[str]) -> str:
    """Rows of other keys are not worth sorting, where there are many."""
    on = " AND ".join(f"versions.{name} = moments.{name}" for name in key_names)
    return f"SEMI JOIN moments ON {on}" if on else ""


def _chosen(found: pa.Table, connection: duckdb.DuckDBPyConnection) -> np.ndarray:
    """The positions in `found` of the versions that answer: one for each row."""
    rows = found["row"].to_numpy()
    is_one_of_several = np.bincount(rows)[rows] > 1
    several = np.flatnonzero(is_one_of_several)
    if not len(several):
        return np.arange(len(rows))
    versions = found.select(["row", "moment", "created", "file_index", "file_row_number"]).take(several)
    connection.register("versions", versions.append_column("position", pa.array(several)))
    known = connection.sql(_KNOWN.format(for_ever=FOR_EVER)).to_arrow_table()["position"].to_numpy()
    return np.append(np.flatnonzero(~is_one_of_several), known)
