"""How often the alarm rule of `python -m jobs monitor` is wrong: unchanged traffic is drawn from the training rows of
every risk, and every alarm is false.

    RISK_DATA=data python bench/drift_alarms.py --months 6 --rate 1000

The reference is of a random half of the training rows, and the traffic of the other half. The hours have as many
decisions as in training, and what follows the clock is drawn from the rows of the hour. The second table takes the rows
as they came: it has the bursts of an attack, and the same user many times.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import click
import numpy as np
import pandas as pd

import settings
from errors import RiskError
from features.domains import risks
from features.risk import Risk
from jobs.monitor.rule import Streaks
from jobs.monitor.window import LEAST_DECISIONS, statistic
from jobs.train.champion import case_rows
from model.publishing.drawn import reference
from model.publishing.version import rows_of
from model.reference import HOURS, SCORE, Distribution, hours_of
from model.scorer import Scorers
from serving.retrieval import FeastStore

HEADING = """\
| risk | features and score | windows | beyond the limit | alarms | alarms a month a feature | worst |
|---|---|---|---|---|---|---|"""
SLOTS_AN_HOUR, SLOTS_A_MONTH = 3, 30 * 24 * 3


class Tally:
    """The windows of one distribution: how many were beyond the limit, the alarms that began, the highest index."""

    def __init__(self) -> None:
        self.windows, self.beyond, self.alarms, self.highest, self.streaks = 0, 0, 0, 0.0, Streaks()

    def add(self, drawn: Distribution, seen: np.ndarray, hours: np.ndarray) -> None:
        result = statistic(drawn, seen, hours)
        if result.psi_limit is not None:
            self.windows, self.beyond = self.windows + 1, self.beyond + result.is_beyond
            self.highest = max(self.highest, result.psi)
            self.alarms += self.streaks.step(drawn.name, result.is_beyond) == "begins"


def drawn_traffic(hour_of_row: np.ndarray, months: int, rate: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Windows of traffic: how many decisions of each hour."""
    counts = np.bincount(hour_of_row, minlength=HOURS) / np.repeat([5, 2], HOURS // 2)
    counts = counts if (counts > 0).sum() > 2 else np.ones(HOURS)  # a batch has one hour, and tells no pattern
    mean = counts / (counts @ np.repeat([5, 2], HOURS // 2)) * 7 * 24 * rate / SLOTS_AN_HOUR
    window = np.zeros(HOURS, int)
    for slot in range(months * SLOTS_A_MONTH):
        day, hour = divmod(slot // SLOTS_AN_HOUR, 24)
        window[hour + 24 * (day % 7 >= 5)] += rng.poisson(mean[hour + 24 * (day % 7 >= 5)])
        if window.sum() >= LEAST_DECISIONS:
            yield window
            window = np.zeros(HOURS, int)


def values_of(drawn: Distribution, frame: pd.DataFrame) -> np.ndarray:
    return frame[drawn.name].astype(float).to_numpy()


def by_chance(risk: Risk, rows: pd.DataFrame, months: int, rate: float) -> dict[str, Tally]:
    rng = np.random.default_rng(0)
    order = rng.permutation(len(rows))
    known, other = (rows.iloc[np.sort(order[part::2])] for part in (0, 1))
    distributions = reference(risk, known, known[SCORE].to_numpy()).distributions
    hours = hours_of(times_of(other))
    pools = [np.flatnonzero(hours == hour) for hour in range(HOURS)]
    bins_of = {d.name: d.bins(values_of(d, other)) for d in distributions}
    tallies = {d.name: Tally() for d in distributions}
    for window in drawn_traffic(hours, months, rate, rng):
        anywhere = rng.integers(0, len(other), window.sum())
        at_hour = np.concatenate([rng.choice(pools[h], window[h]) for h in np.flatnonzero(window) if len(pools[h])])
        for drawn in distributions:
            rows_drawn = at_hour[drawn.knows(hours[at_hour])] if drawn.by_hour else anywhere
            seen = np.bincount(bins_of[drawn.name][rows_drawn], minlength=len(drawn.counts))
            tallies[drawn.name].add(drawn, seen, window)
    return tallies


def as_they_came(risk: Risk, past: pd.DataFrame, future: pd.DataFrame) -> dict[str, Tally]:
    distributions = reference(risk, past, past[SCORE].to_numpy()).distributions
    tallies = {d.name: Tally() for d in distributions}
    rows = pd.concat([past, future]).sort_values("event_timestamp", kind="stable")
    hours = hours_of(times_of(rows))
    for drawn in distributions:
        values, is_known = values_of(drawn, rows), drawn.knows(hours)
        for first in range(0, len(rows) - LEAST_DECISIONS + 1, LEAST_DECISIONS):
            window = slice(first, first + LEAST_DECISIONS)
            seen = drawn.count(values[window][is_known[window]])
            tallies[drawn.name].add(drawn, seen, np.bincount(hours[window], minlength=HOURS))
    return tallies


def times_of(rows: pd.DataFrame) -> np.ndarray:
    return rows["event_timestamp"].dt.as_unit("us").astype("int64").to_numpy()


def show(risk: str, tallies: dict[str, Tally], months: float) -> None:
    alarms = [tally.alarms for tally in tallies.values()]
    worst = max(tallies, key=lambda name: (tallies[name].alarms, tallies[name].beyond))
    tally = tallies[worst]
    per_month = f"{sum(alarms) / len(alarms) / months:.3f}" if months else "–"
    print(
        f"| {risk} | {len(tallies)} | {tally.windows:,} | {sum(t.beyond for t in tallies.values())} | {sum(alarms)} "
        f"| {per_month} | {worst}: {tally.alarms} alarms, highest PSI {tally.highest:.2f} |",
        flush=True,
    )


@click.command()
@click.option("--months", default=6)
@click.option("--rate", default=1_000.0, help="Decisions an hour, on average.")
def main(months: int, rate: float) -> None:
    root, store = settings.root(), FeastStore(settings.FEATURE_REPO)
    cases: list[tuple[Risk, list[pd.DataFrame]]] = []
    for risk in risks().values():
        try:
            scorer = Scorers(root.models)[risk.name]
            parts = case_rows(root, store, risk, datetime.now(UTC), risk.protocol, None)
        except RiskError as error:
            print(f"{risk.name}: {error.message}")
            continue
        missing = pd.Series({i.name: i.missing for i in scorer.card.inputs})
        scored = [
            part.assign(score=scorer.score(rows_of(risk, part, risk.outcomes.label, missing).matrix)) for part in parts
        ]
        cases.append((risk, scored))
    print(f"{months} months of traffic, {rate:g} decisions an hour\n\n{HEADING}")
    for risk, (past, _) in cases:
        show(risk.name, by_chance(risk, past, months, rate), months)
    print(f"\nTraining and test rows as they came, {LEAST_DECISIONS} at a time\n\n{HEADING}")
    for risk, (past, future) in cases:
        show(risk.name, as_they_came(risk, past, future), 0)


if __name__ == "__main__":
    main()
