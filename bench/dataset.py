"""How many rows of a training set does the point-in-time join of live features make in a second of processor time?

    python bench/dataset.py            (half a minute)

`jobs.point_in_time.features` of `chargeback`, for all orders of made worlds: each gets the features that a decision
at its timestamp would have had. A run is a process of its own; the smallest of three is printed. To read the cases and
to write partitions is not in it.
"""

import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fraud_protocol import END, Names, write_world
from printing import print_table

from features.chargeback import CHARGEBACK
from jobs import point_in_time
from jobs.train.cases import known_cases
from root import Root
from simulators import Size

USERS, RUNS = (250, 1_000), 3


def measure(users: int) -> None:
    """Print how many rows, the seconds of processor time, and the megabytes of memory at most."""
    with tempfile.TemporaryDirectory() as folder:
        root = Root(Path(folder))
        write_world(root, 1, Size(users=users, merchants=2 * users))
        cases = known_cases(root, CHARGEBACK, END + timedelta(days=30))
        begin = time.process_time()
        rows = point_in_time.features(root, Names(), CHARGEBACK, cases)
        seconds = time.process_time() - begin
    print(len(rows), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(users: int) -> tuple[float, ...]:
    done = subprocess.run([sys.executable, __file__, str(users)], stdout=subprocess.PIPE, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def main() -> None:
    table = []
    for users in USERS:
        count, seconds, megabytes = min((measured(users) for _ in range(RUNS)), key=lambda run: run[1])
        table.append((f"{count:,.0f}", f"{seconds:.1f} s", f"{count / seconds:,.0f}", f"{megabytes:,.0f} MB"))
    print_table(("orders", "processor time", "rows a second of it", "peak memory"), table)


if __name__ == "__main__":
    if sys.argv[1:]:
        measure(int(sys.argv[1]))
    else:
        main()
