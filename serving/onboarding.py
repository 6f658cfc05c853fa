"""What an approved applicant becomes: a driver, known to the next request and to the next batch."""

import secrets
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from errors import UnknownEntity
from features.onboarding import DRIVER_DL_ENTITIES, DRIVER_SSN_ENTITIES
from features.risk import Risk
from files import replacing
from serving.store import Row, Store


def enrol(store: Store, daily: Risk, raw_drivers: Path, row: Row, as_of: datetime) -> int:
    """Make a driver of an applicant, whose identifiers count as seen from the next microsecond on.

    The raw event is written first: should the process die before the online rows, a batch and a `feast materialize`
    over that time bring them. `row` is `Applicant.row`. Returns the driver's number.
    """
    driver_id = _free_number(store, daily, as_of)
    profile = {"driver_id": driver_id, "state": row["state"], "event_timestamp": as_of, "created": as_of}
    _append(raw_drivers / f"signed-up-{driver_id}.parquet", {**profile, **{k: row[k] for k in ("ssn", "dl", "dob")}})
    store.write("driver_profile", profile)
    seen = as_of + timedelta(microseconds=1)
    for table in (DRIVER_SSN_ENTITIES, DRIVER_DL_ENTITIES):
        key = {table.key: row[table.key]}
        before = store.stored(table.name, key)[table.last]
        store.write(
            table.name,
            {**key, table.last: driver_id, table.previous: before, "event_timestamp": seen, "created": seen},
        )
    return driver_id


def _free_number(store: Store, daily: Risk, as_of: datetime) -> int:
    while True:
        number = 1_000_000 + secrets.randbelow(9_000_000)
        try:
            store.online(daily, {"driver_id": number}, as_of)
        except UnknownEntity:
            return number


def _append(path: Path, row: Row) -> None:
    frame = pd.DataFrame([row])
    times = {column: frame[column].dt.as_unit("us") for column in frame.select_dtypes("datetimetz")}
    with replacing(path) as beside:
        frame.assign(**times).to_parquet(beside, index=False, compression="zstd")
