"""What happens to an approved applicant of the domain `onboarding`: the applicant becomes a driver, whom the next
request and the next batch know."""

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
    """Make a driver of an applicant. The identifiers count as used from the next microsecond on.

    The raw event is written first. If the process dies before the online rows are written, the next batch and
    `feast materialize` write them. `row` is `Applicant.row`. Returns the driver's number.
    """
    driver_id = _free_number(store, daily, as_of)
    profile = {"driver_id": driver_id, "state": row["state"], "event_timestamp": as_of, "created": as_of}
    identifiers = {name: row[name] for name in ("ssn", "dl", "dob")}
    _write(raw_drivers / f"signed-up-{driver_id}.parquet", {**profile, **identifiers})
    store.write("driver_profile", profile)
    used_from = as_of + timedelta(microseconds=1)
    for table in (DRIVER_SSN_ENTITIES, DRIVER_DL_ENTITIES):
        key = {table.key: row[table.key]}
        previous = store.stored(table.name, key)[table.last]
        drivers = {table.last: driver_id, table.previous: previous}
        store.write(table.name, {**key, **drivers, "event_timestamp": used_from, "created": used_from})
    return driver_id


def _free_number(store: Store, daily: Risk, as_of: datetime) -> int:
    while True:
        number = 1_000_000 + secrets.randbelow(9_000_000)
        try:
            store.online(daily, {"driver_id": number}, as_of)
        except UnknownEntity:
            return number


def _write(path: Path, row: Row) -> None:
    """One row as a Parquet file. It is written beside and renamed, so that a reader never sees half of it."""
    frame = pd.DataFrame([row])
    timestamps = {column: frame[column].dt.as_unit("us") for column in frame.select_dtypes("datetimetz")}
    with replacing(path) as beside:
        frame.assign(**timestamps).to_parquet(beside, index=False, compression="zstd")
