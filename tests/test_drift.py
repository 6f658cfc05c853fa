"""The statistics of drift against slow ones, and the reference that publishing stores."""

import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from own_model import fitted
from scipy.stats import chi2, entropy, ks_2samp
from traffic import RISK as CHARGEBACK
from traffic import START, Traffic, rows

import model
from errors import BadParameter, Mismatch, ModelBroken
from jobs.commands import jobs
from model import drift, shelf
from model.publishing.drawn import distribution
from model.reference import HOURS, SCORE, hours_of, read
from root import Root

pytestmark = pytest.mark.slow

COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=12)
HOUR_US = 3_600_000_000


@given(COUNTS, st.data())
def test_the_index_is_both_relative_entropies_of_the_groups_with_rows(expected, data):
    seen = data.draw(st.lists(st.integers(0, 500), min_size=len(expected), max_size=len(expected)))
    used = [(e + 0.5, s + 0.5) for e, s in zip(expected, seen, strict=True) if e or s]
    by_hand = 0.0
    if used:
        first, second = zip(*used, strict=True)
        by_hand = entropy(first, second) + entropy(second, first)
    assert drift.psi(np.array(expected), np.array(seen)) == pytest.approx(by_hand, abs=1e-12)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_the_distance_of_few_values_is_that_of_the_rows(training, seen):
    drawn = distribution("x", np.array(training, float), None, default=0.0)
    ours = drift.ks(drawn.ordered(np.array(drawn.counts)), drawn.ordered(drawn.count(np.array(seen, float))))
    edges = [*sorted({*training} - {0}), 99]
    by_bin = [[next(e for e in edges if value <= e) for value in values] for values in (training, seen)]
    assert ours == pytest.approx(ks_2samp(*by_bin).statistic)


def test_chance_exceeds_the_noise_as_seldom_as_it_says():
    rng, shares, chance = np.random.default_rng(0), np.full(10, 0.1), 0.01
    rows = 1 / 5_000 + 1 / 300
    draws = [drift.psi(rng.multinomial(5_000, shares), rng.multinomial(300, shares)) for _ in range(4_000)]
    assert 0.004 < np.mean(np.array(draws) > rows * chi2.isf(chance, 9)) < 0.02
    expected, seen = np.full(10, 500), np.full(10, 30)
    noise = drift.noise(expected, seen)
    assert noise == pytest.approx(rows * chi2.isf(drift.CHANCE, 9))
    assert (drift.limit(expected, seen), drift.limit(expected, seen, spread=5)) == (drift.LEAST_PSI, 5 * noise)


def test_every_value_is_in_the_bin_that_a_loop_finds():
    rng = np.random.default_rng(0)
    training = np.where(rng.random(3_000) < 0.3, 0.0, rng.lognormal(0, 2, 3_000))
    training[::50] = np.nan
    drawn = distribution("x", training, None, default=0.0)
    assert sum(drawn.counts) == len(training)
    assert drawn.counts[-2:] == (int((training == 0).sum()), 60)
    for value in (*training[:200], -1.0, 1e9, 0.0, np.nan):
        loop = next((n for n, edge in enumerate(drawn.edges) if value <= edge), len(drawn.edges))
        loop = len(drawn.edges) + 2 if np.isnan(value) else len(drawn.edges) + 1 if value == 0 else loop
        assert drawn.bins(np.array([value])).tolist() == [loop]
    groups = drawn.grouped(np.array(drawn.counts))
    assert all(groups[:-2] >= 0.1 * groups[:-2].sum())


def test_what_follows_the_clock_has_its_hours_and_nothing_else_does():
    rng, days = np.random.default_rng(0), 7
    times = np.sort(rng.integers(0, days * 24 * HOUR_US, 6_000))
    at_night = (hours_of(times) % 24 < 6).astype(float)
    drawn = distribution("is_night", at_night, times)
    assert drawn.by_hour is not None
    assert distribution("x", rng.normal(size=6_000), times).by_hour is None
    assert distribution("is_night", at_night, None).by_hour is None
    hours = np.zeros(HOURS)
    hours[[2, 30]] = 1, 3
    expected = drawn.expected(hours)
    assert expected[1] / expected.sum() == pytest.approx(0.25)


def test_rows_that_come_in_bursts_have_a_spread():
    rng = np.random.default_rng(0)
    times = np.arange(8_000) * 60_000_000
    bursts = np.repeat(rng.normal(size=200), 40)
    assert distribution("x", rng.normal(size=8_000), times).spread < 2
    assert distribution("x", bursts, times).spread > 10


def test_a_published_model_has_the_reference_of_its_training_frame(tmp_path):
    risk, estimator, frame, _ = fitted("logistic regression")
    model.publish(risk, estimator, frame, root=tmp_path)
    version = shelf.current(tmp_path / "models", risk.name)
    drawn = read(version)
    assert drawn is not None
    assert [d.name for d in drawn.distributions] == [*(i.name for i in risk.inputs), SCORE]
    assert {sum(d.counts) for d in drawn.distributions} == {drawn.rows} == {len(frame)}
    (version / shelf.REFERENCE).write_text((version / shelf.REFERENCE).read_text().replace("1", "2"))
    with pytest.raises(ModelBroken, match="Train again: python -m jobs train made_up"):
        read(version)


def test_an_older_model_has_no_reference(tmp_path, monkeypatch):
    from fake import shelve

    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    shelve("onboarding")
    assert read(shelf.current(tmp_path / "models", "onboarding")) is None


def test_the_command_shows_the_windows_and_fails_on_an_alarm(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    jobs.main(["monitor", "--once", "--fail-on-alarm"], standalone_mode=False)
    assert "No window is over yet" in capsys.readouterr().out
    traffic = Traffic(Root(tmp_path))
    traffic.publish()
    traffic.decide(rows(12, 1).assign(order_amount=1e6))
    with pytest.raises(Mismatch, match="1 alarms go on"):
        jobs.main(["monitor", CHARGEBACK.name, "--once", "--fail-on-alarm"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert f"chargeback 1: {START:%Y-%m-%d}" in shown
    assert "order_amount is not as in training: PSI" in shown
    assert all(i.name in shown for i in CHARGEBACK.inputs)
    logged = sum(len(file.read_text().splitlines()) for file in traffic.root.decisions.glob("*.jsonl"))
    with closing(sqlite3.connect(tmp_path / "decisions.index" / "search.db")) as index:
        assert index.execute("SELECT count(*) FROM decision").fetchone() == (logged,), "searches have little to read"
    with pytest.raises(BadParameter, match="chargeback"):
        jobs.main(["monitor", "chargebak"], standalone_mode=False)
    usage = CliRunner().invoke(jobs, ["monitor", "--fail-on-alarm"], standalone_mode=False)
    assert "--fail-on-alarm needs --once" in str(usage.exception)


def test_a_frame_without_timestamps_has_a_reference_too():
    drawn = distribution("x", pd.Series([1.0, None, 3.0]).to_numpy(), None)
    assert (drawn.edges, drawn.counts, drawn.spread) == ((1.0, 3.0), (1, 1, 0, 0, 1), 1.0)
