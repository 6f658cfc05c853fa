"""Traces for OpenTelemetry, sent by OTLP over HTTP. Only a process that sends some imports this: a span is made after
the fact, from times that a request measures anyhow.

The library reads its own variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME` and
`OTEL_TRACES_SAMPLER`."""

import time
from collections.abc import Iterable, Mapping
from multiprocessing.util import Finalize

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

#: (name, begin, end), in ns of a timer.
Step = tuple[str, int, int]


class Spans:
    """Sends spans in batches, from a thread of its own. `service` is its name, unless `OTEL_SERVICE_NAME` says
    another."""

    def __init__(self, service: str) -> None:
        named = Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=named, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("risk")
        self._propagator = TraceContextTextMapPropagator()
        # A worker is a child of multiprocessing, which runs no `atexit`. The last spans are sent before it ends.
        Finalize(self, provider.shutdown, exitpriority=10)

    def add(
        self,
        name: str,
        steps: Iterable[Step],
        begin: int,
        end: int,
        timer: int,
        attributes: Mapping[str, str | int],
        headers: Mapping[str, str] | None = None,
        error: str = "",
    ) -> None:
        """Send a span with a child for each step. `timer` is what the timer of all times says now. `headers` may name
        the span of the caller, as `traceparent`. `error` is the name of what failed."""
        offset = time.time_ns() - timer
        parent = self._propagator.extract(headers or {})
        kind = SpanKind.CONSUMER if headers is None else SpanKind.SERVER
        span = self._tracer.start_span(name, parent, kind, attributes, start_time=offset + begin)
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        inside = set_span_in_context(span)
        for step, step_begin, step_end in steps:
            self._tracer.start_span(step, inside, start_time=offset + step_begin).end(offset + step_end)
        span.end(offset + end)
