"""The bridge sends a decision once the disk has it, and waits for many at once."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake import APPLICANT
from flask.testing import FlaskClient

from bridge import Bridge

MANY = 12
FULL = OSError(28, "No space left on device")
BODY = json.dumps(APPLICANT).encode()


class Caller:
    """A request as granian has it, and what was sent to it."""

    def __init__(self) -> None:
        self.headers = {"host": "localhost", "content-type": "application/json", "content-length": str(len(BODY))}
        self.scope = SimpleNamespace(
            method="POST", path="/onboarding-risk-decision/", query_string="", client="127.0.0.1:1", scheme="http",
            server="127.0.0.1:5000", http_version="1.1", headers=self.headers,
        )  # fmt: skip
        self.sent: list[tuple[int, dict[str, str], dict]] = []

    async def __call__(self) -> bytes:
        await asyncio.sleep(0)  # all requests are open before the first is computed
        return BODY

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.sent.append((status, dict(headers), json.loads(body)))


def answers(client: FlaskClient, count: int) -> list[tuple[int, dict[str, str], dict]]:
    async def ask() -> list[Caller]:
        bridge, callers = Bridge(client.application, threads=2), [Caller() for _ in range(count)]
        await asyncio.gather(*(bridge(caller.scope, caller) for caller in callers))
        return callers

    callers = asyncio.run(ask())
    assert [len(caller.sent) for caller in callers] == [1] * count
    return [caller.sent[0] for caller in callers]


def counted(client: FlaskClient) -> dict[str, float]:
    """Status → requests for decisions, as /metrics has them."""
    pattern = r'risk_request_seconds_count\{method="POST",route="/onboarding-risk-decision/",status="(\d+)"\} (\S+)'
    return {status: float(number) for status, number in re.findall(pattern, client.get("/metrics").text)}


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What each file had when it was synced."""
    contents, real = list[bytes](), os.fsync

    def fsync(file: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        # Opening a log may close that of an earlier test, whose file is gone.
        contents.append(path.read_bytes() if path.is_file() else b"")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    return contents


def test_decisions_that_arrive_together_share_syncs(client: FlaskClient, synced: list[bytes]):
    answers(client, 1)
    synced.clear()
    made = answers(client, MANY)
    assert [status for status, *_ in made] == [200] * MANY
    assert len({body["decision_id"] for *_, body in made}) == MANY
    assert all(any(body["decision_id"].encode() in content for content in synced) for *_, body in made)
    assert len(synced) == 1
    assert counted(client) == {"200": 1 + MANY}


@pytest.mark.parametrize("count", [1, MANY])
def test_a_failed_wait_is_answered_and_counted_as_its_own_request(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, count: int
):
    answers(client, 1)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(FULL))
        refused = answers(client, count)
    for status, headers, body in refused:
        assert (status, body["error"]["name"]) == (503, "audit_unavailable")
        assert body["error"]["request_id"] == headers["X-Request-ID"]
    assert len({headers["X-Request-ID"] for _, headers, _ in refused}) == count
    assert counted(client) == {"200": 1, "503": count}
    assert answers(client, MANY)[-1][0] == 200


def test_an_answer_that_cannot_be_noted_holds_up_no_other(client: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    async def ask() -> tuple[list[Caller], list[Caller]]:
        bridge, failing, others = Bridge(client.application, threads=2), [Caller() for _ in range(3)], [Caller()] * 2
        with monkeypatch.context() as broken:
            broken.setattr("telemetry.metrics.Metrics.answered", lambda *_: 1 / 0)
            await asyncio.gather(*(bridge(caller.scope, caller) for caller in failing))
        await asyncio.wait_for(asyncio.gather(*(bridge(caller.scope, caller) for caller in others)), 120)
        return failing, others

    failing, others = asyncio.run(ask())
    assert [caller.sent for caller in failing] == [[]] * 3, "granian answers 500"
    assert [status for status, *_ in others[0].sent] == [200, 200]
