"""`deploy/backup.sh` copies a root while the service writes to it."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from processes import run

import settings
from root import Root
from serving import audit

pytestmark = pytest.mark.slow

BACKUP = settings.PROJECT / "deploy/backup.sh"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    (root.path / "streams").mkdir(parents=True)
    audit.append(root.decisions, NOW, [{"risk": "daily", "decision_id": str(number)} for number in range(3)])
    for name in ("registry.db", "decisions.heads", "policies/daily.yaml", "streams/coupon.lock"):
        path = root.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return root


def test_rows_that_are_only_in_the_wal_are_in_the_copy(root: Root, tmp_path: Path):
    with closing(sqlite3.connect(root.path / "streams/coupon.db")) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE state (key)")
        writer.execute("INSERT INTO state VALUES ('a')")
        writer.commit()
        run(["sh", BACKUP, root.path, tmp_path / "copy"])
    with closing(sqlite3.connect(tmp_path / "copy/streams/coupon.db")) as copy:
        assert copy.execute("SELECT key FROM state").fetchall() == [("a",)]


def test_the_copy_has_every_file_but_locks_and_the_index(root: Root, tmp_path: Path):
    run(["sh", BACKUP, root.path, tmp_path / "copy"])
    copied = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert copied == {"decisions/2026-01-31.jsonl", "decisions.heads", "registry.db", "policies/daily.yaml"}
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700


def test_a_log_is_copied_after_its_heads_and_after_what_names_its_records(root: Root, tmp_path: Path):
    for folder in ("cases", "outcomes"):
        (root.path / folder).mkdir()
    (root.path / "cases.heads").touch()
    noting, real = tmp_path / "cp", shutil.which("cp")
    noting.write_text(f'#!/bin/sh\necho "$2" >> {tmp_path}/copied\nexec {real} "$@"\n')
    noting.chmod(0o700)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh", BACKUP, root.path, tmp_path / "copy"], check=True, env={**os.environ, "PATH": path})
    copied = (tmp_path / "copied").read_text().split()
    for before, after in (
        ("cases.heads", "cases"), ("decisions.heads", "decisions"), ("cases", "decisions"), ("outcomes", "decisions"),
    ):  # fmt: skip
        assert copied.index(before) < copied.index(after)


def test_a_backup_overwrites_nothing(root: Root, tmp_path: Path):
    (tmp_path / "copy").mkdir()
    done = subprocess.run(["sh", BACKUP, root.path, tmp_path / "copy"], capture_output=True, check=False)
    assert done.returncode != 0
    assert list((tmp_path / "copy").iterdir()) == []
