"""Versions of a model, where a process is killed, or two change them at once."""

import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake import unlogged
from regression import LINEAR, NAMES, declared, made_up
from sklearn.linear_model import LinearRegression

import model
from jobs import prune
from jobs.train.champion import train
from model import history, promotion, shelf
from root import Root
from serving.shadow import setting

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KEEP = timedelta(days=90)
RISK = declared(algorithms=(LINEAR,))
#: Long enough for a thread that waits for nothing.
MOMENT_SECONDS = 0.5


class Killed(BaseException):
    """In the place of SIGKILL: no code of ours handles it."""


def killed(*_: object) -> None:
    raise Killed


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return Root(tmp_path)


def trained(root: Root, days_ago: int) -> str:
    return train(root, made_up(), RISK, NOW - timedelta(days=days_ago), unlogged).version


def served(root: Root) -> list[str]:
    model = root.models / RISK.name
    return history.served(model, shelf.current_version(root.models, RISK.name))


@pytest.mark.parametrize("step", ["log", "write"])
def test_a_training_that_was_killed_before_its_switch_is_repeated(root: Root, monkeypatch, step: str):
    first = trained(root, 1)
    with monkeypatch.context() as patch:
        if step == "write":
            patch.setattr(history, "write", killed)
        with pytest.raises(Killed):
            train(root, made_up(), RISK, NOW, killed if step == "log" else unlogged)
    assert served(root) == [first]
    second = trained(root, 0)
    assert served(root) == [first, second]
    assert trained(root, 0) == second
    assert served(root) == [first, second]


def test_a_link_of_a_killed_switch_goes_with_the_next(root: Root, monkeypatch):
    first, _ = trained(root, 3), trained(root, 2)
    replace = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *names: killed() if os.path.islink(names[0]) else replace(*names))
        with pytest.raises(Killed):
            promotion.promote(root.models, RISK.name, first, RISK.by_input, unlogged)
    trained(root, 1)
    names = {path.name for path in (root.models / RISK.name).iterdir()} - {*served(root)}
    assert names == {"current", "served.json", "switch.lock"}


def test_a_model_that_is_published_during_a_training_serves_on(root: Root):
    frame = made_up().features.assign(loyalty=made_up().features["orders"] + 1.0)

    def publish(step: str) -> None:
        if step == "card":
            model.publish(RISK, LinearRegression().fit(frame[list(NAMES)], frame["loyalty"]), frame)

    train(root, made_up(), RISK, NOW, unlogged, publish)
    assert shelf.take(shelf.current(root.models, RISK.name))[0].is_own


def test_a_promotion_beside_a_roll_back_comes_before_it_or_after_it(root: Root, monkeypatch):
    first, second, _ = trained(root, 2), trained(root, 1), trained(root, 0)
    load = promotion.loaded
    other = threading.Thread(target=promotion.promote, args=(root.models, RISK.name, first, RISK.by_input, unlogged))

    def meanwhile(*args: object) -> object:
        if threading.current_thread() is not other:
            other.start()
            other.join(MOMENT_SECONDS)
        return load(*args)

    monkeypatch.setattr(promotion, "loaded", meanwhile)
    assert promotion.rollback(root.models, RISK.name, RISK.by_input, unlogged) == second
    other.join()
    assert served(root) == [first, second, first]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shelf with four versions. The first two are old, and nobody needs them."""
    folder = tmp_path_factory.mktemp("four")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(folder))
        for days in (400, 300, 200, 100):
            trained(Root(folder), days)
    return folder


@pytest.fixture
def versions(root: Root, four: Path) -> list[str]:
    shutil.copytree(four, root.path, symlinks=True, dirs_exist_ok=True)
    return served(root)


def test_a_version_that_is_chosen_while_prune_works_stays(root: Root, versions: list[str]):
    old = list(prune.old(root, KEEP, NOW))
    assert [item.path.name for item in old] == versions[:2]
    promotion.promote(root.models, RISK.name, versions[0], RISK.by_input, unlogged)
    for item in old:
        prune.remove(root, item)
    shelf.take(shelf.current(root.models, RISK.name))
    assert history.versions(root.models / RISK.name) == [versions[0], *versions[2:]]


def test_the_version_of_a_shadow_stays(root: Root, versions: list[str]):
    setting.write(root.shadow, RISK.name, versions[0], None)
    assert [item.path.name for item in prune.old(root, KEEP, NOW)] == versions[1:2]


def test_a_prune_that_was_killed_within_a_version_is_finished_by_the_next(root: Root, versions, monkeypatch):
    old = list(prune.old(root, KEEP, NOW))
    with monkeypatch.context() as patch:
        patch.setattr(prune.shutil, "rmtree", killed)
        with pytest.raises(Killed):
            prune.remove(root, old[0])
    assert history.versions(root.models / RISK.name) == versions[1:]
    for item in list(prune.old(root, KEEP, NOW)):
        prune.remove(root, item)
    assert not (root.models / RISK.name / versions[0]).exists()


def test_a_first_training_that_was_killed_stops_no_prune(root: Root):
    with pytest.raises(Killed):
        train(root, made_up(), RISK, NOW, killed)
    assert list(prune.old(root, KEEP, NOW)) == []
