"""A network loses, duplicates and delays as many messages as it should, and the same ones for the same seed."""

import time
from collections import Counter
from collections.abc import Callable
from threading import Event, Timer

import numpy as np
import pytest
from processes import wait_until

from errors import ServiceFailed
from jobs.simulate.network import FEWEST_UNDER_WAY, THREADS, WAITING, Network, Wire

LOSSY = Network(loss=0.3, duplicate=0.2, delay=(0.0, 0.02), seed=7)


def test_a_messages_fate_depends_on_the_seed_and_the_message_alone() -> None:
    messages = [(sender, number, attempt) for sender in (1, 2) for number in range(1, 50) for attempt in (1, 2)]
    fates = {message: LOSSY.copies(*message) for message in messages}
    assert {message: LOSSY.copies(*message) for message in reversed(messages)} == fates
    other = Network(0.3, 0.2, (0.0, 0.02), seed=8)
    assert {message: other.copies(*message) for message in messages} != fates
    assert len({tuple(copies) for copies in fates.values() if copies}) == sum(map(bool, fates.values()))


def test_messages_are_lost_duplicated_and_delayed_at_the_given_rates() -> None:
    by_message = [Network(0.1, 0.2, (0.5, 1.5), seed=1).copies(1, number, 1) for number in range(20_000)]
    copies = [copy for copies in by_message for copy in copies]
    counts = Counter(map(len, by_message))
    assert counts[0] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert counts[2] / (counts[1] + counts[2]) == pytest.approx(0.2, abs=0.01)
    assert np.mean([copy.is_answer_lost for copy in copies]) == pytest.approx(0.1, abs=0.01)
    seconds = np.array([copy.seconds for copy in copies])
    assert (seconds.min() >= 0.5, seconds.max() <= 1.5, abs(seconds.mean() - 1) < 0.01) == (True, True, True)


def test_a_network_that_loses_nothing_delivers_each_message_once() -> None:
    by_message = [Network(0, 0, (0.25, 0.25), seed=1).copies(1, number, 1) for number in range(1000)]
    arrivals = [[(copy.seconds, copy.is_answer_lost) for copy in copies] for copies in by_message]
    assert arrivals == [[(0.25, False)]] * 1000


def test_deliveries_are_made_when_due_in_whatever_order_they_were_sent() -> None:
    deliveries: list[tuple[int, float]] = []
    began = time.monotonic()

    def delivery(n: int) -> Callable[[], None]:
        return lambda: deliveries.append((n, time.monotonic() - began))

    with Wire() as wire:
        for n in (4, 1, 3, 2):
            wire.put(began + n / 10, delivery(n))
        wire.run(began + 0.25)
        assert time.monotonic() - began >= 0.25
        wait_until(lambda: {n for n, _ in deliveries}, lambda made: made >= {1, 2}, what="1 and 2 are delivered")
        wire.finish()
    assert sorted(n for n, _ in deliveries) == [1, 2, 3, 4]
    assert all(at >= n / 10 for n, at in deliveries)


def test_a_delivery_that_fails_ends_the_run() -> None:
    def fail() -> None:
        raise ServiceFailed("gone")

    with Wire() as wire:
        wire.put(0.0, fail)
        with pytest.raises(ServiceFailed, match="gone"):
            wire.finish()


def test_a_sender_waits_for_a_receiver_that_does_not_answer() -> None:
    """The receiver takes nothing until a second has passed. Without a wait, all messages are sent by then."""
    answers, arrived, sent_before = Event(), list[int](), 0

    def delivery(n: int) -> Callable[[], None]:
        def deliver() -> None:
            answers.wait()
            arrived.append(n)

        return deliver

    with Wire() as wire:
        Timer(1, answers.set).start()
        for n in range(400):
            wire.run(time.monotonic())
            wire.put(time.monotonic() + 0.01, delivery(n))
            sent_before += not answers.is_set()
        wire.finish()
    assert sorted(arrived) == list(range(400))
    assert sent_before <= FEWEST_UNDER_WAY + 2 * (THREADS + WAITING)  # each start lets one message more be under way
