"""The past cases of a risk with their outcomes, and the split into training and test cases."""

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
    connection: duckdb.DuckDBPyConnection,
    risk: Risk,
    now: datetime,
    files: list[Path] | None = None,
    quarantine: Path | None = None,
    whole: bool = False,
) -> checks.Counts:
    """Create the SQL view `past`: the cases whose outcome was known at `now`, or with `whole` every case. Its columns
    are those of the risk's raw table that were known with the event, `event_timestamp` and the label. Raises NoData,
    BadInput."""
    outcomes = risk.outcomes
    files = places.raw_files(root, outcomes.table.name) if files is None else files
    events = open_rows(connection, outcomes.table, files, now, quarantine)
    truth = {outcomes.happened, outcomes.label} | _later(risk)
    columns = [column.name for column in outcomes.table.columns if column.name not in truth]
    columns += [derived.name for derived in outcomes.table.derived if not truth & set(derived.columns)]
    if outcomes.table.time != "event_timestamp":
        columns.append(f"event_timestamp AS {outcomes.table.time}")
    label = (
        f"coalesce({outcomes.happened} <= {sql.timestamp(now)}, false)::BIGINT" if outcomes.happened else outcomes.label
    )
    mature = "" if whole else f"WHERE event_timestamp <= {sql.timestamp(now - outcomes.matures_after)}"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW past AS SELECT * FROM (SELECT {', '.join(columns)}, event_timestamp, "
        f"{label} AS {outcomes.label} FROM raw_row {mature}) WHERE {outcomes.label} IS NOT NULL"
    )
    return events


def _later(risk: Risk) -> set[str | None]:
    """The timestamps in the risk's raw table that are known only after the event: those by which its live tables know
    outcomes."""
    live = [table for table in risk.live.tables if table.source == risk.outcomes.table] if risk.live else []
    return {name for table in live for name in (table.outcome, table.time)} - {risk.outcomes.table.time}


def known_cases(root: Root, risk: Risk, now: datetime, quarantine: Path | None = None) -> pd.DataFrame:
    """Every case whose outcome was known at `now`, oldest first. Raises NoData, BadInput."""
    with sql.connect() as connection:
        cases(root, connection, risk, now, quarantine=quarantine)
        frame = connection.execute(
            f"SELECT * FROM past ORDER BY event_timestamp, {risk.outcomes.table.columns[0].name}"
        ).df()
    return in_microseconds(frame)


def in_microseconds(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with all its timestamps in microseconds, the unit of every file of this project."""
    return frame.assign(**{name: frame[name].dt.as_unit("us") for name in frame.select_dtypes("datetimetz")})


@dataclass(frozen=True)
class Parts:
    """The training and the test cases, as boolean masks of shape (cases,)."""

    train: np.ndarray
    test: np.ndarray


def split(frame: pd.DataFrame, risk: Risk, now: datetime, protocol: Protocol | None, start: datetime | None) -> Parts:
    """Without a protocol, the parts of `parted`. With one, its days begin at `start`, by default as late as outcomes
    are known.

    The test leaves out every entity (`protocol.who`) that was known to be bad on the day of the case: its first bad
    case was more than `delay_days` before. A regression has no bad cases.
    """
    if protocol is None:
        return parted(frame, risk)
    length = protocol.train_days + protocol.delay_days + protocol.test_days
    first = midnight(start or now - risk.outcomes.matures_after - length * DAY)
    day = ((frame["event_timestamp"] - pd.Timestamp(first)) // pd.Timedelta(DAY)).to_numpy()
    bad = (frame[risk.outcomes.label] == 1).to_numpy() & (day >= 0) & (risk.task == "classification")
    first_bad_day = frame.assign(day=day)[bad].groupby(protocol.who)["day"].min()
    known_on = frame[protocol.who].map(first_bad_day).to_numpy(float) + protocol.delay_days + 1
    train = (day >= 0) & (day < protocol.train_days)
    test = (day >= protocol.train_days + protocol.delay_days) & (day < length) & ~(known_on <= day)
    return Parts(train, test)


def parted(frame: pd.DataFrame, risk: Risk) -> Parts:
    """The first 70 % of the cases for training, and the rest for the test. If a part lacks a class so, they are parted
    at the nearest place where both have both, if there is one. `frame` has the cases oldest first."""
    index, place = np.arange(len(frame)), int(len(frame) * TRAIN_SHARE)
    if risk.task == "classification":
        of_classes = [np.flatnonzero(frame[risk.outcomes.label] == label) for label in (0, 1)]
        if all(map(len, of_classes)):
            earliest, latest = max(rows[0] for rows in of_classes) + 1, min(rows[-1] for rows in of_classes)
            place = min(max(place, earliest), latest) if earliest <= latest else place
    return Parts(index < place, index >= place)
