"""Names of Feast as names of SQLite."""

import re

from feast.infra.online_stores.helpers import compute_versioned_name
from feast.repo_config import RepoConfig


def table(config: RepoConfig, view: object) -> str:
    """The name of a view's table, not quoted. A project has no `/` in its name, so that no two views share one."""
    versioning = config.registry.enable_online_feature_view_versioning
    return project(config) + folded(compute_versioned_name(view, versioning))


def project(config: RepoConfig) -> str:
    """What the names of all tables of the project begin with."""
    return f"rows/{folded(config.project)}/"


def folded(name: str) -> str:
    """Lower case, for that is all that SQLite tells apart; what was a capital has a mark before it."""
    return re.sub("[A-Z^]", lambda found: "^" + found[0].lower(), name)


def quoted(name: str) -> str:
    """As an identifier in SQL, whatever is in the name."""
    return '"' + name.replace('"', '""') + '"'
