"""Raw files for tests, and what `jobs execute` makes of them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from jobs import sql
from jobs.commands import jobs

HEADER = "order_id,user_id,merchant_id,amount,order_timestamp,chargeback_timestamp"
AT = "2026-01-10T12:00:00Z"
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
US = pa.timestamp("us", "UTC")


def execute(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, Any],
    *,
    table: str,
    key: str,
    column: str,
    more: tuple[str, ...] = (),
    code: int = 0,
) -> Any:
    """The rows of a feature table at the midnight after, key and a feature; or with a code, what was printed."""
    monkeypatch.setenv("RISK_DATA", str(root / "root"))
    for name, content in files.items():
        (root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, root / "in" / name)
        else:
            (root / "in" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    path = root / "in" / next(iter(files)) if len(files) == 1 else root / "in"
    command = ["execute", f"feature_store.{table}", "--input", str(path), "--end-date", "2026-01-20", *more]
    result = CliRunner().invoke(jobs, command)
    assert result.exit_code == code, (result.output, result.exception)
    if code:
        return result.output.replace("\n", " ")
    written = sql.parquet((root / "root/features" / table).rglob("*.parquet"))
    query = f"SELECT {key}, {column} FROM {written} WHERE event_timestamp = '2026-01-11 00:00:00+00' ORDER BY ALL"
    with sql.connect() as connection:
        return connection.execute(query).fetchall()


ORDERS = {"table": "user_orders", "key": "user_id", "column": "orders_count_30d"}
HOURS = {"table": "driver_yesterdays_stats", "key": "driver_id", "column": "conv_rate"}
AMOUNTS = {"table": "user_orders", "key": "user_id", "column": "orders_amount_max_30d"}


def csv(*rows: str, header: str = HEADER) -> str:
    """A CSV file."""
    return "\n".join([header, *rows]) + "\n"


def orders(**columns: Any) -> pa.Table:
    """One order as Parquet; `columns` replace its own, or are added."""
    whole = {"order_id": ["1"], "user_id": ["u1"], "amount": [10.5], "order_timestamp": pa.array([NOON], US)}
    return pa.table(whole | columns)


def broken(table: pa.Table) -> bytes:
    """A Parquet file of which the footer can be read, and no page."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content = sink.getvalue().to_pybytes()
    return content[:8] + b"\xff" * 60 + content[68:]


def hours(**columns: Any) -> pa.Table:
    """One hour of a driver as Parquet; `columns` replace its own, or are added."""
    noon = pa.array([NOON], US)
    whole = {"driver_id": [7], "conv_rate": [0.5], "acc_rate": [0.5], "avg_daily_trips": [3.0]}
    return pa.table(whole | {"event_timestamp": noon, "created": noon} | columns)


def order_at(*timestamps: Any, unit: str = "us", zone: str | None = "UTC") -> pa.Table:
    """Orders at these timestamps as Parquet."""
    return orders(order_timestamp=pa.array(timestamps, pa.timestamp(unit, zone)))


def order(**cells: str) -> str:
    """A CSV file of one order; `cells` replace its own."""
    whole = {"order_id": "1", "user_id": "u1", "amount": "1", "order_timestamp": AT, "chargeback_timestamp": ""} | cells
    return csv(",".join(whole.values()), header=",".join(whole))


def hour(**cells: str) -> str:
    """A CSV file of one hour of a driver; `cells` replace its own."""
    whole = dict.fromkeys(hours().column_names, "1") | {"event_timestamp": AT, "created": AT} | cells
    return csv(",".join(whole.values()), header=",".join(whole))
