"""One import that traces an LLM agent into Arize Phoenix.

Set `KAIZEN_AUTO_ENABLED=true` and import this module at the top of the agent. Without the variable the
import tests that variable and does nothing else; every function below imports what it needs when called.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import TracerProvider

    from kaizen.auto.report import Status
    from kaizen.auto.run import AgentRun

__all__ = [
    "agent_run",
    "disable_tracing",
    "enable_tracing",
    "flush_traces",
    "get_instrumented_frameworks",
    "get_tracer_provider",
    "is_already_instrumented",
    "status",
]


def enable_tracing(
    project: str | None = None,
    endpoint: str | None = None,
    frameworks: Iterable[str] | str | None = None,
    force: bool = False,
    *,
    protocol: str | None = None,
    headers: dict[str, str] | None = None,
    api_key: str | None = None,
    collapse: bool | None = None,
    set_global: bool = False,
) -> TracerProvider | None:
    """Trace the supported frameworks, each as soon as the agent imports it.

    Never raises: what cannot be done is said once through the logger `kaizen.auto`. Calling it again does
    nothing twice; settings given before anything was traced are taken over, later ones are not.

    Args:
        project: Phoenix project; else `KAIZEN_TRACING_PROJECT`, `PHOENIX_PROJECT_NAME`, `kaizen-agent`.
        endpoint: Collector URL, completed with `/v1/traces`; else `KAIZEN_TRACING_ENDPOINT`, Phoenix's own
            variables, `http://localhost:6006/v1/traces`.
        frameworks: Names out of `openai`, `litellm`, `smolagents`, `openai_agents`; all of them by default.
            An unknown name is warned of and left out.
        force: Trace although the application set tracing up itself; both then receive the spans.
        protocol: `http/protobuf` or `grpc`.
        headers: Extra headers of each export.
        api_key: Phoenix API key; else `PHOENIX_API_KEY`.
        collapse: One LLM span per logical call where layers nest; else `KAIZEN_TRACING_COLLAPSE`, true.
        set_global: Also make the provider OpenTelemetry's global one, unless there is one.

    Returns:
        The provider where a framework is being traced already, None where that is still to come (or the
        application's own tracing is in charge); `get_tracer_provider()` has it later.
    """
    try:
        from kaizen.auto import tracing
        from kaizen.auto.options import Options

        return tracing.enable(
            Options(
                project=project,
                endpoint=endpoint,
                frameworks=frameworks,
                force=force,
                protocol=protocol,
                headers=headers,
                api_key=api_key,
                collapse=collapse,
                set_global=set_global,
            )
        )
    except Exception:  # noqa: BLE001 - the agent goes on whatever happens here
        return None


def disable_tracing() -> None:
    """Stop tracing: send what is queued, un-instrument what Kaizen instrumented, forget the provider."""
    from kaizen.auto import tracing

    tracing.disable()


def is_already_instrumented() -> bool:
    """Return whether something traces already: Kaizen itself, or tracing that the application set up."""
    from kaizen.auto import tracing

    return tracing.is_already_instrumented()


def get_tracer_provider() -> TracerProvider | None:
    """Return Kaizen's provider, for spans of your own; build it if tracing is enabled and has none yet.

    None where tracing is off or the application's own tracing is in charge.
    """
    from kaizen.auto import tracing

    return tracing.provider()


def get_instrumented_frameworks() -> list[str]:
    """Return the names of the frameworks that Kaizen traces in this process, sorted."""
    from kaizen.auto import tracing

    return tracing.instrumented_frameworks()


def flush_traces(timeout_s: float = 5.0) -> bool:
    """Send the finished spans now, waiting at most `timeout_s`; return whether nothing is left to send.

    Spans of calls that are still running are not finished; `status().spans.open` counts them.
    """
    from kaizen.auto import tracing

    return tracing.flush(timeout_s)


def agent_run(name: str, session_id: str | None = None) -> AgentRun:
    """Put a root AGENT span around one run of an agent: as a decorator or a context manager, sync or async.

    As a decorator it records arguments and result; as a context manager, what is given to `set_input` and
    `set_output` of the value it yields. It does nothing when tracing is off.
    """
    from kaizen.auto.run import AgentRun

    return AgentRun(name, session_id)


def status() -> Status:
    """Return what is traced, where to, and how many spans were sent, dropped and failed."""
    from kaizen.auto import report

    return report.status()


def _is_on(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in ("true", "1", "yes", "on")


if _is_on("KAIZEN_AUTO_ENABLED"):
    enable_tracing()
if _is_on("KAIZEN_RECALL_ENABLED"):
    try:
        import kaizen.recall  # noqa: F401 - importing it is what turns it on
    except Exception as exc:  # noqa: BLE001 - the agent goes on without tips
        import logging

        logging.getLogger("kaizen.auto").warning(
            "KAIZEN_RECALL_ENABLED is set, but kaizen-recall cannot be imported: %r", exc
        )
