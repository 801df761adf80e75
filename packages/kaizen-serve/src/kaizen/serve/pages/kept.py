"""What pages need of a whole namespace: read once, in the background if that takes time, and kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kaizen.recall import Snapshot, read_served_tip
from kaizen.serve.pages.catalogue import Catalogue
from kaizen.store import NotFoundError
from kaizen.sync import Proof, read_proof, read_staleness
from kaizen.tips import GUIDELINE, served_tips

if TYPE_CHECKING:
    from starlette.requests import Request

    from kaizen.store import Store

T = TypeVar("T")

# So many tips and records of experiments are read while the visitor waits: about 0.1 s.
FEW = 1_500
# Reading again takes at most so much of the time, however often the store changes.
_BUSY_SHARE = 0.1
_EXPOSURE, _OUTCOME = "exposure", "outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Insights:
    """What follows from all runs and tips of a namespace; `stale` tips are older than their tools."""

    proof: Proof
    stale: frozenset[str]


class _Value(Generic[T]):
    """A value that is made in a thread; an older one is given meanwhile, or none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._value: T | None = None
        self._error: Exception | None = None
        self._key: object = None
        self._rests_until = 0.0

    def get(self, key: object, make: Callable[[], T], *, wait: bool) -> T | None:
        """Return the value for that key; without `wait` maybe one of an older key, or None."""
        with self._lock:
            is_due = self._value is None or wait or time.monotonic() >= self._rests_until
            if key != self._key and is_due and not (self._thread and self._thread.is_alive()):
                self._thread = threading.Thread(target=self._make, args=(key, make), daemon=True)
                self._thread.start()
            running = self._thread
        if wait and running:
            running.join()
        if self._error is not None and (wait or self._value is None):
            raise self._error
        return self._value

    def _make(self, key: object, make: Callable[[], T]) -> None:
        began = time.monotonic()
        try:
            self._value, self._error = make(), None
            self._key = key
        except Exception as error:  # noqa: BLE001 - it is raised where the value is asked for
            self._error = error
        ended = time.monotonic()
        self._rests_until = ended + (ended - began) / _BUSY_SHARE


class _Namespace:
    def __init__(self) -> None:
        self.catalogue: _Value[Catalogue] = _Value()
        self.insights: _Value[Insights] = _Value()
        self.snapshot: _Value[Snapshot] = _Value()


class Kept:
    """The catalogues and insights of the namespaces of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._namespaces: dict[str, _Namespace] = {}
        self._lock = threading.Lock()

    def catalogue(self, namespace_id: str) -> Catalogue | None:
        """Return the catalogue as of now; None while it is made, which takes seconds for many tips.

        Raises `NotFoundError` for a namespace that there is not.
        """
        kept, created_at = self._namespace(namespace_id), self._created_at(namespace_id)
        found = kept.catalogue.get(
            created_at,
            lambda: Catalogue(self._store, namespace_id),
            wait=self._store.count(namespace_id, type=GUIDELINE) <= FEW,
        )
        if found is None or found.created_at != created_at:
            return None
        found.refresh()
        return found

    def insights(self, namespace_id: str, catalogue: Catalogue) -> Insights | None:
        """Return what is known of the namespace, maybe a little old; None while it is found out."""
        # Only these change what follows; else every commit of a sync would cost a new reading.
        key = (
            catalogue.created_at,
            *map(catalogue.changed_at.get, (GUIDELINE, _EXPOSURE, _OUTCOME, "checkpoint")),
        )
        units = self._store.count(namespace_id, type=_EXPOSURE)
        return self._namespace(namespace_id).insights.get(
            key, lambda: self._read_insights(namespace_id), wait=len(catalogue) + units <= FEW
        )

    def snapshot(self, namespace_id: str, catalogue: Catalogue, *, try_candidates: bool) -> Snapshot | None:
        """Return the tips as recall would hold them, maybe a little old; None while they are read."""
        key = (catalogue.created_at, catalogue.changed_at.get(GUIDELINE))
        return self._namespace(namespace_id).snapshot.get(
            key,
            lambda: self._read_snapshot(namespace_id, try_candidates=try_candidates),
            wait=len(catalogue) <= FEW,
        )

    def _read_snapshot(self, namespace_id: str, *, try_candidates: bool) -> Snapshot:
        served = served_tips(self._store, namespace_id, try_candidates=try_candidates)
        return Snapshot(filter(None, map(read_served_tip, served)), namespace_id=namespace_id)

    def _read_insights(self, namespace_id: str) -> Insights:
        staleness = read_staleness(self._store, namespace_id)
        tips = self._store.iterate(namespace_id, type=GUIDELINE)
        return Insights(
            proof=read_proof(self._store, namespace_id),
            stale=frozenset(tip.id for tip in tips if staleness.is_stale(tip)),
        )

    def _created_at(self, namespace_id: str) -> Any:
        try:
            return self._store.get_namespace(namespace_id).created_at
        except NotFoundError:
            with self._lock:
                self._namespaces.pop(namespace_id, None)
            raise

    def _namespace(self, namespace_id: str) -> _Namespace:
        with self._lock:
            return self._namespaces.setdefault(namespace_id, _Namespace())


def kept_of(request: Request) -> Kept:
    """Return what the app keeps; made at its first page."""
    state = request.app.state
    if not hasattr(state, "kept"):
        state.kept = Kept(state.context.store)
    kept: Kept = state.kept
    return kept
