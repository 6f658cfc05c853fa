"""What a killed run leaves is removed, and what follows from a file is never safer than the file."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from fake import NOW, shelve
from processes import started, wait_until

import settings
from exact_stores.whole_file import replacing
from features.onboarding import DRIVERS
from jobs.stream.offline import OfflineLog
from jobs.stream.state import StateFile
from jobs.stream.states import States
from root import Root
from serving.policy_history import Entry, History

pytestmark = pytest.mark.slow


def test_a_version_that_a_killed_run_has_begun_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    left = settings.root().models / "daily" / ".new-abc" / "1"
    left.mkdir(parents=True)
    shelve("daily")
    assert not left.parent.exists()


#: A process that is in the middle of a file of the stores.
WRITER = """
import sys, time
from exact_stores.whole_file import replacing
from pathlib import Path
with replacing(Path(sys.argv[1])) as new_file:
    new_file.write_text("half")
    time.sleep(10**6)
"""


def test_what_a_killed_writer_of_the_stores_left_goes_with_the_next(tmp_path: Path):
    target, command = tmp_path / "registry.db", [sys.executable, "-c", WRITER, tmp_path / "registry.db"]

    def hidden() -> set[Path]:
        return {path for path in tmp_path.glob(".new-*") if (path / target.name).exists()}

    with started(command) as living:
        (alive,) = wait_until(hidden, what="the first one writes", child=living)
        with started(command) as killed:
            both = wait_until(hidden, lambda folders: len(folders) == 2, what="the second one writes", child=killed)
            killed.send(signal.SIGKILL)
        for folder in both:  # both began an hour ago
            os.utime(folder, times=(time.time() - 3600,) * 2)
        with replacing(target) as new_file:
            new_file.write_text("whole")
        assert hidden() == {alive}
        assert target.read_text() == "whole"


def test_what_a_killed_change_of_a_policy_left_goes_with_the_next(tmp_path: Path):
    names = ("history/daily/.20260131T120000.000000Z-v1.yaml.tmp", "history/lists/.abc.txt.tmp")
    for left in (tmp_path / name for name in names):
        left.parent.mkdir(parents=True)
        left.touch()
    History(tmp_path, "daily").add(Entry(NOW, "v2", "applied"), b"", {"lists/bad.txt": b"a"})
    assert not [name for name in names if (tmp_path / name).exists()]


def test_a_state_file_is_on_disk_before_the_offline_log_is_written(tmp_path: Path):
    state = StateFile(tmp_path / "coupon.db", ())
    log = OfflineLog(Root(tmp_path), DRIVERS, (), state, States(state, ()))
    log.begin(1)
    assert log._parts[0] == state.sync
    log.finish()
    assert state.db.execute("PRAGMA synchronous").fetchone() == (1,)
    assert state.meta("synced") == 0
