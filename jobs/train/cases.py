"""Past cases of a risk: which there are, what became of them, and which of them a model is trained and tested on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from features.risk import Protocol, Risk
from features.utc import midnight
from jobs import sql
from jobs.raw import checks, places
from jobs.raw.relations import open_rows
from root import Root

TRAIN_SHARE = 0.7
DAY = timedelta(days=1)


def cases(
    root: Root,
    connected: duckdb.DuckDBPyConnection,
    risk: Risk,
    now: datetime,
    files: list[Path] | None = None,
    quarantine: Path | None = None,
    whole: bool = False,
) -> checks.Events:
    """Make the view `past` of a risk's cases: the columns of its raw table, `event_timestamp` and the label. It
    holds those whose outcome was known at `now`; with `whole`, every case that was. Raises NoData, BadInput."""
    outcomes = risk.outcomes
    files = places.raw_files(root, outcomes.table.name) if files is None else files
    events = open_rows(connected, outcomes.table, files, now, quarantine)
    truth = {outcomes.happened, outcomes.label}
    own = [c.name for c in outcomes.table.columns if c.name not in truth]
    own += [derived.name for derived in outcomes.table.derived if not truth & set(derived.of)]
    if outcomes.table.time != "event_timestamp":
        own.append(f"event_timestamp AS {outcomes.table.time}")
    known = (
        f"coalesce({outcomes.happened} <= {sql.timestamp(now)}, false)::BIGINT" if outcomes.happened else outcomes.label
    )
    ripe = "" if whole else f"WHERE event_timestamp <= {sql.timestamp(now - outcomes.matures_after)}"
    connected.execute(
        f"CREATE OR REPLACE TEMP VIEW past AS SELECT * FROM (SELECT {', '.join(own)}, event_timestamp, "
        f"{known} AS {outcomes.label} FROM raw_row {ripe}) WHERE {outcomes.label} IS NOT NULL"
    )
    return events


def known_cases(root: Root, risk: Risk, now: datetime) -> pd.DataFrame:
    """Every case whose outcome was known at `now`, oldest first. Raises NoData, BadInput."""
    with sql.connect() as connected:
        cases(root, connected, risk, now)
        frame = connected.execute(
            f"SELECT * FROM past ORDER BY event_timestamp, {risk.outcomes.table.columns[0].name}"
        ).df()
    return in_microseconds(frame)


def in_microseconds(frame: pd.DataFrame) -> pd.DataFrame:
    """Its moments in the unit in which everything here is written."""
    return frame.assign(**{c: frame[c].dt.as_unit("us") for c in frame.select_dtypes("datetimetz")})


@dataclass(frozen=True)
class Parts:
    """Which cases a model learns from and is tested on, as masks, shape (cases,)."""

    train: np.ndarray
    test: np.ndarray


def split(frame: pd.DataFrame, risk: Risk, now: datetime, protocol: Protocol | None, start: datetime | None) -> Parts:
    """Without a protocol, the first 70 % and the rest. With one, from `start` on; by default as late as outcomes are
    known. Who was known to be bad, because a bad case of theirs is `delay_days` past, is no test of anything; a number
    makes nobody bad."""
    if protocol is None:
        index = np.arange(len(frame))
        return Parts(index < int(len(frame) * TRAIN_SHARE), index >= int(len(frame) * TRAIN_SHARE))
    length = protocol.train_days + protocol.delay_days + protocol.test_days
    first = midnight(start or now - risk.outcomes.matures_after - length * DAY)
    day = ((frame["event_timestamp"] - pd.Timestamp(first)) // pd.Timedelta(DAY)).to_numpy()
    bad = (frame[risk.outcomes.label] == 1).to_numpy() & (day >= 0) & (risk.task == "classification")
    bad_since = frame.assign(day=day)[bad].groupby(protocol.who)["day"].min()
    known_on = frame[protocol.who].map(bad_since).to_numpy(float) + protocol.delay_days + 1
    train = (day >= 0) & (day < protocol.train_days)
    test = (day >= protocol.train_days + protocol.delay_days) & (day < length) & ~(known_on <= day)
    return Parts(train, test)


def card_precision(who: pd.Series, times: pd.Series, labels: np.ndarray, scores: np.ndarray, top: int) -> float:
    """Each day the `top` most suspicious are looked at, less those found before: the share that was bad, on average."""
    frame = pd.DataFrame({"who": who.to_numpy(), "day": times.dt.date.to_numpy(), "label": labels, "score": scores})
    found: set[object] = set()
    shares = []
    for _, day in frame.groupby("day"):
        people = day[~day["who"].isin(found)].groupby("who")[["score", "label"]].max()
        looked_at = people.nlargest(top, "score")
        caught = looked_at.index[looked_at["label"] == 1]
        shares.append(len(caught) / top)
        found |= set(caught)
    return float(np.mean(shares))
