"""Remembers what each run was given, so that all its calls get the same bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from kaizen.recall.recalled import NOTHING, Recalled

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from kaizen.recall.frameworks.requests import Request

V = TypeVar("V")
K = TypeVar("K", bound="Hashable")

MOST_RUNS = 1_000
_NAMES_A_RUN = 20

Tools = tuple[str, ...]


@dataclass
class Run:
    """The calls of a unit with the same tools; `is_chosen` once its tips are.

    `is_kept` says that the Responses API keeps the block among the messages.
    """

    unit: str
    tools: Tools
    recalled: Recalled = NOTHING
    is_chosen: bool = False
    is_kept: bool = False

    def choose(self, recalled: Recalled) -> None:
        """Give the run these tips, unless another of its calls was faster."""
        if not self.is_chosen:
            self.recalled, self.is_chosen = recalled, True


_latest: ContextVar[Run | None] = ContextVar("kaizen_recall_run", default=None)


class Runs:
    """Find the run of a call. Of many runs, those that were not used for longest are forgotten."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, Tools], Run] = OrderedDict()
        self._aliases: OrderedDict[tuple[str, Tools], Run] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, request: Request, tools: Tools, *, traced_unit: str, own_unit: str) -> Run:
        """Return the run that a call belongs to.

        By its session or trace; else by how its conversation begins; else, since frameworks cut histories and
        the Responses API keeps them, by its messages and what it goes on with.
        """
        with self._lock:
            run = self._runs.get((traced_unit or own_unit, tools))
            if run is None and not traced_unit:
                names = (*request.conversation, *request.fingerprints())
                run = self._known_by(names, tools) or self._latest_of(request, tools)
            run = run or Run(traced_unit or own_unit, tools)
            _put(self._runs, (run.unit, tools), run, MOST_RUNS)
            if not traced_unit:
                self._name(run, (*request.conversation, *request.newest_fingerprint()))
        _latest.set(run)
        return run

    def name(self, run: Run, name: object) -> None:
        """Have calls that go on with what bears that name, the id of a response, belong to the run."""
        if isinstance(name, str):
            with self._lock:
                self._name(run, (name,))

    def _name(self, run: Run, names: Iterable[str]) -> None:
        for name in names:
            _put(self._aliases, (name, run.tools), run, _NAMES_A_RUN * MOST_RUNS)

    def _known_by(self, names: Iterable[str], tools: Tools) -> Run | None:
        return next((run for name in names if (run := self._aliases.get((name, tools)))), None)

    def _latest_of(self, request: Request, tools: Tools) -> Run | None:
        """Return the latest run of this task or thread, for a call that goes on with a streamed response."""
        latest = _latest.get()
        return latest if latest and request.conversation and latest.tools == tools else None


def _put(values: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    values[key] = value
    values.move_to_end(key)
    if len(values) > most:
        values.popitem(last=False)
