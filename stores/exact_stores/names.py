"""Feast's names as names of SQLite tables and columns."""

import re

from feast.infra.online_stores.helpers import compute_versioned_name
from feast.repo_config import RepoConfig


def table_name(config: RepoConfig, view: object) -> str:
    """The name of a view's table, without quotes: `rows/<project>/<view>`.

    A project's name has no `/`, so two views never share a table.
    """
    versioning = config.registry.enable_online_feature_view_versioning
    return table_prefix(config) + folded(compute_versioned_name(view, versioning))


def table_prefix(config: RepoConfig) -> str:
    """What the names of all tables of the project begin with."""
    return f"rows/{folded(config.project)}/"


def folded(name: str) -> str:
    """The name in lower case, with a `^` before each former capital and before each `^`.

    SQLite ignores case in names, and Feast does not.

    >>> folded("driverId")
    'driver^id'
    """
    return re.sub("[A-Z^]", lambda match: "^" + match[0].lower(), name)
