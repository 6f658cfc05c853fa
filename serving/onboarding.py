"""Signing up in the domain `onboarding`: a decision about an applicant, who becomes a driver if approved. The next
request and the next batch know the driver.

A sign-up is written to five places. Before the first of them, it is noted as a whole in one file, and the note is
removed after the last. So where a process dies or a write fails in between, the next sign-up of anybody first writes
the rest, and the same applicant gets the answer that was not given."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pydantic_core import to_json

from errors import LogUnavailable
from features.identifiers import keyed_hash, old_hashes
from features.onboarding import DRIVER_DL_ENTITIES, DRIVER_SSN_ENTITIES, ONBOARDING, Applicant
from features.utc import utc
from files import fault, locked, replacing
from hash_keys import HashKey
from root import Root
from serving.call import Call
from serving.service import RiskService
from serving.store import Row, Store

#: The numbers of drivers who signed up have ten digits. Drivers from elsewhere have lower ones.
LOWEST_NUMBER, NUMBERS = 1_000_000_000, 9_000_000_000
PROFILE = "driver_profile"
TABLES = (DRIVER_SSN_ENTITIES, DRIVER_DL_ENTITIES)
#: What a driver's raw event has of the applicant's row.
FACTS = ("state", "ssn", "dl", "dob")


class SignUps:
    """The sign-ups of a root, which is the service's."""

    def __init__(self, service: RiskService, root: Root) -> None:
        self._service, self._root, self._hash_key = service, root, service.hash_key

    def sign_up(self, applicant: Applicant, clock: Callable[[], datetime], call: Call | None = None) -> dict[str, Any]:
        """The decision as JSON, and `driver_id`, which is None unless approved. Only one process and thread at a time
        signs somebody up. Raises LogUnavailable, and the errors of `RiskService.decision`."""
        try:
            # Without the lock, two requests with the same SSN that arrive at once would both find it unused.
            with locked(self._root.sign_up_lock):
                # The clock is read inside the lock, so that sign-ups and their rows have the same order.
                return self._sign_up(applicant, clock(), call)
        except OSError as error:
            words = fault(error, self._root.path)
            raise LogUnavailable(f"The sign-up could not be read or written. {words} Then send it again.") from error

    def _sign_up(self, applicant: Applicant, as_of: datetime, call: Call | None) -> dict[str, Any]:
        """Everything is read before anything is written."""
        row = applicant.row(as_of, self._hash_key)
        if earlier := self._finish(row):
            return earlier
        number, driver_id, made = self._driver(row)
        drivers = {table.name: self._drivers(table, row, driver_id) for table in TABLES}
        call = call or Call()
        decision = self._service.decision(ONBOARDING, applicant, as_of, call)
        call.settle()  # a note answers later requests, so the disk must have its decision first
        if decision.decision != ONBOARDING.appetite.words[0]:
            return {"decision": decision.as_json(), "driver_id": None}
        answer = {"decision": decision.as_json(), "driver_id": driver_id}
        facts = made or {**{name: row[name] for name in FACTS}, "as_of": as_of}
        self._complete(self._note(driver_id, {"number": number, "facts": facts, "drivers": drivers, "answer": answer}))
        return answer

    def _finish(self, row: Row) -> dict[str, Any] | None:
        """Write the rest of every sign-up that was not finished. The answer to the one with the same facts, if it is
        among them."""
        answer = None
        for path in sorted(self._root.sign_ups.glob("*.json")):
            note = self._complete(path)
            if all(note["facts"][name] == _plain(row[name]) for name in FACTS):
                answer = note["answer"]
        return answer

    def _driver(self, row: Row) -> tuple[int, int, dict[str, Any] | None]:
        """The number that the sign-up is filed under, the driver's number, and the facts of the earlier sign-up of the
        person with these identifiers, None if there was none. Both numbers are made from the identifiers, so one person
        is one driver. They differ where the person signed up under the hash key of before: the driver keeps the number
        of then."""
        filed, event = self._filed(row, self._hash_key)
        driver_id, facts = (event["driver_id"] if event else filed), event
        if event is None and isinstance(self._hash_key, HashKey):
            _, before = self._filed({**row, **old_hashes(row)}, self._hash_key.old)
            if before:
                driver_id, facts = before["driver_id"], {**before, "ssn": row["ssn"], "dl": row["dl"]}
        return filed, driver_id, facts and {name: facts[name] for name in FACTS} | {"as_of": facts["event_timestamp"]}

    def _filed(self, row: Row, hash_key: bytes) -> tuple[int, dict[str, Any] | None]:
        """The number under which the person with these identifiers is filed, and the raw event there, None if there is
        none yet."""
        for number in _numbers(row, hash_key):
            if event := _read(self._event(number)):
                if (event["ssn"], event["dl"]) == (row["ssn"], row["dl"]):
                    return number, event
            elif set(self._service.store.stored(PROFILE, {"driver_id": number}).values()) == {None}:
                return number, None
        raise AssertionError("there are more numbers than people")

    def _drivers(self, table: Any, row: Row, driver_id: int) -> dict[str, Any]:
        """The last two drivers of an identifier, with this one as the last."""
        stored = self._service.store.stored(table.name, {table.key: row[table.key]})
        is_last = stored[table.last] == driver_id
        previous = stored[table.previous] if is_last else stored[table.last]
        return {table.last: driver_id, table.previous: previous}

    def _note(self, driver_id: int, note: dict[str, Any]) -> Path:
        path = self._root.sign_ups / f"{driver_id}.json"
        with replacing(path) as beside:
            beside.write_bytes(to_json(note))
        return path

    def _complete(self, path: Path) -> dict[str, Any]:
        """Write what a note says, and remove the note. Doing it again changes nothing. The raw event is written first:
        so the online store never has a driver that the raw table lacks. Raises LogUnavailable on a broken note."""
        try:
            note: dict[str, Any] = json.loads(path.read_bytes())
            facts, driver_id = note["facts"], note["answer"]["driver_id"]
            as_of = utc(facts["as_of"])
            profile = {"driver_id": driver_id, "state": facts["state"], "event_timestamp": as_of, "created": as_of}
            identifiers = {"ssn": facts["ssn"], "dl": facts["dl"], "dob": utc(facts["dob"])}
            rows = [{table.key: facts[table.key], **note["drivers"][table.name]} for table in TABLES]
        except (ValueError, KeyError, TypeError) as error:
            raise LogUnavailable(f"{path} is no note of a sign-up ({error!r}). Remove the file.") from error
        _write(self._event(note.get("number", driver_id)), {**profile, **identifiers})
        store: Store = self._service.store
        store.write(PROFILE, profile)
        used_from = as_of + timedelta(microseconds=1)  # the identifiers count as used from then on
        for table, drivers in zip(TABLES, rows, strict=True):
            store.write(table.name, {**drivers, "event_timestamp": used_from, "created": used_from})
        path.unlink()
        return note

    def _event(self, driver_id: int) -> Path:
        return self._root.raw_table("drivers") / f"signed-up-{driver_id}.parquet"


def _numbers(row: Row, hash_key: bytes) -> Iterator[int]:
    """The numbers that the person with these identifiers may get, the same ones each time. The first that belongs to
    nobody else is the person's."""
    for attempt in count():
        digest = keyed_hash("driver", f"{row['ssn']} {row['dl']} {attempt}", hash_key)
        yield LOWEST_NUMBER + int(digest, 16) % NUMBERS


def _plain(value: Any) -> Any:
    """The value as a note has it."""
    return json.loads(to_json(value))


def _read(path: Path) -> dict[str, Any] | None:
    """The one row of a Parquet file, None where there is no file. Raises LogUnavailable."""
    if not path.exists():
        return None
    try:
        (row,) = pq.read_table(path).to_pylist()
    except ValueError as error:  # an ArrowInvalid is one
        raise LogUnavailable(f"{path} is no sign-up ({error}). Remove the file.") from error
    return dict(row)


def _write(path: Path, row: Row) -> None:
    """One row as a Parquet file. It is written beside and renamed, so that a reader never sees half of it."""
    frame = pd.DataFrame([row])
    timestamps = {column: frame[column].dt.as_unit("us") for column in frame.select_dtypes("datetimetz")}
    with replacing(path) as beside:
        frame.assign(**timestamps).to_parquet(beside, index=False, compression="zstd")
