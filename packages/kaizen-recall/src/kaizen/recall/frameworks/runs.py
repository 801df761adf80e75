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
Place = tuple[str, Tools]
"""The session or trace, empty if there is none, and the names of the tools."""


@dataclass
class Run:
    """The calls that are given the same tips; `is_chosen` once these are chosen.

    `beginning` stands for how its conversation begins. `is_kept` says that the Responses API keeps the block
    among the messages.
    """

    unit: str
    place: Place
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

    A run with tools goes by its session or its trace. Any other goes by how its conversation begins: calls
    of one trace without tools may be a title, a summary and a judgement. What such a run was given is found
    by ids of its answers too, since the same task may begin again with newer tips meanwhile, and by its
    messages, since frameworks cut histories.
    """

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, Place], Run] = OrderedDict()
        self._names: OrderedDict[tuple[str, Place], Run] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, request: Request, tools: Tools, *, traced_unit: str, beginning: str, snapshot: str) -> Run:
        """Return the run of a call; `snapshot` is the digest of the newest one."""
        place = (traced_unit, tools)
        key = ("" if traced_unit and tools else beginning, place)
        with self._lock:
            run = self._runs.get(key)
            if key[0]:
                run = self._of_conversation(request, place, beginning, run, snapshot)
            if run is None:
                run = Run(traced_unit or beginning, place, beginning)
                _put(self._runs, key, run, MOST_RUNS)
            elif key in self._runs:
                self._runs.move_to_end(key)
            if key[0]:
                newest = (f"{beginning} {one}" for one in islice(request.ids(), 1))
                self._name(run, (*request.conversation, *newest, *islice(request.fingerprints(), 1)))
        _latest.set(run)
        return run

    def _of_conversation(
        self, request: Request, place: Place, beginning: str, begun: Run | None, snapshot: str
    ) -> Run | None:
        """Return the known run that a conversation belongs to; `begun` is the latest that began like it."""
        if request.is_beginning:
            is_outdated = begun and begun.is_chosen and begun.recalled.snapshot != snapshot
            return None if is_outdated and not place[0] else begun
        own_ids = (f"{beginning} {one}" for one in request.ids())
        return (
            self._named((*request.conversation, *own_ids), place)
            or begun
            or self._named(request.fingerprints(), place)
            or self._latest_of(request, place)
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
            _put(self._names, (name, run.place), run, _NAMES_A_RUN * MOST_RUNS)

    def _named(self, names: Iterable[str], place: Place) -> Run | None:
        return next((run for name in names if (run := self._names.get((name, place)))), None)

    def _latest_of(self, request: Request, place: Place) -> Run | None:
        """Return the latest run of this task or thread, for a call that goes on with a streamed response."""
        latest = _latest.get()
        return latest if latest and request.conversation and latest.place == place else None


def _put(values: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    values[key] = value
    values.move_to_end(key)
    if len(values) > most:
        values.popitem(last=False)
