"""Where the stores keep their files."""

import os
from functools import lru_cache
from pathlib import Path


def below_data(path: str, repository: Path | None) -> Path:
    """The absolute path of a `path:` in `feature_store.yaml`.

    A relative one counts from the folder that the environment variable `RISK_DATA` names, else from `data`; and where
    that is relative too, it lies beside the Feast repository."""
    return _resolved(repository.parent if repository else Path(), os.environ.get("RISK_DATA", "data"), path)


@lru_cache  # each online read asks
def _resolved(*parts: str | Path) -> Path:
    return Path(*parts).resolve()
