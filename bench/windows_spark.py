"""How does the cost of a table on Spark grow with its rows, and how much memory does the driver take?

    python bench/windows_spark.py                  1, 4 and 16 times the orders
    python bench/windows_spark.py --users 5000     with 1 × the orders of so many users

The 30-day tables `user_orders` of chargeback and `product_sales` of the catalog, from generated events, at every
midnight of 60 days. The driver and one executor with two cores are processes of their own. Each size has new ones, so
the seconds have the start of an executor and the compilation of queries in them, which do not grow with the rows.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
from printing import print_table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

NOW = datetime(2026, 1, 31, tzinfo=UTC)
SCALES = (1, 4, 16)
MASTER, OPTIONS = "local-cluster[1,2,2048]", "spark.driver.memory=512m spark.sql.shuffle.partitions=8"


def make(folder: Path, users: int) -> int:
    """Write the raw events of so many users. Returns how many these are."""
    from jobs.world.generate import write
    from simulators import Size, catalog, chargeback

    size = Size(users=users, merchants=2 * users, order_days=60, customers=users, products=users, shop_days=60)
    tables = {**chargeback.events(7, NOW, size, b""), **catalog.events(7, NOW, size, b"")}
    for name in ("orders", "transactions"):
        write(folder / f"{name}.parquet", tables[name])
    return len(tables["orders"]) + len(tables["transactions"])


def run_here(raw: Path) -> None:
    """Compute the tables in this process. Prints seconds, the processor's seconds of all processes, and the peak memory
    of the driver's Python and Java in MB."""
    import settings
    from features import catalog, chargeback
    from jobs.batch.spark import session
    from jobs.batch.spark.run import engine
    from jobs.batch.table import compute

    session.opened(settings.spark())
    began = time.perf_counter()
    for table in (chargeback.USER_ORDERS, catalog.PRODUCT_SALES):
        file = raw / f"{table.source.name}.parquet"
        compute(settings.root(), table, NOW, NOW, files=[file], engine=engine(settings.spark()))
    seconds = time.perf_counter() - began
    this = psutil.Process()
    everybody = [this, *this.children(recursive=True)]
    processor = sum(sum(process.cpu_times()[:2]) for process in everybody)
    (java,) = [child for child in this.children() if "java" in child.name()]
    print(json.dumps([seconds, processor, *(peak(process.pid) for process in (this, java))]))


def peak(pid: int) -> float:
    """The most memory that a process has had, in MB."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return run_here(args.one)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for scale in SCALES:
            raw = Path(name) / str(scale)
            events = make(raw, scale * args.users)
            own = {"RISK_DATA": str(raw / "root"), "SPARK_MASTER": MASTER, "SPARK_OPTIONS": OPTIONS}
            command = [sys.executable, __file__, "--one", str(raw)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **own})
            if ended.returncode:
                raise SystemExit(ended.stderr)
            seconds, processor, python, java = json.loads(ended.stdout.splitlines()[-1])
            rows.append(
                (f"{scale} ×", f"{events:,}", *(f"{figure:.0f}" for figure in (seconds, processor, python, java)))
            )
    print_table(("size", "events", "s", "processor s", "driver: Python, MB", "Java, MB"), rows)


if __name__ == "__main__":
    main()
