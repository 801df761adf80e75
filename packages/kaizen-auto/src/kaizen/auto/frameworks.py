"""The frameworks Kaizen traces: how each is recognised, and which instrumentor traces it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType
    from typing import Any


class Framework:
    """Describe one framework and the OpenInference instrumentor that traces it."""

    __slots__ = (
        "aliases",
        "arguments",
        "distribution",
        "extension",
        "extension_loader",
        "instrumentor",
        "marker",
        "module",
        "name",
        "package",
    )

    def __init__(
        self,
        name: str,
        *,
        module: str,
        marker: str,
        distribution: str,
        package: str,
        instrumentor: str,
        aliases: tuple[str, ...] = (),
        arguments: dict[str, object] | None = None,
        extension: str | None = None,
        extension_loader: tuple[str, str] = ("", ""),
    ) -> None:
        self.name = name
        self.module = module
        self.marker = marker
        self.distribution = distribution
        self.package = package
        self.instrumentor = instrumentor
        self.aliases = aliases
        self.arguments = arguments or {}
        self.extension = extension
        self.extension_loader = extension_loader

    @property
    def instrumentor_distribution(self) -> str:
        return self.package.replace(".", "-").replace("_", "-")

    def is_framework(self, module: ModuleType) -> bool:
        """Return whether an executed module is the framework, and not the user's own of the same name."""
        return self.marker in object.__getattribute__(module, "__dict__")

    def load_instrumentor(self) -> Any:
        """Import and return the instrumentor, one object per process."""
        from importlib import import_module

        return getattr(import_module(self.package), self.instrumentor)()

    def instrument(self, instrumentor: Any, provider: Any) -> None:
        """Instrument the framework, except for an extension that the agent has not imported.

        The instrumentor would import it; whoever watches for its import calls this again.
        """
        from contextlib import suppress
        from importlib import import_module

        holder, name = None, self.extension_loader[1]
        if self.extension is not None and self.extension not in sys.modules:
            with suppress(ImportError):
                holder = import_module(self.extension_loader[0])
        load = getattr(holder, name, None)
        if load is not None:
            setattr(holder, name, lambda: None)
        try:
            instrumentor.instrument(tracer_provider=provider, **self.arguments)
        finally:
            if load is not None:
                setattr(holder, name, load)


FRAMEWORKS = (
    Framework(
        "openai",
        module="openai",
        marker="AsyncOpenAI",
        distribution="openai",
        package="openinference.instrumentation.openai",
        instrumentor="OpenAIInstrumentor",
    ),
    Framework(
        "litellm",
        module="litellm",
        marker="acompletion",
        distribution="litellm",
        package="openinference.instrumentation.litellm",
        instrumentor="LiteLLMInstrumentor",
    ),
    Framework(
        "smolagents",
        module="smolagents",
        marker="MultiStepAgent",
        distribution="smolagents",
        package="openinference.instrumentation.smolagents",
        instrumentor="SmolagentsInstrumentor",
    ),
    Framework(
        "openai_agents",
        module="agents",
        marker="add_trace_processor",
        distribution="openai-agents",
        package="openinference.instrumentation.openai_agents",
        instrumentor="OpenAIAgentsInstrumentor",
        aliases=("openai-agents", "agents"),
        # Its default would remove every other trace processor, the SDK's own exporter among them.
        arguments={"exclusive_processor": False},
        # 0.3 s of CPU for voice agents, which few agents are.
        extension="agents.realtime",
        extension_loader=("openinference.instrumentation.openai_agents._realtime", "_load_realtime_events"),
    ),
)


def select(names: Iterable[str] | str | None) -> tuple[tuple[Framework, ...], tuple[str, ...]]:
    """Return the frameworks with these names (all for None), and the names that are unknown."""
    if names is None:
        return FRAMEWORKS, ()
    wanted = [str(name).strip().lower() for name in (names.split(",") if isinstance(names, str) else names)]
    known = {alias: framework for framework in FRAMEWORKS for alias in (framework.name, *framework.aliases)}
    chosen = tuple(framework for framework in FRAMEWORKS if framework in [known.get(name) for name in wanted])
    return chosen, tuple(name for name in wanted if name and name not in known)
