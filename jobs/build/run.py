"""From nothing to batch scores: the steps in their order, each redone only if stale."""

import time
from dataclasses import asdict
from datetime import datetime
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

import settings
from errors import Busy
from features.domains import risks, stream_of, streams, tables
from features.risk import Risk
from features.utc import midnight
from files import fingerprint, listing, locked
from jobs.build import work as work
from jobs.build.steps import Stamps, Step, code
from jobs.raw import places
from model import shelf
from model.card import Card
from root import Root
from simulators import Size

ROOT = settings.PROJECT
FEATURES = settings.FEATURE_REPO / "features"


def run(root: Root, seed: int, size: Size, now: datetime) -> None:
    """Bring everything below `root` up to date, say what was stale, and close with what came out. Raises Busy: one
    pipeline at a time works on a root."""
    busy = Busy(f"Another pipeline is at work on {root}. Wait for it, or set RISK_DATA to another root.")
    with locked(root.pipeline_lock, busy):
        _run(root, seed, size, now, Console())


def _run(root: Root, seed: int, size: Size, now: datetime, console: Console) -> None:
    stamps = Stamps.read(root.pipeline_stamps)
    times: list[tuple[str, str, float | None]] = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        for step in _steps(root, seed, size, now):
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
    _close(root, console, times)


def _tell(progress: Progress, bar: TaskID, step: str, part: str) -> None:
    progress.update(bar, advance=1, description=f"{step}: {part}")


def _steps(root: Root, seed: int, size: Size, now: datetime) -> list[Step]:
    """`now` makes the day: everything is made as of its midnight, so that a second run that day finds it fresh."""
    day = midnight(now)
    raw, features = root.raw, root.features
    world = {"seed": seed, **asdict(size), "key": fingerprint(settings.hash_key().hex())}
    making = code(ROOT / "generate_data.py", ROOT / "simulators", FEATURES / "identifiers.py", FEATURES / "utc.py")
    made = {**world, "day": day.isoformat(), "code": making}
    windows = code(FEATURES, ROOT / "jobs" / "raw", ROOT / "jobs" / "batch", ROOT / "jobs" / "stream")
    repository = code(settings.FEATURE_REPO, ROOT / "stores")
    training = code(FEATURES, ROOT / "jobs" / "train", ROOT / "model", ROOT / "serving")

    def train(risk: Risk) -> Step:
        pointer = root.models / risk.name / shelf.CURRENT
        return Step(
            f"train {risk.name}",
            lambda: [
                made,
                training,
                repository,
                windows,
                listing(*places.history_files(root, risk.outcomes.table.name)),
            ],
            lambda: [pointer],
            partial(work.train, root, risk, now),
            4,
        )

    def stream(domain: str) -> Step:
        raw_name = stream_of(domain).raw.name
        return Step(
            f"stream {domain}",
            lambda: [windows, listing(*places.raw_files(root, raw_name)), work.sizes(root.event_log(raw_name))],
            lambda: [root.stream_state(domain)],
            partial(work.stream, root, domain),
        )

    def score(risk: Risk) -> Step:
        return Step(
            f"score {risk.name}",
            lambda: [listing(features), listing(raw), str(shelf.current(root.models, risk.name))],
            lambda: [root.scores_db],
            partial(work.score, root, risk, now, day),
            work.SCORED_MIDNIGHTS + 1,
        )

    return [
        Step("raw events", lambda: made, lambda: [raw], partial(work.generate, root, seed, size, day, world), None),
        Step(
            "batch features",
            lambda: [listing(raw, root.offline_logs), windows, day.isoformat()],
            lambda: [root.feature_table(table.name) for table in tables()],
            partial(work.features, root, day, now),
            len(list(tables())),
        ),
        Step(
            "live tables",
            lambda: windows,
            lambda: [root.states(name) for name in work.states()],
            partial(work.prepare, root),
        ),
        Step("feast apply", lambda: [repository, str(root)], lambda: work.stores(root)[:2], partial(work.apply, root)),
        *(stream(of.domain) for of in streams().values()),
        Step(
            "feast materialize-incremental",
            lambda: [repository, listing(features), listing(raw)],
            lambda: work.stores(root),
            partial(work.materialize, root, now),
        ),
        *(train(risk) for risk in risks().values()),
        *(score(risk) for risk in risks().values() if risk.population),
    ]


def _close(root: Root, console: Console, times: list[tuple[str, str, float | None]]) -> None:
    steps = Table("step", "result", title="Pipeline", title_justify="left")
    steps.add_column("seconds", justify="right")
    for name, said, seconds in times:
        steps.add_row(name, said, "–" if seconds is None else f"{seconds:.1f}")
    steps.add_section()
    steps.add_row("total", "", f"{sum(seconds or 0 for *_, seconds in times):.1f}")
    console.print(steps)
    models = Table("model", "features", "training rows", "quality", "decisions", title="Models")
    for risk in risks().values():
        card: Card = shelf.take(shelf.current(root.models, risk.name))[0]
        shares = " / ".join(f"{word} {100 * of.share:.0f} %" for word, of in card.outcomes.items())
        models.add_row(risk.name, str(len(card.inputs)), f"{card.train.rows:,}", card.headline, shares)
    console.print(models)
    console.print(f"Reports: {root.models}/<model>/<version>/report.html", highlight=False)
