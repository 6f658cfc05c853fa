"""python -m jobs: batch, train, score and the whole pipeline. Imports what a job needs only when it runs."""

import argparse
import re
import sys
import time
from datetime import UTC, datetime, timedelta

from errors import RiskError
from features.moments import utc

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if not match or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration. Write 30s, 15m, 24h or 1d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m jobs", description="Work on a schedule or for ever.")
    jobs = top.add_subparsers(dest="job", required=True)

    whole = jobs.add_parser("pipeline", help="everything from raw events to batch scores; redoes only what is stale")
    whole.add_argument("--seed", type=int, default=7)
    whole.add_argument("--drivers", type=int, default=10_000)
    whole.add_argument("--now", type=utc, help="ISO moment; default: the clock")

    batch = jobs.add_parser("batch", help="raw events → feature tables")
    batch.add_argument("tables", nargs="*", help="default: every table of every domain")
    batch.add_argument("--since", type=utc, help="first day to compute; default: that of the first event")
    batch.add_argument("--until", type=utc, help="no row is dated after it; default: the clock")

    train = jobs.add_parser("train", help="point-in-time rows → a model with its card and report")
    train.add_argument("risk")
    train.add_argument("--now", type=utc, help="outcomes known by then; default: the clock")

    score = jobs.add_parser("score", help="decide about everybody, and show it on their pages")
    score.add_argument("risk")
    score.add_argument("--as-of", type=utc, help="default: the clock")
    score.add_argument("--every", type=duration, help="go on for ever at this cadence: 15m, 24h")
    return top


def main() -> None:
    asked = parser().parse_args()
    try:
        {"pipeline": run_pipeline, "batch": run_batch, "train": run_train, "score": run_score}[asked.job](asked)
    except RiskError as error:
        sys.exit(f"{error.name}: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


def run_pipeline(asked: argparse.Namespace) -> None:
    from jobs import pipeline

    pipeline.run(asked.seed, asked.drivers, asked.now or datetime.now(UTC))


def run_batch(asked: argparse.Namespace) -> None:
    from features.catalogue import tables
    from jobs import batch

    known = {table.name: table for table in tables()}
    if unknown := set(asked.tables) - set(known):
        sys.exit(f"No table {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    for name in asked.tables or known:
        report = batch.run(known[name], asked.until or datetime.now(UTC), asked.since)
        skipped = f", {report.skipped:,} events without a key or a time left out" if report.skipped else ""
        print(f"{report.table}: {report.rows:,} rows{skipped}")


def run_train(asked: argparse.Namespace) -> None:
    import settings
    from features.catalogue import risk_named

    risk = risk_named(asked.risk)  # a wrong name is known before what takes seconds to import
    from jobs.train import train
    from serving.retrieval import FeastSource

    card = train(FeastSource(settings.FEATURE_REPO), risk, asked.now or datetime.now(UTC))
    directory = settings.models() / card.name / card.version
    print(f"{card.name} {card.version}: AUC {card.metrics.auc:.3f} on {card.test.rows:,} later rows")
    print(f"Report: {directory / 'report.html'}")


def run_score(asked: argparse.Namespace) -> None:
    import settings
    from features.catalogue import risk_named

    risk = risk_named(asked.risk)
    from jobs.score import score
    from serving.retrieval import FeastSource

    source = FeastSource(settings.FEATURE_REPO)
    while True:
        as_of = asked.as_of or datetime.now(UTC)
        try:
            count = score(source, risk, as_of)
            print(f"{risk.name} as of {as_of:%Y-%m-%d %H:%M:%S} UTC: {count:,} decisions", flush=True)
        except RiskError as error:
            if not asked.every:
                raise
            print(f"{error.name}: {error.message} The next run comes in its turn.", file=sys.stderr, flush=True)
        if not asked.every:
            return
        # From this run's start, so that a long run does not shift the next; a missed one is made up at once.
        asked.as_of = None
        time.sleep(max(0.0, (as_of + asked.every - datetime.now(UTC)).total_seconds()))


if __name__ == "__main__":
    main()
