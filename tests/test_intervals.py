"""Values at timestamps agree with the oracle where events are late or corrected, whichever way a key takes."""

import os
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest import mock

import hypothesis.strategies as st
import oracle
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as examples
from test_windows import (
    ALL,
    DAY_0,
    HOUR,
    INSTANT,
    NOW,
    RAW,
    SCHEMA,
    ZERO,
    event,
    made,
    root_with,
    timestamps,
    untils,
)

import settings
from features.utc import since_1970
from features.windows import Aggregation, AggregationTable, Column, Derived
from jobs.batch.at_moments import records_at_moments
from jobs.batch.folded import Folds

pytestmark = pytest.mark.slow

Event = dict[str, Any]
LIVE = replace(RAW, is_live=True)
LAGS = st.sampled_from([ZERO, ZERO, INSTANT, 30 * HOUR]) | st.timedeltas(ZERO, 99 * HOUR)
VERSIONS = st.lists(st.tuples(made, LAGS), min_size=1, max_size=20).map(
    lambda pairs: [version | {"created": version["at"] + lag} for version, lag in pairs]
)
#: Most keys have events in order.
IN_ORDER = st.lists(st.tuples(made, LAGS), min_size=1, max_size=20, unique_by=lambda pair: pair[0]["id"]).flatmap(
    lambda pairs: st.sampled_from([ZERO, INSTANT, 7 * HOUR]).map(
        lambda lag: [version | {"created": version["at"] + lag} for version, _ in pairs]
    )
)
REQUESTS = st.lists(st.tuples(st.sampled_from("abc"), timestamps | untils), min_size=1, max_size=8)
TABLES = pytest.mark.parametrize("table", ALL.values(), ids=ALL)


def joined(table: AggregationTable, raw: list[Event], requests: list[tuple[str, datetime]]) -> list[Event]:
    keys, times = zip(*requests, strict=True)
    frame = pd.DataFrame({"key": keys, "event_timestamp": pd.to_datetime(times, utc=True).as_unit("us")})
    with tempfile.TemporaryDirectory() as root, mock.patch.dict(os.environ, RISK_DATA=root):
        path = settings.root().raw_table("made_events").with_suffix(".parquet")
        path.parent.mkdir(parents=True)
        schema = SCHEMA.append(pa.field("created", pa.timestamp("us", "UTC")))
        pq.write_table(pa.Table.from_pylist(raw, schema), path)
        return records_at_moments(settings.root(), replace(table, source=LIVE), frame)


@TABLES
@examples(max_examples=40)
@given(raw=VERSIONS | IN_ORDER, requests=REQUESTS)
def test_late_and_corrected_events_count_from_when_they_were_known(
    table: AggregationTable, raw: list[Event], requests: list[tuple[str, datetime]]
):
    edges = [
        (version["key"], edge + shift)
        for version in raw[:4]
        for edge in (version["created"], version["outcome"])
        if edge is not None
        for shift in (-INSTANT, ZERO, INSTANT)
    ]
    requests = requests + edges
    expected = [oracle.values(table, oracle.once(raw, t), key, t) for key, t in requests]
    assert joined(table, raw, requests) == expected


def test_the_parts_of_a_key_may_have_different_types():
    account = Column("account", "int", is_optional=True)
    source = replace(RAW, columns=(*RAW.columns, account))
    table = AggregationTable("made_table", source, "key", (Aggregation("n", "count", None, HOUR),), also=("account",))
    numbers = [2**53, 2**53 + 1, 2**53 + 1, None]
    raw = [event(DAY_0, id=str(n), account=number) for n, number in enumerate(numbers)]
    frame = pd.DataFrame({"key": "a", "account": pd.Series([*numbers[:2], 7, None], dtype="Int64")})
    frame["event_timestamp"] = pd.to_datetime([DAY_0 + INSTANT] * len(frame)).as_unit("us")
    with root_with(raw, SCHEMA.append(pa.field("account", pa.int64()))):
        counts = [row["n"] for row in records_at_moments(settings.root(), table, frame)]
        with closing(Folds(settings.root(), {"key": "a", "account": 2**53 + 1})) as folds:
            assert folds.folded(table, since_1970(DAY_0 + INSTANT), since_1970(NOW)).values["n"] == 2
    assert counts == [1, 2, 0, 0]


def test_a_product_of_large_whole_numbers_is_a_float():
    factors = [Column(name, "int") for name in ("x", "y")]
    columns = tuple(column for column in RAW.columns if column.name != "x")
    source = replace(RAW, columns=(*columns, *factors), derived=(Derived("product", "product", ("x", "y")),))
    table = AggregationTable("made_table", source, "key", (Aggregation("most", "max", "product", HOUR),))
    frame = pd.DataFrame({"key": ["a"], "event_timestamp": pd.to_datetime([DAY_0 + INSTANT]).as_unit("us")})
    raw = [event(DAY_0, id=str(n)) | {"x": 2**62 - n, "y": -(2**62)} for n in range(2)]
    types = dict(zip(SCHEMA.names, SCHEMA.types, strict=True)) | {"x": pa.int64(), "y": pa.int64()}
    with root_with(raw, pa.schema(types)):
        assert records_at_moments(settings.root(), table, frame) == [{"most": -(2.0**124)}]
