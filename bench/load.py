"""How much does the service take, and does it answer everything?

    python bench/load.py classic      10 users, 1,000 loops over 8 paths: 80,000 requests
    python bench/load.py saturate     more and more users, 15 s each
    python bench/load.py soak --minutes 10     16 users, with the stream job and materialization beside them

Install locust first: `uv pip install -e '.[load]'`. The script makes a small root of its own (`--root`, by default
data/load; two minutes), starts the service as `make serve` does, and sends an API key with each request. It prints a
table, and draws the requests a second and the latency over time to `--picture`. Exit code 1 where a request failed, or
where a decision that was answered is not in the audit log exactly once.
"""

import locust  # noqa: F401  first: it lets the users be greenlets of one thread, before anything opens a socket

# isort: split
import argparse
import itertools
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import gevent
import matplotlib
from load_service import Sample, Service, background, serving
from locust import FastHttpUser
from locust.env import Environment
from locust.exception import StopUser
from printing import print_table

import settings

matplotlib.use("Agg")
import matplotlib.pyplot as plt

USERS, LOOPS, RAMP_SECONDS = 10, 1000, 3
#: Users of each turn of `saturate`, and its length.
STEPS, STEP_SECONDS = (1, 2, 4, 8, 16, 32, 64), 15
SOAK_USERS, SAMPLE_SECONDS = 16, 15

#: Name, method, path and body of a request.
Request = tuple[str, str, str, Any]


def requests(nth: int, customers: Sequence[str], products: Sequence[str]) -> list[Request]:
    """The eight requests of loop `nth`: each loop asks about others. Two decide, and one sends an event."""
    product, customer = products[nth % len(products)], customers[nth % len(customers)]
    driver = 1001 + nth % 1000
    order = {
        "order_id": f"load-{nth}", "user_id": f"u{1 + nth % 1000:05}", "merchant_id": f"m{1 + nth % 2000:05}",
        "amount": 30.0,
    }  # fmt: skip
    sale = {
        "transaction_id": f"load-{time.time_ns()}", "customer_id": customer, "product_id": product, "category": "books",
        "price": 12.5, "quantity": 1, "review_rating": 1.0 + nth % 5,
        "transaction_date": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    return [
        ("last reviews", "GET", f"/api/v1/stream/products/{product}/average-last-5-reviews", None),
        ("last order", "GET", f"/api/v1/stream/customers/{customer}/last-order-amount", None),
        ("rating of 30 days", "GET", f"/api/v1/offline/products/{product}/average-rating-30d", None),
        ("revenue of 30 days", "GET", "/api/v1/offline/categories/books/revenue-30d", None),
        ("feature vector", "POST", "/api/v1/features/daily", {"entities": [{"driver_id": driver}]}),
        ("event", "POST", "/api/v1/events/transactions", sale),
        ("daily decision", "GET", f"/daily-risk-decision/{driver}/", None),
        ("chargeback decision", "POST", "/api/v1/decisions/chargeback", order),
    ]


@dataclass
class Load:
    """What happened: when each request ended and how many seconds it took, by name; the failures; and the ids of the
    decisions that were answered."""

    begin: float = field(default_factory=time.perf_counter)
    ended: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)

    def all(self) -> list[tuple[float, float]]:
        """The requests of all names, in the order in which they ended."""
        return sorted(pair for pairs in self.ended.values() for pair in pairs)


def run(service: Service, users: int, goes_on: Callable[[int, Load], bool]) -> Load:
    """Let users go over the eight paths. `goes_on` gets how many loops a user has made, and says whether it makes
    another."""
    load, numbers = Load(), itertools.count()
    customers, products = service.bought("customer_id"), service.bought("product_id")

    class Caller(FastHttpUser):  # type: ignore[misc]
        host = service.url
        default_headers: ClassVar = {"Authorization": f"Bearer {service.key}"}

        def loops(self) -> None:
            for count in itertools.count():
                if not goes_on(count, load):
                    raise StopUser
                for request in requests(next(numbers), customers, products):
                    send(self, request, load)

        tasks: ClassVar = [loops]

    environment = Environment(user_classes=[Caller])
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=users / RAMP_SECONDS)
    gevent.sleep(RAMP_SECONDS + 1)
    while runner.user_count:
        gevent.sleep(0.2)
    runner.quit()
    return load


def send(caller: Any, request: Request, load: Load) -> None:
    name, method, path, body = request
    begin = time.perf_counter()
    with caller.client.request(method, path, json=body, name=name, catch_response=True) as answer:
        now = time.perf_counter()
        load.ended[name].append((now - load.begin, now - begin))
        if not 200 <= answer.status_code < 300:
            load.failures.append(f"{name}: {answer.status_code} {answer.text}")
        elif "decision" in name:
            load.decisions.append(answer.json()["decision_id"])


def row(name: str, ended: list[tuple[float, float]]) -> tuple[str, ...]:
    """Requests, requests a second, and the mean, p50, p95 and p99 in ms."""
    seconds = [latency for _, latency in ended]
    cuts = statistics.quantiles(seconds, n=100)
    length = max(at for at, _ in ended) - min(at - latency for at, latency in ended)
    numbers = (statistics.mean(seconds), cuts[49], cuts[94], cuts[98])
    return (name, f"{len(ended):,}", f"{len(ended) / length:,.0f}", *(f"{1e3 * number:.1f}" for number in numbers))


def report(loads: dict[str, Load], picture: Path) -> None:
    """Print a row for each name, and draw requests a second and latency over time."""
    columns = ("", "requests", "requests/s", "mean ms", "p50 ms", "p95 ms", "p99 ms")
    rows = []
    for title, load in loads.items():
        if len(loads) == 1:
            rows += [row(name, ended) for name, ended in load.ended.items()]
        rows.append(row(title, load.all()))
    print_table(columns, rows)
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
    for title, load in loads.items():
        by_second = defaultdict(list)
        for at, latency in load.all():
            by_second[int(at)].append(1e3 * latency)
        whole = sorted(by_second)[1:-1]
        above.plot(whole, [len(by_second[second]) for second in whole], label=title)
        below.plot(whole, [statistics.median(by_second[second]) for second in whole], label=title)
    above.set_ylabel("requests/s")
    below.set(ylabel="p50, ms", xlabel="seconds")
    above.legend()
    figure.savefig(picture, dpi=120)
    print(f"Picture: {picture}")


def classic(service: Service) -> dict[str, Load]:
    """A fixed number of loops for each user."""
    return {f"{USERS} users": run(service, USERS, lambda count, load: count < LOOPS)}


def timed(seconds: float) -> Callable[[int, Load], bool]:
    """Loops until so many seconds after the begin of the load."""
    return lambda count, load: time.perf_counter() - load.begin < seconds


def saturate(service: Service) -> dict[str, Load]:
    """More users in each turn."""
    return {f"{users} users": run(service, users, timed(STEP_SECONDS)) for users in STEPS}


def soak(service: Service, minutes: float) -> dict[str, Load]:
    """A long run. Prints what the service took, as medians of the first and of the last third."""
    samples: list[Sample] = []

    def take() -> None:
        while True:
            samples.append(service.sample())
            gevent.sleep(SAMPLE_SECONDS)

    taker = gevent.spawn(take)
    with background(service):
        load = run(service, SOAK_USERS, timed(60 * minutes))
    taker.kill()
    third = max(1, len(samples) // 3)
    measures: dict[str, Callable[[Sample], float]] = {
        "memory, MB": lambda sample: sample.memory_bytes / 1e6,
        "descriptors": lambda sample: sample.descriptors,
        "WAL files, MB": lambda sample: sample.wal_bytes / 1e6,
    }
    rows = [
        (name, *(f"{statistics.median(map(value, part)):,.1f}" for part in (samples[:third], samples[-third:])))
        for name, value in measures.items()
    ]
    print_table(("", "first third", "last third"), rows)
    return {f"{SOAK_USERS} users, {minutes:g} minutes": load}


def faults(loads: dict[str, Load], service: Service) -> list[str]:
    """Requests that failed, and decisions that are not in the audit log exactly once."""
    logged = service.logged()
    answered = [decision for load in loads.values() for decision in load.decisions]
    wrong = [
        f"{decision} is in the audit log {logged[decision]} times" for decision in answered if logged[decision] != 1
    ]
    print(f"{len(answered):,} decisions were answered; {len(answered) - len(wrong):,} are in the audit log once.")
    return [failure for load in loads.values() for failure in load.failures] + wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("classic", "saturate", "soak"))
    parser.add_argument("--root", type=Path, default=settings.PROJECT / "data" / "load")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--picture", type=Path, default=Path("load.png"))
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end with it
    with serving(args.root.resolve(), args.workers) as service:
        runs = {"classic": classic, "saturate": saturate, "soak": lambda service: soak(service, args.minutes)}
        loads = runs[args.what](service)
        report(loads, args.picture)
        wrong = faults(loads, service)
    print(*wrong[:10], f"{len(wrong):,} failures", sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
