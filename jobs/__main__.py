"""python -m jobs: feature tables, datasets, models, scores. Imports what a job needs only when it runs."""

import argparse
import json
import re
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from errors import BadParameter, Busy, RiskError, unknown
from features.utc import utc
from jobs import simulate
from simulators import Size, add_sizes, size_of

if TYPE_CHECKING:
    from features.risk import Protocol, Risk

#: Small enough that a first look takes a minute or two; `python generate_data.py` makes the full size.
DEMO_SIZE = Size(drivers=10_000, users=1_000, merchants=2_000, order_days=90)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if not match or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration. Write 30s, 15m, 24h or 1d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def days(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days. Write 7.")
    return int(text)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m jobs", description="Work on a schedule or for ever.")
    jobs = top.add_subparsers(dest="job", required=True)

    whole = jobs.add_parser("pipeline", help="everything from raw events to batch scores; redoes only what is stale")
    whole.add_argument("--seed", type=int, default=7)
    whole.add_argument("--now", type=utc, help="ISO moment; default: the clock")
    add_sizes(whole, DEMO_SIZE)

    jobs.add_parser("list-pipelines", help="the feature tables and datasets that `execute` makes")
    describe = jobs.add_parser("describe", help="a pipeline: entity, sources, features, sink")
    describe.add_argument("name")
    describe.add_argument("--json", action="store_true", help="for programs")

    execute = jobs.add_parser("execute", help="raw events → a feature table, or past cases with their features")
    execute.add_argument("name", nargs="?", help="see list-pipelines")
    execute.add_argument("--all", action="store_true", help="every pipeline, in the order of what rests on what")
    execute.add_argument("--start-date", type=utc, help="rows dated after it; default: the beginning of the data")
    execute.add_argument("--end-date", type=utc, help="up to it; default: the clock")
    execute.add_argument("--input", type=Path, help="Parquet or CSV, a file or a folder; default: $RISK_DATA/raw")
    execute.add_argument("--quarantine", type=Path, help="write bad rows there (.csv or .parquet) and go on")
    execute.add_argument("--engine", choices=["duckdb", "spark"], default="duckdb")

    train = jobs.add_parser("train", help="point-in-time rows → a model with its card and report")
    train.add_argument("risk")
    train.add_argument("--now", type=utc, help="outcomes known by then; default: the clock")
    train.add_argument(
        "--train-start", type=utc, help="first day to learn from; default: as late as outcomes are known"
    )
    for part in ("train", "delay", "test"):
        train.add_argument(f"--{part}-days", type=days, help="default: what the risk declares, 7 if it does not")

    score = jobs.add_parser("score", help="decide about everybody, and show it on their pages")
    score.add_argument("risk")
    score.add_argument("--as-of", type=utc, help="default: the clock")
    score.add_argument("--every", type=duration, help="go on for ever at this cadence: 15m, 24h")

    parity = jobs.add_parser("parity", help="logged decisions, asked for again: does training see what was served?")
    parity.add_argument("domain")
    parity.add_argument("--since", type=utc, help="decisions from then on; default: all that are logged")
    stream = jobs.add_parser("stream", help="events as they happen → online features and the offline log")
    stream.add_argument("domain", help="or all: those that have a stream, from the log")
    stream.add_argument("--source", default="log", help="log, what the service accepts (default), or jsonl:PATH")
    stream.add_argument("--once", action="store_true", help="stop when everything there is has been taken in")
    stream.add_argument("--metrics", type=int, metavar="PORT", help="for Prometheus, on this machine")

    simulate.add_arguments(jobs.add_parser("simulate", help="somebody uses the running service, in real time"))
    return top


def main() -> None:
    asked = parser().parse_args()
    try:
        {
            "pipeline": run_pipeline,
            "list-pipelines": run_list,
            "describe": run_describe,
            "execute": run_execute,
            "train": run_train,
            "score": run_score,
            "parity": run_parity,
            "stream": run_stream,
            "simulate": simulate.run,
        }[asked.job](asked)
    except Busy as error:
        print(f"{error.name}: {error.message}", file=sys.stderr)
        sys.exit(3)
    except RiskError as error:
        sys.exit(f"{error.name}: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


def run_pipeline(asked: argparse.Namespace) -> None:
    import settings
    from jobs.build import run as build

    build.run(settings.root(), asked.seed, size_of(asked), asked.now or datetime.now(UTC))


def run_list(asked: argparse.Namespace) -> None:
    import settings
    from jobs.pipelines import pipelines

    for name, pipeline in pipelines(settings.root()).items():
        print(f"{name:<40} {pipeline.description}")


def run_describe(asked: argparse.Namespace) -> None:
    import settings
    from jobs.pipelines import named

    pipeline = named(settings.root(), asked.name)
    print(json.dumps(pipeline.as_json(), indent=2) if asked.json else pipeline)


def run_execute(asked: argparse.Namespace) -> None:
    import settings
    from jobs.pipelines import named, pipelines

    root = settings.root()

    if bool(asked.name) == asked.all:
        raise BadParameter("Name one pipeline, or say --all. See: python -m jobs list-pipelines")
    if asked.all and (asked.input or asked.quarantine):
        raise BadParameter("--input and --quarantine are for one pipeline. Name it instead of --all.")
    wanted = list(pipelines(root).values()) if asked.all else [named(root, asked.name)]
    from jobs import execute

    now = datetime.now(UTC)
    end = asked.end_date or now
    if asked.start_date and asked.start_date >= end:
        raise BadParameter(f"--start-date {asked.start_date} is not before --end-date {end}. Exchange them.")
    for report in execute.run(root, wanted, asked.start_date, end, now, asked.input, asked.quarantine, asked.engine):
        print(report, flush=True)


def run_train(asked: argparse.Namespace) -> None:
    import settings
    from features.domains import risk_named

    risk = risk_named(asked.risk)  # a wrong name is known before what takes seconds to import
    from jobs.train.champion import train
    from serving.retrieval import FeastStore

    store, now = FeastStore(settings.FEATURE_REPO), asked.now or datetime.now(UTC)
    root = settings.root()
    card = train(root, store, risk, now, protocol=_protocol(asked, risk), start=asked.train_start)
    directory = root.models / card.name / card.version
    for name, of in card.metrics.items():
        told = "  ".join(f"{figure} {value:.3f}" for figure, value in of.model_dump().items() if value is not None)
        print(f"{'serves' if name == card.champion else '':<7}{name:<20} {told}")
    print(f"{card.name} {card.version}: trained on {card.train.rows:,} rows, tested on {card.test.rows:,} later ones")
    print(f"Report: {directory / 'report.html'}")


def _protocol(asked: argparse.Namespace, risk: "Risk") -> "Protocol | None":
    """The risk's own, changed as asked; None where it has none and nothing is asked."""
    from features.risk import Protocol

    said = {name: value for name in ("train_days", "delay_days", "test_days") if (value := getattr(asked, name))}
    if risk.protocol is None and not said and asked.train_start is None:
        return None
    return replace(risk.protocol or Protocol(who=risk.entity_keys[0]), **said)


def run_score(asked: argparse.Namespace) -> None:
    import settings
    from features.domains import risk_named

    risk = risk_named(asked.risk)
    from jobs.score import score
    from serving.retrieval import FeastStore

    root, store = settings.root(), FeastStore(settings.FEATURE_REPO)
    while True:
        as_of = asked.as_of or datetime.now(UTC)
        try:
            count = score(root, store, risk, as_of)
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


def run_parity(asked: argparse.Namespace) -> None:
    import settings
    from features import DOMAINS
    from features.domains import NO_RISK, risks_of

    if asked.domain not in DOMAINS:
        raise unknown("domain", asked.domain, DOMAINS, NO_RISK)
    from jobs.parity import replay
    from serving.retrieval import FeastStore

    root, store = settings.root(), FeastStore(settings.FEATURE_REPO)
    found = [replay(root, store, risk, asked.since) for risk in risks_of(asked.domain)]
    print("\n".join(map(str, found)))
    if any(parity.other for parity in found):
        sys.exit("Training sees other features than were served: see the first of each above.")


def run_stream(asked: argparse.Namespace) -> None:
    import settings
    from jobs.stream import process

    process.run(settings.root(), asked.domain, asked.source, asked.once, asked.metrics)


if __name__ == "__main__":
    main()
