"""`feast apply` says which features and keys a view's files do not have, or have in a type that they cannot be.

Feast 0.67 compares nothing. The view is applied all the same: files that have the column may be written later.
"""

from collections.abc import Iterator
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore, FeatureView
from feast.feature_view import DUMMY_ENTITY_ID
from feast.repo_config import RepoConfig

from exact_stores.declared import can_be
from exact_stores.file_listing import hive_partitions, list_files
from exact_stores.parquet_files import is_local_parquet, local_path


def mend() -> None:
    """Replace a method of Feast's class, for the whole process. Calling it again changes nothing."""
    store: Any = FeatureStore
    if hasattr(store._make_inferences, "feasts_own"):
        return
    feasts_own = store._make_inferences

    def make_inferences(self: Any, sources: Any, entities: Any, views: Any, odfvs: Any, sfvs: Any, *more: Any) -> None:
        feasts_own(self, sources, entities, views, odfvs, sfvs, *more)
        if hasattr(self._get_provider().offline_store, "pull_changed"):
            for note in (note for view in (*views, *sfvs) for note in notes(view, self.config)):
                click.echo(note, err=True)

    make_inferences.feasts_own = feasts_own  # type: ignore[attr-defined]
    store._make_inferences = make_inferences


def notes(view: FeatureView, config: RepoConfig) -> Iterator[str]:
    """A sentence for each feature or key that cannot be read. None while there is no file, or for a view that computes
    its features."""
    source: Any = view.batch_source
    is_computed = any(getattr(view, name, None) for name in ("feature_transformation", "aggregations", "source_views"))
    if is_computed or not is_local_parquet(source):
        return
    path = local_path(source, config)
    original = {feature: column for column, feature in (source.field_mapping or {}).items()}
    fields = {original.get(field.name, field.name): field for field in view.features}
    fields |= {original.get(key.name, key.name): key for key in view.entity_columns if key.name != DUMMY_ENTITY_ID}
    try:
        types, partitions = _types(path, set(fields)), hive_partitions(path)
    except FileNotFoundError:
        return
    for column, field in fields.items():
        subject, kind = f"The view {view.name!r} has {field.name!r}", field.dtype.to_value_type()
        if column not in types and field.name not in types and column not in partitions:
            yield (
                f"{subject}, and no file of {path} has a column {column!r}. It cannot be read until one has. "
                "Write the column, or correct the view's schema or the source's field_mapping."
            )
        elif column in types and not can_be(types[column], kind):
            yield (
                f"{subject} of type {kind.name}, and its column in {path} holds {types[column]}. It cannot be read. "
                "Declare the type that the column holds, or write the declared one."
            )


def _types(path: str, columns: set[str]) -> dict[str, pa.DataType]:
    """Column → its type in the newest file that has it. Reads older files only for columns that newer ones lack."""
    types: dict[str, pa.DataType] = {}
    for file in reversed(list_files(path)):
        types = {field.name: field.type for field in pq.read_schema(file)} | types
        if columns <= types.keys():
            break
    return types
