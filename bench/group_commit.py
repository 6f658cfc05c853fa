"""What does it cost that a decision is on the disk before it is answered?

    python bench/group_commit.py            (after make pipeline; about two minutes)

shared  as it is: requests wait for the disk outside of their turn, and one sync serves all that wait
turn    each request waits in its turn for a sync of its own
none    no sync: answered decisions can be lost in a power cut

Each contestant is a server with one process. They take turns, on 1 or 32 connections. Printed are medians of the turns,
medians of the ratios to `none` in the same round, and how long the disk takes for one sync of 3,000 bytes.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from turns import race, serving

#: Contestant → what its server does first.
CONTESTANTS = {
    "shared": "",
    "turn": """
import serving.service as service
append = service.audit.append
def at_once(*args):
    wait = append(*args)
    wait()
    return wait
service.audit.append = at_once
""",
    "none": "import os\nos.fsync = lambda file: None\n",
}


def sync_ms(folder: Path) -> float:
    times = []
    with (folder / "sync").open("ab", buffering=0) as file:
        for _ in range(200):
            file.write(b"x" * 3000)
            begin = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(f"one sync: {sync_ms(Path(folder)):.1f} ms")
    with serving(CONTESTANTS) as ports:
        race(ports, (1, 32), "none")


if __name__ == "__main__":
    main()
