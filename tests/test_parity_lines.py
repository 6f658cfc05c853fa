"""Parity reads each line of the log by itself, and goes on after a line that it cannot read."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from features.domains import risks
from jobs.parity import Parity, replay
from root import Root
from serving import audit
from serving.store import Store

ONBOARDING, AS_OF = risks()["onboarding"], "2026-01-31T12:00:00+00:00"


class Joined:
    """A store whose point-in-time join keeps the frame that it gets."""

    def __init__(self) -> None:
        self.frame = pd.DataFrame()

    def views(self, service: str) -> dict[str, str]:
        return {"age": "people"}

    def asks(self, service: str) -> dict[str, str]:
        return {"ssn": "STRING", "dob": "UNIX_TIMESTAMP"}

    def historical(self, risk: Any, frame: pd.DataFrame) -> pd.DataFrame:
        self.frame = frame
        return frame.assign(age=30)


class WithAccounts(Joined):
    """One that asks for a whole number, too."""

    def asks(self, service: str) -> dict[str, str]:
        return super().asks(service) | {"account": "INT64"}


def compared(folder: Path, *decisions: tuple[Any, Any], since: datetime | None = None) -> tuple[Parity, pd.DataFrame]:
    """Log decisions, each of `as_of` and `dob`, and compare them; the frame that was joined."""
    records = [
        audit.record(
            ONBOARDING, {"ssn": "s", "dob": dob}, {"decision_id": "d", "features": {"age": 30}, "as_of": as_of}
        )
        for as_of, dob in decisions
    ]
    audit.append(folder / "decisions", datetime(2026, 1, 31, tzinfo=UTC), records)
    store = Joined()
    return replay(Root(folder), cast(Store, store), ONBOARDING, since), store.frame


def test_a_timestamp_without_a_zone_takes_none_from_its_neighbour(tmp_path: Path) -> None:
    naive, east, west = "1990-05-17T00:00:00", "1990-05-17T00:00:00+05:00", "1990-05-17T00:00:00-08:00"
    texts = [naive, east, naive, west, naive, None]
    _, frame = compared(tmp_path, *((AS_OF, text) for text in texts))
    hours = [0, -5, 0, 8, 0]
    midnight = pd.Timestamp("1990-05-17", tz="UTC")
    assert frame["dob"].tolist() == [*(midnight + pd.Timedelta(hours=h) for h in hours), pd.NaT]
    _, frame = compared(tmp_path / "as_of", *((t, AS_OF) for t in ("2026-01-31T12:00:00+02:00", "2026-01-31T12:00:00")))
    assert frame["event_timestamp"].tolist() == [pd.Timestamp(f"2026-01-31T{h}:00:00Z") for h in (10, 12)]


def test_a_large_whole_number_stays_itself_beside_a_null(tmp_path: Path) -> None:
    accounts, store = [2**53 + 1, None], WithAccounts()
    records = [
        audit.record(
            ONBOARDING,
            {"ssn": "s", "dob": None},
            {"decision_id": "d", "features": {"age": 30, "account": account}, "as_of": AS_OF},
        )
        for account in accounts
    ]
    audit.append(tmp_path / "decisions", datetime(2026, 1, 31, tzinfo=UTC), records)
    replay(Root(tmp_path), cast(Store, store), ONBOARDING)
    assert [None if pd.isna(account) else int(account) for account in store.frame["account"]] == accounts


@pytest.mark.parametrize(
    "far", ["9999-12-31T23:59:59-14:00", "9999-01-01T00:00:00Z", "1600-01-01T00:00:00Z", "soon", "", 7, True, [AS_OF]]
)
@pytest.mark.parametrize("since", [None, datetime(2026, 1, 1, tzinfo=UTC)])
def test_a_line_with_a_timestamp_that_cannot_be_joined_is_counted(
    tmp_path: Path, far: Any, since: datetime | None
) -> None:
    parity, frame = compared(tmp_path, (AS_OF, far), (AS_OF, AS_OF), (far, AS_OF), (AS_OF, "1935-05-17"), since=since)
    assert (parity.decisions, parity.unreadable, parity.left_out, len(frame)) == (2, 2, 0, 2)
    assert "2 left out, as a timestamp in their lines is invalid" in parity.summary()
    assert compared(tmp_path / "only", (far, AS_OF))[0].decisions == 0


@pytest.mark.parametrize(
    "change",
    [{"request": {"ssn": 7, "dob": None}}, {"request": {"ssn": ["s"], "dob": None}}, {"request": [1]},
     {"features": "x"}, {"features": None}, {"entity": 5}, {"decision_id": None},
     {"request": {"ssn": True, "dob": None}}],
)  # fmt: skip
def test_a_line_whose_parts_are_something_else_is_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    decision = {"decision_id": "d", "features": {"age": 30}, "as_of": AS_OF}
    good = audit.record(ONBOARDING, {"ssn": "s", "dob": None}, decision)
    audit.append(tmp_path / "decisions", datetime(2026, 1, 31, tzinfo=UTC), [good, {**good, **change}, good])
    parity = replay(Root(tmp_path), cast(Store, Joined()), ONBOARDING)
    assert (parity.decisions, parity.left_out, parity.other.total()) == (2, 1, 0)
