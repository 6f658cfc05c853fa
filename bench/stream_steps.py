"""What does a batch of the stream job cost, at a rate of events a second?

    python bench/stream_steps.py [--per-second 10000] [--batch 500] [--warm 14] [--steps 40]

It calls `StreamJob.step` of `coupon` with batches of one size, after some seconds of such events. The events set the
clock. The store is the real online store. Printed are the medians of a step's time and processor time. To compare two
versions, run it in both, in turns: processor time says more than time where other programs use the machine.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "feature_repo")]

from coupon_machines import DEVICES, LOCATIONS, apply, prefix  # noqa: E402
from printing import print_table  # noqa: E402

PREFIXES, MOST_LINES = 5_000, 5_000


class Events:
    """A source whose clock moves with its events."""

    name = "events"

    def __init__(self, per_second: int) -> None:
        self.batch, self.count = 0, 0
        self._per_second, self._begin, self._rng = per_second, datetime.now(UTC), random.Random(7)

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self.count / self._per_second)

    def read(self, _position: dict[str, Any], _most_bytes: int, _final: bool) -> tuple[list[Any], dict[str, Any]]:
        from jobs.stream.sources import Line

        return [Line(self._event(), "here") for _ in range(self.batch)], {"count": self.count}

    def behind(self, _position: dict[str, Any]) -> int:
        return 0

    def _event(self) -> bytes:
        rng, at = self._rng, self.now().isoformat().replace("+00:00", "Z")
        device, self.count = rng.randrange(DEVICES), self.count + 1
        return json.dumps({
            "msg_id": f"m{self.count}", "msg_type": "REDEEM", "device_id": f"d{device:03d}",
            "location_code": f"L{device * LOCATIONS // DEVICES:02d}",
            "coupon_code": f"{prefix(rng.randrange(PREFIXES))}{rng.randrange(10_000):04d}",
            "response": "INVALID" if rng.random() < 0.05 else "VALID", "create_time": at, "accepted_at": at,
        }, separators=(",", ":")).encode()  # fmt: skip


def measure(per_second: int, batch: int, warm_seconds: int, steps: int) -> None:
    import settings
    from features.domains import stream_of
    from jobs.stream import process
    from jobs.stream.job import StreamJob
    from serving.retrieval import FeastStore

    apply()
    source, store = Events(per_second), FeastStore(settings.FEATURE_REPO, waits_for_disk=False)
    job = StreamJob(settings.root(), stream_of("coupon"), source, store, settings.hash_key(), source.now)
    job.recover()
    process.collect_rarely()
    source.batch = min(MOST_LINES, per_second // 2)
    while source.count < warm_seconds * per_second:
        job.step()
    job.flush()
    source.batch = batch
    times = [seconds(job.step) for _ in range(steps)]
    job.close()
    wall, cpu = (1000 * median(column) for column in zip(*times, strict=True))
    print_table(
        (f"a step of {batch:,} events, at {per_second:,} a second", "ms", "processor ms", "processor µs an event"),
        [("median", f"{wall:.1f}", f"{cpu:.1f}", f"{1000 * cpu / batch:.1f}")],
    )


def seconds(step: Callable[[], object]) -> tuple[float, float]:
    """Time and processor time of a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"per-second": 10_000, "batch": 500, "warm": 14, "steps": 40}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RISK_DATA"] = folder
        measure(args.per_second, args.batch, args.warm, args.steps)


if __name__ == "__main__":
    main()
