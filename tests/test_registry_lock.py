"""Two processes that change one registry file at once lose nothing of each other."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from feast import FeatureStore
from small import DRIVER, NOON, frame, repository, view

pytestmark = pytest.mark.slow

#: Long enough for a thread that waits for nothing.
MOMENT_SECONDS = 2
HOUR = timedelta(hours=1)


def opened(root: Path) -> FeatureStore:
    """The repository, as another process opens it."""
    return repository(root, registry={"registry_store_type": "exact_stores.registry.RiskDataRegistryStore"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    frame((1, NOON, NOON, 5)).to_parquet(tmp_path / "rows.parquet")
    opened(tmp_path).apply([DRIVER, view(tmp_path)])
    return tmp_path


def materialize(root: Path) -> None:
    opened(root).materialize(NOON - HOUR, NOON + HOUR, feature_views=["stats"])


def contents(root: Path) -> tuple[set[str], int]:
    """The names of the views, and the number of intervals of the first one."""
    store = opened(root)
    names = {stored.name for stored in store.list_feature_views()}
    return names, len(store.get_feature_view("stats").materialization_intervals)


def test_an_apply_and_a_materialization_in_its_middle_are_both_kept(root: Path, monkeypatch, capfd):
    store, other = opened(root), threading.Thread(target=materialize, args=(root,))
    apply_entity = store.registry.apply_entity

    def meanwhile(*args: object, **options: object) -> None:
        if not other.ident:
            other.start()
            other.join(MOMENT_SECONDS)
        apply_entity(*args, **options)

    monkeypatch.setattr(store.registry, "apply_entity", meanwhile)
    store.apply([DRIVER, view(root), view(root, name="more")])
    other.join()
    assert contents(root) == ({"stats", "more"}, 1)
    assert capfd.readouterr().err.endswith(f"on {root / 'small.registry'}. This one waits.\n")


def test_two_materializations_at_once_are_both_kept(root: Path, monkeypatch):
    store, other = opened(root), threading.Thread(target=materialize, args=(root,))
    commit = store.registry.commit

    def meanwhile() -> None:
        if not other.ident:
            other.start()
            other.join(MOMENT_SECONDS)
        commit()

    monkeypatch.setattr(store.registry, "commit", meanwhile)
    store.materialize(NOON - HOUR, NOON + HOUR)
    other.join()
    assert contents(root) == ({"stats"}, 2)
