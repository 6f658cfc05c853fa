"""Timestamps as callers write them, up to the ends of the calendar."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from offline_world import at, entity_frame, joined, our_stores, row, source, view, write
from small import DRIVER

from exact_stores.frame_timestamps import timestamps_of

pytestmark = pytest.mark.slow

EAST = timezone(timedelta(hours=5))
#: One instant in several forms.
ONE_AM = ["2026-01-01T06:00:00+05:00", "2026-01-01 01:00:00", "2026-01-01T01:00Z", datetime(2026, 1, 1, 1),  # noqa: DTZ001 it has none
          datetime(2026, 1, 1, 6, tzinfo=EAST), pd.Timestamp("2026-01-01T01:00:00")]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_each_timestamp_is_read_by_itself(order: int):
    timestamps = timestamps_of(pd.Series([*ONE_AM, None][::order], dtype=object))
    expected = [np.datetime64("2026-01-01T01:00:00")] * len(ONE_AM)
    assert timestamps[~np.isnat(timestamps)].tolist() == np.array(expected, timestamps.dtype).tolist()
    assert np.isnat(timestamps).sum() == 1


def test_a_text_without_a_zone_does_not_take_that_of_its_neighbour(tmp_path: Path):
    write(tmp_path / "a.parquet", [row(1, 1, 0), row(1, 2, 180)])
    texts = [(at(60) + timedelta(hours=5)).replace(tzinfo=EAST).isoformat(), f"{at(60):%Y-%m-%d %H:%M:%S}"]
    frame = entity_frame(*((1, text) for text in texts))
    assert joined(tmp_path, source(tmp_path / "a.parquet"), frame)["trips"].to_pylist() == [1, 1]


@pytest.mark.parametrize("value", ["20260101", "now", "1/2/2026", 1767225600, 5.5])
def test_what_is_no_timestamp_is_refused(value: Any):
    with pytest.raises(ValueError, match=r"is not a timestamp\. Write ISO 8601"):
        timestamps_of(pd.Series(["2026-01-01", value], dtype=object))


def test_a_date_is_its_midnight():
    assert timestamps_of(pd.Series([date(2026, 1, 1)])).astype(str).tolist() == ["2026-01-01T00:00:00.000000000"]


@pytest.mark.parametrize("unit", ["us", "ns"])
@pytest.mark.parametrize("far", ["9999-12-31T23:59:59.999999", "0001-01-01"])
@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(days=3650)])
@pytest.mark.parametrize("kind", ["datetime64[us]", "datetime64[s]", object])
def test_a_frame_may_reach_the_ends_of_the_calendar(unit: str, far: str, ttl: timedelta, kind: Any, tmp_path: Path):
    write(tmp_path / "a.parquet", [row(1, 1, 0)], unit)
    far = far.removesuffix(".999999") if kind == "datetime64[s]" else far
    times = pd.Series([far, f"{at(1):%Y-%m-%dT%H:%M:%S}"]).astype(kind)
    frame = pd.DataFrame({"driver_id": [1, 1], "event_timestamp": times})
    ever = 1 if far.startswith("9") and not ttl else None
    assert joined(tmp_path, source(tmp_path / "a.parquet"), frame, ttl=ttl)["trips"].to_pylist() == [ever, 1]


@pytest.mark.parametrize("far", [datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), datetime(1, 1, 1, tzinfo=UTC)])
def test_created_may_be_at_an_end_of_the_calendar_beside_nanoseconds(far: datetime, tmp_path: Path):
    table = pa.table({
        "driver_id": [1, 2], "trips": [1, 2],
        "event_timestamp": pa.array([at(0), at(0)], pa.timestamp("ns")),
        "created": pa.array([far, at(0)], pa.timestamp("us", "UTC")),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    file = source(tmp_path / "a.parquet", created_timestamp_column="created")
    assert joined(tmp_path, file, entity_frame((1, at(1)), (2, at(1))))["trips"].to_pylist() == [1, 2]
    store = our_stores(tmp_path)
    store.apply([DRIVER, view(file)])
    store.materialize_incremental(at(60))
    store.materialize_incremental(at(61))
    assert store.get_online_features(["stats:trips"], [{"driver_id": 2}]).to_dict()["trips"] == [2]


def test_a_time_column_of_numbers_is_refused_by_name(tmp_path: Path):
    rows = [{"driver_id": 1, "trips": 1, "event_timestamp": 1767225600}]
    write(tmp_path / "a.parquet", rows)
    with pytest.raises(ValueError, match=r"time column 'event_timestamp' of .* holds BIGINT"):
        joined(tmp_path, source(tmp_path / "a.parquet"), entity_frame((1, at(1))))


def test_a_time_column_of_other_texts_is_refused_with_the_text(tmp_path: Path):
    rows = [row(driver, 1, 0) | {"event_timestamp": text} for driver, text in ((1, "2026-03-01T12:00:00"), (2, "soon"))]
    write(tmp_path / "a.parquet", rows)
    message = r"time column 'event_timestamp' of .* holds 'soon', which is no timestamp\. Write ISO 8601"
    with pytest.raises(ValueError, match=message):
        joined(tmp_path, source(tmp_path / "a.parquet"), entity_frame((1, at(1))))
    store = our_stores(tmp_path)
    store.apply([DRIVER, view(source(tmp_path / "a.parquet"))])
    with pytest.raises(ValueError, match=message):
        store.materialize(at(-60), at(60))
