"""What do windows by definition cost, beside queries by hand?

    python bench/windows.py                 all contestants, three runs each, then ours with other numbers of orders
    python bench/windows.py --scale 0.1     fewer orders, for a first look; --skip pandas, --runs 1

The chargeback features that the queries have, at every midnight, of generated orders (1.77 million):

ours     `jobs.batch.table.compute` for each table: checks, folds, compares, writes a partition for each day
by hand  DuckDB queries for the same features and rows, straight from the file. They check nothing and write one file
         for each table
by days  the same queries, with a partition for each day, as ours (DuckDB's own PARTITION_BY)
pandas   `groupby().rolling()` over orders and midnights together. It computes the values and writes nothing
spark    the job with `--engine spark`, where PySpark is installed. The session starts before the clock

Each run is a process of its own. Printed are medians, ratios to ours, peak memory, and whether the values agree. The
processor time is that of the Python process: on a busy machine it says more than the time.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "feature_repo")]

from printing import print_table  # noqa: E402

from jobs import sql  # noqa: E402

NOW = datetime(2026, 1, 31, tzinfo=UTC)
CONTESTANTS = ("ours", "by hand", "by days", "pandas", "spark")
TABLES = ("user_orders", "user_chargebacks", "merchant_risk", "merchant_chargebacks")
NOT_BY_HAND = ("baseline", "_last_", "max_1d", "max_3d", "max_7d")
DAY_US, LAST_DAY = 86_400_000_000, int(NOW.timestamp()) // 86_400
#: Ours also runs with these multiples of the orders.
SCALES = (0.2, 0.5, 1, 5)


def make(raw: Path, scale: float) -> int:
    """Write the orders of `scale` times as many people, over the same days. Returns how many orders there are."""
    from jobs.world.generate import write
    from simulators import Size
    from simulators.chargeback import events

    orders = events(7, NOW, Size(users=int(5000 * scale), merchants=int(10_000 * scale)), b"")["orders"]
    write(raw, orders)
    return len(orders)


def ours(raw: Path, out: Path, engine: Any = None) -> None:
    import settings
    from features.chargeback import TABLES as tables
    from jobs.batch.table import compute

    for table in tables:
        kept = tuple(a for a in table.aggregations if not any(part in a.name for part in NOT_BY_HAND))
        compute(settings.root(), replace(table, aggregations=kept), NOW, NOW, files=[raw], engine=engine)


def by_hand(raw: Path, out: Path, layout: str = "") -> None:
    """Tiles of a day, a row for each day of a key, row frames over these, and the rows that differ from the day's
    before."""
    connection = sql.connect()
    units, roots = "CAST(amount * 1e9 AS BIGINT)", "CAST(amount * 1e6 AS BIGINT)"

    def table(name: str, key: str, time_: str, tile: str, states: str, values: dict[str, str], reach: int) -> None:
        over = "(PARTITION BY k ORDER BY d ROWS BETWEEN {} PRECEDING AND {} PRECEDING)"
        frames = {f"w{d}": over.format(d, 1) for d in (1, 3, 7, 30)}
        late = {f"l{d}": over.format(d + 7, 8) for d in (1, 7, 30)}
        windows = ", ".join(f"{name} AS {frame}" for name, frame in {**frames, **late}.items())
        named = ", ".join(f"{value} AS {column}" for column, value in values.items())
        differs = " OR ".join(f"{c} IS DISTINCT FROM lag({c}) OVER o" for c in values)
        zero = " AND ".join(f"coalesce({c}, 0) = 0" for c in values)
        connection.execute(
            f"""COPY (
            WITH tile AS (SELECT {key} AS k, epoch_us({time_}) // {DAY_US} AS d, {tile} FROM {sql.literal(raw)}
                          WHERE {time_} IS NOT NULL GROUP BY ALL),
            grid AS (SELECT k, unnest(range(min(d), least(max(d) + {reach + 1}, {LAST_DAY}) + 1)) AS d
                     FROM tile GROUP BY k),
            merged AS (SELECT k, d, {states} FROM grid LEFT JOIN tile USING (k, d) WINDOW {windows}),
            valued AS (SELECT k, d, {named} FROM merged)
            SELECT k AS {key}, * EXCLUDE (k, d), make_timestamptz(d * {DAY_US}) AS event_timestamp
                {", d AS day" if layout else ""} FROM valued
            WINDOW o AS (PARTITION BY k ORDER BY d)
            QUALIFY ({differs}) AND NOT (lag(d) OVER o IS NULL AND {zero})
            ) TO {sql.literal(out / f"{name}.parquet")} (FORMAT parquet, COMPRESSION zstd{layout})"""
        )

    counts = {f"orders_count_{d}d": f"coalesce(n{d}, 0)::BIGINT" for d in (1, 3, 7, 30)}
    means = {f"orders_amount_mean_{d}d": f"s{d}::DOUBLE / (n{d} * 1e9)" for d in (1, 7, 30)}
    spread = "CASE WHEN n30 > 1 THEN sqrt((n30 * q30 - r30 * r30)::DOUBLE / (n30 * (n30 - 1))::DOUBLE) / 1e6 END"
    sums = ", ".join(
        [*(f"sum(n) OVER w{d} AS n{d}" for d in (1, 3, 7, 30)), *(f"sum(s) OVER w{d} AS s{d}" for d in (1, 7, 30)),
         "sum(r) OVER w30 AS r30", "sum(q) OVER w30 AS q30", "max(top) OVER w30 AS top30"]
    )  # fmt: skip
    tile = (
        f"count(*) AS n, sum({units}) AS s, sum({roots}) AS r, sum({roots}::HUGEINT * {roots}) AS q, max(amount) AS top"
    )
    more = {"orders_amount_stddev_30d": spread, "orders_amount_max_30d": "top30"}
    table("user_orders", "user_id", "order_timestamp", tile, sums, {**counts, **means, **more}, 30)
    rates = {f"chargeback_rate_{d}d": f"f{d}::DOUBLE / m{d}" for d in (1, 7, 30)}
    frauds = ", ".join(f"sum(n) OVER l{d} AS m{d}, sum(f) OVER l{d} AS f{d}" for d in (1, 7, 30))
    sums = ", ".join(f"sum(n) OVER w{d} AS n{d}" for d in (1, 7, 30))
    tile = "count(*) AS n, count(chargeback_timestamp) AS f"
    fewer = {name: value for name, value in counts.items() if "3d" not in name}
    table("merchant_risk", "merchant_id", "order_timestamp", tile, f"{sums}, {frauds}", {**fewer, **rates}, 37)
    sums = ", ".join(f"sum(n) OVER w{d} AS n{d}" for d in (3, 7, 30))
    charged = {f"chargebacks_count_{d}d": f"coalesce(n{d}, 0)::BIGINT" for d in (3, 7, 30)}
    for party in ("user", "merchant"):
        table(f"{party}_chargebacks", f"{party}_id", "chargeback_timestamp", "count(*) AS n", sums, charged, 30)


def with_pandas(raw: Path, out: Path) -> None:
    import pandas as pd

    orders = pd.read_parquet(raw)
    orders["known"] = orders["chargeback_timestamp"].notna().astype(float)

    def roll(key: str, time_: str, windows: dict[str, tuple[str, str, int]], delay: int = 0) -> pd.DataFrame:
        """Feature → values at each midnight. A window is a column, a function and days; `delay` is in days."""
        events = orders.loc[orders[time_].notna(), [key, time_, "amount", "known"]].rename(columns={time_: "t"})
        events["t"] += pd.Timedelta(days=delay)
        first, last = events.groupby(key)["t"].min().dt.ceil("D"), events.groupby(key)["t"].max().dt.ceil("D")
        last = (last + pd.Timedelta(days=31)).clip(upper=pd.Timestamp(NOW))
        ticks = [pd.DataFrame({key: k, "t": pd.date_range(first[k], last[k])}) for k in first.index]
        rows = pd.concat([events, pd.concat(ticks).assign(is_tick=True)]).sort_values([key, "t"], kind="stable")
        rows = rows.set_index("t")
        values = {}
        for name, (column, function, days) in windows.items():
            window = rows.groupby(key, sort=True)[column].rolling(f"{days}D", closed="left")
            values[name] = getattr(window, function)().to_numpy()
        rows = rows.reset_index().assign(**values)
        return rows.loc[rows["is_tick"].eq(True), [key, "t", *values]].rename(columns={"t": "event_timestamp"})

    amounts = {f"orders_amount_mean_{d}d": ("amount", "mean", d) for d in (1, 7, 30)}
    more = {"orders_amount_stddev_30d": ("amount", "std", 30), "orders_amount_max_30d": ("amount", "max", 30)}
    users = {f"orders_count_{d}d": ("known", "count", d) for d in (1, 3, 7, 30)} | amounts | more
    roll("user_id", "order_timestamp", users).to_parquet(out / "user_orders.parquet")
    counts = {f"orders_count_{d}d": ("known", "count", d) for d in (1, 7, 30)}
    rates = {f"chargeback_rate_{d}d": ("known", "mean", d) for d in (1, 7, 30)}
    without_delay = roll("merchant_id", "order_timestamp", counts)
    with_delay = roll("merchant_id", "order_timestamp", rates, delay=7)
    both = without_delay.merge(with_delay, how="outer", on=["merchant_id", "event_timestamp"])
    both.to_parquet(out / "merchant_risk.parquet")
    charged = {f"chargebacks_count_{d}d": ("known", "count", d) for d in (3, 7, 30)}
    for party in ("user", "merchant"):
        roll(f"{party}_id", "chargeback_timestamp", charged).to_parquet(out / f"{party}_chargebacks.parquet")


def run_here(contestant: str, raw: Path, out: Path) -> None:
    """Run a contestant in this process. Prints seconds, seconds of processor time, and peak memory in GB."""
    os.environ["RISK_DATA"] = str(out)
    import features.chargeback, jobs.batch.table, pandas  # imports are not on the clock  # noqa

    engine = None
    if contestant == "spark":
        import settings
        from jobs.batch.spark import run, session

        session.opened(settings.spark())
        engine = run.engine(settings.spark())
    work = {"ours": ours, "spark": ours, "by hand": by_hand, "by days": by_hand, "pandas": with_pandas}[contestant]
    options = {"spark": [engine], "by days": [", PARTITION_BY (day)"]}.get(contestant, [])
    began, processor_began = time.perf_counter(), time.process_time()
    work(raw, out, *options)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([time.perf_counter() - began, time.process_time() - processor_began, memory]))


def run(contestant: str, raw: Path, out: Path) -> tuple[float, float, float]:
    """Seconds, seconds of processor time, and peak memory in GB of one run in a process of its own."""
    out.mkdir(parents=True)
    command = [sys.executable, __file__, "--one", contestant, str(raw), str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return tuple(json.loads(ended.stdout.splitlines()[-1]))  # type: ignore[return-value]


def agreement(our_folder: Path, folder: Path) -> str:
    """Whether the other has each of our rows, with the same values. Pandas has more rows: one for each day."""
    with sql.connect() as connection:
        for name in TABLES:
            file, partitions = folder / f"{name}.parquet", f"features/{name}/*/*/*/*.parquet"
            places = file / "*/*.parquet" if file.is_dir() else file if file.exists() else folder / partitions
            mine, other = (
                f"read_parquet({sql.literal(place)}, hive_partitioning = false)"
                for place in (our_folder / partitions, places)
            )
            columns = [c for c, *_ in connection.execute(f"DESCRIBE FROM {mine}").fetchall()]
            key, *values = [c for c in columns if c not in ("created", "event_timestamp")]
            same = " AND ".join(
                f"abs(coalesce(a.{v}, 0) - coalesce(b.{v}, 0)) <= 1e-6 * (1 + abs(coalesce(a.{v}, 0)))" for v in values
            )
            joined = f"{mine} a LEFT JOIN {other} b USING ({key}, event_timestamp)"
            (count,) = sql.row(connection, f"SELECT count(*) FROM {joined} WHERE NOT coalesce({same}, false)")
            if count:
                return f"{count:,} rows of {name} differ"
    return "agree"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return run_here(args.one[0], Path(args.one[1]), Path(args.one[2]))
    if not find_spec("pyspark"):
        print("spark: not run, PySpark is not installed")
        args.skip.append("spark")
    chosen = [name for name in CONTESTANTS if name not in args.skip]
    with tempfile.TemporaryDirectory() as name:
        scratch, raw = Path(name), Path(name) / "orders.parquet"
        print(f"{make(raw, args.scale):,} orders; medians of {args.runs}")
        runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in chosen}
        for n in range(args.runs):
            for name in chosen:
                runs[name].append(run(name, raw, scratch / f"{name}-{n}"))
        medians = {name: [statistics.median(column) for column in zip(*runs[name], strict=True)] for name in chosen}
        values = {name: agreement(scratch / "ours-0", scratch / f"{name}-0") for name in chosen}
        ours_s, ours_cpu, _ = medians["ours"]
        table = [
            (name, f"{s:.1f}", f"{s / ours_s:.2f}", f"{cpu:.1f}", f"{cpu / ours_cpu:.2f}", f"{gb:.1f}", values[name])
            for name, (s, cpu, gb) in medians.items()
        ]
        print_table(("contestant", "s", "× ours", "processor s", "× ours", "peak GB", "values"), table)
        rows = []
        for scale in SCALES:
            orders = make(raw, scale * args.scale)
            seconds, _, memory = run("ours", raw, scratch / f"size-{scale}")
            rows.append((f"{scale} ×", f"{orders:,}", f"{seconds:.1f}", f"{orders / seconds:,.0f}", f"{memory:.1f}"))
        print_table(("ours at", "orders", "s", "orders/s", "peak GB"), rows)


if __name__ == "__main__":
    main()
