"""Traces, as a collector of OpenTelemetry receives them over HTTP."""

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from chance import without_chance
from fake import APPLICANT, NOW, Fake, shelve
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from processes import wait_until
from servers import in_thread
from stream_world import STREAM, Batches, Sink, event

import settings
from app import create_app
from features.utc import since_1970
from features.windows.events import ACCEPTED
from jobs.stream import loop

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Span]]:
    """The spans that were received so far. Whatever is started meanwhile sends its spans there."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        yield spans


def received(spans: list[Span], root: str) -> tuple[Span, list[Span]]:
    """The span of that name, and its children in order."""
    wait_until(lambda: [span for span in spans if span.name == root], what=f"{root} was received")
    (parent,) = (span for span in spans if span.name == root)
    children = [span for span in spans if span.parent_span_id == parent.span_id]
    return parent, sorted(children, key=lambda span: span.start_time_unix_nano)


def attributes(span: Span) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


def test_a_decision_is_a_trace_of_its_steps(
    collector: list[Span], fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    client = create_app(fake, clock=lambda: NOW).test_client()
    shelve("onboarding")
    answer = client.post("/onboarding-risk-decision/?x=8765", json=APPLICANT, headers={"traceparent": SENT})
    span, steps = received(collector, "POST /onboarding-risk-decision/")
    assert [step.name for step in steps] == ["retrieve", "featurize", "score", "decide", "audit", "commit"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(SENT.split("-")[1:3])
    assert {step.trace_id for step in steps} == {span.trace_id}
    assert span.start_time_unix_nano <= steps[0].start_time_unix_nano
    assert span.end_time_unix_nano >= steps[-1].end_time_unix_nano
    assert all(step.start_time_unix_nano < step.end_time_unix_nano for step in steps)
    assert attributes(span) == {
        "http.request.method": "POST", "http.route": "/onboarding-risk-decision/", "http.response.status_code": 200,
        "risk.request_id": answer.headers["X-Request-ID"],
    }  # fmt: skip
    assert "8765" not in without_chance(str(collector))


def test_a_failed_request_is_a_trace_with_the_error(
    collector: list[Span], fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    create_app(fake, clock=lambda: NOW).test_client().post("/onboarding-risk-decision/", json=APPLICANT)
    span, _ = received(collector, "POST /onboarding-risk-decision/")
    assert (span.status.message, attributes(span)["http.response.status_code"]) == ("model_not_trained", 503)


def test_a_batch_of_events_is_a_trace_from_its_oldest_event_on(
    collector: list[Span], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from telemetry.spans import Spans

    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    accepted = NOW.isoformat()
    source: Any = Batches([event(0, 0, **{ACCEPTED: accepted}), event(1, 1, **{ACCEPTED: accepted})])
    store: Any = Sink()
    loop.run(
        settings.root(), STREAM, source, store, settings.hash_key(), True, Event(), lambda line: None,
        spans=Spans("risk-stream"),
    )  # fmt: skip
    span, parts = received(collector, "event small")
    assert [part.name for part in parts] == ["batch", "online"]
    assert abs(span.start_time_unix_nano / 1000 - since_1970(NOW)) < 5_000_000
    assert span.end_time_unix_nano == parts[-1].end_time_unix_nano
    assert parts[0].end_time_unix_nano == parts[1].start_time_unix_nano
    assert attributes(span)["risk.events"] == 2
