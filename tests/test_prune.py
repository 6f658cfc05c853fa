"""`python -m jobs prune` removes what is older than the time to keep, and nothing that somebody still needs."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from errors import BadParameter
from features.domains import streams
from jobs import prune
from jobs.commands import jobs
from model import history
from root import Root
from serving import audit
from serving.audit import heads
from serving.audit.verify import verify
from serving.intake import EVENT_LOG, META, POSITION
from serving.policy_history import Entry, History

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KEEP = timedelta(days=90)
STREAM = next(iter(streams()))
US = timedelta(microseconds=1)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def commits(when: datetime) -> int:
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // US


def pruned(root: Root, keep: timedelta = KEEP) -> set[str]:
    """What is gone after a run, as paths below the root."""
    before = {path for path in root.path.rglob("*") if path.is_file()}
    for item in list(prune.old(root, keep, NOW)):
        prune.remove(root, item)
    return {str(path.relative_to(root.path)) for path in before if not path.exists()}


def processed(root: Root, **offsets: int) -> None:
    """Let the stream job have read so many bytes of each day of the event log."""
    state = root.stream_state(streams()[STREAM].domain)
    state.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(state)) as db, db:
        db.execute(f"CREATE TABLE {META} (name TEXT PRIMARY KEY, value)")
        position = {f"{day.replace('_', '-')[1:]}.jsonl": {"offset": offset} for day, offset in offsets.items()}
        db.execute(f"INSERT INTO {META} VALUES (?, ?)", (POSITION.format(source=EVENT_LOG), json.dumps(position)))


def test_days_that_ended_before_the_cutoff_go(root: Root):
    last_kept, first_gone = NOW - KEEP, NOW - KEEP - timedelta(days=1)
    for day in (last_kept, first_gone):
        put(root.decisions / f"{day.date()}.jsonl")
        put(root.decisions.with_name("decisions.index") / f"{day.date()}.daily")
    put(root.decisions.with_name("decisions.index") / "daily.lock")
    assert pruned(root) == {
        f"decisions/{first_gone.date()}.jsonl", f"decisions.index/{first_gone.date()}.daily"
    }  # fmt: skip


def test_days_of_shadows_and_of_acts_go_and_no_setting(root: Root):
    old, kept = f"{(NOW - KEEP).date() - timedelta(days=1)}", f"{(NOW - KEEP).date()}"
    for folder in (root.shadow, root.cases):
        for day in (old, kept):
            put(folder / f"{day}.jsonl")
    for name in ("daily.json", "daily.yaml", "daily.lock"):
        put(root.shadow / name)
    assert pruned(root) == {f"shadow/{old}.jsonl", f"cases/{old}.jsonl"}


def test_a_pruned_log_of_acts_is_still_a_chain(root: Root):
    for days in (200, 199, 1):
        audit.append(root.cases, NOW - timedelta(days=days), [{"act": "note"}])()
    assert len(pruned(root)) == 2
    audit.append(root.cases, NOW, [{"act": "note"}])()
    verified = verify(root.cases, heads.read(heads.published(root.cases)))
    assert (verified.faults, verified.records, verified.head.number) == ([], 2, 4)


def test_the_newest_acts_stay_however_old(root: Root):
    put(root.cases / "2020-01-01.jsonl")
    assert pruned(root) == set()


def test_a_day_of_events_stays_until_the_stream_job_has_read_it(root: Root):
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        put(root.event_log(STREAM) / f"{day}.jsonl", "12345")
    assert pruned(root) == set()  # no job has run
    processed(root, _2026_01_01=5, _2026_01_02=4)
    assert pruned(root) == {f"log/{STREAM}/2026-01-01.jsonl"}


@pytest.mark.parametrize(
    ("partition", "is_gone"),
    [("year=2026/month=08/day=27", True), ("year=2026/month=08/day=28", False),
     ("year=2026/month=07/day=01", True), ("year=2026/month=08/day=01", False),
     ("year=2025/month=01/day=01", True), ("year=2026/month=01/day=01", False),
     ("year=2025/month=12/day=01", True)],
)  # fmt: skip
def test_a_partition_goes_once_all_it_may_hold_is_old(root: Root, partition: str, is_gone: bool):
    """Old events lie in the partition of the first day of their month, and older ones in that of their year."""
    file = put(root.offline_log(STREAM) / partition / "1-2.parquet")
    state = put(root.states("some_state") / partition / "1-2.parquet")
    pruned(root)
    assert file.exists() is state.exists() is not is_gone
    assert file.parent.exists() is not is_gone


def test_the_file_that_shows_the_schema_stays(root: Root):
    empty = put(root.states("some_state") / "year=1970/month=01/day=01/0-0.parquet")
    pruned(root)
    assert empty.exists()


def test_dead_letters_go_by_their_last_batch(root: Root):
    edge = commits(NOW - KEEP)
    put(root.dead_letters(STREAM) / f"{edge - 10}-{edge - 1}.jsonl")
    put(root.dead_letters(STREAM) / f"{edge - 10}-{edge}.jsonl")
    assert pruned(root) == {f"dead_letters/{STREAM}/{edge - 10}-{edge - 1}.jsonl"}


def test_a_version_stays_that_serves_or_served_within_the_time(root: Root):
    model = root.models / "daily"
    made = ["20250101T000000-a", "20250201T000000-b", "20250301T000000-c", "20260801T000000-d", "20261101T000000-e"]
    for version in made:
        put(model / version / "card.json")
    (model / "current").symlink_to(made[4])
    history.write(model, [made[0], made[2], made[3], made[4]])  # b never served; d served until November
    assert {path.split("/")[2] for path in pruned(root)} == {made[0], made[1], made[2]}
    assert history.versions(model) == made[3:]


def test_a_version_to_roll_back_to_stays_however_old(root: Root):
    model = root.models / "daily"
    for version in ("20240101T000000-a", "20240201T000000-b"):
        put(model / version / "card.json")
    (model / "current").symlink_to("20240201T000000-b")
    history.write(model, ["20240101T000000-a", "20240201T000000-b"])
    assert pruned(root) == set()


def test_what_a_window_needs_is_not_removed(root: Root):
    with pytest.raises(BadParameter, match=r"A feature looks back over \d+ days\. Keep at least"):
        list(prune.old(root, timedelta(days=1), NOW))


def test_a_dry_run_removes_nothing(root: Root, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(root))
    put(root.decisions / "2020-01-01.jsonl", "x" * 2_000_000)
    put(root.decisions / "2020-01-02.jsonl")  # the newest stays
    before = set(root.path.rglob("*"))
    dry = CliRunner().invoke(jobs, ["prune", "--keep", "400d", "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "Would be removed:" in dry.output
    assert "2.0 MB" in dry.output
    assert set(root.path.rglob("*")) == before
    wet = CliRunner().invoke(jobs, ["prune", "--keep", "400d"])
    assert wet.output == dry.output.replace("Would be removed:", "Removed:")
    assert "Nothing is older than 400 days." in CliRunner().invoke(jobs, ["prune", "--keep", "400d"]).output


# Policies and their lists


class Policed:
    """A root whose policy of onboarding was changed again and again, each time with another list."""

    def __init__(self, root: Root) -> None:
        self.root, self.history = root, History(root.policies, "onboarding")
        self.versions: list[str] = []

    def apply(self, days_ago: int, listed: str) -> str:
        """Put a policy with a list in force. Returns its version."""
        version, at = f"v{len(self.versions)}", NOW - timedelta(days=days_ago)
        content = f"# {version}\n".encode()
        self.history.add(Entry(at, version, "applied"), content, {"lists/bad.txt": listed.encode()})
        put(self.history.file, content.decode())
        self.versions.append(version)
        for file in (self.root.policies / "history/lists").glob("*.txt"):
            os.utime(file, (at.timestamp(), at.timestamp()))
        return version

    def decide(self, day: str, version: str) -> None:
        record = {"risk": "onboarding", "policy": {"name": "onboarding", "version": version}}
        audit.append(self.root.decisions, datetime.fromisoformat(f"{day}T12:00:00Z"), [record])()

    def kept(self) -> tuple[list[str], set[str]]:
        """Versions, and the contents of the lists."""
        lists = (self.root.policies / "history/lists").glob("*.txt")
        return [entry.version for entry in self.history.entries()], {file.read_text() for file in lists}


def test_a_policy_and_its_list_go_once_no_kept_decision_needs_them(root: Root):
    policed = Policed(root)
    versions = [policed.apply(400 - n, text) for n, text in enumerate(("a", "b", "shared", "d", "shared", "f"))]
    policed.decide("2025-01-01", versions[0])  # this day goes, too
    policed.decide("2026-11-01", versions[1])
    pruned(root)
    assert policed.kept() == ([versions[1], *versions[4:]], {"b", "shared", "f"})
    assert pruned(root) == set()


def test_a_changed_policy_leaves_nothing_that_grows_without_bound(root: Root):
    policed = Policed(root)
    for n in range(50):
        policed.apply(1000 - n, f"list {n % 40}")
        policed.decide("2026-11-01", "v0")
    pruned(root)
    versions, lists = policed.kept()
    assert versions == ["v0", "v48", "v49"]
    assert lists == {"list 0", "list 8", "list 9"}


def test_a_version_that_was_in_force_again_and_again_stays_once(root: Root):
    policed = Policed(root)
    for n in range(6):
        policed.versions = [""] * (n % 2)  # v0, v1, v0, …
        policed.apply(400 - n, "a")
    policed.decide("2026-11-01", "v0")
    pruned(root)
    assert policed.kept() == (["v0", "v1"], {"a"})


def test_a_list_that_comes_back_while_old_ones_are_removed_stays(root: Root):
    policed = Policed(root)
    for n, text in enumerate(("a", "b", "c")):
        policed.apply(400 - n, text)
    items = list(prune.old(root, KEEP, NOW))
    policed.history.add(Entry(NOW, "v9", "applied"), b"# v9", {"lists/bad.txt": b"a"})
    for item in items:
        prune.remove(root, item)
    assert "a" in policed.kept()[1]
