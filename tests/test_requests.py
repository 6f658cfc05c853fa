"""Requests in a file are checked, decided and logged as those of the API, and become decisions in a file."""

import csv
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from constants import override
from fake import NOW, Fake, shelve

import settings
from errors import BadInput, BadParameter
from features.domains import risks
from features.risk import Risk
from jobs.requests import deciding
from jobs.requests.deciding import Counts
from serving import lines
from serving.service import RiskService
from serving.store import Row, Store, Vector

ORDERS = [
    {"order_id": "o1", "user_id": "u1", "merchant_id": "m1", "amount": 49.5},
    {"order_id": "o2", "user_id": "u2", "amount": 7.0, "order_timestamp": "2026-01-31T12:00:00+02:00"},
    {"order_id": "o3", "user_id": "u1"},
]
CHARGEBACK, DAILY = risks()["chargeback"], risks()["daily"]


class Orders(Fake):
    """The input that an order names is its amount; drivers 1001 and 1002 are known."""

    def views(self, service: str) -> dict[str, str]:
        names = [i.name for i in risks()[service].inputs] if service == "chargeback" else super().views(service)
        return dict.fromkeys(names, "made")

    def asks(self, service: str) -> dict[str, str]:
        return {"user_id": "STRING", "amount": "DOUBLE", "order_timestamp": "UNIX_TIMESTAMP", "driver_id": "INT64"}

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        if risk.name == "daily":
            return super().online(risk, row, as_of)
        self.rows.append(row)
        return {i.name: row["amount"] if i.name == "order_amount" else 1.0 for i in risk.inputs}

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        known = [row["driver_id"] in (1001, 1002) for row in rows]
        values = super().online(DAILY, {"driver_id": 1001}, as_of)
        return [Vector(values if is_known else dict.fromkeys(values), {}, {}) for is_known in known]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orders:
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    shelve("chargeback")
    shelve("daily")
    return Orders()


def decide(
    store: Orders, source: Path, target: Path, risk: Risk = CHARGEBACK, quarantine: Path | None = None
) -> Counts:
    return deciding.decide_file(
        settings.root(), cast(Store, store), settings.hash_key(), risk, source, target, NOW, quarantine
    )


def log() -> list[dict[str, Any]]:
    return list(lines.read_folder(settings.root().decisions))


def as_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def as_json_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)))


def as_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    frame = pd.DataFrame(rows)
    if "order_timestamp" in frame:
        frame["order_timestamp"] = pd.to_datetime(frame["order_timestamp"], utc=True)
    frame.to_parquet(path)


WRITERS: dict[str, Callable[[Path, Sequence[dict[str, Any]]], None]] = {
    ".csv": as_csv, ".jsonl": as_json_lines, ".parquet": as_parquet,
}  # fmt: skip
FORMS = pytest.mark.parametrize("suffix", WRITERS)


@FORMS
def test_requests_of_a_file_are_decided_as_those_of_the_api(store: Orders, tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / f"requests{suffix}", tmp_path / "decisions.parquet"
    WRITERS[suffix](source, ORDERS)
    assert decide(store, source, target) == Counts(3, 0, 0)
    service = RiskService(cast(Store, store), settings.root(), settings.hash_key())
    wanted = service.decisions(CHARGEBACK, [CHARGEBACK.request.model_validate(order) for order in ORDERS], NOW)
    rows, records = pq.read_table(target).to_pylist(), log()
    assert [(row["decision"], row["score"]) for row in rows] == [(d.decision, d.score) for d in wanted]
    assert [row["reasons"] for row in rows] == [[vars(reason) for reason in d.reasons] for d in wanted]
    assert [(row["row"], row["order_id"], row["amount"]) for row in rows] == [
        (1, "o1", 49.5),
        (2, "o2", 7),
        (3, "o3", None),
    ]
    assert [record["request"] for record in records[:3]] == [record["request"] for record in records[3:]]
    assert [row["decision_id"] for row in rows] == [record["decision_id"] for record in records[:3]]


@FORMS
def test_a_bad_row_stops_before_anything_is_decided_or_is_put_aside(store: Orders, tmp_path: Path, suffix: str) -> None:
    source, target, bad = tmp_path / f"requests{suffix}", tmp_path / "decisions.csv", tmp_path / "bad.csv"
    WRITERS[suffix](source, [*ORDERS, {"order_id": "o4", "user_id": "u1", "amount": -1.0}])
    with pytest.raises(BadInput, match=r"row 4 is invalid: amount: .*Nothing was decided"):
        decide(store, source, target)
    assert (log(), target.exists()) == ([], False)
    assert decide(store, source, target, quarantine=bad) == Counts(4, 1, 0)
    (row,) = csv.DictReader(bad.open())
    assert (row["row"], row["reason"].split(":")[0]) == ("4", "amount")
    assert "o4" in row["text"]
    assert [row["order_id"] for row in csv.DictReader(target.open())] == ["o1", "o2", "o3"]


def test_an_unknown_entity_is_a_bad_row(store: Orders, tmp_path: Path) -> None:
    source, target, bad = tmp_path / "drivers.csv", tmp_path / "decisions.csv", tmp_path / "bad.csv"
    as_csv(source, [{"driver_id": n} for n in (1001, 7, 1002)])
    with pytest.raises(BadInput, match="row 2 is not known"):
        decide(store, source, target, DAILY)
    assert not target.exists()
    assert decide(store, source, target, DAILY, bad) == Counts(3, 1, 0)
    assert [row["driver_id"] for row in csv.DictReader(target.open())] == ["1001", "1002"]


def test_a_second_run_as_of_a_timestamp_takes_its_decisions_from_the_log(
    store: Orders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    override(monkeypatch, deciding, CHUNK_ROWS=2)
    source = tmp_path / "requests.csv"
    as_csv(source, ORDERS[:2])
    decide(store, source, tmp_path / "some.csv")
    other_amount = ORDERS[0] | {"amount": 50.0}
    as_csv(source, [*ORDERS, ORDERS[2], other_amount, ORDERS[2]])
    assert decide(store, source, tmp_path / "all.csv") == Counts(6, 0, 3)
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    numbers = [row["decision_id"] for row in rows]
    assert [record["decision_id"] for record in log()] == [*numbers[:3], numbers[4]]
    assert [(record["batch_size"], len(record["latency_us"])) for record in log()] == [(2, 4), (2, 4), (1, 4), (1, 4)]
    assert numbers[2] == numbers[3] == numbers[5]
    assert json.loads(rows[0]["reasons"]) == log()[0]["reasons"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file is empty"),
        ("order_id\n1\n", "no column user_id"),
        ("order_id,user_id,colour\n1,2,3\n", "has the column 'colour', which is no field of a"),
        ("order_id,user_id,amuont\n1,2,3\n", "Did you mean 'amount'"),
        ("order_id,user_id,order_id\n1,2,3\n", "the name 'order_id' is there twice"),
        ("order_id,user_id\n1\n", "1 is invalid: is longer or shorter"),
        ('order_id,user_id\n"1"x,2\n', "line 2: a cell begins with a quote"),
        ("order_id;user_id\n1;2\n", "line 1: between the names is ';'"),
        ("order_id,user_id\n1,\x00\n", "line 2: there is a N"),
        ("order_id,user_id\n1,2\nuser_id,order_id\n2,1\n", "line 3: the row is a header again"),
        ("order_id,user_id,amount\n1,2,1_000\n", "row 1 is invalid: amount: '1_000' is no number"),
        ("order_id,user_id\n1,2\n1\n1,2\n1,2,3\n", "row 2 is invalid: is longer or shorter"),
    ],
)
def test_a_file_that_holds_no_requests_is_refused(store: Orders, tmp_path: Path, text: str, message: str) -> None:
    source = tmp_path / "requests.csv"
    source.write_text(text)
    with pytest.raises(BadInput, match=message):
        decide(store, source, tmp_path / "decisions.csv")
    assert log() == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"order_timestamp": pa.array([9 * 10**18], pa.timestamp("us", "UTC"))}, "order_timestamp is not in the years"),
        ({"order_timestamp": pa.array([1], pa.timestamp("us", "Mars/Base"))}, "order_timestamp cannot be read: 'Mars"),
        ({"merchant_id": [b"\xff"]}, "merchant_id: input should be a valid string"),
        ({"merchant_id": pa.array([b"\xff"]).cast(pa.string(), safe=False)}, "merchant_id cannot be read: 'utf-8'"),
    ],
)
def test_a_value_of_parquet_that_is_none_is_a_bad_row(
    store: Orders, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    pq.write_table(pa.table({"order_id": ["o1"], "user_id": ["u1"]} | columns), tmp_path / "requests.parquet")
    with pytest.raises(BadInput, match=f"row 1 is invalid: {message}"):
        decide(store, tmp_path / "requests.parquet", tmp_path / "decisions.csv")


@pytest.mark.parametrize(
    ("row", "reason"),
    [({"order_id": "o\0"}, "order_id has a NUL character"), ({"amuont": 1.0}, "Did you mean 'amount'"),
     ({"user_id": None, "usr_id": "u1"}, "Did you mean 'user_id'"),
     ({"order_timestamp": "2026-01-10T12:00:00"}, "with its zone")],
)  # fmt: skip
def test_a_row_of_json_lines_is_refused_as_the_api_does(
    store: Orders, tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    source = tmp_path / "requests.jsonl"
    as_json_lines(source, [{name: value for name, value in (ORDERS[0] | row).items() if value is not None}])
    with pytest.raises(BadInput, match=f"row 1 is invalid: .*{reason}"):
        decide(store, source, tmp_path / "decisions.csv")


def test_nothing_that_exists_is_overwritten(store: Orders, tmp_path: Path) -> None:
    source, target, bad = tmp_path / "requests.csv", tmp_path / "decisions.csv", tmp_path / "bad.csv"
    as_csv(source, ORDERS)
    for file in (target, bad):
        file.write_text("mine")
        with pytest.raises(BadParameter, match=r"exists\. Give another name"):
            decide(store, source, target, quarantine=bad)
        assert file.read_text() == "mine"
        file.unlink()
    with pytest.raises(BadParameter, match=r"neither \.csv nor \.parquet"):
        decide(store, source, tmp_path / "decisions.txt")


def test_a_file_without_requests_gives_a_file_without_decisions(store: Orders, tmp_path: Path) -> None:
    (tmp_path / "requests.csv").write_text("order_id,user_id\n")
    assert decide(store, tmp_path / "requests.csv", tmp_path / "decisions.parquet") == Counts()
    assert pq.read_table(tmp_path / "decisions.parquet").num_rows == 0


def test_a_second_run_needs_no_features_of_the_past(
    store: Orders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_csv(tmp_path / "requests.csv", ORDERS)
    decide(store, tmp_path / "requests.csv", tmp_path / "first.csv")
    as_csv(tmp_path / "requests.csv", ORDERS[::-1])
    monkeypatch.setattr(store, "online", None)
    assert decide(store, tmp_path / "requests.csv", tmp_path / "second.csv") == Counts(3, 0, 3)
    first, second = (list(csv.DictReader((tmp_path / f"{name}.csv").open())) for name in ("first", "second"))
    assert [row["decision_id"] for row in second] == [row["decision_id"] for row in first[::-1]]
    assert len(log()) == 3
