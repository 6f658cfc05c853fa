"""`feast apply` and `feast materialize-incremental`, in this process: starting Feast takes seconds, and the other steps
need it here anyway."""

import io
import json
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import settings
from errors import FeastFailed, RiskError
from files import read_only
from jobs.build.work import OnPart
from jobs.sql import identifier
from root import Root


def stores(root: Root) -> list[Path]:
    """The registry, the online store, and a mark: which tables of the online store have rows. Where
    they are servers, there are no files, and what they hold is for Feast to say."""
    return [root.registry_db, root.online_db, root.materialized] if settings.has_own_store() else []


def apply(root: Root, on_part: OnPart) -> str:
    """The registry remembers up to which time the online store is filled. So if one of them is lost, the other one is
    made again too. Raises as `_run`."""
    if not all(path.exists() for path in stores(root)[:2]):
        for path in [*stores(root), *root.path.glob("online.db-*")]:
            path.unlink(missing_ok=True)

    def feast_apply() -> None:
        from feast.repo_config import load_repo_config
        from feast.repo_operations import apply_total

        from serving.store_faults import configured

        with configured(settings.feature_store()):
            config = load_repo_config(settings.FEATURE_REPO, settings.feature_store())
        apply_total(config, settings.FEATURE_REPO, skip_source_validation=False)

    return _run(root, "feast apply", feast_apply, on_part)


def materialize(root: Root, now: datetime, on_part: OnPart) -> str:
    """Raises as `_run`."""

    def feast_materialize() -> None:
        from feast import FeatureStore

        from serving.store_faults import configured

        with configured(settings.feature_store()):
            store = FeatureStore(str(settings.FEATURE_REPO), fs_yaml_file=settings.feature_store())
        store.materialize_incremental(now.astimezone(UTC).replace(microsecond=0))

    summary = _run(root, "feast materialize-incremental", feast_materialize, on_part)
    root.materialized.write_text(json.dumps(sorted(_with_rows(root))))
    return summary


def is_filled(root: Root) -> bool:
    """Whether the online store in the root has rows in all tables that had some when it was filled. It reads the file
    itself: the import of Feast would take longer than all else that a fresh pipeline does."""
    try:
        had = set(json.loads(root.materialized.read_text()))
    except (OSError, ValueError):  # an older version wrote an empty mark
        return False
    return had <= _with_rows(root)


def _with_rows(root: Root) -> set[str]:
    """The tables of the online store that have rows; none where its file cannot be read."""
    try:
        with read_only(root.online_db) as store:
            names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name for name in names if store.execute(f"SELECT 1 FROM {identifier(name)} LIMIT 1").fetchone()}
    except sqlite3.DatabaseError:
        return set()


def _run(root: Root, command: str, work: Callable[[], None], on_part: OnPart) -> str:
    """What Feast prints, which is much, is shown only if it fails. Raises BadSetting, FeaturesNotReady, FeastFailed."""
    if settings.root() != root:  # the views and the stores read it, and the views only once
        raise ValueError(f"Feast works on $RISK_DATA, which is {settings.root()}, and not on {root}.")
    output = io.StringIO()
    try:
        with _as_the_command_does(), redirect_stdout(output), redirect_stderr(output):
            from serving import feast_import  # noqa: F401  first: it makes the import of Feast fast
            from serving.store_faults import explained

            with explained():
                work()
    except RiskError:
        raise
    except (Exception, SystemExit) as error:
        shown = "" if isinstance(error, SystemExit) else traceback.format_exc()
        raise FeastFailed(f"{command} failed. Feast says what to correct:\n{output.getvalue()}{shown}") from None
    on_part("done")
    return "done"


@contextmanager
def _as_the_command_does() -> Iterator[None]:
    """In the folder of the repository, with its modules on Python's path. Afterwards as it was."""
    path, writes_no_bytecode = sys.path.copy(), sys.dont_write_bytecode
    sys.path.append(str(settings.FEATURE_REPO))
    try:
        with chdir(settings.FEATURE_REPO):
            yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = writes_no_bytecode
