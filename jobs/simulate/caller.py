"""What simulations share: calls to the running service, and events in real time."""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import requests

from errors import ServiceFailed

#: The service must answer a request within this time.
PATIENCE_SECONDS = 10
#: What to do where the service asks for a key.
KEY = "Set RISK_API_KEY to a key that holds: python -m jobs key add NAME --scope SCOPE"


class Caller:
    """Calls the service at a URL, over one connection, with an API key if there is one. Every call raises
    ServiceFailed."""

    def __init__(self, url: str, api_key: str = "") -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        if api_key:
            self._session.headers["Authorization"] = f"Bearer {api_key}"

    def decide(self, risk: str, request: dict[str, Any]) -> dict[str, Any]:
        """The decision on one request."""
        return self._call("POST", f"/api/v1/decisions/{risk}", "decision", json=request)

    def send(self, stream: str, event: dict[str, Any]) -> None:
        """Send an event. The service has it on disk when this returns."""
        self._call("POST", f"/api/v1/events/{stream}", "accepted", json=event)

    def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
        """The numbers from 1 to `last` of a producer that the stream job has not received, as ranges with both ends."""
        numbers = {"producer": producer, "last": last}
        return list(self._call("GET", f"/api/v1/events/{stream}/missing", "missing", params=numbers)["missing"])

    def vectors(self, service: str, entities: list[dict[str, Any]]) -> dict[str, Any]:
        """The feature vectors of entities: `results`, in their order, and `as_of`."""
        return self._call("POST", f"/api/v1/features/{service}", "results", json={"entities": entities})

    def _call(self, method: str, path: str, field: str, **body: Any) -> dict[str, Any]:
        """The body of an answer. `field` is one that the service's answer has, and that of another server has not."""
        try:
            response = self._session.request(method, self._url + path, timeout=PATIENCE_SECONDS, **body)
        except requests.RequestException as error:
            raise ServiceFailed(
                f"{self._url} does not answer ({type(error).__name__}). Start it: make serve, or name another by --url."
            ) from None
        try:
            answer: dict[str, Any] = response.json()
            if response.ok and field in answer:
                return answer
            failure = answer["error"]
            if response.status_code == 401:
                raise ServiceFailed(f"{self._url} asks who calls it. {KEY}")
            raise ServiceFailed(f"{self._url} answered {response.status_code} {failure['name']}: {failure['message']}")
        except (ValueError, KeyError, TypeError):
            raise ServiceFailed(
                f"{self._url}{path} answered {response.status_code}, but not as the risk service does. "
                "Name the service by --url."
            ) from None


class Callers(threading.local, Caller):
    """A caller that many threads may use: each has its own connection."""


def in_time(events: Sequence[dict[str, Any]], time_column: str) -> Iterator[dict[str, Any]]:
    """Yield the events at the pace of their timestamps, which are ISO texts in `time_column`. The first is due at once;
    an event that is overdue comes at once."""
    timestamps = [datetime.fromisoformat(event[time_column]) for event in events]
    began = time.monotonic()
    for event, timestamp in zip(events, timestamps, strict=True):
        due = began + (timestamp - timestamps[0]).total_seconds()
        time.sleep(max(0.0, due - time.monotonic()))
        yield event
