"""`python -m jobs simulate loyalty` with a real service and a real stream job: however many messages the network loses,
doubles and delays, no purchase is lost, and the features are those of all purchases."""

import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import oracle
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import own_root
from constants import override
from processes import WAIT_SECONDS, environment, started, started_job, wait_until
from servers import answering, refusing_port

import settings
from errors import BadParameter, NoData, ServiceFailed
from features.loyalty import CUSTOMER_PURCHASES, LOYALTY, PURCHASES
from features.utc import utc
from jobs.commands import jobs
from jobs.raw import offline_log, places
from jobs.simulate import caller, loyalty
from jobs.simulate.caller import Callers
from jobs.simulate.loyalty import check, tills
from jobs.simulate.loyalty.report import rmse
from model.scorer import Scorers
from simulators.live import as_events

pytestmark = pytest.mark.slow

LOSSY = ("--loss", "0.2", "--duplicate", "0.1", "--delay-seconds", "0.01:0.3")
SENT, MORE = 240, 30


@pytest.fixture(scope="module")
def root(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world with logs, streams and an online store of its own."""
    root = tmp_path_factory.mktemp("loyalty")
    own_root(world, root)
    return root


@pytest.fixture(autouse=True)
def patch(root: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process's settings point at the root, and it waits for a machine under load."""
    monkeypatch.setenv("RISK_DATA", str(root))
    be_patient(monkeypatch)
    return monkeypatch


def be_patient(patch: pytest.MonkeyPatch) -> None:
    override(patch, caller, PATIENCE_SECONDS=WAIT_SECONDS)
    override(patch, tills, GIVE_UP_SECONDS=WAIT_SECONDS)
    override(patch, check, LOGGED_WITHIN_SECONDS=WAIT_SECONDS)


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    """The service's address; a stream job is at work."""
    command = [sys.executable, "app.py"]
    with (
        started_job(root, "stream", "loyalty") as job,
        answering(lambda port: started(command, env=environment(RISK_DATA=root, PORT=port))) as server,
    ):
        wait_until((root / "streams" / "loyalty.db").exists, what="the stream job has its state file", child=job)
        yield server.url


def run(*arguments: str) -> None:
    """In this process, which has imported already what takes seconds."""
    jobs(["simulate", "loyalty", *arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def printed(root: Path, url: str) -> str:
    """What a run over a lossy network prints."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as output:
        patch.setenv("RISK_DATA", str(root))
        be_patient(patch)
        run("--url", url, *LOSSY, "--events", str(SENT), "--seed", "7")
    return output.getvalue()


def figure(printed: str, words: str) -> float:
    """The number where `words` have an N. How many spaces stand between words does not matter."""
    match = re.search(re.escape(words).replace("N", r"([\d,]+(?:\.\d+)?)").replace(r"\ ", " +"), printed)
    assert match, printed
    return float(match[1].replace(",", ""))


def to_come() -> pd.DataFrame:
    """The purchases to come, oldest first."""
    files = places.history_files(settings.root(), "purchases_to_come")
    return pd.concat(map(pd.read_parquet, files)).reset_index(drop=True)


def versions() -> pd.DataFrame:
    """The offline log as it lies there. A purchase whose answer was lost is sent and scored again: a later version."""
    files = offline_log.files(settings.root().offline_log(PURCHASES.name))
    return pd.concat(pq.read_table(file, partitioning=None).to_pandas() for file in files)


def logged() -> pd.DataFrame:
    """The last version of each purchase in the offline log."""
    return versions().sort_values("created").drop_duplicates("purchase_id", keep="last")


def test_no_purchase_is_lost_in_a_network_that_loses_a_fifth(printed: str):
    assert figure(printed, "sent N purchases") == SENT
    assert figure(printed, "lost on the way N messages") > 20
    assert figure(printed, "recovered N purchases") > 20
    assert figure(printed, "duplicates N came again") > 5
    assert figure(printed, "lost for good N") == 0
    assert set(logged()["purchase_id"]) == set(to_come()["purchase_id"][:SENT])


def test_most_purchases_arrive_out_of_order(printed: str):
    assert figure(printed, "out of order N came after a later one of their till") > SENT / 2
    assert figure(printed, "N are older than what their customer had bought already") > SENT / 2


def test_the_features_of_every_customer_are_the_oracles(printed: str, url: str):
    history = pd.concat(map(pd.read_parquet, places.history_files(settings.root(), "purchases")))
    by_customer = defaultdict(list)
    for rows, score in ((history, "loyalty_score"), (logged(), "predicted_score")):
        for row in rows.to_dict("records"):
            event = {**row, "key": row["customer_id"], "id": row["purchase_id"], "known_score": row[score]}
            by_customer[row["customer_id"]].append(event)
    customers = sorted(set(logged()["customer_id"]))
    answer = Callers(url).vectors("loyalty", [{"customer_id": name, "purchase_value": 1.0} for name in customers])
    assert len(customers) > 100
    for customer, vector in zip(customers, answer["results"], strict=True):
        expected = oracle.values(CUSTOMER_PURCHASES, by_customer[customer], customer, utc(answer["as_of"]))
        assert {name: vector["features"][name] for name in expected} == expected
    assert figure(printed, "features of N of") == figure(printed, "of N customers") == len(customers)


def test_the_loss_changes_no_score_of_a_customer_with_one_purchase(printed: str):
    sent = to_come()[:SENT]
    ids, now = frozenset(sent["purchase_id"]), datetime.now(UTC)
    known = check.history(places.raw_files(settings.root(), PURCHASES.name), now, excluded_ids=ids)
    requests = as_events(sent.drop(columns="loyalty_score"))
    scorer = Scorers(settings.root().models)[LOYALTY.name]
    replayed = check.without_loss(requests, known, scorer, now)
    served = dict(check.logged(settings.root(), ids))
    again = versions()["purchase_id"]
    scored_again = set(again[again.duplicated()])  # a purchase counts when it is scored again
    is_alone = ~sent["customer_id"].duplicated(keep=False) & ~sent["purchase_id"].isin(scored_again)
    assert is_alone.sum() > 50
    names = sent["purchase_id"][is_alone]
    assert [served[name] for name in names] == [replayed[at] for at in names.index]
    assert len(set(replayed)) > 100
    actual = dict(zip(sent["purchase_id"], sent["loyalty_score"], strict=True))
    without_loss = dict(zip(sent["purchase_id"], replayed, strict=True))
    assert figure(printed, "RMSE of scores N") == pytest.approx(rmse(served, actual), abs=1e-4)
    assert figure(printed, "and N without loss") == pytest.approx(rmse(without_loss, actual), abs=1e-4)


def test_another_run_goes_on_where_the_last_one_stopped(
    printed: str, url: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    override(patch, tills, PATIENCE_SECONDS=WAIT_SECONDS)  # a slow answer is no lost one
    run("--url", url, "--loss", "0", "--duplicate", "0", "--delay-seconds", "0:0", "--events", str(MORE))
    again = capsys.readouterr().out
    assert figure(again, "sent N purchases") == MORE
    assert "0 messages, and 0 answers" in again
    assert figure(again, "duplicates N came again") == 0
    assert set(logged()["purchase_id"]) == set(to_come()["purchase_id"][: SENT + MORE])


def test_a_run_with_nothing_left_to_send_says_how_to_get_more(tmp_path: Path, patch: pytest.MonkeyPatch):
    patch.setenv("RISK_DATA", str(tmp_path))
    with pytest.raises(NoData):
        loyalty.to_send(settings.root(), None)
    (tmp_path / "raw").mkdir()
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (3, 1, 2)]
    pd.DataFrame({"purchase_id": ["c", "a", "b"], "purchase_timestamp": times}).to_parquet(
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


def test_a_service_that_does_not_answer_is_named_before_anything_is_sent():
    with refusing_port() as port, pytest.raises(ServiceFailed, match="does not answer"):
        run("--url", f"http://127.0.0.1:{port}")


def test_a_service_on_another_root_is_named(
    printed: str, url: str, root: Path, tmp_path: Path, patch: pytest.MonkeyPatch
):
    for part in root.iterdir():
        if part.name not in ("log", "events"):
            (tmp_path / part.name).symlink_to(part)
    patch.setenv("RISK_DATA", str(tmp_path))
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
