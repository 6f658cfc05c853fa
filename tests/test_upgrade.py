"""A data root that an older version of the project made goes on with today's code. `tests/fixtures/` has the root."""

import json
import os
import re
import sqlite3
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from processes import environment, run

import settings
from features.domains import risks, stream_of
from features.windows.state import LiveTable
from jobs import parity
from jobs.build.imports import Sources
from jobs.build.plan import steps
from jobs.build.steps import Finished
from jobs.stream import loop
from jobs.stream.sources import open_source
from jobs.world.marker import World
from model import shelf
from model.scorer import Scorers
from root import Root
from serving.retrieval import FeastStore
from serving.store import Store
from simulators import Size

pytestmark = pytest.mark.slow
FIXTURE = Path(__file__).parent / "fixtures/old_root.tar.gz"
ATTEMPT = {"msg_id": "m99", "device_id": "d0", "location_code": "L0", "coupon_code": "1234-5678-9012-1999"}
#: The keys of the event that waits in the log, as the states have them.
WAITING = {'["d1"]', '["L1"]', '["1234-5678-9012-","L1"]'}
OLD_YAML = """
project: risk
provider: local
registry:
  registry_store_type: stores.registry.RiskDataRegistryStore
  path: registry.db
  cache_ttl_seconds: 5
online_store:
  type: stores.online.WideSqliteOnlineStore
  path: online.db
offline_store:
  type: stores.offline.AsofDuckDBOfflineStore
batch_engine:
  type: stores.engine.ArrowComputeEngine
entity_key_serialization_version: 3
"""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """The old root, in a folder of the name it had: listings of files hold the last parts of their paths."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path / "tmp", filter="data")
    root = Root(tmp_path / "tmp/old-root")
    for name, changed_ns in expected(root)["mtimes_ns"].items():
        os.utime(root.path / name, ns=(changed_ns, changed_ns))
    monkeypatch.setenv("RISK_DATA", str(root))
    return root


def expected(root: Root) -> dict[str, Any]:
    return dict(json.loads((root.path / "expected.json").read_text()))


def as_of(root: Root) -> datetime:
    return datetime.fromisoformat(expected(root)["as_of"])


def states(root: Root) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Table and key → the rest of the row, of every state."""
    with closing(sqlite3.connect(root.stream_state("coupon"))) as db:
        exist = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        named = {table.name: f"state of {table.name}" for table in stream_of("coupon").tables}
        return {
            (table, key.decode()): tuple(rest)
            for table, new in named.items()
            for key, *rest in db.execute(f'SELECT key, state, newest, stamp FROM "{new if new in exist else table}"')
        }


def counts(root: Root) -> dict[str, int]:
    with closing(sqlite3.connect(root.stream_state("coupon"))) as db:
        (value,) = db.execute("SELECT value FROM meta WHERE name = 'counts'").fetchone()
    return dict(json.loads(value))


def stream(root: Root, store: Store) -> None:
    """Process what there is, at the time at which the old version ended."""
    coupon = stream_of("coupon")
    source = open_source(root, "log", coupon.raw.name)
    loop.run(root, coupon, source, store, settings.hash_key(), True, Event(), print, clock=lambda: as_of(root))


def decisions(root: Root) -> dict[str, Any]:
    """What the service answers to the two requests that the old version answered."""
    return {name: lasting(answer) for name, answer in answers(root).items()}


def answers(root: Root) -> dict[str, Any]:
    from app import create_app

    client = create_app(clock=lambda: as_of(root)).test_client()
    return {
        "coupon": client.post("/coupon-risk-decision/", json=ATTEMPT).json,
        "daily": client.get("/daily-risk-decision/1001/").json,
    }


def lasting(answer: dict[str, Any]) -> dict[str, Any]:
    """A decision without its id, its policy and its internal features, and without the wording of its reasons."""
    reasons = [(reason["code"], pytest.approx(reason["contribution"], abs=1e-12)) for reason in answer["reasons"]]
    features = {name: value for name, value in answer["features"].items() if not name.endswith("_seen")}
    kept = {name: value for name, value in answer.items() if name not in ("decision_id", "policy")}
    return kept | {"reasons": reasons, "features": features}


def test_its_models_load_and_score_the_same(old: Root):
    for name, seen in expected(old)["scores"].items():
        scorer = Scorers(old.models)[name]
        assert scorer.score(np.array(seen["rows"])).tolist() == seen["scores"]
        assert scorer.contributions(np.array(seen["rows"])) == pytest.approx(np.array(seen["contributions"]), abs=1e-12)
        assert shelf.current(old.models, name).name == scorer.card.version


def test_the_service_answers_the_same_on_its_registry_and_online_store(old: Root):
    before = {name: lasting(expected(old)[name]) for name in ("coupon", "daily")}
    # The states of that version hold whole codes. They are computed again, from sealed ones.
    assert "start the stream job" in answers(old)["coupon"]["error"]["message"]
    stream(old, FeastStore(settings.FEATURE_REPO))
    assert decisions(old) == before


def test_feast_apply_works_over_its_registry_and_changes_no_answer(old: Root):
    stream(old, FeastStore(settings.FEATURE_REPO))
    before = decisions(old)
    feast = Path(sys.executable).with_name("feast")
    run([feast, "apply"], cwd=settings.FEATURE_REPO, env=environment(RISK_DATA=old))
    views = FeatureStore(str(settings.FEATURE_REPO)).list_batch_feature_views()
    assert views
    assert all(Path(view.batch_source.path).is_relative_to(old.path) for view in views)
    assert decisions(old) == before


def values(
    root: Root, read: Callable[[LiveTable, bytes], bytes] = lambda _, state: state
) -> dict[tuple[str, str], dict[str, Any]]:
    """Table and key → the features that each state gives at the time at which the old version ended."""
    live = {table.name: LiveTable(table) for table in stream_of("coupon").tables}
    return {
        (table, key): live[table].values(live[table].from_json(read(live[table], state)), as_of(root))
        for (table, key), (state, *_) in states(root).items()
    }


def of_today(live: LiveTable, state: bytes) -> bytes:
    """A state as today's version writes it. In the old one, each aggregation has tiles of its own."""
    _, newest, by_part, recent = json.loads(state)
    (slot,) = live._slots
    empty = [0 if place.form is int else [] for place in slot._places]
    tiles = {
        start: [tiles.get(start, none) for tiles, none in zip(by_part, empty, strict=True)]
        for start in sorted({start for tiles in by_part for start in tiles}, key=int)
    }
    return json.dumps([live.version, newest, [tiles], recent]).encode()


def test_its_states_give_the_same_values_and_the_stream_goes_on(old: Root):
    before, counted = values(old, of_today), counts(old)
    stream(old, FeastStore(settings.FEATURE_REPO))
    after = values(old)
    changed = {key for key in after if after[key] != before.get(key)}
    assert {table for table, _ in changed} == {table.name for table in stream_of("coupon").tables}
    assert {key for _, key in changed} == WAITING
    assert before.keys() <= after.keys()
    assert counts(old) == {**counted, "events": counted["events"] + 1}
    went_on = {key: state[:2] for key, state in states(old).items()}
    for file in old.stream_state("coupon").parent.glob("coupon.db*"):
        file.unlink()
    stream(old, FeastStore(settings.FEATURE_REPO))
    assert {key: state[:2] for key, state in states(old).items()} == went_on


def test_its_offline_log_and_its_states_keep_no_whole_code(old: Root):
    store = FeastStore(settings.FEATURE_REPO)
    stream(old, store)
    files = sorted(old.offline_log("coupon_attempts").rglob("*.parquet"))
    codes = [code for file in files for code in pq.read_table(file, partitioning=None)["coupon_code"].to_pylist()]
    assert len(codes) == 14
    kept = " ".join(codes).encode() + b"".join(file.read_bytes() for file in old.path.glob("streams/*"))
    assert re.findall(rb"1234-5678-9012-\d{4}\b", kept) == []
    assert parity.replay(old, store, risks()["coupon"]).other.total() == 0


def test_its_logged_decision_is_computed_again_from_its_logs(old: Root):
    replayed = parity.replay(old, FeastStore(settings.FEATURE_REPO), risks()["coupon"])
    assert (replayed.decisions, replayed.left_out, replayed.other.total()) == (1, 0, 0)
    assert replayed.equal.total() >= 7


@pytest.mark.filterwarnings("ignore:The package `stores`:FutureWarning")
def test_its_feature_store_yaml_still_opens(old: Root, tmp_path: Path):
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "feature_store.yaml").write_text(OLD_YAML)
    answer = FeastStore(repository).online(risks()["daily"], {"driver_id": 1001}, as_of(old))
    assert answer == expected(old)["daily"]["features"]


def test_the_pipeline_knows_its_steps_and_redoes_them(old: Root):
    finished = Finished.read(old.pipeline_fingerprints)
    assert {"raw events", "batch features", "feast apply", "stream coupon"} <= finished.fingerprints.keys()
    first, *_, apply = (
        step for step in steps(old, World(7, Size(), b""), as_of(old)) if step.name in ("raw events", "feast apply")
    )
    for step in (first, apply):
        assert not finished.is_fresh(step, step.fingerprint(Sources(settings.PROJECT)))
