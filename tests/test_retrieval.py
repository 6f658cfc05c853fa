"""Plans give the answers of Feast in less time. Other services get feature vectors at a path of their own."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import pytest
import small
import yaml
from feast import FeatureService, FeatureStore, Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as examples
from pandas.testing import assert_frame_equal

import settings
from app import create_app
from features.domains import risks
from serving.compiler import compiled
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow

SERVICES = sorted(risks())
NOWHERE = {"driver_id": 5, "user_id": "nobody", "merchant_id": "", "ssn": "0" * 32, "dl": "0" * 32}


@pytest.fixture(scope="module")
def stores(world: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(world))
        yield FeastStore(settings.FEATURE_REPO), FeatureStore(str(settings.FEATURE_REPO))


@pytest.fixture(scope="module")
def known(stores) -> dict[str, list]:
    """Some stored keys, and one that is not stored."""
    drivers = pd.read_parquet(settings.root().raw_table("drivers") / "made.parquet").tail(20)
    orders = pd.read_parquet(settings.root().raw_table("orders").with_suffix(".parquet")).tail(20)
    frames = {"driver_id": drivers, "ssn": drivers, "dl": drivers, "user_id": orders, "merchant_id": orders}
    return {key: [*frame[key].tolist(), NOWHERE[key]] for key, frame in frames.items()}


def values(kind: str, name: str, known: dict[str, list]) -> st.SearchStrategy:
    if name in known:
        return st.sampled_from(known[name])
    return {
        "STRING": st.sampled_from(["CA", "MI", "NY"]), "INT64": st.integers(0, 9), "DOUBLE": st.floats(0, 500),
        "UNIX_TIMESTAMP": st.integers(-600_000_000, 1_760_000_000).map(lambda s: datetime.fromtimestamp(s, UTC)),
    }[kind]  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
@given(data=st.data())
@examples(max_examples=15)
def test_a_plan_answers_what_feast_answers(service, stores, known, data):
    """Feast takes request data in whole seconds and reads values as of now, so `as_of` is now in seconds."""
    source, feast = stores
    as_of = datetime.now(UTC).replace(microsecond=0)
    row = st.fixed_dictionaries({name: values(kind, name, known) for name, kind in source.asks(service).items()})
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    entities = [entity | {"as_of": as_of} for entity in rows]
    theirs = {}
    for view in set(source.views(service).values()):  # one at a time: two may have features with one name
        names = [name.removeprefix(f"{view}__") for name, owner in source.views(service).items() if owner == view]
        answer = feast.get_online_features([f"{view}:{name}" for name in names], entities).to_dict()
        theirs |= {(view, name): answer[name] for name in names}
    for i, vector in enumerate(source.vectors(service, rows, as_of, as_of)):
        assert vector.features == {
            name: theirs[view, name.removeprefix(f"{view}__")][i] for name, view in source.views(service).items()
        }


@pytest.mark.parametrize("service", SERVICES)
def test_the_event_time_of_a_view_is_the_date_of_its_features(service, stores, known):
    source, _ = stores
    now = datetime.now(UTC)
    drawn = {"STRING": "CA", "INT64": 1, "DOUBLE": 1.0, "UNIX_TIMESTAMP": now - timedelta(days=9000)}
    row = {name: known[name][0] if name in known else drawn[kind] for name, kind in source.asks(service).items()}
    (times,) = source.online_many(risks()[service], [row], now).event_times
    (vector,) = source.vectors(service, [row], now, now)
    for name, view in source.views(service).items():
        assert vector.event_timestamps[name] in (None, times[view])
    assert any(times.values()) or not known.keys() & source.asks(service).keys()  # nothing is stored of the drawn keys


def test_nothing_is_stored_under_a_null_key(stores):
    source, _ = stores
    (vector,) = source.vectors("daily", [{"driver_id": None}], *[datetime.now(UTC)] * 2)
    assert set(vector.features.values()) == {None}
    assert set(vector.statuses.values()) == {"NOT_FOUND"}


def test_a_row_dated_after_as_of_is_not_seen(stores, known):
    source, _ = stores
    driver = {"driver_id": known["driver_id"][0]}
    now, then = (
        source.vectors("daily", [driver], at, datetime.now(UTC))[0]
        for at in (datetime.now(UTC), datetime(2000, 1, 1, tzinfo=UTC))
    )
    assert now.statuses["state"] == "PRESENT"
    assert then.features["state"] is None


def test_a_plan_follows_the_registry(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(world, tmp_path / "root", ignore=shutil.ignore_patterns("raw", "models", "decisions"))
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    source, feast = FeastStore(settings.FEATURE_REPO), FeatureStore(str(settings.FEATURE_REPO))
    before = source.views("daily")
    feast.apply([FeatureService(name="daily", features=[feast.get_feature_view("driver_profile")])])
    assert source.views("daily") == before, "no request looks at the registry"
    source.follow_registry()
    assert source.views("daily") == {"state": "driver_profile"}


@pytest.fixture
def real(world: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("RISK_DATA", str(world))
    return create_app().test_client()


def test_other_services_get_vectors_with_their_dates_and_statuses(real: FlaskClient, known):
    driver = known["driver_id"][0]
    answer = real.post("/api/v1/features/daily", json={"entities": [{"driver_id": driver}, {"driver_id": 5}]}).json
    known, unknown = answer["results"]
    assert set(known) == {"features", "event_timestamps", "statuses"}
    assert set(known["features"]) == set(known["event_timestamps"]) == set(known["statuses"])
    assert (known["statuses"]["state"], unknown["statuses"]["state"]) == ("PRESENT", "NOT_FOUND")
    assert datetime.fromisoformat(known["event_timestamps"]["state"]) < datetime.fromisoformat(answer["as_of"])
    assert unknown["features"]["state"] is None
    assert unknown["event_timestamps"]["state"] is None


def test_a_vector_has_the_features_of_the_decision(real: FlaskClient, known):
    user, merchant = known["user_id"][0], known["merchant_id"][0]
    at = "2026-01-31T12:00:00+00:00"
    order = {"user_id": user, "merchant_id": merchant, "amount": 20.0, "order_timestamp": at}
    decision = real.post("/api/v1/decisions/chargeback", json={"order_id": "o", **order}).json
    body = {"entities": [order], "as_of": decision["as_of"]}
    assert real.post("/api/v1/features/chargeback", json=body).json["results"][0]["features"] == decision["features"]


def test_a_value_older_than_its_ttl_says_so(real: FlaskClient, known):
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    body = {"entities": [{"driver_id": known["driver_id"][0]}], "as_of": later}
    (vector,) = real.post("/api/v1/features/daily", json=body).json["results"]
    assert vector["statuses"]["acc_rate"] == "OUTSIDE_MAX_AGE"
    assert vector["features"]["acc_rate"] is None
    assert vector["statuses"]["state"] == "PRESENT"


@pytest.mark.parametrize(
    ("service", "body", "name", "words"),
    [("nothing", {"entities": [{}]}, "bad_parameter", "Choose one of: catalog, catalog_30d, chargeback,"),
     ("daily", [], "wrong_type", "Send one object"), ("daily", {}, "missing_field", "entities is missing"),
     ("daily", {"entities": []}, "bad_parameter", "at least 1"),
     ("daily", {"entities": [{"driver_id": 1}] * 1001}, "bad_parameter", "at most 1000"),
     ("daily", {"entities": [{"driver_id": 1}, {}]}, "missing_field", "entities.1.driver_id"),
     ("daily", {"entities": [{"driver_id": "1"}]}, "wrong_type", "entities.0.driver_id"),
     ("daily", {"entities": [{"driver_id": 1, "state": "CA"}]}, "unknown_field", "entities.0.state"),
     ("daily", {"entities": [{"driver_id": 2**70}]}, "bad_parameter", "driver_id"),
     ("daily", {"entities": [{"driver_id": 1}], "as_of": "noon"}, "bad_parameter", "as_of"),
     ("daily", {"entities": [{"driver_id": 1}], "as_of": "0001-01-01T00:00:00+05:00"}, "bad_parameter", "1970")],
)  # fmt: skip
def test_an_invalid_request_is_told_what_is_wrong(real: FlaskClient, service, body, name, words):
    answer = real.post(f"/api/v1/features/{service}", json=body)
    assert (answer.status_code, answer.json["error"]["name"]) == (400, name)
    assert words in answer.json["error"]["message"]


@pytest.fixture
def on_stock_stores(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository of a copy of the world, whose YAML names Feast's own stores in three lines."""
    repository, root = tmp_path / "feature_repo", tmp_path / "data"
    shutil.copytree(settings.FEATURE_REPO, repository)
    shutil.copytree(world, root, symlinks=True)
    stock = yaml.safe_load((repository / "feature_store.yaml").read_text())
    stock |= {"online_store": {"type": "sqlite", "path": str(root / "stock.db")}, "offline_store": {"type": "duckdb"}}
    stock["batch_engine"] = {"type": "local"}
    (repository / "feature_store.yaml").write_text(yaml.safe_dump(stock))
    monkeypatch.setenv("RISK_DATA", str(root))
    return repository


def test_on_feasts_own_stores_the_app_decides_the_same(known, on_stock_stores: Path):
    """It needs one materialization, and no other change."""
    driver, now = known["driver_id"][0], datetime.now(UTC)
    feast = FeatureStore(str(on_stock_stores))
    views = ["driver_profile", "driver_hourly_stats", "driver_yesterdays_stats"]
    for view in feast.list_feature_views():
        feast._get_provider().online_store.update(feast.config, [], [view], [], [], True)
    feast.materialize(now - timedelta(days=3650), now, views)
    client = create_app(FeastStore(on_stock_stores), clock=lambda: now).test_client()
    ours = FeastStore(settings.FEATURE_REPO).online(risks()["daily"], {"driver_id": driver}, now)
    assert client.get(f"/daily-risk-decision/{driver}/").json["features"] == ours


def test_on_feasts_own_stores_training_sees_the_same(known, on_stock_stores: Path):
    """Row for row, although Feast's store answers in another order."""
    timestamps = [datetime(2026, 11, day, tzinfo=UTC) for day in (3, 1, 4, 2)] * 50
    people = pd.DataFrame({"driver_id": (known["driver_id"] * 10)[:200], "event_timestamp": timestamps})
    ours, theirs = (
        FeastStore(at).historical(risks()["daily"], people) for at in (settings.FEATURE_REPO, on_stock_stores)
    )
    assert_frame_equal(theirs, ours, check_dtype=False)  # our store keeps nanoseconds


def test_an_on_demand_view_may_have_another_name_in_a_service(tmp_path: Path):
    stats = small.view(tmp_path)

    @on_demand_feature_view(sources=[stats], schema=[Field(name="twice", dtype=Int64)], mode="python")
    def doubled(inputs):
        return {"twice": [2 * n for n in inputs["trips"]]}

    store = small.feature_store(tmp_path, "wide")
    both = FeatureService(name="both", features=[stats, doubled.with_name("again")])
    store.apply([small.DRIVER, stats, doubled, both])
    small.frame((7, small.NOON, small.NOON, 70)).to_parquet(tmp_path / "rows.parquet")
    store.materialize(small.NOON - small.SECOND, small.NOON)
    now = datetime.now(UTC)
    assert compiled(store, "both").answer([{"driver_id": 7}], now).features == [{"trips": 70, "twice": 140}]
