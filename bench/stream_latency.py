"""How soon is an accepted event online? A part of `bench/stream.py`.

A process appends events to the event log with `serving.event_log.append`, as the service does before it answers 202:
each 10 ms, 20 at once for 2,000 a second. `python -m jobs stream coupon` follows the log in a second process. A third
process reads the online store, each millisecond. One event of each append has a prefix of its own, and the reader waits
for the states of these prefixes one after the other.

A latency begins when `append` returns (the events are on disk, the service would answer 202), and ends when the reader
finds the state. The job's own figure begins before the append, and is of every event.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "feature_repo")]

from coupon_machines import DEVICES, LOCATIONS, apply, prefix  # noqa: E402
from printing import print_table  # noqa: E402

APPEND_SECONDS = 0.01
#: Appends of the first seconds do not count: a state is smaller until it has ten seconds of events as they are.
WARM_SECONDS = 12
#: The reader gives up this long after the last append is due.
PATIENCE_SECONDS = 30
#: The bounds of the job's histogram that are printed, in seconds.
BOUNDS = ("0.05", "0.1", "0.25", "1.0")


def watched_prefix(n: int) -> str:
    """The prefix of the event of append n that the reader waits for. The prefixes of other events begin with a zero."""
    return f"9{n // 10_000:03d}-{n % 10_000:04d}-0000-"


def produce(appends: int, events_per_append: int) -> list[float]:
    """Append events. Returns when each append returned, in seconds since 1970."""
    import random

    import settings
    from features.coupon import COUPON_ATTEMPTS
    from serving import event_log

    rng, returned = random.Random(7), []
    folder, due = settings.root().event_log(COUPON_ATTEMPTS.name), time.monotonic()
    for n in range(appends):
        now, events = datetime.now(UTC), []
        for i in range(events_per_append):
            device = 0 if i == 0 else rng.randrange(DEVICES)
            coupon_prefix = watched_prefix(n) if i == 0 else prefix(rng.randrange(5000))
            events.append({
                "msg_id": f"m{n}-{i}", "msg_type": "REDEEM", "device_id": f"d{device:03d}",
                "location_code": f"L{device * LOCATIONS // DEVICES:02d}",
                "coupon_code": f"{coupon_prefix}{rng.randrange(10_000):04d}",
                "response": "INVALID" if rng.random() < 0.05 else "VALID", "create_time": now,
            })  # fmt: skip
        event_log.append(folder, events, now)()
        returned.append(time.time())
        due += APPEND_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
    return returned


def follow(appends: int, _: int) -> list[float]:
    """Wait for the watched events. Returns when each was online, in seconds since 1970. Prints `ready` at the start."""
    import settings
    from features.coupon import COUPON_PREFIXES
    from features.windows.live import state_of
    from serving.retrieval import FeastStore

    store: Any = FeastStore(settings.FEATURE_REPO)._store
    view, online = store.get_feature_view(state_of(COUPON_PREFIXES)), store._get_provider().online_store
    reader, entity_key = online.reader(store.config, view, [state_of(COUPON_PREFIXES)]), online.entity_key(view)
    row = {"location_code": "L00"}
    online_at, began = [], time.monotonic()
    print("ready", flush=True)
    for n in range(appends):
        row["coupon_prefix"] = watched_prefix(n)
        keys = [entity_key(*(row[column.name] for column in view.entity_columns))]
        while reader.read(keys) == [None]:
            if time.monotonic() - began > PATIENCE_SECONDS + appends * APPEND_SECONDS:
                raise SystemExit(f"the event of append {n} is not online")
            time.sleep(0.001)
        online_at.append(time.time())
    return online_at


def job_metrics(port: int) -> dict[str, float]:
    """The metrics of the job, by name with labels."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return {name: float(value) for line in text.splitlines() if line[0] != "#" for name, value in [line.rsplit(" ", 1)]}


def job_shares(metrics: dict[str, float]) -> tuple[int, list[str]]:
    """How many events the job has processed, and the share of them that was online within each of `BOUNDS`."""
    name = 'stream_visible_seconds_bucket{domain="coupon",le="'
    buckets = {key.removeprefix(name).rstrip('"}'): value for key, value in metrics.items() if key.startswith(name)}
    count = buckets["+Inf"]
    return round(count), [f"{buckets[bound] / count:.1%}" for bound in BOUNDS]


def wait_for(job: subprocess.Popen[str], reader: subprocess.Popen[str], port: int) -> None:
    """Wait until both are at work. Raises SystemExit where one of them ends instead."""
    is_ready = reader.stdout is not None and reader.stdout.readline() == "ready\n"
    while is_ready and job.poll() is None:
        try:
            job_metrics(port)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the job or its reader did not begin")


def measure(folder: Path, seconds: int, per_second: int) -> None:
    events_per_append = round(per_second * APPEND_SECONDS)
    root, appends = folder / "latency", round((WARM_SECONDS + seconds) / APPEND_SECONDS)
    root.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "RISK_DATA": str(root)}

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    def output(process: subprocess.Popen[str]) -> str:
        printed, _ = process.communicate()
        if process.returncode:
            raise SystemExit("the latency was not measured")
        return printed

    output(start(__file__, "apply", "0", "0"))
    job = start("-m", "jobs", "stream", "coupon", "--metrics", str(port))
    reader = start(__file__, "follow", str(appends), "0")
    try:
        wait_for(job, reader, port)
        accepted_at = json.loads(output(start(__file__, "produce", str(appends), str(events_per_append))))
        online_at = json.loads(output(reader))
        count, shares = job_shares(job_metrics(port))
    finally:
        for process in (job, reader):
            process.terminate()
            process.wait()
    warm = round(WARM_SECONDS / APPEND_SECONDS)
    latencies = [(end - begin) * 1000 for begin, end in zip(accepted_at, online_at, strict=True)][warm:]
    cuts, rate = quantiles(latencies, n=100), events_per_append * (appends - 1) / (accepted_at[-1] - accepted_at[0])
    print_table(
        ("from the service's 202 to the online store", "events/s", "p50 ms", "p99 ms", "max ms"),
        [("a reader's figure", f"{rate:,.0f}", f"{cuts[49]:.1f}", f"{cuts[98]:.1f}", f"{max(latencies):.1f}")],
    )
    print_table(
        ("the job's own figure", "events", *(f"within {float(bound):g} s" for bound in BOUNDS)),
        [("all since it began", f"{count:,}", *shares)],
    )


def main(part: str, appends: str, events_per_append: str) -> None:
    if part == "apply":
        apply()
    else:
        print(json.dumps({"produce": produce, "follow": follow}[part](int(appends), int(events_per_append))))


if __name__ == "__main__":
    main(*sys.argv[1:])
