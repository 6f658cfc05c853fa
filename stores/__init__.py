"""The stores behind `feature_store.yaml`. Feast loads this package for every command, so here is where its faults
that no store can mend are mended, and where what it prints for ordinary use is silenced, each by its words. Feast's
own modules reset the filters as they load: they come first."""

import logging
import warnings
from glob import glob

import feast.batch_feature_view
import feast.infra.offline_stores.duckdb
import feast.labeling.label_view
import feast.stream_feature_view  # noqa: F401

from stores import described_fields

described_fields.mend()

for _words in (
    "On demand feature view is an experimental feature",
    r"fetch_arrow_table\(\) is deprecated",
    "The `root_path` parameter is deprecated",
):
    warnings.filterwarnings("ignore", message=_words)


def _is_about_a_missing_source(record: logging.LogRecord) -> bool:
    """Feast takes a source's glob for the name of one file, and warns that it is missing where it is not."""
    path = str(record.args[0]) if isinstance(record.args, tuple) and record.args else ""
    return not ("*" in path and glob(path, recursive=True))


logging.getLogger("feast.infra.offline_stores.file_source").addFilter(_is_about_a_missing_source)
