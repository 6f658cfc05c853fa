"""An option that is wrong in `feature_store.yaml` is refused by name when the repository is loaded."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from feast import FeatureStore
from feast.repo_config import FeastConfigError
from small import DRIVER

from exact_stores.sqlite_file import OnlineStoreError

pytestmark = pytest.mark.slow

CONFIG: dict[str, Any] = {
    "project": "small",
    "provider": "local",
    "registry": {"registry_store_type": "exact_stores.registry.RiskDataRegistryStore", "path": "registry.db"},
    "online_store": {"type": "exact_stores.online.WideSqliteOnlineStore", "path": "online.db"},
    "offline_store": {"type": "exact_stores.offline.AsofDuckDBOfflineStore"},
    "batch_engine": {"type": "exact_stores.engine.ArrowComputeEngine"},
    "entity_key_serialization_version": 3,
}


def loaded(folder: Path, part: str, **options: Any) -> FeatureStore:
    config = CONFIG | {part: CONFIG[part] | options}
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
    return FeatureStore(str(folder))


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        ("online_store", {"synchronus": "full"}, "synchronus\n.*not permitted"),
        ("online_store", {"synchronous": "off"}, "'full' or 'normal'"),
        ("online_store", {"path": 5}, "valid string"),
        ("online_store", {"path": ""}, "'' is no path of a file. Write one"),
        ("online_store", {"path": "s3://bucket/online.db"}, "no path of a file"),
        ("online_store", {"path": "/"}, "/ is a folder. Write the path of a file"),
        ("online_store", {"path": "/dev/null/online.db"}, "is below /dev/null, which is no folder"),
        ("offline_store", {"memory_limits": "1GB"}, "memory_limits\n.*not permitted"),
        ("offline_store", {"memory_limit": "plenty"}, "'plenty' is no size of memory .* such as 500MB or 4GB"),
        ("offline_store", {"memory_limit": "1"}, "'1' is no size of memory"),
        ("offline_store", {"memory_limit": ""}, "'' is no size of memory"),
        ("offline_store", {"memory_limit": 1000}, "valid string"),
        ("registry", {"cache_ttl": 5}, "options cache_ttl, which there are not.*cache_ttl_seconds"),
        ("registry", {"cache_ttl_seconds": "5"}, "valid integer"),
        ("registry", {"path": ""}, "'' is no path of a file"),
        ("registry", {"path": "/dev/null/registry.db"}, "is below /dev/null"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_by_name(part: str, options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises((FeastConfigError, ValueError), match=f"(?s){message}"):
        loaded(tmp_path, part, **options).registry  # noqa: B018 Feast opens it when it is first used


@pytest.mark.parametrize("options", [{"overlap": 5}, {"overlap_seconds": -1}, {"overlap_seconds": "1h"}], ids=str)
def test_a_wrong_option_of_the_engine_is_refused_by_apply(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "data"))
    (name,) = options
    with pytest.raises(ValueError, match=f"ArrowComputeEngineConfig\n{name}\n"):
        loaded(tmp_path, "batch_engine", **options).apply([DRIVER])


def test_a_relative_path_is_used_where_it_counts_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "online.db").mkdir(parents=True)
    with pytest.raises(OnlineStoreError, match=r"data/online\.db: .* This is a folder"):
        loaded(tmp_path, "online_store").apply([DRIVER])


@pytest.mark.parametrize("memory_limit", ["500MB", "1.5 GiB", "2000000KB"])
def test_a_right_size_of_memory_is_taken(memory_limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "data"))
    assert loaded(tmp_path, "offline_store", memory_limit=memory_limit).config.offline_store.memory_limit
