"""What simulations share: the service as a caller meets it, and events in real time."""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import requests

from errors import ServiceFailed

PATIENCE_SECONDS = 10


class Caller:
    """The service at a URL, over one connection. Every call raises ServiceFailed."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()

    def decide(self, risk: str, request: dict[str, Any]) -> dict[str, Any]:
        return self._post(f"/api/v1/decisions/{risk}", request, "decision")

    def send(self, stream: str, event: dict[str, Any]) -> None:
        """The service has it on disk when this returns."""
        self._post(f"/api/v1/events/{stream}", event, "accepted")

    def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
        """Of the numbers 1 to `last` of a producer, those that the stream job has not taken in, as ranges with both
        ends."""
        asked = {"producer": producer, "last": last}
        return list(self._said("GET", f"/api/v1/events/{stream}/missing", "missing", params=asked)["missing"])

    def vectors(self, service: str, entities: list[dict[str, Any]]) -> dict[str, Any]:
        """`results`, in order, and `as_of`."""
        return self._post(f"/api/v1/features/{service}", {"entities": entities}, "results")

    def _post(self, path: str, body: dict[str, Any], holds: str) -> dict[str, Any]:
        return self._said("POST", path, holds, json=body)

    def _said(self, method: str, path: str, holds: str, **asked: Any) -> dict[str, Any]:
        try:
            answer = self._session.request(method, self._url + path, timeout=PATIENCE_SECONDS, **asked)
        except requests.RequestException as error:
            raise ServiceFailed(
                f"{self._url} does not answer ({type(error).__name__}). Start it: make serve, or name another by --url."
            ) from None
        try:
            said: dict[str, Any] = answer.json()
            if answer.ok and holds in said:
                return said
            why = said["error"]
            raise ServiceFailed(f"{self._url} answered {answer.status_code} {why['name']}: {why['message']}")
        except (ValueError, KeyError, TypeError):
            raise ServiceFailed(
                f"{self._url}{path} answered {answer.status_code}, and not as the risk service does. Name it by --url."
            ) from None


class Callers(threading.local, Caller):
    """A caller for many threads: each has a connection of its own."""


def in_time(events: Sequence[dict[str, Any]], moment: str) -> Iterator[dict[str, Any]]:
    """Each when its turn comes, which the column `moment` says; one that is late, at once."""
    moments = [datetime.fromisoformat(event[moment]) for event in events]
    began = time.monotonic()
    for event, at in zip(events, moments, strict=True):
        due = began + (at - moments[0]).total_seconds()
        time.sleep(max(0.0, due - time.monotonic()))
        yield event
