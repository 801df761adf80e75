"""Read agents' runs as the store keeps them: how they ended, what was said, what they were shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.store import NotFoundError
from kaizen.sync.errors import IncompleteRecordError
from kaizen.sync.model import Exposure, Outcome, Trajectory, Usage
from kaizen.sync.state.records import TRAJECTORY, record_id, stored_outcome
from kaizen.sync.state.trajectories import base_id, stored_trajectory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaizen.store import Entity, JsonValue, Store

# So many commits are read at once, from the newest back: few at first, since one may change thousands.
_COMMITS = (2, 64)
# Where the last commits are no sync's, the search ends.
_MOST_CHANGES = 3_000
_LONGEST_CHAIN = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """One trace of an agent: the state of its processing with the reason, and what is known of how it went.

    `started_at` is in ISO 8601, empty if the trace has no trajectory.
    """

    entity_id: str
    source: str
    project: str
    trace_id: str
    state: str
    reason: str
    attempts: int
    tip_ids: tuple[str, ...]
    started_at: str
    outcome: Outcome
    usage: Usage
    models: tuple[str, ...]
    session_id: str
    exposures: tuple[Exposure, ...]

    @classmethod
    def of(cls, entity: Entity) -> StoredRun:
        metadata: Mapping[str, Any] = entity.metadata
        return cls(
            entity_id=entity.id,
            **{name: str(metadata[name]) for name in ("source", "project", "trace_id", "state", "reason")},
            attempts=metadata["attempts"],
            tip_ids=tuple(metadata["tip_ids"]),
            started_at=str((metadata.get("story") or {}).get("start_time") or ""),
            outcome=stored_outcome(entity),
            usage=Usage(**metadata.get("usage", {})),
            models=tuple(metadata.get("models") or ()),
            session_id=metadata.get("session_id") or "",
            exposures=tuple(map(Exposure.of_json, metadata.get("exposures", ()))),
        )

    @property
    def shown(self) -> tuple[str, ...]:
        """The ids of the tips that the run was shown."""
        return _tip_ids(ref for exposure in self.exposures for ref in exposure.shown)

    @property
    def held_out(self) -> tuple[str, ...]:
        """The ids of the tips that were chosen for the run and held out, to measure them."""
        return _tip_ids(ref for exposure in self.exposures for ref in exposure.held_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Some runs, and the `cursor` to pass for more; None: that was all."""

    runs: tuple[StoredRun, ...]
    cursor: str | None


def latest_runs(store: Store, namespace_id: str, *, before: str | None = None, limit: int = 50) -> RunPage:
    """Return the runs that syncs recorded last, the newest first, each once; `before` is a cursor."""
    newest = store.get_namespace(namespace_id).version
    upper = min(int(before), newest) if before and before.isdecimal() else newest
    found: dict[str, Entity] = {}
    step, changes = _COMMITS[0], 0
    while upper and len(found) < limit and changes < _MOST_CHANGES:
        lower, step = max(0, upper - step), min(2 * step, _COMMITS[1])
        commits = store.commits(namespace_id, after=lower, limit=upper - lower)
        for commit in reversed(commits):
            if len(found) >= limit:
                return RunPage(runs=_runs(found), cursor=str(commit.version))
            changes += len(commit.changes)
            for change in reversed(commit.changes):
                if change.after is not None and change.after.type == TRAJECTORY:
                    found.setdefault(change.after.id, change.after)
        upper = lower
    if not found and before is None:
        return RunPage(runs=find_runs(store, namespace_id, limit=limit).runs, cursor=None)
    return RunPage(runs=_runs(found), cursor=str(upper) if upper and found else None)


def find_runs(
    store: Store,
    namespace_id: str,
    *,
    state: str = "",
    outcome: str = "",
    after: str | None = None,
    limit: int = 50,
) -> RunPage:
    """Return runs in that state and with that outcome, in order of their ids."""
    where: dict[str, JsonValue] = {
        **({"state": state} if state else {}),
        **({"outcome.name": outcome} if outcome else {}),
    }
    page = store.list(namespace_id, type=TRAJECTORY, where=where, after=after, limit=limit)
    return RunPage(runs=tuple(map(StoredRun.of, page.entities)), cursor=page.cursor)


def get_run(store: Store, namespace_id: str, entity_id: str) -> tuple[StoredRun, Trajectory | None]:
    """Return a run with its redacted trajectory; None if it has none, or cannot be read any more.

    Raises `NotFoundError` if there is no such run.
    """
    entity = store.get(namespace_id, entity_id)
    if entity.type != TRAJECTORY:
        raise NotFoundError(
            f"{entity_id} is not a run of an agent", namespace_id=namespace_id, entity_id=entity_id
        )
    return StoredRun.of(entity), _trajectory(store, entity)


def run_id_of(source: str, project: str, trace_id: str) -> str:
    """Return the id of the entity that keeps a trace."""
    return record_id(source, project, trace_id)


def _trajectory(store: Store, entity: Entity) -> Trajectory | None:
    if not entity.content or not entity.metadata.get("story"):
        return None
    others = {str(entity.metadata["trace_id"]): entity}
    source, project = str(entity.metadata["source"]), str(entity.metadata["project"])
    last = entity
    while (wanted := base_id(last)) and wanted not in others and len(others) < _LONGEST_CHAIN:
        entity_id = record_id(source, project, wanted)
        found = store.get_many(entity.namespace_id, [entity_id]).get(entity_id)
        if found is None:
            return None
        others[wanted] = last = found
    try:
        return stored_trajectory(entity, others)
    except IncompleteRecordError:
        return None


def _runs(found: Mapping[str, Entity]) -> tuple[StoredRun, ...]:
    return tuple(map(StoredRun.of, found.values()))


def _tip_ids(refs: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ref.rpartition("@")[0] or ref for ref in refs))
