"""Reports what is traced in this process, where to, and how many spans arrived."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from kaizen.auto import existing, tracing
from kaizen.auto.__about__ import __version__
from kaizen.auto.frameworks import FRAMEWORKS, Framework
from kaizen.auto.options import Options

if TYPE_CHECKING:
    from kaizen.auto.configuration import Configuration
    from kaizen.auto.pipeline.provider import Pipeline

State = Literal["off", "waiting", "standing back", "tracing"]


@dataclass(frozen=True)
class FrameworkStatus:
    """Say of one framework what is installed, and whether its calls are traced."""

    name: str
    version: str | None
    instrumentor: str
    instrumentor_version: str | None
    imported: bool
    traced: bool
    problem: str | None


@dataclass(frozen=True)
class SpanCounts:
    """Count the spans of this process.

    `failed` were refused by the collector, `dropped` were never sent. `open` belong to calls that are still
    running; when the process ends, they are sent as they are and counted as `unfinished`.
    """

    sent: int = 0
    queued: int = 0
    dropped: int = 0
    failed: int = 0
    open: int = 0
    unfinished: int = 0


@dataclass(frozen=True)
class CollectorStatus:
    """Hold the collector's answer to an empty export."""

    answers: bool
    detail: str


@dataclass(frozen=True)
class Status:
    """Hold the state of tracing.

    `off`: not enabled. `waiting`: no framework imported yet. `standing back`: `reason` says why.

    `unused_headers` names variables of OpenTelemetry whose headers are meant for another host.
    """

    version: str
    state: State
    reason: str | None
    project: str
    endpoint: str
    protocol: str
    frameworks: tuple[FrameworkStatus, ...]
    spans: SpanCounts
    last_error: str | None
    unused_headers: tuple[str, ...] = ()
    collector: CollectorStatus | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def status(*, probe: bool = False) -> Status:
    """Return the state of tracing in this process; `probe` also asks the collector, for a few seconds."""
    from kaizen.auto.configuration import foreign_headers, resolve

    current = tracing.current()
    pipeline = current.pipeline if current is not None else None
    options = current.options if current is not None else Options()
    configuration = pipeline.configuration if pipeline is not None else resolve(options)
    state, reason = _state(current)
    queue = pipeline.queue if pipeline is not None else None
    return Status(
        version=__version__,
        state=state,
        reason=reason,
        project=configuration.project,
        endpoint=configuration.endpoint,
        protocol=configuration.protocol,
        frameworks=tuple(_framework(framework, current) for framework in FRAMEWORKS),
        spans=_count_spans(pipeline) if pipeline is not None else SpanCounts(),
        last_error=queue.last_error if queue is not None else None,
        unused_headers=foreign_headers(configuration.endpoint),
        collector=ask_collector(configuration) if probe else None,
    )


def _count_spans(pipeline: Pipeline) -> SpanCounts:
    queue = pipeline.queue
    return SpanCounts(
        sent=queue.sent,
        queued=queue.queued,
        dropped=queue.dropped,
        failed=queue.failed,
        open=pipeline.collapse.open_count,
        unfinished=pipeline.unfinished,
    )


def ask_collector(configuration: Configuration) -> CollectorStatus:
    """Send an export without spans."""
    from kaizen.auto.pipeline.export import make_sender

    try:
        outcome = make_sender(configuration).send(())
    except Exception as exc:  # noqa: BLE001 - what is wrong is the answer
        return CollectorStatus(False, f"{type(exc).__name__}: {exc}")
    return CollectorStatus(outcome.delivered, outcome.error or "takes spans")


def _state(current: tracing.Tracing | None) -> tuple[State, str | None]:
    if current is None:
        value = os.environ.get("KAIZEN_AUTO_ENABLED")
        return "off", "KAIZEN_AUTO_ENABLED is not set" if not value else f"KAIZEN_AUTO_ENABLED={value}"
    if current.instrumentors:
        return "tracing", None
    blocked = current.blocked() or current.standing_back
    return ("standing back", blocked) if blocked else ("waiting", None)


def _framework(framework: Framework, current: tracing.Tracing | None) -> FrameworkStatus:
    module = sys.modules.get(framework.module)
    imported = module is not None and framework.is_framework(module)
    traced = current is not None and framework.name in current.instrumentors
    problem = current.problems.get(framework.name) if current is not None else None
    if problem is None and not traced and existing.is_instrumented(framework):
        problem = "instrumented by the application"
    return FrameworkStatus(
        name=framework.name,
        version=_version(framework.distribution),
        instrumentor=framework.instrumentor_distribution,
        instrumentor_version=_version(framework.instrumentor_distribution),
        imported=imported,
        traced=traced,
        problem=problem,
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
