"""The stores behind feature_store.yaml as the service uses them, and the settings that say where they lie."""

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore
from feast.feature_view import FeatureViewState
from feast.protos.feast.core.Registry_pb2 import Registry

import settings
from errors import BadSetting, FeaturesNotReady
from exact_stores.registry import RiskDataRegistryStore
from features.domains import risks
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RiskDataRegistryStore:
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "deep" / "root"))
    return RiskDataRegistryStore(SimpleNamespace(path="registry.db"), tmp_path)  # type: ignore[arg-type]


def test_the_registry_is_below_the_data_root_and_makes_its_folder(registry: RiskDataRegistryStore, tmp_path: Path):
    registry.update_registry_proto(Registry())
    assert [file.name for file in (tmp_path / "deep" / "root").iterdir()] == ["registry.db"]


def test_a_crash_while_the_registry_is_written_leaves_the_old_one(
    registry: RiskDataRegistryStore, monkeypatch: pytest.MonkeyPatch
):
    registry.update_registry_proto(Registry(registry_schema_version="old"))

    def crash(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(OSError, match="no space"):
        registry.update_registry_proto(Registry(registry_schema_version="new"))
    assert registry.get_registry_proto().registry_schema_version == "old"


def test_a_relative_root_counts_from_the_project_in_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RISK_DATA", "elsewhere")
    assert settings.root().path == settings.PROJECT / "elsewhere"
    monkeypatch.delenv("RISK_DATA")
    assert settings.root().path == settings.PROJECT / "data"
    monkeypatch.setenv("RISK_DATA", "")
    with pytest.raises(BadSetting, match="RISK_DATA is empty"):
        settings.root()


def test_another_store_is_refused_until_its_file_and_variables_are_there(monkeypatch: pytest.MonkeyPatch):
    assert settings.has_own_store()
    monkeypatch.setenv("RISK_STORE", "feature_repo/none.yaml")
    with pytest.raises(BadSetting, match=r"'feature_repo/none\.yaml', which is no file"):
        settings.feature_store()
    monkeypatch.setenv("RISK_STORE", "feature_repo/feature_store.scale.yaml")
    monkeypatch.setenv("RISK_REDIS", "127.0.0.1:6379")
    with pytest.raises(BadSetting, match=r"feature_store\.scale\.yaml needs RISK_REGISTRY\. Set it"):
        settings.feature_store()
    monkeypatch.setenv("RISK_REGISTRY", "postgresql+psycopg://127.0.0.1/risk")
    monkeypatch.setenv("RISK_REDIS", "")
    with pytest.raises(BadSetting, match=r"needs RISK_REDIS\. Set it"):
        settings.feature_store()
    monkeypatch.setenv("RISK_REDIS", "127.0.0.1:6379")
    assert settings.feature_store() == settings.FEATURE_REPO / "feature_store.scale.yaml"
    assert not settings.has_own_store()


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "", "５０００x"])
def test_an_invalid_port_is_refused_with_the_remedy(port: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PORT", port)
    with pytest.raises(BadSetting, match="from 1 to 65535"):
        settings.port()


@pytest.fixture
def world_copy(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a copy of the world's registry and online store, for a test that changes them."""
    for name in ("registry.db", "online.db", "online.db-wal"):
        if (world / name).exists():
            shutil.copy2(world / name, tmp_path / name)
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


def set_state(state: FeatureViewState) -> None:
    """Set the state of the view `driver_profile` in the registry."""
    store = FeatureStore(str(settings.FEATURE_REPO))
    view = store.get_feature_view("driver_profile")
    view.state = state
    store.registry.apply_feature_view(view, store.project, commit=True)


@pytest.mark.usefixtures("world_copy")
def test_old_values_are_served_while_a_view_is_materialized():
    set_state(FeatureViewState.MATERIALIZING)
    features = FeastStore(settings.FEATURE_REPO).online(risks()["daily"], {"driver_id": 1001}, datetime.now(UTC))
    assert features["state"]


@pytest.mark.usefixtures("world_copy")
def test_past_values_are_joined_while_a_view_is_materialized():
    """On its second day, the pipeline trains while it materializes, and a killed materialization leaves the state."""
    set_state(FeatureViewState.MATERIALIZING)
    now = datetime.now(UTC)
    frame = pd.DataFrame({"driver_id": [1001], "as_of": [now], "event_timestamp": [now]})
    assert FeastStore(settings.FEATURE_REPO).historical(risks()["daily"], frame)["state"].notna().all()


@pytest.mark.usefixtures("world_copy")
def test_a_view_never_materialized_is_not_ready_and_says_what_to_run():
    set_state(FeatureViewState.GENERATED)
    with pytest.raises(FeaturesNotReady, match=r"driver_profile.*make pipeline"):
        FeastStore(settings.FEATURE_REPO).online(risks()["daily"], {"driver_id": 1001}, datetime.now(UTC))


def test_a_root_without_a_registry_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    with pytest.raises(FeaturesNotReady, match="make pipeline"):
        FeastStore(settings.FEATURE_REPO).online(risks()["daily"], {"driver_id": 1001}, datetime.now(UTC))


@pytest.mark.parametrize(("waits", "synchronous"), [(True, 2), (False, 1)])
def test_writes_of_states_alone_do_not_wait_for_the_disk(in_world: Path, waits: bool, synchronous: int):
    store = FeastStore(settings.FEATURE_REPO, waits_for_disk=waits)._store
    online: Any = store._get_provider().online_store
    with online._file(store.config).writing() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)


def test_threads_read_while_others_write(in_world: Path):
    """With one shared connection this fails with a commit or cursor error. Each thread has its own."""
    store = FeatureStore(str(settings.FEATURE_REPO))
    now = pd.Timestamp.now("UTC")
    failures: list[Exception] = []

    def write(first: int) -> None:
        for driver_id in range(first, first + 25):
            row = {"driver_id": driver_id, "state": "CA", "event_timestamp": now, "created": now}
            store.write_to_online_store("driver_profile", pd.DataFrame([row]))

    def read(first: int) -> None:
        for driver_id in range(first, first + 25):
            store.get_online_features(["driver_profile:state"], [{"driver_id": driver_id}]).to_dict()

    def guarded(function: Callable[[int], None], first: int) -> None:
        try:
            function(first)
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=guarded, args=(function, 900_000 + 100 * i))
        for i in range(4)
        for function in (write, read)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    drivers = [{"driver_id": 900_000 + 100 * i + n} for i in range(4) for n in range(25)]
    assert store.get_online_features(["driver_profile:state"], drivers).to_dict()["state"] == ["CA"] * 100


def test_an_empty_hash_key_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_HASH_KEY", "")
    with pytest.raises(BadSetting, match="RISK_HASH_KEY is empty"):
        settings.hash_key()
