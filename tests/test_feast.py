"""The real thing: a Feast registry, Parquet files and a SQLite online store, as the pipeline left them."""

import json
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from feast import FeatureStore
from processes import WAIT_SECONDS, environment, started
from servers import answering

import settings
from features.domains import risks
from features.onboarding import NOBODY
from serving import featurization
from serving.retrieval import FeastStore

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_world")]
ONBOARDING, DAILY = risks()["onboarding"], risks()["daily"]


@pytest.fixture
def source(in_world: Path) -> FeastStore:
    return FeastStore(settings.FEATURE_REPO)


@pytest.fixture
def store(in_world: Path) -> FeatureStore:
    return FeatureStore(str(settings.FEATURE_REPO))


def raw(table: str) -> pd.DataFrame:
    return pd.read_parquet(settings.root().raw_table(table) / "made.parquet")


def applicants(count: int, as_of: datetime) -> pd.DataFrame:
    """New applicants with the identifiers of known drivers. Half have both, half have a licence alone."""
    drivers = raw("drivers").tail(count).reset_index(drop=True)
    mixed = drivers.assign(ssn=drivers["ssn"].where(drivers.index % 2 == 0, "never seen"), applicant_driver_id=NOBODY)
    mixed["event_timestamp"] = pd.Timestamp(as_of).as_unit("us")
    return mixed[["applicant_driver_id", "ssn", "dl", "state", "dob", "event_timestamp"]]


def test_online_features_equal_the_point_in_time_row_of_the_same_time(source: FeastStore):
    now = datetime.now(UTC)
    people = pd.DataFrame({"driver_id": raw("drivers")["driver_id"].sample(60, random_state=1)})
    for risk, frame in (
        (DAILY, people.assign(event_timestamp=pd.Timestamp(now).as_unit("us"))),
        (ONBOARDING, applicants(40, now)),
    ):
        views = source.views(risk.name)
        for row in source.historical(risk, frame).astype(object).to_dict("records"):
            entity = {name: row[name] for name in frame.columns if name != "event_timestamp"}
            expected = featurization.complete({name: row[name] for name in views}, views)
            assert featurization.complete(source.online(risk, entity, now), views) == expected


def test_a_join_keeps_every_row_in_order(source: FeastStore):
    now = pd.Timestamp(datetime.now(UTC)).as_unit("us")
    known = raw("drivers")["driver_id"].tail(3).tolist()
    keys = [known[2], 5, known[0], known[2], known[2], 6]  # unknown drivers, and one driver three times
    joined = source.historical(DAILY, pd.DataFrame({"driver_id": keys, "event_timestamp": now}))
    assert joined["driver_id"].tolist() == keys
    assert joined["state"].isna().tolist() == [False, True, False, False, False, True]


def test_an_applicant_is_not_seen_before_its_own_sign_up(source: FeastStore):
    """Each application has the timestamp of its own sign-up row."""
    cases = raw("applications").assign(as_of=lambda c: c["event_timestamp"])
    joined = source.historical(ONBOARDING, cases.drop(columns=["created", "as_of"]))
    for key, feature in (("ssn", "is_previously_seen_ssn"), ("dl", "is_previously_seen_dl")):
        first_seen = raw("drivers").groupby(key)["event_timestamp"].min()
        expected = (cases[key].map(first_seen) < cases["event_timestamp"]).astype(int)
        assert joined[feature].tolist() == expected.tolist()
        assert 0 < expected.mean() < 0.5


def test_yesterdays_statistics_are_those_of_yesterdays_raw_hours(source: FeastStore):
    hours = raw("driver_hourly_stats")
    midnight = pd.Timestamp(datetime.now(UTC)).normalize()
    yesterday = hours[
        (hours["event_timestamp"] >= midnight - timedelta(days=1)) & (hours["event_timestamp"] < midnight)
    ]
    driver_id, mine = next(iter(yesterday.groupby("driver_id")))
    features = source.online(DAILY, {"driver_id": int(driver_id)}, datetime.now(UTC))
    assert features["avg_daily_trips"] == pytest.approx(mine["avg_daily_trips"].mean(), abs=1e-9)
    assert features["acc_rate"] == pytest.approx(mine["acc_rate"].mean(), abs=1e-9)
    assert features["yesterdays_avg_daily_trips_lt_10"] == int(mine["avg_daily_trips"].mean() < 10)


def test_a_value_is_served_to_the_last_microsecond_of_its_ttl(source: FeastStore, store: FeatureStore):
    written = datetime.now(UTC).replace(microsecond=0)
    row = {"driver_id": 424242, "event_timestamp": written, "created": written}
    store.write_to_online_store("driver_profile", pd.DataFrame([row | {"state": "CA"}]))
    stats = {"conv_rate": 0.5, "acc_rate": 0.6, "avg_daily_trips": 40.0}
    flags = dict.fromkeys(
        ("yesterdays_avg_daily_trips_lt_10", "yesterdays_acc_rate_lt_01", "yesterdays_conv_rate_gt_80"), 0
    )
    store.write_to_online_store("driver_yesterdays_stats", pd.DataFrame([row | stats | flags]))
    edge = written + timedelta(days=2)
    at_edge = source.online(DAILY, {"driver_id": 424242}, edge)
    after = source.online(DAILY, {"driver_id": 424242}, edge + timedelta(microseconds=1))
    assert (at_edge["acc_rate"], at_edge["yesterdays_acc_rate_lt_01"]) == (0.6, 0)
    assert (after["acc_rate"], after["yesterdays_acc_rate_lt_01"]) == (None, None)
    assert after["state"] == "CA"


def test_a_point_in_time_join_has_the_same_edge(source: FeastStore):
    """A driver's last row with values is dated at a midnight. Two days later, to the microsecond, it is gone."""
    stats = pd.read_parquet(settings.root().feature_table("driver_yesterdays_stats"))
    last = stats[stats["acc_rate"].notna()].sort_values("event_timestamp").iloc[-1]
    edge = last["event_timestamp"] + timedelta(days=2)
    times = pd.Series([edge, edge + timedelta(microseconds=1)]).dt.as_unit("us")
    joined = source.historical(DAILY, pd.DataFrame({"driver_id": [last["driver_id"]] * 2, "event_timestamp": times}))
    assert joined["acc_rate"].isna().tolist() == [False, True]


def test_a_backfilled_row_serves_from_its_timestamp_on(source: FeastStore):
    """`created` is when the row was written, which is long after. A training row has it all the same."""
    table = settings.root().feature_table("driver_yesterdays_stats")
    first = pd.read_parquet(next(iter(sorted(table.rglob("*.parquet"))))).iloc[[0]]
    dated = first["event_timestamp"].iloc[0]
    assert first["created"].iloc[0] > dated + timedelta(days=1)
    times = pd.Series([dated + timedelta(hours=5), dated - timedelta(microseconds=1)]).dt.as_unit("us")
    frame = pd.DataFrame({"driver_id": [first["driver_id"].iloc[0]] * 2, "event_timestamp": times})
    after, before = source.historical(DAILY, frame)["acc_rate"]
    assert after == first["acc_rate"].iloc[0]
    assert pd.isna(before)


def test_the_catalogue_describes_everything_in_it(store: FeatureStore):
    views = [*store.list_feature_views(), *store.list_on_demand_feature_views()]
    entities = [entity for entity in store.list_entities() if not entity.name.startswith("__")]
    for thing in [*views, *entities, *store.list_feature_services(), *store.list_data_sources()]:
        assert thing.description, thing.name
        assert thing.owner, thing.name
        assert thing.tags, thing.name
    for view in views:
        for field in view.features:
            assert field.description, (view.name, field.name)
            assert field.tags["owner"], (view.name, field.name)
    assert {view.name for view in views} >= {
        "driver_hourly_stats", "driver_yesterdays_stats", "driver_ssn_entities", "driver_dl_entities",
        "transformed_onboarding", "ondemand_ssn_lookup", "ondemand_dl_lookup",
    }  # fmt: skip
    assert {service.name for service in store.list_feature_services()} >= {"onboarding", "daily"}
    assert {entity.name for entity in entities} >= {"driver", "ssn", "dl"}


def test_a_service_consumes_each_view_that_is_not_internal(store: FeatureStore):
    """The Feast UI shows a view's services by their names of views, and those of on-demand views by their sources."""
    consumed = {part.name for service in store.list_feature_services() for part in service.feature_view_projections}
    for view in store.list_on_demand_feature_views():
        if view.name in consumed:
            consumed |= {source.name for source in view.source_feature_view_projections.values()}
    views = [*store.list_feature_views(), *store.list_on_demand_feature_views()]
    assert {view.name for view in views if view.name not in consumed} == {
        view.name for view in views if view.tags.get("use") == "internal"
    }


def test_no_identifier_is_stored_in_the_clear():
    for table in ("drivers", "applications"):
        frame = raw(table)
        assert frame["ssn"].str.fullmatch("[0-9a-f]{32}").all()
        assert frame["dl"].str.fullmatch("[0-9a-f]{32}").all()


def test_feast_serve_answers_from_our_stores(store: FeatureStore):
    driver, nobody = int(raw("drivers")["driver_id"].iloc[-1]), 999_999
    names = ["driver_profile:state", "driver_yesterdays_stats:acc_rate"]
    command = [str(Path(sys.executable).with_name("feast")), "serve", "--no-access-log"]
    with answering(
        lambda port: started([*command, f"--port={port}"], cwd=settings.FEATURE_REPO, env=environment()), "/health"
    ) as server:
        request = urllib.request.Request(
            f"{server.url}/get-online-features",
            json.dumps({"features": names, "entities": {"driver_id": [driver, nobody]}}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
            body = json.load(answer)
    columns = (column["values"] for column in body["results"])
    served = dict(zip(body["metadata"]["feature_names"], columns, strict=True))
    assert served == store.get_online_features(names, [{"driver_id": driver}, {"driver_id": nobody}]).to_dict()
    assert served["state"][0] == raw("drivers")["state"].iloc[-1]
    assert served["state"][1] is None
