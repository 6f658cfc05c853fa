"""Where the features of a decision come from: edges, counts, events and values are those of a plain loop over the raw
events, and what became known later changes nothing."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import own_root
from flask.testing import FlaskClient
from folded_oracle import answered, check
from test_parity import decide_15_times, run_stream_jobs, send_live_events

import settings
from app import create_app
from features.domains import live_of, risks, tables
from features.utc import EPOCH, MICROSECOND, midnight, since_1970, utc
from features.windows.live import seen_of
from features.windows.tables import AggregationTable
from jobs.batch.folded import Folded, Folds
from jobs.raw import places
from provenance.explained import Explained
from provenance.explaining import explain
from root import Root
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
RISKS = ("onboarding", "daily", "chargeback", "coupon", "loyalty")
BY_NAME = {table.name: table for table in tables()}


@pytest.fixture(scope="module")
def decided(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A root of its own with decisions of every risk, the last ones after the events of the ones before."""
    folder = tmp_path_factory.mktemp("decided")
    own_root(world, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(folder))
        store = FeastStore(settings.FEATURE_REPO)
        client = create_app(store).test_client()
        decide_15_times(client)
        for turn in range(2):
            send_live_events(client, turn)
            run_stream_jobs(store)
        send_live_events(client, 2)
        yield client


@pytest.fixture(scope="module")
def store(decided: FlaskClient) -> FeastStore:
    return FeastStore(settings.FEATURE_REPO)


def records(name: str) -> list[dict[str, Any]]:
    """The lines of a risk, oldest first."""
    files = sorted(settings.root().decisions.glob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if line["risk"] == name]


def why(store: FeastStore, record: dict[str, Any], root: Root | None = None) -> dict[str, Explained]:
    return {feature.name: feature for feature in explain(root or settings.root(), store, record)}


@pytest.mark.parametrize("name", RISKS)
def test_every_feature_is_explained_and_equal(decided: FlaskClient, store: FeastStore, name: str) -> None:
    for record in records(name)[-4:]:
        features = why(store, record)
        assert set(features) == {n for n in record["features"] if not n.endswith("_seen")}
        unequal = {n: (f.logged, f.recomputed, f.reason) for n, f in features.items() if not f.equal}
        assert unequal == {}
        assert all(f.definition.endswith(".") and f.reason is None for f in features.values())


def folded(
    table: AggregationTable, key: tuple[Any, ...], at: datetime, known: datetime, is_state: bool = False
) -> Folded:
    """The table alone, where a decision folds several."""
    with closing(Folds(settings.root(), dict(zip(table.keys, key, strict=True)))) as folds:
        return folds.folded(table, since_1970(at), since_1970(known), is_state)


@pytest.mark.parametrize("name", ["chargeback", "coupon", "loyalty"])
def test_a_live_feature_folds_the_events_that_were_processed(
    decided: FlaskClient, store: FeastStore, name: str
) -> None:
    live, events = risks()[name].live, 0
    assert live is not None
    for record in records(name)[-3:]:
        features, as_of = why(store, record), utc(record["as_of"])
        for table in live.tables:
            key = tuple(record["entity"][column] for column in table.keys)
            known_us = record["features"][seen_of(table)]
            known = EPOCH + (-1 if known_us is None else known_us) * MICROSECOND
            folds = folded(table, key, as_of, known, is_state=True)
            check(folds, table, key, answered(table, key, as_of, known), known)
            for a in table.aggregations:
                feature, window = features[live.named(table, a.name)], folds.windows[a.name]
                assert (feature.events, len(feature.newest)) == (window.events, len(window.newest))
                assert feature.until == EPOCH + window.until * MICROSECOND
                assert dict(feature.key) == dict(zip(table.keys, key, strict=True))
                events += window.events
    assert events > 10


def test_a_batch_feature_folds_the_day_before_midnight(decided: FlaskClient, store: FeastStore) -> None:
    table = BY_NAME["driver_yesterdays_stats"]
    assert isinstance(table, AggregationTable)
    for record in records("daily")[-3:]:
        key, tick = (record["entity"]["driver_id"],), midnight(utc(record["as_of"]))
        folds = folded(table, key, tick, tick)
        check(folds, table, key, tick, tick)
        feature = why(store, record)["yesterdays_acc_rate_lt_01"]
        assert (feature.since, feature.until) == (tick - DAY, tick)
        assert feature.events == folds.windows["acc_rate"].events


def test_a_lookup_names_the_drivers_events_before_the_request(decided: FlaskClient, store: FeastStore) -> None:
    raw = pq.read_table(places.raw_files(settings.root(), "drivers")[0]).to_pylist()
    seen_by = next(row for row in raw if row["event_timestamp"] < datetime.now(UTC) - DAY)
    record = records("onboarding")[-1]
    record["entity"]["ssn"], record["features"]["is_previously_seen_ssn"] = seen_by["ssn"], 1
    feature, as_of = why(store, record)["is_previously_seen_ssn"], utc(record["as_of"])
    times = sorted(r["event_timestamp"] for r in raw if r["ssn"] == seen_by["ssn"] and r["event_timestamp"] < as_of)
    assert feature.equal
    assert (feature.events, feature.until) == (len(times), as_of)
    assert [event.event_timestamp for event in feature.newest] == times[::-1][:10]
    assert feature.key == {"ssn": seen_by["ssn"]}


@pytest.mark.parametrize("table", live_of("catalog")[0].tables, ids=lambda table: table.name)
def test_tables_without_a_decision_fold_the_same_events(decided: FlaskClient, table: AggregationTable) -> None:
    (file, *_) = places.raw_files(settings.root(), "transactions")
    rows = [row for row in pq.read_table(file).to_pylist() if row["review_rating"] is not None]
    for row in rows[:: len(rows) // 3][:3]:
        key = tuple(row[column] for column in table.keys)
        at = row["transaction_date"] + SECOND
        folds = folded(table, key, at, at)
        assert max(window.events for window in folds.windows.values()) > 0
        check(folds, table, key, at, at)


@pytest.fixture
def changed(decided: FlaskClient, tmp_path: Path) -> Root:
    """A copy of the root whose logs and raw tables may be changed."""
    for part in settings.root().path.iterdir():
        if part.name == "events":
            shutil.copytree(part, tmp_path / part.name)
        elif part.name == "raw":
            (tmp_path / "raw").mkdir()
            for table in part.iterdir():
                (tmp_path / "raw" / table.name).symlink_to(table)
        else:
            (tmp_path / part.name).symlink_to(part)
    return Root(tmp_path)


@pytest.mark.parametrize(("later", "is_equal"), [(SECOND, True), (-SECOND, False)], ids=["later", "before"])
def test_a_late_event_counts_only_if_it_was_known_then(
    changed: Root, store: FeastStore, later: timedelta, is_equal: bool
) -> None:
    """A purchase of an hour before, which became known a second after, or before, the state of the decision."""
    record = records("loyalty")[-1]
    known = EPOCH + record["features"]["customer_purchases_seen"] * MICROSECOND
    log = max((changed.path / "events" / "purchases").rglob("*.parquet"))
    table = pq.read_table(log, partitioning=None)
    late = table.slice(0, 1).to_pylist()[0] | {
        "purchase_id": "late", "customer_id": record["entity"]["customer_id"], "purchase_value": 7777.0,
        "purchase_timestamp": utc(record["as_of"]) - timedelta(hours=1), "created": known + later,
    }  # fmt: skip
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist([late], table.schema)]), log)
    feature = why(store, record, changed)["mean_purchase_value"]
    assert feature.equal is is_equal
    assert ("late" in [event.id for event in feature.newest]) is not is_equal
    assert (feature.reason is None) is is_equal


@pytest.mark.parametrize(("hours", "is_equal"), [(-1, False), (48, True)], ids=["before", "later"])
def test_a_raw_row_that_was_added_counts_only_if_it_was_known_then(
    changed: Root, store: FeastStore, hours: int, is_equal: bool
) -> None:
    record = next(r for r in records("daily") if r["features"]["acc_rate"] is not None)
    tick = midnight(utc(record["as_of"]))
    link = changed.raw / "driver_hourly_stats"
    table = pq.read_table(link / "made.parquet")
    link.unlink()
    link.mkdir()
    added = table.slice(0, 1).to_pylist()[0] | {
        "driver_id": record["entity"]["driver_id"], "acc_rate": 0.0, "event_timestamp": tick - timedelta(hours=3),
        "created": tick + timedelta(hours=hours),
    }  # fmt: skip
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist([added], table.schema)]), link / "made.parquet")
    features = why(store, record, changed)
    assert features["acc_rate"].equal is is_equal
    assert features["state"].equal


def test_raw_events_that_are_gone_are_said_to_be(changed: Root, store: FeastStore) -> None:
    for part in (changed.raw / "purchases.parquet", changed.raw / "purchases"):
        part.unlink(missing_ok=True)
    shutil.rmtree(changed.offline_log("purchases"))
    features = why(store, records("loyalty")[-1], changed)
    assert not any(feature.equal for feature in features.values())
    assert "No raw events" in (features["mean_purchase_value"].reason or "")


def test_the_path_answers_what_the_command_shows(decided: FlaskClient, store: FeastStore) -> None:
    record = records("coupon")[-1]
    answer = decided.get(f"/api/v1/decisions/{record['decision_id']}/why")
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["equal"] is True
    assert [feature["name"] for feature in answer.json["features"]] == list(why(store, record))
    text = answer.get_data(as_text=True)
    assert '"coupon_code"' not in text
    unknown = decided.get("/api/v1/decisions/none/why")
    assert (unknown.status_code, unknown.json["error"]["name"]) == (404, "unknown_decision")
