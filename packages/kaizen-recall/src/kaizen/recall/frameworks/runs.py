"""Remembers what each run was given, so that all its calls get the same bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
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

    `beginning` stands for how its conversation begins. `is_kept` says that the Responses API keeps the block
    among the messages.
    """

    unit: str
    tools: Tools
    beginning: str
    recalled: Recalled = NOTHING
    is_chosen: bool = False
    is_kept: bool = False

    def choose(self, recalled: Recalled) -> None:
        """Give the run these tips, unless another of its calls was faster."""
        if not self.is_chosen:
            self.recalled, self.is_chosen = recalled, True


_latest: ContextVar[Run | None] = ContextVar("kaizen_recall_run", default=None)


class Runs:
    """Find the run of a call. Of many runs, those that were not used for longest are forgotten.

    A run goes by its session or its trace. Without one it goes by how its conversation begins; what it was
    given is found by ids of its answers too, since the same task may begin again with newer tips meanwhile,
    and by its messages, since frameworks cut histories.
    """

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, Tools], Run] = OrderedDict()
        self._names: OrderedDict[tuple[str, Tools], Run] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, request: Request, tools: Tools, *, traced_unit: str, beginning: str, snapshot: str) -> Run:
        """Return the run of a call; `snapshot` is the digest of the newest one."""
        unit = traced_unit or beginning
        with self._lock:
            run = self._runs.get((unit, tools))
            if not traced_unit and not request.is_beginning:
                run = self._continued(request, tools, beginning, run)
            elif not traced_unit and run and run.is_chosen and run.recalled.snapshot != snapshot:
                run = None
            if run is None:
                run = Run(unit, tools, beginning)
                _put(self._runs, (unit, tools), run, MOST_RUNS)
            elif (unit, tools) in self._runs:
                self._runs.move_to_end((unit, tools))
            if not traced_unit:
                newest = (f"{beginning} {one}" for one in islice(request.ids(), 1))
                self._name(run, (*request.conversation, *newest, *islice(request.fingerprints(), 1)))
        _latest.set(run)
        return run

    def _continued(self, request: Request, tools: Tools, beginning: str, begun: Run | None) -> Run | None:
        own_ids = (f"{beginning} {one}" for one in request.ids())
        return (
            self._named((*request.conversation, *own_ids), tools)
            or begun
            or self._named(request.fingerprints(), tools)
            or self._latest_of(request, tools)
        )

    def answered(self, run: Run, ids: Iterable[str], fingerprints: Iterable[str]) -> None:
        """Have calls that go on with an answer, which has these ids and messages, belong to the run."""
        with self._lock:
            for one in ids:
                # The ids of calls of tools are not unique with every provider.
                self._name(run, (one, f"{run.beginning} {one}"))
            self._name(run, fingerprints)

    def _name(self, run: Run, names: Iterable[str]) -> None:
        for name in names:
            _put(self._names, (name, run.tools), run, _NAMES_A_RUN * MOST_RUNS)

    def _named(self, names: Iterable[str], tools: Tools) -> Run | None:
        return next((run for name in names if (run := self._names.get((name, tools)))), None)

    def _latest_of(self, request: Request, tools: Tools) -> Run | None:
        """Return the latest run of this task or thread, for a call that goes on with a streamed response."""
        latest = _latest.get()
        return latest if latest and request.conversation and latest.tools == tools else None


def _put(values: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    values[key] = value
    values.move_to_end(key)
    if len(values) > most:
        values.popitem(last=False)
