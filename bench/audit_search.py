"""Searches a log of decisions, and builds and catches up the index of it.

    python bench/audit_search.py [--records 10000000]

The log is made up, in a temporary folder: 30 days of five risks. Nothing else is compared: the limit of a search is to
read its records from the log. Prints the rate of the build, the bytes of the index, p50 and p99 of each kind of search,
and what catching up costs while decisions arrive.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

from features.utc import since_1970
from serving.audit import search
from serving.audit.positions import Positions
from serving.audit.search import Search

START, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 30
PAGE = 50
ARRIVING = 1000
WORDS = ("approve", "review", "decline")
RISKS = ("onboarding", "daily", "chargeback", "coupon", "loyalty")
ID = "{n:08x}-0000-4000-8000-{n:012x}"
LINE = (
    '{{"risk":"{risk}","entity":{{"order_id":"o{n}","user_id":"u{user}","merchant_id":"m{merchant}"}},"request":'
    '{{"amount":49.9,"order_timestamp":"{as_of}"}},"decision_id":"{id}","decision":"{word}","score":{score},"reasons":'
    '[{{"code":"amount_fine","text":"The amount is ordinary.","contribution":-0.4021}},{{"code":"user_orders_fine",'
    '"text":"The user buys as often as usual.","contribution":-0.165}}],"features":{{"orders_count_1d":0,'
    '"orders_count_7d":3,"orders_amount_mean_30d":41.5,"order_amount":49.9,"is_weekend":0,"is_night":0}},"model":'
    '{{"name":"{risk}","version":"20260101T120000-0a1b2c3d"}},"policy":{{"name":"{risk}","version":"5d41402abc4b"}},'
    '"as_of":"{as_of}","caller":"key:{caller}"}}\n'
)


def line(n: int, as_of: datetime, pick: random.Random) -> str:
    score = round(pick.betavariate(1, 8), 6)
    return LINE.format(
        n=n, risk=RISKS[n % 5], user=pick.randrange(1_000_000), merchant=int(pick.paretovariate(0.6)) % 20_000,
        as_of=as_of.isoformat(), id=ID.format(n=n), word=WORDS[(score > 0.2) + (score > 0.5)],
        score=score, caller=n % 20,
    )  # fmt: skip


def write(folder: Path, records: int) -> None:
    """The log, day by day."""
    pick, a_day = random.Random(0), records // DAYS
    folder.mkdir()
    for day in range(DAYS):
        begin = START + timedelta(days=day)
        step = timedelta(days=1) / a_day
        with (folder / f"{begin.date()}.jsonl").open("w") as log:
            log.writelines(line(day * a_day + i, begin + i * step, pick) for i in range(a_day))


def timed(run: Callable[[], Any], times: int) -> str:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        seconds.append((time.perf_counter() - began) * 1000)
    cuts = quantiles(seconds, n=100)
    return f"p50 {cuts[49]:7.2f} ms   p99 {cuts[98]:7.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=200, help="how often each search runs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audit-search-") as folder:
        positions = Positions(Path(folder) / "decisions", Path(folder) / "outcomes")
        began = time.perf_counter()
        write(positions.logs["decisions"], args.records)
        size = sum(file.stat().st_size for file in positions.logs["decisions"].iterdir())
        print(
            f"{args.records:,} records, {size / 1e9:.2f} GB, written in {time.perf_counter() - began:.0f} s", flush=True
        )
        began, processor = time.perf_counter(), time.process_time()
        positions.catch_up()
        took, used = time.perf_counter() - began, time.process_time() - processor
        per_record = positions.path.stat().st_size / args.records
        print(
            f"build: {took:.0f} s, {args.records / took:,.0f} records/s, processor {used:.0f} s; "
            f"index {per_record:.0f} bytes a record, the log {size / args.records:.0f}",
            flush=True,
        )
        searches(positions, args.records, args.times)
        arriving(positions, args.records)


def searches(positions: Positions, records: int, times: int) -> None:
    pick, last = random.Random(1), since_1970(START + timedelta(days=DAYS))
    day = 86_400_000_000

    def page(**what: Any) -> Callable[[], Any]:
        return lambda: search.page(positions, Search(**{k: v() if callable(v) else v for k, v in what.items()}), PAGE)

    def user() -> Any:
        return (("user_id", (f"u{pick.randrange(1_000_000)}",)),)

    def deep() -> None:
        _, cursor = search.page(positions, Search(outcome="review"), PAGE)
        for _ in range(3):
            _, cursor = search.page(positions, Search(outcome="review"), PAGE, cursor)

    kinds: dict[str, Callable[[], Any]] = {
        "one id": lambda: search.by_id(
            positions, "{0:08x}-0000-4000-8000-{0:012x}".format(pick.randrange(records // 30 * 30))
        ),
        "newest": page(),
        "risk": page(risk=lambda: pick.choice(RISKS)),
        "outcome": page(outcome=lambda: pick.choice(WORDS)),
        "score, 1 in 10,000": page(min_score=0.68),
        "score band": page(min_score=0.3, max_score=0.35, risk="daily"),
        "time": page(
            since=lambda: last - pick.randrange(1, 30) * day, until=lambda: last - pick.randrange(0, 29) * day
        ),
        "a user": page(names=user),
        "the largest merchant": page(names=(("merchant_id", ("m1",)),)),
        "the largest merchant, declined": page(names=(("merchant_id", ("m1",)),), outcome="decline"),
        "a caller": page(caller="key:7"),
        "a caller, a risk, declined": page(caller="key:7", risk="chargeback", outcome="decline"),
        "a page far back": page(until=last - 25 * day, outcome="review"),
        "four pages": deep,
    }
    for name, run in kinds.items():
        print(f"{name:32} {timed(run, times)}", flush=True)


def arriving(positions: Positions, records: int) -> None:
    """Ten seconds' worth of decisions; after each second's, a search."""
    pick, seconds, processor = random.Random(2), [], []
    for second in range(10):
        begin = START + timedelta(days=DAYS, seconds=second)
        lines = [line(records + second * ARRIVING + i, begin, pick) for i in range(ARRIVING)]
        with (positions.logs["decisions"] / f"{begin.date()}.jsonl").open("a") as log:
            log.writelines(lines)
        began, used = time.perf_counter(), time.process_time()
        search.page(positions, Search(), PAGE)
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    middle = sorted(seconds)[5], sorted(processor)[5]
    print(f"a search after {ARRIVING:,} new decisions: {middle[0] * 1000:.0f} ms, processor {middle[1] * 1000:.0f} ms")


if __name__ == "__main__":
    main()
