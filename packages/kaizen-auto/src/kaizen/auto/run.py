"""One run of an agent as a root AGENT span."""

from __future__ import annotations


class AgentRun:
    def __init__(self, name: str, session_id: str | None) -> None:
        self.name = name
