"""The generated data: the same for the same seed, without a secret, and with something for a model to find."""

import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from processes import environment, run

import generate_data
import settings
from cli.exit_codes import ExitCode
from cli.values import TIMESTAMP
from errors import BadParameter
from features import DOMAINS
from hash_keys import claim_for_key
from jobs.raw import places
from jobs.world.check import Share
from jobs.world.generate import generate, write
from jobs.world.marker import World
from jobs.world.shares import shares
from simulators import Size, onboarding

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 31, 13, 37, tzinfo=UTC)
KEY = b"a key for tests"
TABLES = ["drivers", "applications", "driver_hourly_stats", "driver_days"]


@pytest.fixture(scope="module")
def made():
    return onboarding.events(7, NOW, Size(drivers=2000), KEY)


def few(seed=7, now=NOW, drivers=200, key=KEY):
    return onboarding.events(seed, now, Size(drivers=drivers), key)


def are_equal(frame, other):
    return {table: frame[table].equals(other[table]) for table in TABLES}


def test_the_same_seed_and_time_make_the_same_world():
    assert are_equal(few(), few()) == dict.fromkeys(TABLES, True)


@pytest.mark.parametrize("otherwise", [{"seed": 8}, {"now": NOW - timedelta(days=1)}, {"drivers": 201}])
def test_another_seed_time_or_size_makes_another_world(otherwise):
    assert are_equal(few(), few(**otherwise)) == dict.fromkeys(TABLES, False)


def test_another_key_changes_the_hashes_and_nothing_else():
    tables, other = few(), few(key=b"another key")
    for table in TABLES:
        hashes = [column for column in ("ssn", "dl") if column in tables[table]]
        assert not any((tables[table][column] == other[table][column]).any() for column in hashes)
        assert tables[table].drop(columns=hashes).equals(other[table].drop(columns=hashes))


@pytest.mark.parametrize("drivers", [100, 200])
def test_a_small_world_has_every_table(drivers):
    assert {table: len(frame) > 50 for table, frame in few(drivers=drivers).items()} == dict.fromkeys(TABLES, True)


REFUNDS = Share("refunds", (), (), (), Path("refunds.db"))
SMALL = Size(drivers=200, users=50, merchants=100, order_days=30)


def world_of(domain):
    return import_module(f"simulators.{domain}").events(7, NOW, SMALL, settings.hash_key())


def test_every_domain_can_be_made():
    for domain in DOMAINS:
        assert all(len(frame) for frame in world_of(domain).values())


def test_an_identifier_is_never_there_but_as_a_hash(made):
    hashed = 0
    for frame in made.values():
        for column in {"ssn", "dl"} & set(frame):
            assert frame[column].str.fullmatch("[0-9a-f]{32}").all()
            hashed += 1
        for column in set(frame.select_dtypes("object")) - {"ssn", "dl"}:
            assert not frame[column].astype(str).str.contains(r"\d{4}").any()
    assert hashed == 4


def test_the_answer_that_a_model_looks_for_is_not_in_the_data(made):
    assert not [c for frame in made.values() for c in frame if "reused" in c or "kind" in c or "minor" in c]


@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_later_than_now_or_known_before_it_happens(made, table):
    frame = made[table]
    for column in ("event_timestamp", "created"):
        assert str(frame[column].dt.tz) == "UTC"
        assert frame[column].notna().all()
        assert frame[column].max() <= pd.Timestamp(NOW)
    assert (frame["created"] >= frame["event_timestamp"]).all()


@pytest.mark.parametrize(
    ("table", "matures_after"), [("applications", timedelta(days=14)), ("driver_days", timedelta(days=1))]
)
def test_an_outcome_is_known_once_it_has_matured(made, table, matures_after):
    assert (made[table]["created"] - made[table]["event_timestamp"] == matures_after).all()


def test_a_driver_works_only_after_signing_up(made):
    signed_up = made["drivers"].set_index("driver_id")["event_timestamp"]
    for table in ("driver_hourly_stats", "driver_days"):
        assert (made[table]["event_timestamp"] >= made[table]["driver_id"].map(signed_up)).all()


def test_rates_are_shares_and_trips_are_counted(made):
    hourly = made["driver_hourly_stats"]
    assert hourly[["conv_rate", "acc_rate"]].stack().between(0, 1).all()
    assert hourly["avg_daily_trips"].ge(0).all()
    assert not hourly.duplicated(["driver_id", "event_timestamp"]).any()


def fraud_rates(made, is_bad):
    outcomes = made["applications"].set_index("applicant_driver_id")["is_fraud"]
    is_bad = pd.Series(is_bad.to_numpy(), made["drivers"]["driver_id"]).reindex(outcomes.index)
    return outcomes[is_bad].mean(), outcomes[~is_bad].mean()


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(lambda drivers: drivers.duplicated("ssn"), id="SSN seen before"),
        pytest.param(lambda drivers: drivers.duplicated("dl"), id="licence seen before"),
        pytest.param(
            lambda drivers: drivers["dob"] + pd.DateOffset(years=18) > drivers["event_timestamp"], id="under 18"
        ),
    ],
)
def test_fraud_is_far_more_frequent_where_there_is_a_sign_of_it(made, sign):
    with_sign, without = fraud_rates(made, sign(made["drivers"]))
    assert with_sign > 0.4
    assert without < 0.15


def test_fraud_does_not_depend_on_the_state(made):
    elsewhere, ours = fraud_rates(made, made["drivers"]["state"].isin(onboarding.OTHER_STATES))
    assert abs(elsewhere - ours) < 0.1


def test_incidents_are_far_more_frequent_after_an_implausible_day(made):
    hourly, days = made["driver_hourly_stats"], made["driver_days"]
    of_day = hourly.groupby(["driver_id", hourly["event_timestamp"].dt.normalize() + timedelta(days=1)])
    yesterday = of_day[["conv_rate", "acc_rate", "avg_daily_trips"]].mean()
    keys = pd.MultiIndex.from_arrays([days["driver_id"], days["event_timestamp"].dt.normalize()])
    yesterday = yesterday.reindex(keys).reset_index(drop=True)
    incidents = days["had_incident"].reset_index(drop=True)
    plausible = (yesterday["conv_rate"] <= 0.8) & (yesterday["acc_rate"] >= 0.01) & (yesterday["avg_daily_trips"] >= 10)
    for sign in (yesterday["conv_rate"] > 0.8, yesterday["acc_rate"] < 0.01, yesterday["avg_daily_trips"] < 10):
        assert incidents[sign].mean() > incidents[plausible].mean() + 0.2


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_timestamp_without_an_offset_is_utc(text, timestamp):
    assert TIMESTAMP.convert(text, None, None) == timestamp


def test_what_is_written_is_what_was_made_in_microseconds_and_utc(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    heard = {}
    root = settings.root()
    claim = partial(claim_for_key, root.hash_key, settings.hash_key(), lambda: None)
    generate(root, World(7, SMALL, settings.hash_key()), NOW, shares(root, DOMAINS), claim, heard.__setitem__)
    worlds = [world_of(domain) for domain in DOMAINS]
    expected = {table: frame for world in worlds for table, frame in world.items()}
    assert heard == {table: len(frame) for table, frame in expected.items()}
    for table, frame in expected.items():
        (file,) = places.raw_files(settings.root(), table)
        written = pq.read_table(file)
        times = [field.type for field in written.schema if pa.types.is_timestamp(field.type)]
        assert set(times) == {pa.timestamp("us", "UTC")}
        assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "ZSTD"
        pd.testing.assert_frame_equal(written.to_pandas(), frame.reset_index(drop=True), check_dtype=False)


def test_new_data_replace_our_file_and_leave_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    frame = few()["drivers"]
    ours = write(settings.root().raw_table("drivers") / "made.parquet", frame)
    other = ours.with_name("signed-up-1.parquet")
    other.write_bytes(ours.read_bytes())
    assert write(ours, frame.head(3)) == ours
    assert sorted(settings.root().raw_table("drivers").iterdir()) == sorted([ours, other])
    assert (len(pd.read_parquet(ours)), len(pd.read_parquet(other))) == (3, 200)


def test_a_domain_without_a_simulator_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    root = settings.root()
    with pytest.raises(BadParameter, match=r"'refunds' has no simulator.* Write simulators/refunds\.py"):
        generate(root, World(7, SMALL, b""), NOW, [*shares(root, ("onboarding",)), REFUNDS], lambda: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flag", "few", "least"),
    [("--drivers", 99, 100), ("--users", 9, 10), ("--merchants", 9, 10), ("--order-days", 0, 1), ("--users", -5, 10)],
)
def test_a_size_too_small_to_learn_from_is_refused(flag, few, least):
    result = CliRunner().invoke(generate_data.main, [f"{flag}={few}"])
    assert result.exit_code == ExitCode.USAGE
    assert f"'{flag}': {few} is too small for a model to learn from. Give at least {least}." in result.stderr


@pytest.mark.slow
def test_the_command_writes_the_domains_that_it_is_given(tmp_path):
    command = [sys.executable, "generate_data.py", "--domain", "catalog", "--domain", "coupon", "--shop-days", "2"]
    printed = run([*command, "--coupon-days=2"], env=environment(RISK_DATA=tmp_path)).stdout
    tables = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in printed.splitlines()}
    assert tables.keys() == {path.stem for path in (tmp_path / "raw").iterdir()}
    assert tables == {name: len(pd.read_parquet(tmp_path / "raw" / f"{name}.parquet")) for name in tables}
