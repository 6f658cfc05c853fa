"""The folder `stores/` is a package of its own: it installs beside Feast alone, and the way back to Feast's stores is
open. Its old dotted names still load."""

import doctest
import importlib
import json
import os
import pkgutil
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from offline_world import at
from processes import Ended, run
from small import frame

import exact_stores
import settings

pytestmark = pytest.mark.slow

FEAST = "feast[duckdb]==0.67.0"
#: Modules that need an extra. None of them has examples in its docstrings.
OF_EXTRAS = ("redis_", "spark_")
MODULES = [
    module.name for module in pkgutil.iter_modules(exact_stores.__path__) if not module.name.startswith(OF_EXTRAS)
]
#: They came after the package got its name.
WITHOUT_OLD_NAMES = ("exact_online", "feast_rows", "registry_lock")

EXACT = """
project: tiny
provider: local
registry: {registry_store_type: exact_stores.registry.RiskDataRegistryStore, path: registry.db}
online_store: {type: exact_stores.online.WideSqliteOnlineStore, path: online.db}
offline_store: {type: exact_stores.offline.AsofDuckDBOfflineStore}
batch_engine: {type: exact_stores.engine.ArrowComputeEngine}
entity_key_serialization_version: 3
"""
STOCK = """
project: tiny
provider: local
registry: ../data/registry.db
online_store: {type: sqlite, path: ../data/stock.db}
offline_store: {type: duckdb}
batch_engine: {type: local}
entity_key_serialization_version: 3
"""
DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
rows = FileSource(name="rows", path={path!r}, timestamp_field="event_timestamp", created_timestamp_column="created")
stats = FeatureView(
    name="stats", entities=[driver], source=rows, ttl=timedelta(days=9999), schema=[Field(name="trips", dtype=Int64)]
)
"""
#: Applies and materializes with Feast's own commands, reads online and at past timestamps, and prints all as JSON.
RUN = """
import json
import sys
from importlib.util import find_spec

import pandas as pd
from feast import FeatureStore
from feast.cli.cli import cli

repository = sys.argv[1]
for command in (["apply"], ["materialize", "2026-01-01T00:00:00", "2026-03-02T00:00:00"]):
    cli(["-c", repository, *command], standalone_mode=False)
store = FeatureStore(repository)
provider = store._get_provider()
online = store.get_online_features(["stats:trips"], [{"driver_id": driver} for driver in (1, 2, 3)]).to_dict()
timestamps = pd.to_datetime(["2026-03-01T12:01Z", "2026-03-01T12:10Z", "2026-03-01T12:04Z", "2026-03-01T12:06Z"])
entity_frame = pd.DataFrame({"driver_id": [1, 1, 2, 2], "event_timestamp": timestamps})
past = store.get_historical_features(entity_frame, ["stats:trips"]).to_arrow()
past = past.sort_by([("driver_id", "ascending"), ("event_timestamp", "ascending")])
last_run = getattr(provider.online_store, "last_run", lambda *_: None)(store.config, store.get_feature_view("stats"))
print("RESULT", json.dumps({
    "classes": [type(part).__name__ for part in (provider.online_store, provider.offline_store, provider.batch_engine)],
    "online": online["trips"],
    "past": past["trips"].to_pylist(),
    "is_copied_as_arrow": last_run is not None,
    "importable": [name for name in ("stores", "settings", "errors", "exact_stores") if find_spec(name)],
}))
"""
VALUES = {"online": [11, 20, None], "past": [10, 11, None, 20]}


def run_outside(command: list[str | Path], folder: Path) -> Ended:
    """Run a command in `folder`, outside the repository: no RISK_DATA, and no path to our modules."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RISK_DATA", "PYTHONPATH")}
    return run(command, cwd=folder, env=environment)


def make_repository(folder: Path) -> Path:
    """A Feast repository with one view on one Parquet file."""
    repository = folder / "feature_repo"
    repository.mkdir()
    (repository / "definitions.py").write_text(DEFINITIONS.format(path=str(folder / "rows.parquet")))
    frame((1, at(0), at(0), 10), (1, at(10), at(10), 11), (2, at(5), at(5), 20)).to_parquet(folder / "rows.parquet")
    return repository


def results(python: Path, repository: Path, yaml: str) -> tuple[dict[str, list[object]], str]:
    """What RUN prints on these stores, and what it writes to its standard error."""
    (repository / "feature_store.yaml").write_text(yaml)
    process = run_outside([python, "-c", RUN, repository], repository.parent)
    (line,) = (line for line in process.stdout.splitlines() if line.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT")), process.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the folder `stores/`, with nothing else of the repository beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        settings.PROJECT / "stores", folder / "stores", ignore=shutil.ignore_patterns("build", "*.egg-info")
    )
    build = ["build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    uv(*build, "--out-dir", folder, folder / "stores")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """The Python of a fresh environment that holds Feast, in the pinned versions, and the wheel."""
    environment = wheel.parent / "environment"
    uv("venv", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    install(python, FEAST)
    before = uv("pip", "freeze", "--python", python).stdout.splitlines()
    install(python, str(wheel))
    after = uv("pip", "freeze", "--python", python).stdout.splitlines()
    assert [line.split("==")[0].split(" @ ")[0] for line in after if line not in before] == ["exact-stores"]
    return python


def uv(*arguments: str | Path, code: int | None = 0) -> Ended:
    """Run uv."""
    return run([Path(sysconfig.get_path("scripts"), "uv"), *arguments], code=code)


def install(python: Path, requirement: str) -> None:
    """Install the pinned versions, from uv's cache if it has them: `make setup` filled it."""
    command = ["pip", "install", "--python", python, "--constraint", settings.PROJECT / "requirements.txt", requirement]
    if uv(*command, "--offline", code=None).code:
        uv(*command)


def test_the_wheel_holds_one_package_and_its_licence(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"exact_stores", "exact_stores-0.1.0.dist-info"}
    assert {"exact_stores/py.typed", *(f"exact_stores/{module}.py" for module in MODULES)} <= set(names)
    assert "exact_stores-0.1.0.dist-info/licenses/LICENSE" in names


def test_the_wheel_works_beside_feast_alone_and_feast_takes_over(python: Path, tmp_path: Path):
    repository = make_repository(tmp_path)
    exact, _ = results(python, repository, EXACT)
    assert exact == VALUES | {
        "classes": ["WideSqliteOnlineStore", "AsofDuckDBOfflineStore", "ArrowComputeEngine"],
        "is_copied_as_arrow": True,
        "importable": ["exact_stores"],
    }
    stock, _ = results(python, repository, STOCK)
    assert stock == VALUES | {
        "classes": ["SqliteOnlineStore", "DuckDBOfflineStore", "LocalComputeEngine"],
        "is_copied_as_arrow": False,
        "importable": ["exact_stores"],
    }


def test_old_names_in_a_yaml_load_existing_files_and_warn_once(tmp_path: Path):
    python = Path(sys.executable)
    repository = make_repository(tmp_path)
    new, no_warning = results(python, repository, EXACT)
    old, warning = results(python, repository, EXACT.replace("exact_stores.", "stores."))
    assert old == new
    assert {name: new[name] for name in VALUES} == VALUES
    assert "exact_stores" not in no_warning
    assert warning.count("FutureWarning") == 1
    assert "write exact_stores.online.WideSqliteOnlineStore for stores.online.WideSqliteOnlineStore" in warning


@pytest.mark.filterwarnings("ignore:The package `stores` is now called:FutureWarning")
def test_old_names_are_the_same_modules_and_nothing_else():
    for name in set(MODULES).difference(WITHOUT_OLD_NAMES):
        assert importlib.import_module(f"stores.{name}") is importlib.import_module(f"exact_stores.{name}")
    for name in ("stores.exact_stores", "stores.exact_stores.online", "stores.exact_online", "stores.missing"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_right(name: str):
    assert doctest.testmod(importlib.import_module(f"exact_stores.{name}")).failed == 0
