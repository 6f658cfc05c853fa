"""A coupon's code is worth money: whatever door it comes in by, no file of ours holds a whole one."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake import NOW, Fake, shelve
from flask.testing import FlaskClient
from stream_world import Sink

import settings
from errors import BadInput
from features.coupon import COUPON, COUPON_ATTEMPTS
from features.domains import Stream, stream_of
from features.risk import Risk
from jobs.own import importing
from jobs.own.mapping import Mapping
from jobs.stream import loop
from jobs.stream.sources import open_source
from root import Root
from serving.store import Row, Store
from simulators import Size, coupon

URL, PREFIX, GUESSES = f"/api/v1/events/{COUPON_ATTEMPTS.name}", "1234-5678-9012-", range(3401, 3420)
CODES = [f"{PREFIX}{number}" for number in GUESSES]
#: Also without the dashes, and with the first digits alone cut away.
WHOLE = [text.encode() for code in CODES for text in (code, code.replace("-", ""), code[5:])]


def attempt(code: str, **changes: Any) -> dict[str, Any]:
    event = {"msg_id": f"m{code[-2:]}", "device_id": "d1", "location_code": "L1", "coupon_code": code}
    return event | {"response": "INVALID", "create_time": (NOW - timedelta(minutes=1)).isoformat()} | changes


#: Lines of other producers that are no events, with a code somewhere.
INVALID = [
    attempt(CODES[10], response="MAYBE"),
    attempt(CODES[11], coupon_code=f"{CODES[11]}!"),
    attempt(CODES[12], cupon_code=CODES[12]),
    attempt(CODES[13], **{CODES[13]: 1}),
    attempt(CODES[14], coupon_code=[CODES[14]]),
    CODES[15],
]
NO_JSON = [f"{CODES[16]};d1;L1", '{"coupon_code": "' + CODES[17]]


class Features(Fake):
    """A store that answers the features of a coupon."""

    def views(self, service: str) -> dict[str, str]:
        return dict.fromkeys((i.name for i in COUPON.inputs), "coupon")

    def types(self, service: str) -> dict[str, str]:
        return dict.fromkeys(self.views(service), "DOUBLE")

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        return dict.fromkeys((i.name for i in COUPON.inputs), 1)


@pytest.fixture
def fake() -> Fake:
    return Features()


def process(source: str, sink: Sink, stream: Stream | None = None) -> None:
    stream, root = stream or stream_of("coupon"), settings.root()
    opened, store = open_source(root, source, stream.raw.name), cast(Store, sink)
    loop.run(root, stream, opened, store, settings.hash_key(), True, Event(), lambda line: None, clock=lambda: NOW)


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file as its bytes; a Parquet file, which is compressed, and the cells of SQLite also as text."""
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        yield file, file.read_bytes()
        if file.suffix == ".parquet":
            yield file, str(pq.read_table(file, partitioning=None).to_pydict()).encode()
        if file.suffix == ".db":
            yield file, rows_of(file)


def rows_of(file: Path) -> bytes:
    with closing(sqlite3.connect(file)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for table in tables for row in db.execute(f'SELECT * FROM "{table}"')]
    return str(rows).encode()


def holding_a_code(folder: Path) -> list[str]:
    """The files that hold a whole code, by their first folders."""
    return sorted({str(path.relative_to(folder)) for path, text in contents(folder) if any(c in text for c in WHOLE)})


def test_no_file_of_the_service_or_the_stream_job_holds_a_whole_code(untrained: FlaskClient, tmp_path: Path):
    shelve("coupon")
    sink = Sink(tmp_path / "online.db")
    assert untrained.post(URL, json=[attempt(code) for code in CODES[:5]]).status_code == 202
    assert untrained.post(URL, json=INVALID[0]).status_code == 400
    request = {name: attempt(CODES[5])[name] for name in COUPON.request.model_fields}
    assert untrained.post("/coupon-risk-decision/", json=request).status_code == 200
    theirs = tmp_path.parent / f"{tmp_path.name}-theirs.jsonl"
    lines = [*map(json.dumps, [*map(attempt, CODES[5:10]), *INVALID]), *NO_JSON]
    theirs.write_text("\n".join(lines) + "\n")
    process("log", sink)
    process(f"jsonl:{theirs}", sink)
    root = settings.root()
    (dead,) = root.dead_letters(COUPON_ATTEMPTS.name).glob("*.jsonl")
    letters = [json.loads(line) for line in dead.read_text().splitlines()]
    assert len(letters) == len(INVALID) + len(NO_JSON)
    assert all(f"{PREFIX.translate(dict.fromkeys(map(ord, '0123456789'), '9'))}9999" in x["line"] for x in letters)
    logged = [pq.read_table(file, partitioning=None) for file in root.offline_log(COUPON_ATTEMPTS.name).rglob("*.pa*")]
    assert len(set(pa.concat_tables(logged)["coupon_code"].to_pylist())) == 10
    assert (root.decisions / f"{NOW.date()}.jsonl").exists()
    assert {path.name for path, _ in contents(tmp_path)} >= {"coupon.db", "online.db", "2026-01-31.jsonl", dead.name}
    assert holding_a_code(tmp_path) == []


def test_a_code_is_one_code_by_whatever_door_it_came_in(untrained: FlaskClient, tmp_path: Path):
    sink, code = Sink(), CODES[0]
    history = COUPON_ATTEMPTS.seal(attempt(code, msg_id="history"), settings.hash_key())
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.Table.from_pylist([history]), settings.root().raw / f"{COUPON_ATTEMPTS.name}.parquet")
    untrained.post(URL, json=attempt(code, msg_id="http"))
    theirs = tmp_path / "theirs.jsonl"
    older = attempt(code, msg_id="older", accepted_at=NOW.isoformat())  # as an earlier version kept it in the log
    theirs.write_text("\n".join(map(json.dumps, [attempt(code, msg_id="file"), older])) + "\n")
    process("log", sink)
    process(f"jsonl:{theirs}", sink)
    with closing(sqlite3.connect(settings.root().stream_state("coupon"))) as db:
        codes = list(db.execute("SELECT c5 FROM event"))
    assert len(codes) == 4
    assert len(set(codes)) == 1


def test_the_service_takes_no_code_that_somebody_else_sealed(untrained: FlaskClient):
    answer = untrained.post(URL, json=attempt(CODES[0], coupon_code=f"{PREFIX}{'0' * 32}"))
    assert answer.json["error"]["field"] == "coupon_code"


def test_an_import_keeps_no_whole_code_of_good_rows_or_bad_ones(tmp_path: Path):
    root, theirs, quarantine = Root(tmp_path / "root"), tmp_path / "theirs.csv", tmp_path / "root/bad.csv"
    names = list(attempt(CODES[0]))
    rows = [*map(attempt, CODES[:3]), *INVALID[:2]]
    cells = [",".join(names), *[",".join(row[name] for name in names) for row in rows], f"ragged,{CODES[16]}"]
    theirs.write_text("\n".join(cells) + "\n")

    def run(to: Path | None) -> importing.Report:
        kept = tmp_path / "kept.yaml"
        return importing.run(root, COUPON_ATTEMPTS, [theirs], Mapping(), kept, NOW, settings.hash_key(), to)

    with pytest.raises(BadInput) as refused:
        run(None)
    assert not any(code in str(refused.value) for code in CODES)
    assert [(file.kept, file.quarantined) for file in run(quarantine).files] == [(3, 3)]
    assert [(file.kept, file.duplicates) for file in run(quarantine).files] == [(0, 3)]
    assert holding_a_code(root.path) == []


def test_the_generated_history_has_sealed_codes_that_keep_their_prefix():
    rows = coupon.events(7, NOW, Size(coupon_days=2), b"key")["coupon_attempts"]
    whole = coupon.history(7, NOW, 2)
    assert (rows["coupon_code"].str[:15] == whole["coupon_code"].str[:15]).all()
    assert not rows["coupon_code"].str.fullmatch(r"[\d-]{19}").any()
    assert rows["coupon_code"].nunique() == whole["coupon_code"].nunique()
    assert [COUPON_ATTEMPTS.column("coupon_code").seal(code, b"key") for code in whole["coupon_code"]] == list(
        rows["coupon_code"]
    )
