"""The arguments of `enable_tracing`, as one value."""

from __future__ import annotations

from kaizen.auto.frameworks import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Options:
    """Hold the arguments of `enable_tracing`; None leaves the choice to the environment."""

    def __init__(
        self,
        *,
        project: str | None = None,
        endpoint: str | None = None,
        frameworks: Iterable[str] | str | None = None,
        force: bool = False,
        protocol: str | None = None,
        headers: dict[str, str] | None = None,
        api_key: str | None = None,
        collapse: bool | None = None,
        set_global: bool = False,
    ) -> None:
        self.project = project
        self.endpoint = endpoint
        self.frameworks, self.unknown_frameworks = select(frameworks)
        self.force = force
        self.protocol = protocol
        self.headers = headers
        self.api_key = api_key
        self.collapse = collapse
        self.set_global = set_global

    @property
    def destination(self) -> tuple[object, ...]:
        """The settings that cannot change any more once the provider is there."""
        return (self.project, self.endpoint, self.protocol, self.headers, self.api_key, self.collapse)
