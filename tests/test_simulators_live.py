"""The simulated coupons, transactions and purchases: the same for the same seed, all before now, and ready for JSON."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from constants import override

from simulators import FEWEST, Size, catalog, coupon, loyalty
from simulators.live import as_events

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 31, 13, 37, tzinfo=UTC)
SMALL = {"coupon_days": 10, "customers": 500, "products": 60, "shop_days": 20}
TIMES = {
    "coupon_attempts": "create_time",
    "transactions": "transaction_date",
    "purchases": "purchase_timestamp",
    "purchases_to_come": "purchase_timestamp",
}
IDS = {
    "coupon_attempts": "msg_id",
    "transactions": "transaction_id",
    "purchases": "purchase_id",
    "purchases_to_come": "purchase_id",
}
DAYS = {"coupon_attempts": 10, "transactions": 20, "purchases": 20, "purchases_to_come": 20}


def made(seed=7, now=NOW, **otherwise):
    size = Size(**{**SMALL, **otherwise})
    return {t: rows for s in (coupon, catalog, loyalty) for t, rows in s.events(seed, now, size, b"").items()}


def rng(seed=1):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def world():
    return made()


def timestamps(events, column):
    return [datetime.fromisoformat(event[column]) for event in events]


# Every table


def test_the_same_seed_time_and_size_make_the_same_rows(world):
    again = made()
    assert {table: rows.equals(again[table]) for table, rows in world.items()} == dict.fromkeys(TIMES, True)


@pytest.mark.parametrize("otherwise", [{"seed": 8}, {"now": NOW + timedelta(days=1)}])
def test_another_seed_or_time_makes_other_rows(world, otherwise):
    other = made(**otherwise)
    assert {table: rows.equals(other[table]) for table, rows in world.items()} == dict.fromkeys(TIMES, False)


@pytest.mark.parametrize(
    ("size", "tables"),
    [
        ({"coupon_days": 9}, ["coupon_attempts"]),
        ({"customers": 501}, ["transactions", "purchases", "purchases_to_come"]),
        ({"products": 61}, ["transactions"]),
        ({"shop_days": 19}, ["transactions", "purchases", "purchases_to_come"]),
    ],
)
def test_another_size_changes_only_the_tables_it_is_about(world, size, tables):
    other = made(**size)
    assert [table for table, rows in world.items() if not rows.equals(other[table])] == tables


@pytest.mark.parametrize("table", TIMES)
def test_rows_fill_the_days_before_now_oldest_first(world, table):
    times = world[table][TIMES[table]]
    assert str(times.dtype) == "datetime64[us, UTC]"
    assert times.is_monotonic_increasing
    assert times.max() < NOW
    assert times.dt.normalize().nunique() == DAYS[table]
    assert times.min() >= pd.Timestamp("2026-01-31", tz="UTC") - timedelta(days=DAYS[table])
    assert 11 < times.dt.hour.median() < 15
    assert (times.dt.microsecond % 1000 > 0).mean() > 0.9


@pytest.mark.parametrize("hour", [0, 3, 12])
def test_nothing_is_dated_at_or_after_now_at_any_hour_of_it(hour):
    now = datetime(2026, 1, 31, hour, tzinfo=UTC)
    for seed in range(5):
        world = made(seed, now, coupon_days=2, shop_days=2)
        assert all(rows[TIMES[table]].max() < now for table, rows in world.items())


def test_an_attack_that_goes_on_after_now_ends_at_now_in_the_table(monkeypatch):
    # 20 attempts take two hours, 200 take most of a day.
    override(monkeypatch, coupon, SLOWEST=1 / 400, FASTEST=1 / 400)
    midnight = datetime(2026, 1, 31, tzinfo=UTC)
    rows = pd.concat([made(seed, midnight, coupon_days=1)["coupon_attempts"] for seed in range(20)])
    of_attacks = rows.loc[rows["is_attack"] == 1, "create_time"]
    assert midnight - timedelta(seconds=600) < of_attacks.max() < midnight
    assert rows["create_time"].max() < midnight


def test_an_id_names_one_row(world):
    world = {**world, "purchases": pd.concat([world["purchases"], world["purchases_to_come"]])}
    assert {table: rows[IDS[table]].is_unique for table, rows in world.items()} == dict.fromkeys(TIMES, True)


def test_the_smallest_world_can_be_made():
    for seed in range(5):
        assert all(len(rows) for rows in made(seed, **{name: FEWEST[name] for name in SMALL}).values())


# Live events

KNOWN = ["msg_id", "msg_type", "device_id", "location_code", "coupon_code", "response", "create_time"]
LIVE = {
    "attack": (coupon.attack, "create_time", "msg_id"),
    "normal": (coupon.normal, "create_time", "msg_id"),
    "transactions": (catalog.transactions, "transaction_date", "transaction_id"),
}
live = pytest.mark.parametrize(("make", "time", "name"), LIVE.values(), ids=LIVE)


@live
@pytest.mark.parametrize("per_second", [0.05, 1, 500])
def test_live_events_begin_on_time_and_keep_the_pace(make, time, name, per_second):
    when = timestamps(make(rng(), NOW, 200, per_second), time)
    assert when[0] == NOW
    assert when == sorted(when)
    assert (when[-1] - NOW).total_seconds() * per_second == pytest.approx(200, rel=0.1)
    gaps = [(later - earlier).total_seconds() * per_second for earlier, later in pairwise(when)]
    assert 0.49 < min(gaps) < max(gaps) < 1.51


@live
def test_live_events_are_ready_for_json(make, time, name):
    events = make(rng(), NOW, 50, 5)
    assert json.loads(json.dumps(events, allow_nan=False)) == events
    assert {when.utcoffset() for when in timestamps(events, time)} == {timedelta(0)}


@live
def test_live_events_of_another_generator_share_no_id(make, time, name, world):
    """Neither do the events that first generator makes in a row, or the events of the history."""
    first, second = rng(1), rng(2)
    ids = [event[name] for g in (first, first, second) for event in make(g, NOW, 40, 5)]
    ids += [*world["coupon_attempts"]["msg_id"], *world["transactions"]["transaction_id"]]
    assert len(ids) == len(set(ids))


@live
def test_the_same_generator_makes_the_same_live_events(make, time, name):
    assert make(rng(3), NOW, 40, 5) == make(rng(3), NOW, 40, 5) != make(rng(4), NOW, 40, 5)
    assert make(rng(3), NOW, 0, 5) == []


def test_purchases_to_come_become_live_events_by_the_row(world):
    rows = world["purchases_to_come"].head(2)
    assert as_events(rows) == [
        {
            "purchase_id": row.purchase_id,
            "customer_id": row.customer_id,
            "purchase_timestamp": row.purchase_timestamp.isoformat(timespec="microseconds"),
            "purchase_value": row.purchase_value,
            "loyalty_score": row.loyalty_score,
        }
        for row in rows.itertuples()
    ]


def test_a_live_attack_is_like_one_of_the_history():
    events = coupon.attack(rng(), NOW, 60, 2)
    assert [list(event) for event in events] == [KNOWN] * 60
    assert len({(event["location_code"], event["coupon_code"][:14]) for event in events}) == 1
    assert len({event["device_id"] for event in events}) <= 2
    numbers = [int(event["coupon_code"][-4:]) for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + 60))
    assert sum(event["response"] == "INVALID" for event in events) >= 54


def test_live_redemptions_are_like_those_of_the_history(world):
    events = coupon.normal(rng(), NOW, 3000, 50)
    rows = pd.DataFrame(events)
    assert list(rows) == KNOWN
    assert 0.02 < (rows["response"] == "INVALID").mean() < 0.07
    assert rows["coupon_code"].str[:14].value_counts().max() >= 40
    where = world["coupon_attempts"].drop_duplicates("device_id").set_index("device_id")["location_code"]
    assert rows["device_id"].map(where).equals(rows["location_code"])
