"""Requests follow the registry, and go on without it while it cannot be read."""

import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import settings
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 120


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our feature repository on an empty root. Its registry is looked at every second, and is not there."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "data"))
    repository = shutil.copytree(settings.FEATURE_REPO, tmp_path / "feature_repo")
    config = yaml.safe_load((repository / "feature_store.yaml").read_text())
    config["registry"]["cache_ttl_seconds"] = 1
    (repository / "feature_store.yaml").write_text(yaml.safe_dump(config))
    return repository


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception | None]]:
    """What happens at each look at the registry; the last one goes on for ever."""
    planned: list[Exception | None] = [None]

    def follow(store: FeastStore) -> None:
        failure = planned.pop(0) if len(planned) > 1 else planned[0]
        if failure:
            raise failure

    monkeypatch.setattr(FeastStore, "follow_registry", follow)
    return planned


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "serving.retrieval"]


def test_each_kind_of_failure_is_logged_once_until_it_is_over(
    repository: Path, failures: list[Exception | None], caplog: pytest.LogCaptureFixture
):
    gone, torn = OSError("gone"), ValueError("torn")
    failures[:] = [gone, gone, torn, gone, torn, None, None, gone, gone, gone, None]
    config = yaml.safe_load((repository / "feature_store.yaml").read_text())
    config["registry"]["cache_ttl_seconds"] = 0  # no thread: this test looks by itself
    (repository / "feature_store.yaml").write_text(yaml.safe_dump(config))
    store = FeastStore(repository)
    while len(failures) > 1:
        store.try_to_follow_registry()
    kinds = [message.split("(")[-1].split(":")[0] for message in messages(caplog)]
    assert kinds == ["OSError", "ValueError", "The feature registry can be read again.", "OSError"]


def test_the_thread_lives_on_after_a_failure(
    repository: Path, failures: list[Exception | None], caplog: pytest.LogCaptureFixture
):
    failures[:] = [OSError("gone"), OSError("gone"), None]
    with caplog.at_level(logging.WARNING):
        store, deadline = FeastStore(repository), time.monotonic() + DEADLINE_SECONDS
        while "The feature registry can be read again." not in messages(caplog):
            assert time.monotonic() < deadline, messages(caplog)
            time.sleep(0.05)
    assert store  # its thread ends with it


def test_a_registry_that_is_gone_leaves_the_plans_as_they_are(world: Path, tmp_path: Path, monkeypatch):
    shutil.copytree(world, tmp_path / "root", ignore=shutil.ignore_patterns("raw", "models", "decisions"))
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    store = FeastStore(settings.FEATURE_REPO)
    before = store.views("daily")
    (tmp_path / "root" / "registry.db").unlink()
    with pytest.raises(Exception):  # noqa: B017, PT011 whatever it is
        store.follow_registry()
    store.try_to_follow_registry()
    assert store.views("daily") == before
