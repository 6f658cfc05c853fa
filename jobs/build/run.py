"""Runs the steps of the pipeline that are stale."""

import sys
import time
from datetime import datetime
from graphlib import TopologicalSorter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

import settings
from cli import console
from cli.console import Column
from errors import Busy, PolicyBroken
from features.domains import risks
from files import locked
from jobs.build import workers
from jobs.build.imports import Sources
from jobs.build.plan import by_urgency, own_domains, steps
from jobs.build.steps import Finished, Step
from jobs.world.marker import World
from jobs.world.shares import move_aside
from model import shelf
from model.card import Card
from root import Root
from serving.policies import SUFFIXES, Policies, appetite
from serving.policy_faults import faults

#: A step's name, the summary of what it did, and how many seconds it took; None if it was fresh.
Result = tuple[str, str, float | None]


def run(root: Root, world: World, now: datetime, replace: datetime | None = None) -> None:
    """Bring everything below `root` up to date, and print what was stale and what came out. With `replace`, the present
    time, what the root holds is moved aside first. Raises Busy if another pipeline works on this root, and what the
    steps raise."""
    screen = Console(file=sys.stdout)  # this very one: a step may redirect sys.stdout while the progress bar moves
    busy = Busy(f"Another pipeline is at work on {root}. Wait for it, or set RISK_DATA to another root.")
    with locked(root.pipeline_lock, busy):
        if replace:
            console.line(move_aside(root, replace, settings.belongs_to_another_key(root)))
        for risk in risks().values():  # a broken file is told before minutes of work
            appetite(root.policies, risk)
        began = time.perf_counter()
        _print_steps(_run_stale(root, world, now, screen), time.perf_counter() - began)
        _print_models(root)
        _check_policies(root)


def _run_stale(root: Root, world: World, now: datetime, screen: Console) -> list[Result]:
    """Do the stale steps: each once those are done that it comes after, and of several the most urgent first."""
    own = [(f"raw events of {domain}", f"yours, as they are in {root.raw}", None) for domain in own_domains(root)]
    plan = {step.name: step for step in steps(root, world, now)}
    sources, finished = Sources(settings.PROJECT), Finished.read(root.pipeline_fingerprints)
    order = TopologicalSorter({step.name: plan.keys() & step.after for step in plan.values()})
    order.prepare()
    rank, ready = by_urgency([*plan.values()]), list[str]()
    results: dict[str, Result] = {}
    at_work: dict[str, str] = {}
    with _Bars(screen) as bars, workers.started(bars.advance) as pool:
        while order.is_active():
            ready = sorted([*ready, *order.get_ready()], key=rank.__getitem__)
            if ready and len(at_work) < pool.processes:
                step = plan[ready.pop(0)]
                # Before the work: what changes meanwhile, and may not be in the result, makes the step stale.
                fingerprint = step.fingerprint(sources)
                if finished.is_fresh(step, fingerprint):
                    results[step.name] = step.name, "fresh", None
                    order.done(step.name)
                    continue
                finished.forget(step)
                at_work[step.name] = fingerprint
                bars.begin(step)
                pool.begin(step)
                continue
            if len(at_work) < pool.processes and len(at_work) + len(results) < len(plan):
                pool.prepare()  # the rest waits for those at work
            for step, summary, seconds in pool.ended():
                finished.add(step, at_work.pop(step.name))
                bars.end(step)
                results[step.name] = step.name, summary.partition("\n")[0], seconds
                screen.print(f"[green]✓[/] {step.name}: {summary}", highlight=False, soft_wrap=True)
                order.done(step.name)
    return [*own, *(results[name] for name in plan)]


class _Bars:
    """A bar for each step at work."""

    def __init__(self, screen: Console) -> None:
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        self._progress = Progress(*columns, TimeElapsedColumn(), console=screen, transient=True)
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def begin(self, step: Step) -> None:
        self._bars[step.name] = self._progress.add_task(step.name, total=step.parts)

    def advance(self, step: str, part: str) -> None:
        self._progress.update(self._bars[step], advance=1, description=f"{step}: {part}")

    def end(self, step: Step) -> None:
        self._progress.update(self._bars[step.name], visible=False)


def _print_steps(results: list[Result], total_seconds: float) -> None:
    console.line("Pipeline")
    rows = [(name, summary, "–" if seconds is None else f"{seconds:.1f}") for name, summary, seconds in results]
    columns = [Column("step"), Column("result"), Column("seconds", "right")]
    console.table(columns, [*rows, ("all, beside each other", "", f"{total_seconds:.1f}")], headings=True, indent=2)


def _check_policies(root: Root) -> None:
    """Say which policies the service could not use. Their rules need the features, which are applied by now."""
    if not any(file.suffix in SUFFIXES for file in root.policies.glob("*")):
        return  # the import of Feast takes longer than all else that a fresh pipeline does
    from serving.retrieval import FeastStore

    store = FeastStore(settings.FEATURE_REPO, settings.feature_store())
    if wrong := faults(root.policies, Policies(root.policies, store)):
        raise PolicyBroken(" ".join(wrong))


def _print_models(root: Root) -> None:
    rows = []
    for risk in risks().values():
        card: Card = shelf.take(shelf.current(root.models, risk.name))[0]
        shares = " / ".join(f"{word} {100 * outcome.share:.0f} %" for word, outcome in card.outcomes.items())
        rows.append((risk.name, str(len(card.inputs)), f"{card.train.rows:,}", card.headline, shares))
    headings = ("model", "features", "training rows", "quality", "decisions")
    console.line("Models")
    console.table([Column(heading) for heading in headings], rows, headings=True, indent=2)
    console.line(f"Reports: {root.models}/<model>/<version>/report.html")
