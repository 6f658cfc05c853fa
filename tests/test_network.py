"""A network that loses, doubles and delays messages as often as it is asked to, and for the same seed the same ones."""

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from errors import ServiceFailed
from jobs.simulate.network import Network, Wire

LOSSY = Network(loss=0.3, duplicate=0.2, delay=(0.0, 0.02), seed=7)


def test_what_becomes_of_a_message_rests_on_the_seed_and_the_message_alone():
    asked = [(till, number, attempt) for till in (1, 2) for number in range(1, 50) for attempt in (1, 2)]
    fates = {key: LOSSY.copies(*key) for key in asked}
    assert {key: LOSSY.copies(*key) for key in reversed(asked)} == fates
    other = Network(0.3, 0.2, (0.0, 0.02), seed=8)
    assert {key: other.copies(*key) for key in asked} != fates
    assert len({tuple(copies) for copies in fates.values() if copies}) == sum(map(bool, fates.values()))


def test_as_many_are_lost_doubled_and_delayed_as_was_asked_for():
    of = [Network(0.1, 0.2, (0.5, 1.5), seed=1).copies(1, number, 1) for number in range(20_000)]
    copies = [copy for each in of for copy in each]
    count = Counter(map(len, of))
    assert count[0] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert count[2] / (count[1] + count[2]) == pytest.approx(0.2, abs=0.01)
    assert np.mean([copy.is_answer_lost for copy in copies]) == pytest.approx(0.1, abs=0.01)
    seconds = np.array([copy.seconds for copy in copies])
    assert (seconds.min() >= 0.5, seconds.max() <= 1.5, abs(seconds.mean() - 1) < 0.01) == (True, True, True)


def test_a_network_that_loses_nothing_delivers_each_message_once():
    of = [Network(0, 0, (0.25, 0.25), seed=1).copies(1, number, 1) for number in range(1000)]
    assert [[(copy.seconds, copy.is_answer_lost) for copy in each] for each in of] == [[(0.25, False)]] * 1000


def test_deliveries_are_made_when_they_are_due_whatever_the_order_in_which_they_were_sent():
    made: list[tuple[int, float]] = []
    began = time.monotonic()

    def delivery(n: int) -> Callable[[], None]:
        return lambda: made.append((n, time.monotonic() - began))

    with Wire() as wire:
        for n in (4, 1, 3, 2):
            wire.put(began + n / 10, delivery(n))
        wire.run(began + 0.25)
        assert time.monotonic() - began >= 0.25
        assert [n for n, _ in made] == [1, 2]
        wire.finish()
    assert [n for n, _ in made] == [1, 2, 3, 4]
    assert all(at >= n / 10 for n, at in made)


def test_a_delivery_that_fails_ends_the_run():
    def fails() -> None:
        raise ServiceFailed("gone")

    with Wire() as wire:
        wire.put(0.0, fails)
        with pytest.raises(ServiceFailed, match="gone"):
            wire.finish()


def test_who_sends_too_fast_waits_for_who_receives():
    """It takes 200 a second, and they send 10,000 a second: without waiting, they would be done at once."""
    with Wire() as wire:
        began = time.monotonic()
        for n in range(400):
            wire.run(began + n / 10_000)
            wire.put(time.monotonic() + 0.2, lambda: time.sleep(0.04))
        lasted = time.monotonic() - began
        wire.finish()
    assert lasted > 0.7
