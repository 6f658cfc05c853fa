"""What the steps of the pipeline do, each in a few words about what came out."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import generate_data
import settings
from errors import Busy
from features.domains import stream_of, streams, tables
from features.risk import Risk
from features.windows.live import state_of
from files import fingerprint, replacing
from jobs.batch.table import compute
from jobs.build.steps import Tell
from root import Root
from simulators import Size

SCORED_MIDNIGHTS = 7


def generate(root: Root, seed: int, size: Size, day: datetime, world: dict, tell: Tell) -> str:
    """Another seed, size or hash key is another world: what was made of the old one is removed, its models and
    decisions stay."""
    marker = root.raw / "world"
    if marker.exists() and marker.read_text() != fingerprint(world):
        for path in root.world():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    rows = 0

    def done(table: str, count: int) -> None:
        nonlocal rows
        rows += count
        tell(table)

    generate_data.generate(root, seed, day, size, done)
    _forget_history(root)
    with replacing(marker) as beside:
        beside.write_text(fingerprint(world))
    return f"{rows:,} rows as of {day:%Y-%m-%d}"


def _forget_history(root: Root) -> None:
    """The same events have other moments now: states are made anew, of these and of what streams have logged. A job
    that is at work keeps its own."""
    from jobs.stream import loop

    for stream in streams().values():
        with suppress(Busy), loop.state_lock(root, stream):
            for file in root.stream_state(stream.domain).parent.glob(f"{stream.domain}.db*"):
                file.unlink()


def features(root: Root, until: datetime, now: datetime, tell: Tell) -> str:
    rows = 0
    for table in tables():
        rows += compute(root, table, until, now).out.rows
        tell(table.name)
    return f"{rows:,} rows"


def stores(root: Root) -> list[Path]:
    """Registry, online store, and a mark that the second holds what the first says."""
    return [root.registry_db, root.online_db, root.materialized]


def apply(root: Root, tell: Tell) -> str:
    """The registry remembers up to when the online store was filled. Without the one, the other is worth nothing."""
    if not all(path.exists() for path in stores(root)[:2]):
        for path in [*stores(root), *root.path.glob("online.db-*")]:
            path.unlink(missing_ok=True)
    return _feast(root, "apply", tell)


def materialize(root: Root, now: datetime, tell: Tell) -> str:
    said = _feast(root, f"materialize-incremental {now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", tell)
    stores(root)[-1].touch()
    return said


def _feast(root: Root, command: str, tell: Tell) -> str:
    """The `feast` command itself, as a user would run it."""
    feast = Path(sys.executable).with_name("feast")
    environment = {**os.environ, "RISK_DATA": str(root)}
    ended = subprocess.run(
        [feast, *command.split()],
        cwd=settings.FEATURE_REPO,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(f"feast {command} failed:\n{ended.stdout}{ended.stderr}")
    tell("done")
    return "done"


def states() -> list[str]:
    return [state_of(table) for stream in streams().values() for table in stream.tables]


def prepare(root: Root, tell: Tell) -> str:
    from jobs.stream.job import prepare

    for of in streams().values():
        prepare(root, of)
    return f"{len(states())} live tables"


def sizes(folder: Path) -> list[tuple[str, int]]:
    return [(file.name, file.stat().st_size) for file in sorted(folder.glob("*.jsonl"))]


def stream(root: Root, domain: str, tell: Tell) -> str:
    """Take in the history, and what the service has accepted; a stream job that is at work does so itself."""
    from jobs.stream import loop
    from jobs.stream.sources import open_source
    from serving.retrieval import FeastStore

    of, said = stream_of(domain), list[str]()
    source, store = open_source(root, "log", of.raw.name), FeastStore(settings.FEATURE_REPO)
    try:
        loop.run(root, of, source, store, True, Event(), said.append)
    except Busy:
        return "a stream job is at work"
    return said[0].removeprefix(f"{domain}: ")


def train(root: Root, risk: Risk, now: datetime, tell: Tell) -> str:
    from jobs.train import champion as training
    from serving.retrieval import FeastStore

    card = training.train(root, FeastStore(settings.FEATURE_REPO), risk, now, tell)
    return f"{card.headline} on {card.test.rows:,} rows"


def score(root: Root, risk: Risk, now: datetime, day: datetime, tell: Tell) -> str:
    """Everybody now, and once for each of the last midnights, so that a page has a history on its first day."""
    from jobs import score as scoring
    from serving import scores
    from serving.retrieval import FeastStore

    store = FeastStore(settings.FEATURE_REPO)
    known = scores.runs(root.scores_db, risk.name)
    midnights = [day - timedelta(days=n) for n in range(SCORED_MIDNIGHTS - 1, -1, -1)]
    count = 0
    for as_of in [*(m for m in midnights if m not in known), now]:
        count += scoring.score(root, store, risk, as_of)
        tell(f"{as_of:%Y-%m-%d}")
    return f"{count:,} decisions"
