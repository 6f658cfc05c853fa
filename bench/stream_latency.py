"""How soon is an accepted event online? Of `bench/stream.py`.

A process appends events to the event log through `serving.event_log.append`, as the service does before it answers 202:
20 each 10 ms. `python -m jobs stream coupon` follows the log as a process. A third process reads the online store:
each append has one event with a number that nobody else tries, and it waits for the state of that one, then of the
next. So a latency is from the return of `append` (on disk, the service's 202) to the moment that a reader who asks
about each millisecond finds it. The job's own figure begins before the append, and is of every event.
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

from stream import DEVICES, LOCATIONS, ROOT, apply, prefix

EACH_SECONDS, TOGETHER = 0.01, 20
#: Appends of the first seconds are not counted: a state holds ten seconds of events as they came, and is small before.
WARM_SECONDS = 12
LONGEST_WAIT = 30


def watched(n: int) -> str:
    """The prefix of the event that is waited for; those of the others begin with a zero."""
    return f"9{n // 10_000:03d}-{n % 10_000:04d}-0000-"


def produce(appends: int) -> list[float]:
    """When each append had returned, s since 1970."""
    import random

    import settings
    from features.coupon import COUPON_ATTEMPTS
    from serving import event_log

    chosen, done = random.Random(7), []
    directory, due = settings.root().event_log(COUPON_ATTEMPTS.name), time.monotonic()
    for n in range(appends):
        now, events = datetime.now(UTC), []
        for i in range(TOGETHER):
            device = 0 if i == 0 else chosen.randrange(DEVICES)
            of_prefix = watched(n) if i == 0 else prefix(chosen.randrange(5000))
            events.append({
                "msg_id": f"m{n}-{i}", "msg_type": "REDEEM", "device_id": f"d{device:03d}",
                "location_code": f"L{device * LOCATIONS // DEVICES:02d}",
                "coupon_code": f"{of_prefix}{chosen.randrange(10_000):04d}",
                "response": "INVALID" if chosen.random() < 0.05 else "VALID", "create_time": now,
            })  # fmt: skip
        event_log.append(directory, events, now)
        done.append(time.time())
        due += EACH_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
    return done


def follow(appends: int) -> list[float]:
    """When each of the watched events was found online, s since 1970. Prints a line once it can begin."""
    import settings
    from features.coupon import COUPON_PREFIXES
    from features.windows.live import state_of
    from serving.retrieval import FeastStore

    store: Any = FeastStore(settings.FEATURE_REPO)._store
    view, online = store.get_feature_view(state_of(COUPON_PREFIXES)), store._get_provider().online_store
    reader, key = online.reader(store.config, view, [state_of(COUPON_PREFIXES)]), online.entity_key(view)
    told = {"location_code": "L00"}
    found, waits_since = [], time.monotonic()
    print("ready", flush=True)
    for n in range(appends):
        told["coupon_prefix"] = watched(n)
        wanted = [key(*(told[column.name] for column in view.entity_columns))]
        while reader.read(wanted) == [None]:
            if time.monotonic() - waits_since > LONGEST_WAIT + appends * EACH_SECONDS:
                raise SystemExit(f"the event of append {n} is not online")
            time.sleep(0.001)
        found.append(time.time())
    return found


def job_says(port: int) -> dict[str, float]:
    """Its metrics, by name with labels."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return {name: float(value) for line in text.splitlines() if line[0] != "#" for name, value in [line.rsplit(" ", 1)]}


def its_own(found: dict[str, float]) -> str:
    """The share of events that were visible within each bound of the job's histogram."""
    name = 'stream_visible_seconds_bucket{domain="coupon",le="'
    bounds = {each.removeprefix(name).rstrip('"}'): value for each, value in found.items() if each.startswith(name)}
    count = bounds["+Inf"]
    shares = [f"{bounds[bound] / count:.1%} within {float(bound):g} s" for bound in ("0.05", "0.1", "0.25", "1.0")]
    return f"the job's own figure, of {count:,.0f} events since it began: {', '.join(shares)}"


def wait_for(job: subprocess.Popen[str], reader: subprocess.Popen[str], port: int) -> None:
    """Until both are at work. Raises SystemExit if one of them ends instead."""
    is_ready = reader.stdout is not None and reader.stdout.readline() == "ready\n"
    while is_ready and job.poll() is None:
        try:
            job_says(port)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the job or its reader did not begin")


def measure(folder: Path, seconds: int) -> None:
    root, appends = folder / "latency", round((WARM_SECONDS + seconds) / EACH_SECONDS)
    root.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "RISK_DATA": str(root)}

    def started(*command: str) -> subprocess.Popen[str]:
        whole = [sys.executable, *command]
        return subprocess.Popen(whole, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    def ended(running: subprocess.Popen[str]) -> str:
        told, _ = running.communicate()
        if running.returncode:
            raise SystemExit("the latency was not measured")
        return told

    ended(started(__file__, "apply", "0"))
    job = started("-m", "jobs", "stream", "coupon", "--metrics", str(port))
    reader = started(__file__, "follow", str(appends))
    try:
        wait_for(job, reader, port)
        done = json.loads(ended(started(__file__, "produce", str(appends))))
        seen = json.loads(ended(reader))
        own = its_own(job_says(port))
    finally:
        for running in (job, reader):
            running.terminate()
            running.wait()
    warm = round(WARM_SECONDS / EACH_SECONDS)
    took = [(online - accepted) * 1000 for accepted, online in zip(done, seen, strict=True)][warm:]
    cut, rate = quantiles(took, n=100), TOGETHER * (appends - 1) / (done[-1] - done[0])
    times = f"p50 {cut[49]:.1f} ms  p99 {cut[98]:.1f} ms  max {max(took):.1f} ms"
    print(f"accepted to online, {rate:,.0f} events/s: {times}")
    print(own)


def main(what: str, appends: str) -> None:
    if what == "apply":
        apply()
    else:
        print(json.dumps({"produce": produce, "follow": follow}[what](int(appends))))


if __name__ == "__main__":
    main(*sys.argv[1:])
