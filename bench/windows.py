"""What do windows by definition cost, beside queries written by hand?

    python bench/windows.py                 every way, three runs of each, in turns, then ours at other sizes
    python bench/windows.py --scale 0.1     fewer orders, for a first look; --skip pandas, --runs 1

On the chargeback domain's orders (the full made-up 1.77 million), all its features at every midnight:

ours     `jobs.batch.table.compute` for each table: checked, folded, compared, written as a partition a day
by hand  DuckDB: the same features and rows straight from the file, with no check, as one file a table
by days  the same queries, written as a partition a day, as ours are (DuckDB's own PARTITION_BY)
pandas   `groupby().rolling()` over the orders and the midnights together; values only, nothing written
spark    the job with `--engine spark`, if PySpark is installed; the session is started before the clock

Each is a process of its own. Printed are medians, the ratio to ours, peak memory, and whether all gave the same values.
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
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "feature_repo")]

import duckdb  # noqa: E402

NOW = datetime(2026, 1, 31, tzinfo=UTC)
TABLES = ("user_orders", "user_chargebacks", "merchant_risk", "merchant_chargebacks")
US_A_DAY, LAST_DAY = 86_400_000_000, int(NOW.timestamp()) // 86_400


def make(raw: Path, scale: float) -> int:
    """Orders of `scale` times the people, over the same days. How many."""
    from generate_data import write
    from simulators import Size
    from simulators.chargeback import events

    orders = events(7, NOW, Size(users=int(5000 * scale), merchants=int(10_000 * scale)), b"")["orders"]
    write(raw, orders)
    return len(orders)


def ours(raw: Path, out: Path, engine: str = "duckdb") -> None:
    import settings
    from features.chargeback import TABLES as tables
    from jobs.batch.table import compute

    fold = None
    if engine == "spark":
        from jobs.batch.spark import fold
    for table in tables:
        compute(settings.root(), table, NOW, NOW, files=[raw], engine=fold)


def by_hand(raw: Path, out: Path, layout: str = "") -> None:
    """Day tiles, a row for every day of a key, row frames over them, and the rows that differ from the day before."""
    connected = duckdb.connect()
    units = "CAST(amount * 1e9 AS BIGINT)"
    roots = "CAST(amount * 1e6 AS BIGINT)"

    def table(name: str, key: str, time_: str, tile: str, states: str, values: dict[str, str], reach: int) -> None:
        over = "(PARTITION BY k ORDER BY d ROWS BETWEEN {} PRECEDING AND {} PRECEDING)"
        frames = {f"w{d}": over.format(d, 1) for d in (1, 3, 7, 30)}
        late = {f"l{d}": over.format(d + 7, 8) for d in (1, 7, 30)}
        windows = ", ".join(f"{name} AS {frame}" for name, frame in {**frames, **late}.items())
        named = ", ".join(f"{sql} AS {column}" for column, sql in values.items())
        differs = " OR ".join(f"{c} IS DISTINCT FROM lag({c}) OVER o" for c in values)
        zero = " AND ".join(f"coalesce({c}, 0) = 0" for c in values)
        connected.execute(
            f"""COPY (
            WITH tile AS (SELECT {key} AS k, epoch_us({time_}) // {US_A_DAY} AS d, {tile} FROM '{raw}'
                          WHERE {time_} IS NOT NULL GROUP BY ALL),
            grid AS (SELECT k, unnest(range(min(d), least(max(d) + {reach + 1}, {LAST_DAY}) + 1)) AS d
                     FROM tile GROUP BY k),
            merged AS (SELECT k, d, {states} FROM grid LEFT JOIN tile USING (k, d) WINDOW {windows}),
            valued AS (SELECT k, d, {named} FROM merged)
            SELECT k AS {key}, * EXCLUDE (k, d), make_timestamptz(d * {US_A_DAY}) AS event_timestamp
                {", d AS day" if layout else ""} FROM valued
            WINDOW o AS (PARTITION BY k ORDER BY d)
            QUALIFY ({differs}) AND NOT (lag(d) OVER o IS NULL AND {zero})
            ) TO '{out / name}.parquet' (FORMAT parquet, COMPRESSION zstd{layout})"""
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
    some = {name: sql for name, sql in counts.items() if "3d" not in name}
    table("merchant_risk", "merchant_id", "order_timestamp", tile, f"{sums}, {frauds}", {**some, **rates}, 37)
    sums = ", ".join(f"sum(n) OVER w{d} AS n{d}" for d in (3, 7, 30))
    charged = {f"chargebacks_count_{d}d": f"coalesce(n{d}, 0)::BIGINT" for d in (3, 7, 30)}
    for who in ("user", "merchant"):
        table(f"{who}_chargebacks", f"{who}_id", "chargeback_timestamp", "count(*) AS n", sums, charged, 30)


def with_pandas(raw: Path, out: Path) -> None:
    import pandas as pd

    orders = pd.read_parquet(raw)
    orders["known"] = orders["chargeback_timestamp"].notna().astype(float)

    def rolled(key: str, time_: str, jobs: dict[str, tuple[str, str, int]], delay: int = 0) -> pd.DataFrame:
        events = orders.loc[orders[time_].notna(), [key, time_, "amount", "known"]].rename(columns={time_: "t"})
        events["t"] += pd.Timedelta(days=delay)
        first, last = events.groupby(key)["t"].min().dt.ceil("D"), events.groupby(key)["t"].max().dt.ceil("D")
        last = (last + pd.Timedelta(days=31)).clip(upper=pd.Timestamp(NOW))
        ticks = [pd.DataFrame({key: k, "t": pd.date_range(first[k], last[k])}) for k in first.index]
        rows = pd.concat([events, pd.concat(ticks).assign(ask=True)]).sort_values([key, "t"], kind="stable")
        rows = rows.set_index("t")
        found = {}
        for name, (column, function, days) in jobs.items():
            window = rows.groupby(key, sort=True)[column].rolling(f"{days}D", closed="left")
            found[name] = getattr(window, function)().to_numpy()
        rows = rows.reset_index().assign(**found)
        return rows.loc[rows["ask"].eq(True), [key, "t", *found]].rename(columns={"t": "event_timestamp"})

    amounts = {f"orders_amount_mean_{d}d": ("amount", "mean", d) for d in (1, 7, 30)}
    more = {"orders_amount_stddev_30d": ("amount", "std", 30), "orders_amount_max_30d": ("amount", "max", 30)}
    users = {f"orders_count_{d}d": ("known", "count", d) for d in (1, 3, 7, 30)} | amounts | more
    rolled("user_id", "order_timestamp", users).to_parquet(out / "user_orders.parquet")
    counts = {f"orders_count_{d}d": ("known", "count", d) for d in (1, 7, 30)}
    rates = {f"chargeback_rate_{d}d": ("known", "mean", d) for d in (1, 7, 30)}
    there, late = (
        rolled("merchant_id", "order_timestamp", counts),
        rolled("merchant_id", "order_timestamp", rates, delay=7),
    )
    both = there.merge(late, how="outer", on=["merchant_id", "event_timestamp"])
    both.to_parquet(out / "merchant_risk.parquet")
    charged = {f"chargebacks_count_{d}d": ("known", "count", d) for d in (3, 7, 30)}
    for who in ("user", "merchant"):
        rolled(f"{who}_id", "chargeback_timestamp", charged).to_parquet(out / f"{who}_chargebacks.parquet")


def one(way: str, raw: Path, out: Path) -> None:
    """In a process of its own: prints seconds and peak memory."""
    os.environ["RISK_DATA"] = str(out)
    import features.chargeback, jobs.batch.table, pandas  # what a way imports is not on its clock  # noqa

    if way == "spark":
        from jobs.batch.spark import session

        session()
    work = {
        "ours": ours,
        "by hand": by_hand,
        "by days": lambda r, o: by_hand(r, o, ", PARTITION_BY (day)"),
        "pandas": with_pandas,
        "spark": lambda r, o: ours(r, o, "spark"),
    }[way]
    began = time.perf_counter()
    work(raw, out)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([time.perf_counter() - began, memory]))


def timed(way: str, raw: Path, out: Path) -> tuple[float, float]:
    out.mkdir(parents=True)
    command = [sys.executable, __file__, "--one", way, str(raw), str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    seconds, memory = json.loads(ended.stdout.splitlines()[-1])
    return seconds, memory


def agree(here: Path, there: Path) -> str:
    """Whether every row of ours is in the other's, with the same values. Pandas has a row for every day."""
    connected = duckdb.connect()
    for name in TABLES:
        mine = f"read_parquet('{here}/features/{name}/*/*/*/*.parquet', hive_partitioning = false)"
        other = f"read_parquet('{there}/{name}.parquet')"
        if (there / f"{name}.parquet").is_dir():
            other = f"read_parquet('{there}/{name}.parquet/*/*.parquet', hive_partitioning = false)"
        elif not (there / f"{name}.parquet").exists():
            other = f"read_parquet('{there}/features/{name}/*/*/*/*.parquet', hive_partitioning = false)"
        key, *values = [c for c, *_ in connected.execute(f"DESCRIBE FROM {mine}").fetchall() if c != "created"]
        values.remove("event_timestamp")
        same = " AND ".join(
            f"abs(coalesce(a.{v}, 0) - coalesce(b.{v}, 0)) <= 1e-6 * (1 + abs(coalesce(a.{v}, 0)))" for v in values
        )
        joined = f"{mine} a LEFT JOIN {other} b USING ({key}, event_timestamp)"
        differ = f"SELECT count(*) FROM {joined} WHERE NOT coalesce({same}, false)"
        (wrong,) = connected.execute(differ).fetchone() or (0,)
        if wrong:
            return f"{wrong:,} rows of {name} differ"
    return "agrees"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return one(asked.one[0], Path(asked.one[1]), Path(asked.one[2]))
    if not find_spec("pyspark"):
        print("PySpark is not installed: left out")
        asked.skip.append("spark")
    ways = [way for way in ("ours", "by hand", "by days", "pandas", "spark") if way not in asked.skip]
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "orders.parquet"
        print(f"{make(raw, asked.scale):,} orders, {asked.runs} runs of each, medians")
        runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for n in range(asked.runs):
            for way in ways:
                runs[way].append(timed(way, raw, Path(scratch) / f"{way}-{n}"))
        base = statistics.median(seconds for seconds, _ in runs["ours"])
        for way in ways:
            seconds, memory = (statistics.median(column) for column in zip(*runs[way], strict=True))
            found = "" if way == "ours" else agree(Path(scratch) / "ours-0", Path(scratch) / f"{way}-0")
            print(f"{way:<8} {seconds:7.1f} s   {seconds / base:6.2f} × ours   peak {memory:4.1f} GB   {found}")
        for scale in (0.2, 0.5, 1, 5):
            rows = make(raw, scale * asked.scale)
            seconds, memory = timed("ours", raw, Path(scratch) / f"size-{scale}")
            speed = f"{seconds:6.1f} s  {rows / seconds:9,.0f} orders/s"
            print(f"ours at {scale:3} ×  {rows:>10,} orders  {speed}  peak {memory:.1f} GB")


if __name__ == "__main__":
    main()
