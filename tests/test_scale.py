"""One world on SQLite and a registry file, and on Redis and PostgreSQL: a setting moves it, and the numbers stay."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from engines import postgres, redis
from engines.need import need
from feast import Entity, FeatureStore
from flask.testing import FlaskClient
from fresh_views import fresh_views
from many_requests import answers
from pipelines import SIZE, run_again
from processes import run
from pydantic_core import from_json
from servers import refusing_port

import settings
from app import create_app
from errors import FeaturesNotReady
from features.domains import risks, streams
from features.utc import since_1970
from jobs.build.imports import Sources
from jobs.build.plan import steps
from jobs.build.work import repository
from jobs.build.work.streams import catch_up
from jobs.world.marker import World
from root import Root
from serving.retrieval import FeastStore

pytestmark = [pytest.mark.slow, pytest.mark.engine]
SCALE = "feature_repo/feature_store.scale.yaml"


@pytest.fixture(scope="module")
def variables(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings under which a copy of the world has been moved, by the steps of the pipeline that become stale."""
    need("redis-server", modules=("redis", "msgpack", "psycopg"))
    root = tmp_path_factory.mktemp("scale") / "root"
    shutil.copytree(world, root, symlinks=True)
    before = {"RISK_DATA": str(root)}
    after = before | {
        "RISK_STORE": SCALE, "RISK_REDIS": redis.database(root), "RISK_REGISTRY": postgres.database(),
    }  # fmt: skip
    day = datetime.now(UTC)
    was, now = (fingerprints(Root(root), day, variables) for variables in (before, after))
    assert {name for name in now if now[name] != was[name]} == {
        "feast apply", "feast materialize-incremental", *(f"stream {s.domain}" for s in streams().values()),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, fresh_views():
        for name, value in after.items():
            patch.setenv(name, value)
        repository.apply(Root(root), print)
        for stream in streams().values():
            catch_up(Root(root), stream.domain, print)
        repository.materialize(Root(root), datetime.now(UTC), print)
    return after


def fingerprints(root: Root, day: datetime, variables: dict[str, str]) -> dict[str, str]:
    """Of each step of the pipeline under these settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        sources, world = Sources(settings.PROJECT), World(0, SIZE, settings.hash_key())
        return {step.name: step.fingerprint(sources) for step in steps(root, world, day)}


@pytest.fixture
def moved(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def scale(moved: dict[str, str]) -> FeastStore:
    return FeastStore(settings.FEATURE_REPO, settings.feature_store())


def test_decisions_reasons_and_features_are_equal_byte_for_byte(scale: FeastStore):
    now = datetime.now(UTC)
    ours, embedded = answers(scale, now), answers(FeastStore(settings.FEATURE_REPO), now)
    assert ours == embedded
    assert sum(answer.startswith(b"200") for answer in ours) > 70


def test_every_stored_row_is_equal(scale: FeastStore):
    """Of each view, the rows of all keys of the embedded store, with their event times."""
    embedded = FeatureStore(str(settings.FEATURE_REPO))
    online, compared = embedded._get_provider().online_store, 0
    other = scale._store._get_provider().online_store
    for view in embedded.list_batch_feature_views():
        names = [feature.name for feature in view.features]
        reader = online.reader(embedded.config, view, names)
        with online._file(embedded.config).reading() as connection:
            table = re.search(r'FROM ("[^"]+")', reader._select)
            assert table is not None
            keys = [key for (key,) in connection.execute(f"SELECT entity_key FROM {table[1]} LIMIT 20000")]
        expected = reader.read(keys)
        pairs = zip(other.reader(scale._store.config, view, names).read(keys), expected, strict=True)
        # The stream job dates its marker by the clock. What is past its view's TTL is not materialized again.
        oldest = since_1970(datetime.now(UTC) - (view.ttl or timedelta(days=9999)))
        differ = [(ours, row) for ours, row in pairs if ours != row and row and row[0] > oldest]
        assert [pair for pair in differ if "whole" not in str(pair)] == []
        compared += len(expected)
    assert compared > 1000


def test_feasts_own_commands_take_the_same_file(moved: dict[str, str]):
    command = ["feast", "-f", settings.PROJECT / SCALE, "feature-views", "list"]
    output = run([settings.PROJECT / ".venv/bin" / command[0], *command[1:]], cwd=settings.FEATURE_REPO).stdout
    assert "driver_profile" in output


def test_requests_follow_a_registry_in_a_database(scale: FeastStore):
    scale.follow_registry()
    before = scale._version
    scale.follow_registry()
    assert scale._version == before
    other = FeatureStore(str(settings.FEATURE_REPO), fs_yaml_file=settings.feature_store())
    other.registry.apply_entity(Entity(name="follower", join_keys=["follower"]), other.project)
    scale.follow_registry()
    assert scale._version != before


def unavailable(client: FlaskClient) -> str:
    response = client.get("/daily-risk-decision/1001/")
    assert response.status_code == 503
    assert "Traceback" not in response.text
    assert "secret-word" not in response.text
    return response.text


def test_a_redis_that_is_down_is_a_503_that_says_what_to_do(scale: FeastStore, moved: dict, monkeypatch):
    with refusing_port() as port:
        monkeypatch.setenv("RISK_REDIS", f"127.0.0.1:{port},password=secret-word")
        client = create_app(FeastStore(settings.FEATURE_REPO, settings.feature_store())).test_client()
        text = unavailable(client)
    assert "Start it, or correct connection_string" in text
    assert "features_not_ready" in text


def test_a_registry_that_is_down_says_what_to_do(moved: dict, monkeypatch):
    with refusing_port() as port:
        monkeypatch.setenv("RISK_REGISTRY", f"postgresql+psycopg://risk:secret-word@127.0.0.1:{port}/risk")
        with pytest.raises(FeaturesNotReady, match=r"registry cannot be used.*Start its database") as error:
            FeastStore(settings.FEATURE_REPO, settings.feature_store()).services()
    assert "secret-word" not in str(error.value)


def test_the_pipeline_fills_a_redis_that_lost_its_rows(moved: dict[str, str]):
    published = {risk.publishes.stream for risk in risks().values() if risk.publishes}  # the requests make events of it
    kept = [stream for name, stream in streams().items() if name not in published]
    live = {name for stream in kept for table in stream.tables for name in table.empty}

    def features() -> list[dict[str, Any]]:
        """Of each answer, those of states. The pipeline computes the others again, up to its own time."""
        store = FeastStore(settings.FEATURE_REPO, settings.feature_store())
        texts = [re.findall(rb'"features": ?({[^}]*})', answer) for answer in answers(store, now)]
        by_name = [from_json(text) for (text,) in filter(None, texts)]
        return [{name: value for name, value in values.items() if name in live} for values in by_name]

    now = datetime.now(UTC) + timedelta(hours=1)  # the states are written again later than this begins
    before = features()
    assert sum(map(len, before)) > 100
    redis.ask(moved["RISK_REDIS"], "FLUSHDB")
    assert not any(features())
    redone = run_again(Path(moved["RISK_DATA"]))
    assert {f"stream {s.domain}" for s in streams().values()} <= set(re.findall("✓ ([^:]+):", redone))
    assert features() == before
    assert "✓ stream coupon" not in run_again(Path(moved["RISK_DATA"]))
