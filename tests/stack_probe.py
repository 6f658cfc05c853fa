"""What a root gives at one moment, as JSON: `stack_probe.py NOW`, under the settings of any root.

answers         status and body of many requests: decisions, reasons, features; without the ids of decisions
offline         feature table → its number of rows, and a digest of them
point in time   features of past orders, as training sees them
"""

import json
import sys
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pandas as pd
from many_requests import answers

import settings
from features.domains import risks, tables
from features.windows.tables import Table
from jobs import point_in_time, sql
from root import Root
from serving.retrieval import FeastStore

ORDERS = 200


def main(now: datetime) -> None:
    """Print it."""
    root, store = settings.root(), FeastStore(settings.FEATURE_REPO, settings.feature_store())
    seen = {
        "answers": [answer.decode() for answer in answers(store, now)],
        "offline": {table.name: offline(root, table) for table in tables()},
        "point in time": past(root, store, now),
    }
    print(json.dumps(seen))


def offline(root: Root, table: Table) -> tuple[int, str]:
    """A standard deviation may differ in its last digit."""
    functions = {a.name: a.function for a in getattr(table, "aggregations", ())}
    rounded = ", ".join(f"round({name}, 9) AS {name}" for name, f in functions.items() if f == "stddev")
    with sql.connect() as connection:
        files = sql.parquet(sorted(root.feature_table(table.name).rglob("*.parquet")))
        columns = "* EXCLUDE created" + (f" REPLACE ({rounded})" if rounded else "")
        rows = connection.execute(f"SELECT {columns} FROM {files} ORDER BY ALL").fetchall()
    return len(rows), sha256(repr(rows).encode()).hexdigest()


def past(root: Root, store: FeastStore, now: datetime) -> dict[str, list[Any]]:
    timestamps = [pd.Timestamp(now - n * timedelta(hours=3)).as_unit("us") for n in range(ORDERS)]
    keys = {"user_id": [f"u{n % 50:05}" for n in range(ORDERS)], "merchant_id": [f"m{n:05}" for n in range(ORDERS)]}
    frame = pd.DataFrame({**keys, "amount": 20.0, "order_timestamp": timestamps})
    frame["event_timestamp"] = frame["order_timestamp"]
    return dict(point_in_time.features(root, store, risks()["chargeback"], frame).astype(str).to_dict("list"))


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]))
