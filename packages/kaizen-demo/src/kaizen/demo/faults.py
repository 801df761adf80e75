"""Make requests to the scripted model go wrong."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

FaultKind = Literal["status", "answer", "cut", "malformed", "nonsense", "empty", "hang", "slow", "drip"]

NONSENSE = "Well, it depends: some say yes, others say no, and the weather was lovely either way."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to fail, and which requests it is for (all that are named must hold).

    :param kind: ``status`` answers with ``status``, ``headers`` and ``body``; ``answer`` is a completion with
        this ``message`` and ``finish_reason``; ``cut`` closes the connection in the middle of the answer;
        ``malformed`` sends broken JSON with status 200; ``nonsense`` and ``empty`` are well-formed answers
        whose text is prose or nothing; ``hang`` never answers; ``slow`` waits ``delay_s``; ``drip`` sends one
        byte each ``delay_s``.
    :param body: the JSON body of a ``status`` fault, an error in OpenAI's format by default.
    :param message: fields of the assistant's message, such as ``content`` or ``refusal``.
    :param min_chars: only requests whose raw body is at least so long.
    :param path: only requests to a path that ends with this.
    :param schema: only requests that ask for the JSON schema of this name.
    :param contains: only requests whose raw body contains this text.
    """

    kind: FaultKind
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    message: Mapping[str, Any] = field(default_factory=dict)
    finish_reason: str = "stop"
    min_chars: int = 0
    delay_s: float = 1.0
    path: str = ""
    schema: str | None = None
    contains: str = ""

    def hits(self, path: str, raw: str, schema_name: str | None) -> bool:
        return (
            path.endswith(self.path)
            and self.contains in raw
            and len(raw) >= self.min_chars
            and (self.schema is None or self.schema == schema_name)
        )


class FaultQueue:
    """Faults waiting to happen; for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Fault, float]] = []

    def add(self, fault: Fault, times: int | None) -> None:
        with self._lock:
            self._waiting.append((fault, float("inf") if times is None else times))

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def take(self, path: str, raw: str, schema_name: str | None) -> Fault | None:
        """The first fault that this request hits, used up once."""
        with self._lock:
            for index, (fault, left) in enumerate(self._waiting):
                if fault.hits(path, raw, schema_name):
                    if left > 1:
                        self._waiting[index] = (fault, left - 1)
                    else:
                        del self._waiting[index]
                    return fault
        return None
