"""Attempts in the world as traces, in memory or in a real Phoenix, and a source for the sync."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from kaizen.demo.world.traces import PROJECT, MemorySource, outcome_of, trace_of
from kaizen.sync import PhoenixSettings, PhoenixSource

if TYPE_CHECKING:
    from kaizen.demo.world.agent import Attempt
    from kaizen.sync.sources import Source, Span, Trace

_WAIT_S = 60.0
_BATCH = 50


class Traces(Protocol):
    """Where attempts are traced to."""

    def record_all(self, runs: Sequence[Callable[[], Attempt]], workers: int = 1) -> None:
        """Make attempts, so many at the same time, and trace them."""
        ...

    def source(self) -> Any:
        """Return a context manager that gives a source of everything recorded so far."""
        ...

    def pausing(self) -> Any:
        """Return a context manager in which nothing is traced."""
        ...


class MemoryTraces:
    """Traces in memory."""

    def __init__(self) -> None:
        self.attempts: list[tuple[Trace, Attempt]] = []

    def record_all(self, runs: Sequence[Callable[[], Attempt]], workers: int = 1) -> None:
        """Make attempts, and trace them in the order given."""
        with ThreadPoolExecutor(workers) as pool:
            for made in pool.map(_made, runs):
                self.attempts.append((trace_of(made, len(self.attempts)), made))

    @contextmanager
    def source(self) -> Iterator[Source]:
        said = {trace.trace_id: outcome_of(made) for trace, made in self.attempts}
        yield MemorySource({trace.trace_id: trace for trace, _ in self.attempts}, said)

    def pausing(self) -> Any:
        return nullcontext()


@dataclass
class PhoenixTraces:
    """Traces in a Phoenix: kaizen.auto's, or (for an agent without a model) spans that are posted to it."""

    url: str
    is_traced: bool
    posted: MemoryTraces = field(default_factory=MemoryTraces)
    labels: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    def __post_init__(self) -> None:
        if self.is_traced:
            from kaizen.auto import enable_tracing

            enable_tracing(PROJECT, f"{self.url}/v1/traces")

    def record_all(self, runs: Sequence[Callable[[], Attempt]], workers: int = 1) -> None:
        if not self.is_traced:
            self.posted.record_all(runs, workers)
            return
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(self._record, runs))

    def _record(self, run: Callable[[], Attempt]) -> None:
        from opentelemetry import trace

        from kaizen.auto import agent_run

        with agent_run(PROJECT):
            trace_id = f"{trace.get_current_span().get_span_context().trace_id:032x}"
            made = run()
        self.labels[trace_id] = outcome_of(made).label

    @contextmanager
    def source(self) -> Iterator[Source]:
        # Phoenix drops idle connections.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=self.url, trust_env=False, timeout=120, limits=limits) as client:
            self._send(client)
        with PhoenixSource(PhoenixSettings(base_url=self.url, project=PROJECT)) as source:
            yield source

    def pausing(self) -> Any:
        from openinference.instrumentation import suppress_tracing

        return suppress_tracing() if self.is_traced else nullcontext()

    def _send(self, client: httpx.Client) -> None:
        # Refused if there is one already.
        client.post("/v1/projects", json={"name": PROJECT})
        if self.is_traced:
            from kaizen.auto import flush_traces

            flush_traces()
        else:
            self._post(client)
        self._wait(client)
        said = [
            {"trace_id": trace_id, "name": "success", "annotator_kind": "CODE", "result": {"label": label}}
            for trace_id, label in self.labels.items()
        ]
        client.post("/v1/trace_annotations?sync=true", json={"data": said}).raise_for_status()

    def _post(self, client: httpx.Client) -> None:
        new = self.posted.attempts[self.sent :]
        for start in range(0, len(new), _BATCH):
            spans = [span_json(span) for trace, _ in new[start : start + _BATCH] for span in trace.spans]
            client.post(f"/v1/projects/{PROJECT}/spans", json={"data": spans}).raise_for_status()
        self.labels |= {trace.trace_id: outcome_of(made).label for trace, made in new}
        self.sent = len(self.posted.attempts)

    def _wait(self, client: httpx.Client) -> None:
        """Wait until Phoenix has stored everything: it answers before."""
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            with PhoenixSource(PhoenixSettings(base_url=self.url, project=PROJECT)) as source:
                roots = [span for trace in source.index() for span in trace.spans if span.parent_id is None]
            if len(roots) >= len(self.labels):
                return
            time.sleep(0.5)
        raise TimeoutError(f"Phoenix did not store {len(self.labels)} traces within {_WAIT_S:g} s")


def _made(run: Callable[[], Attempt]) -> Attempt:
    return run()


def span_json(span: Span) -> dict[str, Any]:
    """Return the span as Phoenix's REST interface takes it."""
    return {
        "name": span.name,
        "context": {"trace_id": span.trace_id, "span_id": span.span_id},
        "span_kind": span.kind,
        "parent_id": span.parent_id,
        "start_time": span.start_time.isoformat(),
        "end_time": span.end_time.isoformat(),
        "status_code": span.status,
        "status_message": "",
        "attributes": dict(span.attributes),
        "events": [],
    }
