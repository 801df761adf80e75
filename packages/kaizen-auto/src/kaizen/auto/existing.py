"""Detects tracing that the application has set up, without importing anything."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kaizen.auto.frameworks import Framework


def is_switched_off() -> bool:
    """Return whether `OTEL_SDK_DISABLED` is set: no provider would record anything, forced or not."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def global_provider() -> Any:
    """Return OpenTelemetry's global provider if one was set, else None."""
    return getattr(sys.modules.get("opentelemetry.trace"), "_TRACER_PROVIDER", None)


def reason(ours: object) -> str | None:
    """Return why the application's tracing is in charge, or None; `ours` is Kaizen's own provider."""
    if is_switched_off():
        return "OTEL_SDK_DISABLED is true"
    if os.environ.get("OTEL_PYTHON_TRACER_PROVIDER", "").strip():
        return "OTEL_PYTHON_TRACER_PROVIDER is set"
    provider = global_provider()
    if provider is not None and provider is not ours:
        kind = type(provider)
        return f"the application set a tracer provider ({kind.__module__}.{kind.__qualname__})"
    return None


def is_instrumented(framework: Framework) -> bool:
    """Return whether the framework's instrumentor is active already, whoever started it."""
    package = sys.modules.get(framework.package)
    instrumentor = getattr(getattr(package, framework.instrumentor, None), "_instance", None)
    return bool(getattr(instrumentor, "_is_instrumented_by_opentelemetry", False))
