"""What a killed run leaves is removed, and what follows from a file is never safer than the file."""

from pathlib import Path

import pytest
from fake import shelve

import settings
from features.onboarding import DRIVERS
from jobs.stream.offline import OfflineLog
from jobs.stream.state import StateFile
from jobs.stream.states import States
from root import Root

pytestmark = pytest.mark.slow


def test_a_version_that_a_killed_run_has_begun_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    left = settings.root().models / "daily" / ".new-abc" / "1"
    left.mkdir(parents=True)
    shelve("daily")
    assert not left.parent.exists()


def test_a_state_file_is_on_disk_before_the_offline_log_is_written(tmp_path: Path):
    state = StateFile(tmp_path / "coupon.db", ())
    log = OfflineLog(Root(tmp_path), DRIVERS, (), state, States(state, ()))
    log.begin(1)
    assert log._parts[0] == state.sync
    log.finish()
    assert state.db.execute("PRAGMA synchronous").fetchone() == (1,)
    assert state.meta("synced") == 0
