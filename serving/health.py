"""Whether everything is there that a decision needs. It reads as a decision does, and writes nothing."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from errors import FeaturesNotReady, RiskError
from features.domains import risks, streams
from files import fault, is_file_fault
from root import Root
from serving import lines
from serving.service import RiskService

#: An event that waits longer was not processed within milliseconds: no stream job runs, or it is far behind.
PATIENCE = timedelta(seconds=60)


class Check(NamedTuple):
    """A part of the system. `problem` says what is wrong with it and what to do, "" where it is well."""

    name: str
    problem: str

    @property
    def is_ok(self) -> bool:
        """Whether the part is well."""
        return not self.problem


def checks(service: RiskService, root: Root, now: datetime) -> list[Check]:
    """Every part, in the order in which a decision needs them."""
    return [Check(name, _problem(look)) for name, look in _looks(service, root, now)]


def _looks(service: RiskService, root: Root, now: datetime) -> Iterator[tuple[str, Callable[[], object]]]:
    names = list(risks())
    yield "registry", lambda: [service.store.views(name) for name in names]
    yield "online store", lambda: _readable(service, names, now)
    for risk in risks().values():
        yield f"model {risk.name}", lambda name=risk.name: service.scorers[name]  # type: ignore[misc]
        yield f"policy {risk.name}", lambda risk=risk: service.policies[risk]  # type: ignore[misc]
    yield "audit log", lambda: lines.check_writable(root.decisions)
    for name in streams():
        yield f"events {name}", lambda name=name: service.events.check(name)  # type: ignore[misc]
        yield f"stream {name}", lambda name=name: _followed(service, name, now)  # type: ignore[misc]


def _problem(look: Callable[[], object]) -> str:
    try:
        look()
    except RiskError as error:
        return error.message
    except Exception as error:
        if not is_file_fault(error):
            raise
        return fault(error)
    return ""


def _readable(service: RiskService, names: list[str], now: datetime) -> None:
    """Raises FeaturesNotReady."""
    for name in names:
        service.store.check(name, now)


def _followed(service: RiskService, stream: str, now: datetime) -> None:
    """Raises FeaturesNotReady where events wait for the stream job."""
    waiting = service.events.waiting(stream, now)
    if waiting.oldest and waiting.oldest > PATIENCE:
        seconds = waiting.oldest.total_seconds()
        raise FeaturesNotReady(f"An event has been waiting for {seconds:,.0f} s. Run: {waiting.command}")
