"""Feast's own commands on a fresh root, and the pipeline's, which do the same in its own process."""

import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import readme
from pipelines import run_again
from processes import Ended, clone_environment, environment, run

import settings
from errors import FeaturesNotReady
from features import DOMAINS
from jobs.build.work import repository
from root import Root

pytestmark = pytest.mark.slow
FEAST = Path(sys.executable).with_name("feast")
UNCHANGED = "No changes to registry"
APPLY = "import settings; from jobs.build.work import repository; repository.apply(settings.root(), print)"


def feast(command: str, root: Path, repository: Path = settings.FEATURE_REPO) -> Ended:
    """Run the `feast` command as a user does; `repository` may be in a copy of the project, with its own modules."""
    env = environment() if repository == settings.FEATURE_REPO else clone_environment(repository.parent)
    return run([FEAST, *command.split()], cwd=repository, env=env | {"RISK_DATA": str(root)})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the code that Feast needs."""
    copy = tmp_path / "project"
    for name in ("feature_repo", "stores", "jobs", "serving", "model", "simulators"):
        shutil.copytree(settings.PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in settings.PROJECT.glob("*.py"):
        shutil.copy(file, copy)
    return copy


def test_feast_apply_alone_works_on_a_fresh_root(tmp_path: Path):
    feast("apply", tmp_path / "root")
    assert UNCHANGED in feast("plan", tmp_path / "root").output
    assert {path.name for path in (tmp_path / "root").iterdir()} <= {"registry.db", "registry.lock", "online.db"}


def test_feast_apply_works_with_an_own_domain_and_none_of_ours(project: Path, tmp_path: Path):
    for domain in DOMAINS:
        for room in ("features", "views"):
            (project / "feature_repo" / room / f"{domain}.py").unlink()
    for name, text in readme.files().items():
        if name.startswith("feature_repo/") and not name.endswith("__init__.py"):
            (project / name).write_text(text)
    domains = project / "feature_repo/features/__init__.py"
    domains.write_text(re.sub(r"(?m)^DOMAINS = .*$", 'DOMAINS = ("refund_abuse",)', domains.read_text()))
    applied = feast("apply", tmp_path / "root", project / "feature_repo")
    assert "Deploying infrastructure for customer_refunds" in applied.output
    assert UNCHANGED in feast("plan", tmp_path / "root", project / "feature_repo").output
    listed = feast("feature-views list", tmp_path / "root", project / "feature_repo").output
    assert not re.search(r"driver|coupon|merchant", listed)


def test_the_pipeline_applies_what_the_feast_command_would(tmp_path: Path):
    """The constructors alone check types in the pipeline's process: the registry is the same."""
    run([sys.executable, "-c", APPLY], cwd=settings.PROJECT, env=environment(RISK_DATA=tmp_path))
    assert UNCHANGED in feast("plan", tmp_path).output


def test_a_mistake_in_a_view_ends_the_pipeline_with_what_feast_says(project: Path, tmp_path: Path):
    view = project / "feature_repo/views/coupon.py"
    view.write_text(view.read_text() + '\nwrong = Entity(name=7, join_keys=["x"], value_type=ValueType.STRING)\n')
    env = clone_environment(project) | {"RISK_DATA": str(tmp_path / "root")}
    ended = run([sys.executable, "-c", APPLY], code=1, cwd=project, env=env)
    assert "FeastFailed: feast apply failed. Feast says what to correct:" in ended.stderr
    assert f'File "{view}", line {len(view.read_text().splitlines())}, in <module>' in ended.stderr
    assert 'argument "name" (int) is not an instance of str' in ended.stderr


def rows_of(path: Path) -> dict[str, int]:
    """Table of the online store → how many rows it has."""
    with closing(sqlite3.connect(path)) as store:
        names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: store.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def truncate(path: Path) -> None:
    remove(path)
    path.touch()


def empty(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        for name in rows_of(path):
            store.execute(f'DELETE FROM "{name}"')


def lose_states(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute('DROP TABLE "rows/risk/device_attempts_state"')


@pytest.mark.parametrize("lose", [remove, truncate, empty, lose_states])
def test_an_online_store_that_lost_rows_is_filled_again(fresh_world: Path, lose: Callable[[Path], None]):
    root = Root(fresh_world)
    before = rows_of(root.online_db)
    lose(root.online_db)
    redone = [line for line in run_again(root.path).splitlines() if line.startswith("✓")]
    assert redone[0] == "✓ feast apply: done"
    assert not any(line.startswith(("✓ raw", "✓ batch", "✓ train")) for line in redone)
    after = rows_of(root.online_db)
    # The rows of a batch view may have passed its TTL meanwhile.
    least = {name: rows if name.endswith("_state") else min(rows, 1) for name, rows in before.items()}
    assert {name: rows for name, rows in least.items() if after.get(name, 0) < rows} == {}
    again = run_again(root.path)
    assert "✓" not in again


def test_a_failed_materialize_leaves_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    Root(tmp_path).registry_db.write_bytes(b"no registry")
    with pytest.raises(FeaturesNotReady, match=r"registry is damaged .* Move registry\.db and online\.db away"):
        repository.materialize(Root(tmp_path), datetime.now(UTC), print)
    assert not Root(tmp_path).materialized.exists()


def test_feast_works_on_the_root_of_the_environment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"Feast works on \$RISK_DATA"):
        repository.apply(Root(tmp_path / "other"), print)
