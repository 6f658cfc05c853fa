"""The stores behind `feature_store.yaml`. Feast loads this package for every command, so here is where its faults
that no store can mend are mended, and where what it prints for ordinary use is silenced, each by its words. Feast's
own modules reset the filters as they load: they come first."""

import warnings

import feast.batch_feature_view
import feast.infra.offline_stores.duckdb
import feast.labeling.label_view
import feast.stream_feature_view  # noqa: F401

from exact_stores import described_fields

described_fields.mend()

for _words in (
    "On demand feature view is an experimental feature",
    "The `root_path` parameter is deprecated",
):
    warnings.filterwarnings("ignore", message=_words)
