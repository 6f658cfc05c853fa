"""`python -m jobs monitor`."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import click

from choices import unknown
from cli import console
from cli.console import Column
from cli.values import DURATION, TIMESTAMP
from errors import Mismatch


@click.command()
@click.argument("risks", metavar="[RISK]...", nargs=-1, help="Show every feature of these risks. All risks are read.")
@click.option("--once", is_flag=True, help="Read what is there, show what was found, and stop.")
@click.option("--every", type=DURATION, default="1m", help="Read again after this time.")
@click.option("--since", type=TIMESTAMP, show_default="all", help="Leave out decisions of before, where none was read.")
@click.option("--fail-on-alarm", is_flag=True, help="With --once: exit code 1 if an alarm goes on.")
def monitor(risks: tuple[str, ...], once: bool, every: timedelta, since: datetime | None, fail_on_alarm: bool) -> None:
    """Compare logged decisions with the training rows.

    A line for each alarm says what to do. Without --once, the monitor runs until SIGTERM or Ctrl-C.
    """
    import settings
    from features.domains import NO_RISK
    from features.domains import risks as declared

    for name in risks:
        if name not in declared():
            raise unknown("risk", name, declared(), NO_RISK)
    if fail_on_alarm and not once:
        raise click.UsageError("--fail-on-alarm needs --once.")
    root, stop = settings.root(), Event()
    if once:
        _read(since)
        going_on = _show(root.monitor_db, risks)
        if fail_on_alarm and going_on:
            raise Mismatch(f"{going_on} alarms go on. Each line above says what to do.")
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        _read(since)
        stop.wait(every.total_seconds())


def _read(since: datetime | None) -> None:
    """Count what is new, and add it to the index of the log, so that no search of the service has much to read."""
    import settings
    from features.domains import risks
    from jobs.monitor import run
    from serving.audit.positions import Positions

    root = settings.root()
    run.run(root, risks().keys(), datetime.now(UTC), console.line, since)
    Positions(root.decisions, root.outcomes).ask(lambda _: None, waits=True)


def _show(path: Path, risks: tuple[str, ...]) -> int:
    """Show the newest window of each risk and the alarms that go on. Returns how many go on."""
    from serving import monitoring

    windows = [w for w in monitoring.latest(path) if not risks or w.risk in risks]
    alarms = [a for a in monitoring.alarms(path, only_open=True) if not risks or a.risk in risks]
    if not windows:
        console.line("No window is over yet: a window has 20 minutes of traffic and 200 decisions at least.")
    columns = [Column(name, "left" if name == "feature" else "right")
               for name in ("feature", "decisions", "PSI", "limit", "KS", "missing", "in training", "default",
                            "in training")]  # fmt: skip
    for window in windows:
        outcomes = ", ".join(f"{count:,} {word}" for word, count in window.outcomes.items())
        times = f"{window.began:%Y-%m-%d %H:%M} to {window.ended:%H:%M}"
        mix = "" if window.outcome_psi is None else f" (PSI {window.outcome_psi:.2f} against the card)"
        console.line(f"{window.risk} {window.version}: {times}, {window.decisions:,} decisions: {outcomes}{mix}")
        if window.note:
            console.line(f"  {window.note}")
        highest = sorted(window.statistics, key=lambda statistic: -statistic.psi)
        rows = [
            (s.name, f"{s.rows:,}", f"{s.psi:.3f}", "–" if s.psi_limit is None else f"{s.psi_limit:.2f}", f"{s.ks:.3f}",
             f"{s.missing:.1%}", f"{s.trained_missing:.1%}", f"{s.defaults:.1%}", f"{s.trained_defaults:.1%}")
            for s in (highest if risks else highest[:1])
        ]  # fmt: skip
        if rows:
            console.table(columns, rows, headings=True, indent=2)
    for known in monitoring.performance(path):
        if not risks or known.risk in risks:
            figures = {"AUC": known.roc_auc, "Brier": known.brier, "RMSE": known.rmse}
            shown = "".join(f", {name} {value:.3f}" for name, value in figures.items() if value is not None)
            console.line(
                f"{known.risk} {known.version}: {known.outcomes:,} outcomes of the last 30 days: mean "
                f"{known.mean_outcome:.3f}, mean score {known.mean_score:.3f}{shown}"
            )
    for alarm in alarms:
        console.line(f"{alarm.risk}: since {alarm.began:%Y-%m-%d %H:%M}: {alarm.text}")
    return len(alarms)
