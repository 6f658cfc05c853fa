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


def require_place(path: str) -> None:
    """Check that a file can lie at the `path:` of an option. Where a relative path counts from is not known yet.

    Raises ValueError if the path is empty, an address, a folder, or below a file.
    """
    if not path or "://" in path or "\0" in path:
        raise ValueError(f"{path!r} is no path of a file. Write one on this machine, such as online.db.")
    place = Path(path)
    if not place.is_absolute():
        return
    if place.is_dir():
        raise ValueError(f"{path} is a folder. Write the path of a file in it.")
    if file := next((parent for parent in place.parents if parent.exists() and not parent.is_dir()), None):
        raise ValueError(f"{path} is below {file}, which is no folder. Write a path in a folder.")


@lru_cache  # every online read asks for it
def _resolved(*parts: str | Path) -> Path:
    return Path(*parts).resolve()
