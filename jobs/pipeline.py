"""From nothing to batch scores: the steps in their order, each redone only if stale."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

import generate_data
import settings
from features.catalogue import risks, tables
from features.declaration import Risk
from features.moments import midnight
from jobs import batch, inputs
from jobs.steps import Stamps, Step, Tell, code, fingerprint, listing
from model import shelf
from model.card import Card
from simulators import Size

ROOT = settings.ROOT
FEATURES = settings.FEATURE_REPO / "features"
SCORED_MIDNIGHTS = 7


def run(seed: int, size: Size, now: datetime) -> None:
    """Bring everything below `$RISK_DATA` up to date, say what was stale, and close with what came out."""
    console = Console()
    lock = _lock(settings.data_root())
    stamps = Stamps.read(settings.data_root() / "pipeline.json")
    times: list[tuple[str, str, float | None]] = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        for step in _steps(seed, size, now):
            if stamps.is_fresh(step):
                times.append((step.name, "fresh", None))
                continue
            bar = progress.add_task(step.name, total=step.parts)
            began = time.perf_counter()
            said = step.run(partial(_tell, progress, bar, step.name))
            stamps.stamp(step)
            progress.remove_task(bar)
            times.append((step.name, said, time.perf_counter() - began))
            console.print(f"[green]✓[/] {step.name}: {said}", highlight=False)
    _close(console, times)
    lock.close()


def _lock(root: Path) -> IO[str]:
    """One pipeline at a time on a root; the system lets go of the lock even if this process is killed."""
    root.mkdir(parents=True, exist_ok=True)
    lock = (root / "pipeline.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(
            f"Another pipeline is at work on {root}. Wait for it, or set RISK_DATA to another root."
        ) from None
    return lock


def _tell(progress: Progress, bar: TaskID, step: str, part: str) -> None:
    progress.update(bar, advance=1, description=f"{step}: {part}")


def _steps(seed: int, size: Size, now: datetime) -> list[Step]:
    """`now` makes the day: everything is made as of its midnight, so that a second run that day finds it fresh."""
    day = midnight(now)
    data, raw = settings.data_root(), settings.data_root() / "raw"
    world = {"seed": seed, **asdict(size), "key": fingerprint(settings.hash_key().hex())}
    making = code(ROOT / "generate_data.py", ROOT / "simulators", FEATURES / "identifiers.py", FEATURES / "moments.py")
    made = {**world, "day": day.isoformat(), "code": making}
    windows = code(FEATURES, *(ROOT / "jobs" / f"{name}.py" for name in ("batch", "inputs", "windows", "partitions")))
    repository = code(settings.FEATURE_REPO, ROOT / "stores")
    learning = (ROOT / "jobs" / f"{name}.py" for name in ("train", "cases", "fitting", "report"))
    training = code(FEATURES, *learning, ROOT / "model", ROOT / "serving")
    features = data / "features"

    def train(risk: Risk) -> Step:
        pointer = settings.models() / risk.name / shelf.CURRENT
        return Step(
            f"train {risk.name}",
            lambda: [made, training, repository, windows, listing(*inputs.raw_files(risk.outcomes.table.name))],
            lambda: [pointer],
            partial(_train, risk, now),
            4,
        )

    def score(risk: Risk) -> Step:
        return Step(
            f"score {risk.name}",
            lambda: [listing(features), listing(raw), str(shelf.current(settings.models(), risk.name))],
            lambda: [settings.scores_db()],
            partial(_score, risk, now, day),
            SCORED_MIDNIGHTS + 1,
        )

    return [
        Step("raw events", lambda: made, lambda: [raw], partial(_generate, seed, size, day, world), None),
        Step(
            "batch features",
            lambda: [listing(raw), windows, day.isoformat()],
            lambda: [settings.feature_table(table.name) for table in tables()],
            partial(_batch, day, now),
            len(list(tables())),
        ),
        Step("feast apply", lambda: [repository, str(data)], lambda: _stores(data)[:2], partial(_apply, data)),
        Step(
            "feast materialize-incremental",
            lambda: [repository, listing(features), listing(raw)],
            lambda: _stores(data),
            partial(_materialize, data, now),
        ),
        *(train(risk) for risk in risks().values()),
        *(score(risk) for risk in risks().values() if risk.population),
    ]


def _generate(seed: int, size: Size, day: datetime, world: dict, tell: Tell) -> str:
    """Another seed, size or hash key is another world: what was made of the old one is removed, its models and
    decisions stay."""
    data, marker = settings.data_root(), settings.data_root() / "raw" / "world"
    if marker.exists() and marker.read_text() != fingerprint(world):
        for name in ("raw", "features"):
            shutil.rmtree(data / name, ignore_errors=True)
        for file in [*data.glob("online.db*"), *data.glob("registry.db"), *data.glob("scores.db*")]:
            file.unlink()
    rows = 0

    def done(table: str, count: int) -> None:
        nonlocal rows
        rows += count
        tell(table)

    generate_data.generate(seed, day, size, done)
    marker.write_text(fingerprint(world))
    return f"{rows:,} rows as of {day:%Y-%m-%d}"


def _batch(until: datetime, now: datetime, tell: Tell) -> str:
    rows = 0
    for table in tables():
        rows += batch.run(table, until, now).out.rows
        tell(table.name)
    return f"{rows:,} rows"


def _stores(data: Path) -> list[Path]:
    """Registry, online store, and a mark that the second holds what the first says."""
    return [data / "registry.db", data / "online.db", data / "materialized"]


def _apply(data: Path, tell: Tell) -> str:
    """The registry remembers up to when the online store was filled. Without the one, the other is worth nothing."""
    if not all(path.exists() for path in _stores(data)[:2]):
        for path in [*_stores(data), *data.glob("online.db-*")]:
            path.unlink(missing_ok=True)
    return _feast("apply", tell)


def _materialize(data: Path, now: datetime, tell: Tell) -> str:
    said = _feast(f"materialize-incremental {now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", tell)
    _stores(data)[-1].touch()
    return said


def _feast(command: str, tell: Tell) -> str:
    """The `feast` command itself, as a user would run it."""
    feast = Path(sys.executable).with_name("feast")
    environment = {**os.environ, "RISK_DATA": str(settings.data_root())}
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


def _train(risk: Risk, now: datetime, tell: Tell) -> str:
    from jobs.train import train
    from serving.retrieval import FeastSource

    card = train(FeastSource(settings.FEATURE_REPO), risk, now, tell)
    return f"AUC {card.quality.roc_auc:.3f} on {card.test.rows:,} rows"


def _score(risk: Risk, now: datetime, day: datetime, tell: Tell) -> str:
    """Everybody now, and once for each of the last midnights, so that a page has a history on its first day."""
    from jobs.score import score
    from serving import scores
    from serving.retrieval import FeastSource

    source = FeastSource(settings.FEATURE_REPO)
    known = scores.moments(settings.scores_db(), risk.name)
    midnights = [day - timedelta(days=n) for n in range(SCORED_MIDNIGHTS - 1, -1, -1)]
    count = 0
    for as_of in [*(m for m in midnights if m not in known), now]:
        count += score(source, risk, as_of)
        tell(f"{as_of:%Y-%m-%d}")
    return f"{count:,} decisions"


def _close(console: Console, times: list[tuple[str, str, float | None]]) -> None:
    steps = Table("step", "result", title="Pipeline", title_justify="left")
    steps.add_column("seconds", justify="right")
    for name, said, seconds in times:
        steps.add_row(name, said, "–" if seconds is None else f"{seconds:.1f}")
    steps.add_section()
    steps.add_row("total", "", f"{sum(seconds or 0 for *_, seconds in times):.1f}")
    console.print(steps)
    models = Table("model", "features", "training rows", "AUC", "approve / review / decline", title="Models")
    for risk in risks().values():
        card: Card = shelf.take(shelf.current(settings.models(), risk.name))[0]
        shares = " / ".join(f"{100 * card.outcomes[o].share:.0f} %" for o in ("approve", "review", "decline"))
        models.add_row(risk.name, str(len(card.inputs)), f"{card.train.rows:,}", f"{card.quality.roc_auc:.3f}", shares)
    console.print(models)
    console.print(f"Reports: {settings.models()}/<model>/<version>/report.html", highlight=False)
