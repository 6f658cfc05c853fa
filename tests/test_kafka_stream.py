"""The stream job on a real Kafka broker, with several workers, one of which is killed, gives what the embedded job
gives: the same states byte for byte, nothing lost, nothing doubled."""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from engines import kafka as engine
from engines.need import need
from processes import Child, environment, started, wait_until
from pydantic_core import from_json, to_json
from stream_world import HOUR, RAW, Event, Sink, event, logged, take_in

import settings
from errors import BadParameter
from jobs import sql
from jobs.raw import offline_log
from root import Root

need("java", "mvn", modules=("quixstreams",))
from kafka_worker import STREAM  # noqa: E402

from brokers import KafkaTopic  # noqa: E402
from features.windows import keyed  # noqa: E402
from jobs.stream.kafka import topics  # noqa: E402
from jobs.stream.kafka.places import Places  # noqa: E402
from jobs.stream.lines import parse  # noqa: E402
from jobs.stream.sources import Line  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.engine]
TESTS = Path(__file__).parent
EVENTS, PARTITIONS, FEW = 1500, 4, 7
#: An open transaction of a worker that is gone holds readers back no longer than this: its own time-out, and the time
#: until the broker looks.
RELEASED_MS, BROKER_LOOKS_MS = 15_000, 1_000
FUTURE = datetime(2190, 1, 1, tzinfo=UTC)
#: What is no event of the stream → a part of the reason.
POISON: dict[bytes, tuple[bytes | None, bytes | None]] = {
    b"EOF while parsing an object": (b"e1", b"{"),
    b"is missing": (b"e1", b'{"id": "e1"}'),
    b"in the future": (b"ahead", to_json(event(1, 0, id="ahead", at=FUTURE))),
    b"key of the message": (b"other", to_json(event(2, 20, id="a stranger"))),
    b"EOF while parsing a value": (b"none", None),
}


def sent() -> list[Event]:
    """Events of half a day, with duplicates, late ones, outcomes without the place, and corrections of each column."""
    dice, events = random.Random(5), list[Event]()
    for n in range(EVENTS):
        late = dice.random() * 6 * 3600 if dice.random() < 0.02 else 0
        who, place = f"w{dice.randrange(30)}", "p0" if dice.random() < 0.5 else f"p{dice.randrange(1, 9)}"
        events.append(event(n, 30 * n - late, who=who, place=place, x=round(dice.random() * 50, 2)))
        earlier = events[dice.randrange(max(0, len(events) - 300), len(events))]
        chance = dice.random()
        if chance < 0.1:
            events.append(earlier)
        elif chance < 0.16:
            outcome = (datetime.fromisoformat(earlier["at"]) + dice.random() * HOUR).isoformat()
            events.append({**earlier, "outcome": outcome})
        elif chance < 0.19:
            events.append({**earlier, dice.choice(["who", "place"]): f"{dice.choice('wp')}{dice.randrange(9)}"})
        elif chance < 0.21:
            events.append({**earlier, "kind": "bad", "x": round(dice.random() * 50, 2)})
    return events


@dataclass
class Ran:
    """What a run with a killed worker has left, and what the embedded job gives for the same events."""

    events: list[Event]
    root: Path
    sink: Path
    places: Places
    expected: Sink
    printed: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def ran(kafka, tmp_path_factory) -> Iterator[Ran]:
    """Three workers; one is killed in a transaction, another comes; poison; the broker restarts."""
    folder, topic = tmp_path_factory.mktemp("ran"), kafka.create("swipes", PARTITIONS)
    places = Places(KafkaTopic(kafka.servers, topic), STREAM)
    events = sent()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("RISK_DATA", str(folder / "embedded"))
        expected = take_in([[sent] for sent in events], stream=STREAM)
        patch.setenv("RISK_DATA", str(folder / "scale"))
        result = Ran(events, folder / "scale", folder / "sink.db", places, expected)
        workers = [stack.enter_context(worker(places, result)) for _ in range(3)]
        third = len(events) // 3
        feed(kafka, topic, events[:third])
        wait_until(lambda: Sink(result.sink).rows(), what="the workers have begun", child=workers[0])
        kill(kafka, topic, workers[0], events[third : 2 * third])
        workers.append(stack.enter_context(worker(places, result)))
        kafka.send(topic, POISON.values())
        kafka.restart()
        feed(kafka, topic, events[2 * third :])
        wait_until(lambda: Sink(result.sink).rows() == expected.rows(), what="all states are equal", child=workers[1])
        wait_until(lambda: set(marks(result.sink).values()) == {True}, what="the store is whole", child=workers[1])
        for child in workers[1:]:
            child.send(signal.SIGTERM)
            child.ended()
        yield result


def worker(places: Places, result: Ran) -> Any:
    path = os.pathsep.join(map(str, (settings.PROJECT, settings.FEATURE_REPO, settings.PROJECT / "stores", TESTS)))
    variables = {**environment(RISK_DATA=result.root), "PYTHONPATH": path}
    return started([sys.executable, TESTS / "kafka_worker.py", places.source.url, result.sink], env=variables)


def feed(kafka: Any, topic: str, events: list[Event]) -> None:
    kafka.send(topic, [(sent["id"].encode(), to_json(sent)) for sent in events])


def kill(kafka: Any, topic: str, child: Child, events: list[Event]) -> None:
    """Kill a worker in a transaction, while events arrive, and wait until readers get all messages again."""
    for n in range(0, len(events), FEW):
        feed(kafka, topic, events[n : n + FEW])
        time.sleep(n % 10 * 0.04)  # it reads them, and commits a bit later
        child.send(signal.SIGSTOP)
        if is_in_transaction(kafka, topic):
            break
        child.send(signal.SIGCONT)
    else:
        pytest.fail("the worker was never stopped in a transaction")
    child.send(signal.SIGKILL)
    feed(kafka, topic, events[n + FEW :])
    wait_until(lambda: kafka.open_messages(topic) == 0, what="the open transaction has ended")


def is_in_transaction(kafka: Any, topic: str) -> bool:
    """Whether messages stay open while one worker is stopped: the others end their transactions."""
    seen = list[int]()
    while len(seen) < 3 or len(set(seen[-3:])) > 1:
        seen.append(kafka.open_messages(topic))
        time.sleep(0.7)
    return seen[-1] > 0


def marks(sink: Path) -> dict[str, bool]:
    """View → whether the online store says that it has the states of all keys."""
    rows = Sink(sink).db.execute("SELECT view, state FROM reserved")
    return {view: from_json(state)["whole"] for view, state in rows}


def versions(events: list[Event]) -> list[dict[str, Any]]:
    """The rows that the events are, without duplicates, and the changes that they make, in the order of each id."""
    rows = parse(STREAM, [Line(to_json(sent), "") for sent in events], 2**60, settings.hash_key()).rows
    kept: dict[str, Any] = {}
    changed = []
    for offset, row in enumerate(rows):
        kept[row["id"]], change = keyed.remember(RAW, kept.get(row["id"]), row, offset)
        if change:
            changed.append({"row": row, "change": change})
    return changed


def test_all_states_are_those_of_the_embedded_job(ran: Ran):
    assert Sink(ran.sink).rows() == ran.expected.rows()
    assert len(ran.expected.rows()) > 200


def test_the_online_store_knows_that_it_has_the_states_of_all_keys(ran: Ran):
    assert marks(ran.sink) == {f"{table.name}_state": True for table in STREAM.tables}


def test_each_version_of_an_event_is_in_the_offline_log_once(ran: Ran, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(ran.root))
    rows = [version["row"] for version in versions(ran.events)]
    table = offline_log.dated(RAW, rows, [0] * len(rows)).drop_columns(["created"])
    assert Counter(map(str, logged(STREAM))) == Counter(map(str, table.to_pylist()))


def test_each_change_of_a_key_is_in_its_topic_once(kafka, ran: Ran):
    for tables in ran.places.keyed:
        messages = kafka.messages(ran.places.keyed_topic(tables))
        rows = [row for version in versions(ran.events) for row in tables.rows(version["change"])]
        assert Counter(m.key() for m in messages) == Counter(to_json(key) for key, _ in rows)
        folder = Root(ran.root).keyed_log(RAW.name, tables.keys)
        files = [str(file) for place in folder.glob("partition=*") for file in offline_log.files(place)]
        query = f"SELECT DISTINCT row_partition, row_offset FROM read_parquet({files}, hive_partitioning = false)"
        with sql.connect() as connection:
            assert set(connection.execute(query).fetchall()) == {(m.partition(), m.offset()) for m in messages}


def test_poison_is_in_the_dead_letter_topic_with_its_reason_once(kafka, ran: Ran):
    letters = [from_json(message.value()) for message in kafka.messages(ran.places.dead_letters)]
    assert len(letters) == len(POISON)
    for reason in POISON:
        assert any(reason.decode() in letter["reason"] for letter in letters), (reason, letters)
    assert all("swipes partition" in letter["at"] for letter in letters)


def test_a_killed_worker_holds_readers_back_for_15_seconds_at_most(kafka, ran: Ran):
    """`ran` has waited until they had all messages; no clock says how long, on a machine that may be busy."""
    workers = {n: ms for n, ms in kafka.transaction_timeouts_ms().items() if n.startswith(ran.places.group)}
    assert len(workers) == 3
    assert max(workers.values()) + BROKER_LOOKS_MS <= RELEASED_MS
    assert f"cleanup.interval.ms={BROKER_LOOKS_MS}" in engine.PROPERTIES


def test_a_topic_that_is_not_there_is_named_with_what_to_do(kafka):
    with pytest.raises(BadParameter, match=r"has no topic nowhere\. Create it"):
        topics.connected(KafkaTopic(kafka.servers, "nowhere"))


def test_the_new_worker_takes_the_place_of_the_one_that_was_killed(ran: Ran):
    folder = ran.root / "streams" / ran.places.group
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["0", "1", "2"]


def test_a_worker_makes_its_topics_under_the_names_that_quix_streams_takes(kafka, ran: Ran):
    keyed_topics = [ran.places.keyed_topic(tables) for tables in ran.places.keyed]
    logs = {topics.CHANGELOG.format(group=ran.places.group, topic=name) for name in ("swipes", *keyed_topics)}
    made = {name for name in kafka.admin.list_topics().topics if "swipes" in name}
    assert made == {"swipes", ran.places.dead_letters, *keyed_topics, *logs}
