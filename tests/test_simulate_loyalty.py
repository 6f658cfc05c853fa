"""`python -m jobs simulate loyalty` with a real service and a real stream job: whatever the network loses, doubles and
delays, no purchase is lost, and the features are those of all purchases."""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import oracle
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import free_port, own_root, process

import settings
from errors import BadParameter, NoData, ServiceFailed
from features.loyalty import CUSTOMER_PURCHASES, LOYALTY, PURCHASES
from jobs.commands import jobs
from jobs.raw import offline_log, places
from jobs.simulate import loyalty
from jobs.simulate.caller import Callers
from jobs.simulate.loyalty import check
from model.scorer import Scorers
from simulators.live import as_events

LOSSY = ("--loss", "0.2", "--duplicate", "0.1", "--delay-seconds", "0.01:0.3")
SENT, MORE = 240, 30


def started(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """`python -m jobs` as a process that goes on."""
    return subprocess.Popen(
        [sys.executable, "-m", "jobs", *arguments], cwd=settings.PROJECT, env={**os.environ, "RISK_DATA": str(root)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world with logs, streams and an online store of its own."""
    root = tmp_path_factory.mktemp("loyalty")
    own_root(world, root)
    return root


@pytest.fixture(autouse=True)
def _in_root(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(root))


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    """Of the service; and a stream job is at work."""
    job, port = started(root, "stream", "loyalty"), free_port()
    command, environment = [sys.executable, "app.py"], {**os.environ, "RISK_DATA": str(root), "PORT": str(port)}
    try:
        with process(command, f"http://127.0.0.1:{port}/", cwd=settings.PROJECT, env=environment) as url:
            assert job.poll() is None, job.communicate()[0]
            yield url.rstrip("/")
    finally:
        job.terminate()
        job.communicate(timeout=20)


def run(*arguments: str) -> None:
    """In this process, which has imported already what takes seconds."""
    jobs(["simulate", "loyalty", *arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def said(root: Path, url: str) -> str:
    """What a run over a lossy network prints."""
    job = started(root, "simulate", "loyalty", "--url", url, *LOSSY, "--events", str(SENT), "--seed", "7")
    printed, _ = job.communicate(timeout=180)
    assert job.returncode == 0, printed
    return printed


def figure(said: str, words: str) -> int:
    """The number where `words` have an N. How many spaces stand between words does not matter."""
    found = re.search(re.escape(words).replace("N", r"([\d,]+)").replace(r"\ ", " +"), said)
    assert found, said
    return int(found[1].replace(",", ""))


def to_come() -> pd.DataFrame:
    """The purchases to come, oldest first."""
    return pd.concat(map(pd.read_parquet, places.history_files(settings.root(), "purchases_to_come"))).reset_index(
        drop=True
    )


def logged() -> pd.DataFrame:
    """The offline log as it lies there."""
    files = offline_log.files(settings.root().offline_log(PURCHASES.name))
    return pd.concat(pq.read_table(file, partitioning=None).to_pandas() for file in files)


def test_through_a_network_that_loses_a_fifth_no_purchase_is_lost(said: str):
    assert figure(said, "sent N purchases") == SENT
    assert figure(said, "lost on the way N messages") > 20
    assert figure(said, "recovered N purchases") > 20
    assert figure(said, "duplicates N came again") > 5
    assert figure(said, "lost for good N") == 0
    times = Counter(logged()["purchase_id"])
    assert {name: times[name] for name in to_come()["purchase_id"][:SENT]} == dict.fromkeys(times, 1)


def test_out_of_order_is_the_normal_case(said: str):
    assert figure(said, "out of order N came after a later one of their till") > SENT / 2
    assert figure(said, "N are older than what their customer had bought already") > SENT / 2


def test_the_features_of_every_customer_are_the_oracles_of_all_their_purchases(said: str, url: str):
    history = pd.concat(map(pd.read_parquet, places.history_files(settings.root(), "purchases")))
    by_key = defaultdict(list)
    for rows, score in ((history, "loyalty_score"), (logged(), "predicted_score")):
        for row in rows.to_dict("records"):
            event = {**row, "key": row["customer_id"], "id": row["purchase_id"], "known_score": row[score]}
            by_key[row["customer_id"]].append(event)
    customers = sorted(set(logged()["customer_id"]))
    asked = [{"customer_id": customer, "purchase_value": 1.0} for customer in customers]
    vectors = Callers(url).vectors("loyalty", asked)["results"]
    assert len(customers) > 100
    for customer, vector in zip(customers, vectors, strict=True):
        expected = oracle.values(CUSTOMER_PURCHASES, by_key[customer], customer, datetime.now(UTC))
        assert {name: vector["features"][name] for name in expected} == expected
    assert figure(said, "features of N of") == figure(said, f"of {len(customers):,} of N customers")


def test_a_run_without_loss_would_score_as_the_service_did_wherever_the_order_does_not_matter(said: str):
    sent = to_come()[:SENT]
    ids, now = frozenset(sent["purchase_id"]), datetime.now(UTC)
    known = check.history(places.raw_files(settings.root(), PURCHASES.name), now, excluded_ids=ids)
    requests = as_events(sent.drop(columns="loyalty_score"))
    scorer = Scorers(settings.root().models)[LOYALTY.name]
    replayed = check.without_loss(requests, known, scorer, now)
    served = dict(check.logged(settings.root(), ids))
    once = ~sent["customer_id"].duplicated(keep=False)
    assert once.sum() > 50
    names = sent["purchase_id"][once]
    assert [served[name] for name in names] == [replayed[at] for at in names.index]
    assert len(set(replayed)) > 100
    assert figure(said, "RMSE of scores N") == 0


def test_another_run_goes_on_where_the_last_one_stopped(said: str, url: str, capsys: pytest.CaptureFixture[str]):
    run("--url", url, "--loss", "0", "--duplicate", "0", "--delay-seconds", "0:0", "--events", str(MORE))
    again = capsys.readouterr().out
    assert figure(again, "sent N purchases") == MORE
    assert "0 messages, and 0 answers" in again
    assert figure(again, "duplicates N came again") == 0
    came = set(logged()["purchase_id"])
    assert came == set(to_come()["purchase_id"][: SENT + MORE])


def test_where_all_were_sent_the_run_says_how_to_get_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    with pytest.raises(NoData):
        loyalty.to_send(settings.root(), None)
    (tmp_path / "raw").mkdir()
    made = [datetime(2026, 1, day, tzinfo=UTC) for day in (3, 1, 2)]
    pd.DataFrame({"purchase_id": ["c", "a", "b"], "purchase_timestamp": made}).to_parquet(
        tmp_path / "raw" / "purchases_to_come.parquet"
    )
    assert list(loyalty.to_send(settings.root(), None)["purchase_id"]) == ["a", "b", "c"]
    assert list(loyalty.to_send(settings.root(), 2)["purchase_id"]) == ["a", "b"]
    log = settings.root().event_log(PURCHASES.name)
    log.mkdir(parents=True)
    (log / "2026-01-31.jsonl").write_text('{"purchase_id": "a"}\n{"purchase_id": "c"}\n')
    assert list(loyalty.to_send(settings.root(), None)["purchase_id"]) == ["b"]
    (log / "2026-02-01.jsonl").write_text('{"purchase_id": "b"}\n')
    with pytest.raises(BadParameter, match="All 3 purchases to come were sent before"):
        loyalty.to_send(settings.root(), None)


def test_a_service_that_is_not_there_is_told_before_anything_is_sent():
    with pytest.raises(ServiceFailed, match="does not answer"):
        run("--url", f"http://127.0.0.1:{free_port()}")


def test_a_service_on_another_root_is_told(
    said: str, url: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for part in root.iterdir():
        if part.name not in ("log", "events"):
            (tmp_path / part.name).symlink_to(part)
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    with pytest.raises(ServiceFailed, match="The service works on another root"):
        run("--url", url, "--events", "3", "--delay-seconds", "0:0")


@pytest.mark.parametrize(
    "wrong",
    ["--loss=0.6", "--loss=-0.1", "--loss=nan", "--duplicate=2", "--delay-seconds=3", "--delay-seconds=3:1",
     "--delay-seconds=0:61", "--delay-seconds=a:b", "--speed=0", "--speed=fast", "--events=0", "--producers=0",
     "--producers=101"],
)  # fmt: skip
def test_a_wrong_number_is_refused_before_anything_is_sent(wrong: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        jobs(["simulate", "loyalty", wrong])
    assert "Give" in capsys.readouterr().err
