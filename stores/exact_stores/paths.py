"""Where the stores keep their files."""

import os
from functools import lru_cache
from pathlib import Path


def below_data(path: str, repository: Path | None) -> Path:
    """The absolute path of a `path:` in `feature_store.yaml`.

    A relative path counts from the folder that the environment variable `RISK_DATA` names, else from `data`. If that
    folder is relative too, it counts from the Feast repository's parent folder. `repository` is the folder of
    `feature_store.yaml`; None stands for the current folder.
    """
    return _resolved(repository.parent if repository else Path(), os.environ.get("RISK_DATA", "data"), path)


@lru_cache  # every online read asks for it
def _resolved(*parts: str | Path) -> Path:
    return Path(*parts).resolve()
