"""Definitions that nobody chose: live states, batch and point-in-time joins agree with the oracle on them."""

from unittest import mock

import hypothesis.strategies as st
import oracle
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from random_tables import tables
from test_live import BEGIN, LATER, all_entries, events, folded, seconds
from test_windows import NOW, RAW, dense_or_sparse, histories, root_with, same, stored, untils, without_created

import settings
from features.windows.state import LiveTable
from jobs.batch.at_moments import at_moments
from jobs.batch.table import compute

FEW = {"suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much]}


def is_live(table):
    """Whether a live table may have it: it has one outcome, which is no value."""
    try:
        return bool(LiveTable(table))
    except ValueError:
        return False


@given(
    table=tables(RAW).filter(is_live), history=events(), batch=st.integers(1, 9), later=st.lists(LATER, min_size=4),
    shuffle=st.randoms(use_true_random=False), delays=st.lists(st.none() | st.integers(0, 10**6), min_size=25),
)  # fmt: skip
@examples(max_examples=300, **FEW)
def test_a_state_agrees_with_the_oracle_in_any_order(table, history, batch, later, shuffle, delays):
    live = LiveTable(table)
    for event, delay in zip(history, delays, strict=False):
        event["outcome"] = event["event_timestamp"] + seconds(delay) if live.outcome and delay is not None else None
    timestamps = [t for event in history for t in (event["event_timestamp"], event.get("outcome")) if t]
    newest = max(timestamps, default=BEGIN)
    history = [{**event, "at": event["event_timestamp"], "outcome": event.get("outcome")} for event in history]
    entries = all_entries(history, live)
    state = folded(shuffle.sample(entries, len(entries)), live, batch, stored=True)
    for timestamp in (newest + seconds(n) for n in later):
        assert live.values(state, timestamp) == oracle.values(table, history, "k", timestamp)
    assert live.to_json(state) == live.to_json(folded(entries, live))


@pytest.mark.slow
@given(table=tables(RAW), raw=histories, until=untils, dense=dense_or_sparse)
@examples(max_examples=25, **FEW)
def test_batch_agrees_with_the_oracle(table, raw, until, dense):
    with root_with(raw), mock.patch("jobs.batch.at_ticks.DENSE_UP_TO", dense):
        compute(settings.root(), table, until, NOW)
        known = [event for event in oracle.once(raw) if event["at"] < until]
        same(without_created(stored()), oracle.rows(table, known, None, until))


@pytest.mark.slow
@given(table=tables(RAW), raw=histories, timestamps=st.lists(untils, min_size=1, max_size=8))
@examples(max_examples=25, **FEW)
def test_values_at_timestamps_agree_with_the_oracle(table, raw, timestamps):
    frame = pd.DataFrame({"key": "a", "event_timestamp": pd.to_datetime(timestamps, utc=True).as_unit("us")})
    with root_with(raw):
        joined = at_moments(settings.root(), table, frame)[[a.name for a in table.aggregations]].astype(object)
    rows = joined.where(joined.notna(), None).to_dict("records")
    same(rows, [oracle.values(table, oracle.once(raw), "a", t) for t in timestamps])
