"""The tracer provider, and everything a span passes on its way out."""

from __future__ import annotations

import atexit
import importlib.util
import logging
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from kaizen.auto.configuration import Configuration, resolve
from kaizen.auto.pipeline.batch import BatchQueue
from kaizen.auto.pipeline.collapse import CollapseProcessor
from kaizen.auto.pipeline.export import make_sender
from kaizen.auto.pipeline.relay import Relay

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider

    from kaizen.auto.guards.responses import ResponseWatch
    from kaizen.auto.options import Options

logger = logging.getLogger("kaizen.auto")

PROJECT_ATTRIBUTE = "openinference.project.name"
# Of the time that an exit may take: the rest is for Python, which winds up what tracing has loaded.
EXIT_SHARE = 7 / 8
# A collector that failed last time gets one more attempt, and a short one.
EXIT_IN_OUTAGE_S = 0.5
# What OpenInference's provider allows.
MAX_ATTRIBUTES = 10_000


class Pipeline:
    """Hold a provider, and what its spans pass: collapsing, and the queue that a thread sends."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.queue = BatchQueue(
            make_sender(configuration),
            queue_size=configuration.queue_size,
            batch_size=configuration.batch_size,
            delay_s=configuration.delay_s,
            before_exit=self.exit,
        )
        self.collapse = CollapseProcessor(self.queue, enabled=configuration.collapse)
        self.provider = make_provider(configuration)
        self.watches: WeakSet[ResponseWatch] = WeakSet()
        self.unfinished = 0
        self._relays: list[Relay] = []

    def start(self, *, set_global: bool) -> None:
        """Connect the provider; a pipeline that was built in vain is never started and holds nothing open."""
        self.provider.add_span_processor(self.collapse)
        atexit.register(self.exit)
        if set_global:
            from opentelemetry import trace

            trace.set_tracer_provider(self.provider)

    def attach(self, provider: Any) -> bool:
        """Listen to the spans of the application's provider; return whether that can be done."""
        if any(relay.provider is provider for relay in self._relays):
            return True
        if not hasattr(provider, "add_span_processor"):
            return False
        relay = Relay(provider, self.collapse, self.provider.resource)
        if provider is not self.provider:
            relay.attach()
        self._relays.append(relay)
        return True

    def flush(self, timeout_s: float) -> bool:
        return self.queue.flush(timeout_s)

    def exit(self) -> None:
        """Send what is left; the process ends within the exit timeout whatever the collector does."""
        self._end_unfinished()
        timeout_s = self.configuration.exit_timeout_s * EXIT_SHARE
        self.queue.flush(min(timeout_s, EXIT_IN_OUTAGE_S) if self.queue.in_outage else timeout_s)
        self.queue.stop()

    def _end_unfinished(self) -> None:
        """End the calls that are still running, with what they have so far."""
        self.unfinished += sum(watch.end(None, is_unfinished=True) for watch in list(self.watches))
        self.unfinished += self.collapse.end_open()
        self.collapse.release()

    def close(self) -> None:
        atexit.unregister(self.exit)
        for relay in self._relays:
            relay.detach()
        self.exit()


def build(options: Options) -> Pipeline:
    return Pipeline(resolve(options))


def make_provider(configuration: Configuration) -> TracerProvider:
    """Build a provider without a span processor, for the project of this configuration.

    Through `phoenix.otel.register()`; but where a Phoenix server is installed beside the agent, importing
    anything below `phoenix` imports the server, and OpenInference's provider with the same resource is used.
    """
    if is_phoenix_otel_cheap():
        try:
            return _register(configuration)
        except Exception as exc:  # noqa: BLE001 - a version that differs must not cost the traces
            logger.debug("phoenix.otel.register failed, its parts are used: %r", exc)
    return _openinference_provider(configuration)


def is_phoenix_otel_cheap() -> bool:
    """Return whether `phoenix` is only the namespace of `phoenix.otel`, or imported by the agent already."""
    if "phoenix" in sys.modules:
        return True
    try:
        spec = importlib.util.find_spec("phoenix")
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is None


def _register(configuration: Configuration) -> TracerProvider:
    from phoenix.otel import register

    return register(
        endpoint=configuration.endpoint,
        project_name=configuration.project,
        protocol="http/protobuf",
        # The default processor gives way to the first that is added; the plain one has no thread to stop.
        batch=False,
        verbose=False,
        set_global_tracer_provider=False,
        shutdown_on_exit=False,
        span_limits=_span_limits(),
    )


def _openinference_provider(configuration: Configuration) -> TracerProvider:
    from openinference.instrumentation import TracerProvider as OpenInferenceTracerProvider
    from opentelemetry.sdk.resources import Resource

    return OpenInferenceTracerProvider(
        resource=Resource.create({PROJECT_ATTRIBUTE: configuration.project}),
        shutdown_on_exit=False,
        span_limits=_span_limits(),
    )


def _span_limits() -> SpanLimits:
    """Return limits that leave a long conversation whole; the environment's are applied before sending."""
    from opentelemetry.sdk.trace import SpanLimits

    return SpanLimits(
        max_span_attributes=MAX_ATTRIBUTES,
        max_attribute_length=SpanLimits.UNSET,
        max_span_attribute_length=SpanLimits.UNSET,
    )
