"""Killed in the middle of whatever it writes, and started again, a stream job ends where it would have ended."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from constants import override
from kill import BETWEEN, Plan, Watch, Work
from processes import RUN_SECONDS
from pydantic_core import to_json
from stream_world import STREAM, Sink, event, result

import settings
from jobs.raw import offline_log
from jobs.stream import job, loop, offline
from jobs.stream.sources import open_source
from jobs.stream.state import StateFile
from root import Root
from serving.store import Store

pytestmark = pytest.mark.slow

#: What it writes, and up to which time that it does so in one run it is killed in it: a run that gets far ends soon.
PHASES = {"transaction": 4, "online write": 4, "log write": 3, "dead letters": 1, "compaction": 3}
#: How often it is killed in each phase, and how often at any time.
KILLS_EACH, KILLS_ANYWHERE = 3, 8
LINES = 1800


def stream_job(watch: Watch, path: Path, lines: Path) -> None:
    """A whole stream job on a file, with a sink that outlives it, and with small batches and files."""
    patch, root = pytest.MonkeyPatch(), Root(path)
    override(patch, job, MOST_BYTES=3000)
    override(patch, offline, FLUSH_EVENTS=40)
    override(patch, loop, HISTORY_BATCH=30)
    override(patch, offline_log, MOST_FILES=2, KEPT_SECONDS=-1)
    watch.blocks(patch, StateFile, "batch", "transaction")
    watch.calls(patch, Sink, "write_table", "online write")
    watch.calls(patch, offline_log, "write", "log write")
    watch.calls(patch, offline_log, "write_dead", "dead letters")
    watch.calls(patch, offline_log, "compact", "compaction")
    sink, source = cast(Store, Sink(path / "sink.db")), open_source(root, f"jsonl:{lines}", STREAM.raw.name)
    loop.run(root, STREAM, source, sink, settings.hash_key(), True, Event(), print, clock=lambda: datetime.now(UTC))


def write_history(root: Path) -> None:
    rows = [event(1000 + n, -20_000 + 60 * n) for n in range(300)]
    times = pa.array([datetime.fromisoformat(row["at"]) for row in rows], pa.timestamp("us", "UTC"))
    table = pa.Table.from_pylist(rows).drop_columns("at").append_column("at", times)
    (root / "raw").mkdir(parents=True)
    pq.write_table(table, root / "raw" / f"{STREAM.raw.name}.parquet")


def write_lines(path: Path) -> None:
    """The file of some hours. Some lines are late, some double, some come again with their outcome, some are no events.
    A key has events for a while only: what is lost of it then is never made good by a later event."""
    draw, sent = random.Random(3), list[dict[str, Any]]()
    for n in range(LINES):
        keys = {"who": f"w{n // 40}", "place": f"p{n // 60}"}
        at = 20 * n - draw.choice([0, 0, 5, 900])
        sent.append(event(n, at, producer=f"till-{n % 2}", number=n // 2 + 1, **keys))
        again = draw.choice(sent[-200:])
        more = {"outcome": (datetime.fromisoformat(again["at"])).isoformat()} if n % 3 else {}
        sent += [again | more] if n % 5 == 0 else []
    text = [to_json(line) for line in sent]
    for n in range(20, LINES, 90):
        text[n] = b'{"producer": "till-0", "number": 7000, "id": "half' if n % 20 else b'{"at": "2399-01-01T00:00:00Z"}'
    path.write_bytes(b"\n".join(text) + b"\n")


def test_killed_in_every_phase_it_ends_where_a_whole_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draw, lines = random.Random(11), tmp_path / "events.jsonl"
    write_lines(lines)
    for name in ("whole", "killed"):
        write_history(tmp_path / name)
    seconds = Work(stream_job, tmp_path / "whole", lines, phases=list(PHASES)).whole()
    work, kills = Work(stream_job, tmp_path / "killed", lines, phases=list(PHASES)), Counter[str | None]()
    while missing := [phase for phase in PHASES if kills[phase] < KILLS_EACH]:
        phase = draw.choice(missing)
        delay = draw.uniform(0, 0.6) * seconds[phase]
        kills[work.killed(Plan(phase, draw.randint(1, PHASES[phase]), delay))] += 1
        assert not kills[None], f"it came to its end before it was killed often enough in each phase: {kills}"
    for _ in range(KILLS_ANYWHERE):
        work.killed_after(draw.uniform(0, 0.05) * seconds[BETWEEN])
    assert work.killed_after(RUN_SECONDS) is None
    results = []
    for name in ("whole", "killed"):
        monkeypatch.setenv("RISK_DATA", str(tmp_path / name))
        results.append(result(Sink(tmp_path / name / "sink.db")))
    assert results[1] == results[0]
    assert results[0]["counts"]["dead_letters"] == 20
    assert len(list(settings.root().offline_log(STREAM.raw.name).rglob("*.parquet"))) < 8
