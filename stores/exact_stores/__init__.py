"""Feast stores on SQLite, Parquet and DuckDB: exact in time, and safe in a crash.

Importing this package changes Feast, and it is the only package here that does anything on import. Feast imports it
for every command, so this is the place to mend what no store can mend, and to silence two warnings of ordinary use,
each by its text. Some of Feast's modules reset the warning filters when they load, so they are imported first.
"""

import warnings

import feast.batch_feature_view
import feast.infra.offline_stores.duckdb
import feast.labeling.label_view
import feast.stream_feature_view  # noqa: F401

from exact_stores import apply_output, described_fields, pushes, registry_faults, registry_lock, schema_notes

described_fields.mend()
apply_output.mend()
pushes.mend()
registry_faults.mend()
registry_lock.mend()
schema_notes.mend()

for _text in (
    "On demand feature view is an experimental feature",
    "The `root_path` parameter is deprecated",
):
    warnings.filterwarnings("ignore", message=_text)
