"""Switches tracing on, one framework after the other, and off again.

Only the hook is loaded here; OpenTelemetry, Phoenix and the instrumentors come with the first framework.
No lock is held while anything is imported: another thread may own the import lock this one waits for.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress

from kaizen.auto import existing, hook
from kaizen.auto.frameworks import FRAMEWORKS, Framework

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from opentelemetry.sdk.trace import TracerProvider

    from kaizen.auto.options import Options
    from kaizen.auto.pipeline.provider import Pipeline


class Tracing:
    """Hold what one `enable_tracing` set up: the hook, the pipeline, the traced frameworks."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.pipeline: Pipeline | None = None
        self.instrumentors: dict[str, Any] = {}
        self._unguard: dict[str, Callable[[], None]] = {}
        self.problems: dict[str, str] = {}
        self.standing_back: str | None = None
        self._claimed: set[str] = set()
        self._lock = threading.Lock()
        watched = [
            name for framework in FRAMEWORKS for name in (framework.module, framework.extension) if name
        ]
        self._finder = hook.Finder(watched, self._imported)

    def start(self) -> None:
        self._finder.start(lambda name, module: self._imported(name, module, late=True))

    def stop(self) -> None:
        self._finder.stop()
        for name, instrumentor in list(self.instrumentors.items()):
            self._uninstrument(name, instrumentor)
        self.instrumentors.clear()
        if self.pipeline is not None:
            self.pipeline.close()

    def ensure_pipeline(self) -> Pipeline:
        """Return the pipeline, built by the first thread that needs it; another one drops what it built."""
        if self.pipeline is None:
            from kaizen.auto.pipeline.provider import build

            built = build(self.options)
            with self._lock:
                if self.pipeline is None:
                    self.pipeline = built
            if self.pipeline is built:
                built.start(set_global=self.options.set_global)
        return self.pipeline

    def blocked(self) -> str | None:
        """Return why nothing may be traced: it is switched off, or the application traces itself."""
        if existing.is_switched_off() or not self.options.force:
            return existing.reason(self.pipeline.provider if self.pipeline else None)
        return None

    def _imported(self, name: str, module: ModuleType, *, late: bool = False) -> None:
        for framework in self.options.frameworks:
            if framework.module == name:
                self._instrument_safely(framework, module, late=late)
            elif framework.extension == name and framework.name in self.instrumentors and not late:
                self._instrument_safely(framework, sys.modules[framework.module])

    def _instrument_safely(self, framework: Framework, module: ModuleType, *, late: bool = False) -> None:
        if _current is not self or not framework.is_framework(module):
            return
        with self._lock:
            if framework.name in self._claimed:
                return
            self._claimed.add(framework.name)
        try:
            self._instrument(framework, module, late=late)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - one framework less, the agent goes on
            self.problems[framework.name] = f"{type(exc).__name__}: {exc}"
            warn("%s is not traced: %r", framework.name, exc)
        finally:
            with self._lock:
                self._claimed.discard(framework.name)

    def _instrument(self, framework: Framework, module: ModuleType, *, late: bool) -> None:
        if framework.name in self.instrumentors:
            if not late:
                self._reinstrument(framework, module)
            return
        self.standing_back = self.blocked()
        if self.standing_back is not None:
            inform("%s is not traced: %s", framework.name, self.standing_back)
            return
        instrumentor = framework.load_instrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            self._traced_by_others(framework)
            return
        pipeline = self.ensure_pipeline()
        before = dict(object.__getattribute__(module, "__dict__")) if late else {}
        try:
            framework.instrument(instrumentor, pipeline.provider)
            if not instrumentor.is_instrumented_by_opentelemetry:
                raise RuntimeError("its instrumentor does not support the installed version")
        except (Exception, SystemExit):
            from kaizen.auto.guards.calls import guard

            # What it replaced before it failed stays replaced.
            guard(module, instrumentor)
            raise
        self._register(framework, module, instrumentor)
        if late:
            from kaizen.auto.late import warn_of_kept_functions

            warn_of_kept_functions(framework, module, before)

    def _reinstrument(self, framework: Framework, module: ModuleType) -> None:
        """Instrument anew after a reload, which put the original functions back, or with an extension."""
        instrumentor = self.instrumentors[framework.name]
        self._uninstrument(framework.name, instrumentor)
        framework.instrument(instrumentor, self.ensure_pipeline().provider)
        self._register(framework, module, instrumentor)

    def _register(self, framework: Framework, module: ModuleType, instrumentor: Any) -> None:
        from kaizen.auto.guards.calls import guard

        self.instrumentors[framework.name] = instrumentor
        self.problems.pop(framework.name, None)
        # Set on the one object of its class that there is, so that an `instrument()` by the application,
        # now or later, gets the framework instead of being refused.
        instrumentor.instrument = lambda **kwargs: self._hand_over(framework, kwargs)
        self._unguard[framework.name] = guard(
            module, instrumentor, force=lambda: self.options.force, watches=self.ensure_pipeline().watches
        )
        _renew_recall(framework)

    def _uninstrument(self, name: str, instrumentor: Any) -> None:
        vars(instrumentor).pop("instrument", None)
        try:
            self._unguard.pop(name, lambda: None)()
            instrumentor.uninstrument()
        except Exception as exc:  # noqa: BLE001 - what is asked for next is still to be done
            warn("%s could not be un-instrumented: %r", name, exc)
        _renew_recall(next(framework for framework in FRAMEWORKS if framework.name == name))

    def _traced_by_others(self, framework: Framework) -> None:
        self.problems[framework.name] = "instrumented by the application"
        if self.options.force and self.ensure_pipeline().attach(existing.global_provider()):
            self.problems[framework.name] = "instrumented by the application; Kaizen listens to its provider"
        elif self.options.force:
            warn("%s is traced by the application through a provider that cannot be found", framework.name)

    def _hand_over(self, framework: Framework, arguments: dict[str, Any]) -> Any:
        """Hand a framework over to the application, which instruments it itself."""
        instrumentor = self.instrumentors.pop(framework.name, None) or framework.load_instrumentor()
        self._uninstrument(framework.name, instrumentor)
        result = instrumentor.instrument(**arguments)
        self.problems[framework.name] = "instrumented by the application"
        if self.options.force and self.pipeline is not None:
            self.pipeline.attach(arguments.get("tracer_provider") or existing.global_provider())
        return result


_current: Tracing | None = None
_lock = threading.Lock()


def current() -> Tracing | None:
    return _current


def enable(options: Options) -> TracerProvider | None:
    global _current
    if options.unknown_frameworks:
        known = ", ".join(framework.name for framework in FRAMEWORKS)
        warn("Unknown frameworks are left out: %s. Known: %s", ", ".join(options.unknown_frameworks), known)
    with _lock:
        before = _current
        if before is None:
            _current = Tracing(options)
        tracing = _current
    assert tracing is not None
    if before is not None:
        _adopt(before, options)
    tracing.start()
    return tracing.pipeline.provider if tracing.pipeline is not None else None


def _adopt(tracing: Tracing, options: Options) -> None:
    if tracing.pipeline is not None:
        if any(options.destination) and options.destination != tracing.options.destination:
            warn("Tracing is on already and keeps its settings; call disable_tracing() first to change them")
        tracing.options.force = tracing.options.force or options.force
    else:
        options.force = options.force or tracing.options.force
        tracing.options = options


def disable() -> None:
    global _current
    with _lock:
        tracing, _current = _current, None
    if tracing is not None:
        tracing.stop()


def provider() -> TracerProvider | None:
    tracing = _current
    if tracing is None:
        return None
    if tracing.pipeline is None:
        try:
            tracing.standing_back = tracing.blocked()
            return None if tracing.standing_back is not None else tracing.ensure_pipeline().provider
        except Exception as exc:  # noqa: BLE001 - the agent goes on without
            warn("The tracer provider cannot be built: %r", exc)
            return None
    return tracing.pipeline.provider


def flush(timeout_s: float) -> bool:
    tracing = _current
    return True if tracing is None or tracing.pipeline is None else tracing.pipeline.flush(timeout_s)


def instrumented_frameworks() -> list[str]:
    tracing = _current
    return [] if tracing is None else sorted(tracing.instrumentors)


def is_already_instrumented() -> bool:
    tracing = _current
    if tracing is not None and tracing.instrumentors:
        return True
    ours = tracing.pipeline.provider if tracing is not None and tracing.pipeline is not None else None
    return existing.reason(ours) is not None or any(map(existing.is_instrumented, FRAMEWORKS))


def _renew_recall(framework: Framework) -> None:
    """Let kaizen.recall, if it is on, work around the functions that the framework has now.

    Outside the tracing, since spans are to hold what was sent.
    """
    recall = sys.modules.get("kaizen.recall.frameworks")
    module = sys.modules.get(framework.module)
    if recall is not None and module is not None:
        with suppress(Exception):
            recall.imported(framework.module, module)


def warn(message: str, *arguments: object) -> None:
    import logging

    logging.getLogger("kaizen.auto").warning(message, *arguments)


def inform(message: str, *arguments: object) -> None:
    import logging

    logging.getLogger("kaizen.auto").info(message, *arguments)
