"""Undoing one run of the sync: what it contributed goes, what others contributed stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kaizen.store import (
    Applied,
    ConflictError,
    Delete,
    Entity,
    InvalidInputError,
    NotFoundError,
    as_change,
    is_same_state,
    read_commits,
)
from kaizen.sync.knowledge.claim_tests import settle
from kaizen.sync.model import utc_now
from kaizen.sync.run.stories import Linker
from kaizen.sync.state.records import TRAJECTORY, TraceRecord
from kaizen.tips.changes import tip_changes
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.contradictions import resolve_contradictions
from kaizen.tips.evidence import EVIDENCE, StoryKey
from kaizen.tips.merge import follow_merges
from kaizen.tips.reading import read_evidence, read_source, read_tip, read_tips, story_evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kaizen.store import Change, Commit, Put, Store
    from kaizen.tips.evidence import StoredSource
    from kaizen.tips.tip import StoredTip

_ATTEMPTS = 5
_BY_CONTRIBUTION = (GUIDELINE, EVIDENCE, TRAJECTORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoneRun:
    """What undoing a run changes: each entity as it is (`before`) and as it will be (`after`).

    `trace_ids` count as not learned: the next sync reads them again. `kept` names entities of the run that
    stay as they are, since others changed them after it. `commit` is None for a dry run.
    """

    run_id: str
    changes: tuple[Applied, ...]
    trace_ids: tuple[str, ...]
    kept: tuple[str, ...]
    commit: Commit | None = None


def undo_run(
    store: Store,
    namespace_id: str,
    run_id: str,
    *,
    dry_run: bool = False,
    actor: str = "kaizen sync undo",
    reason: str = "",
) -> UndoneRun:
    """Take out what a run contributed, in one commit that can be reverted like any other.

    The records of the traces that it was the last to process are deleted, with the evidence that they gave.
    A tip that nothing backs any more is deleted; one that others back stays. What nobody changed since the
    run gets the state that it had before.

    Raises `NotFoundError` for a run that made no commit, `InvalidInputError` if nothing of it is left, and
    `ConflictError` if others keep changing the same entities.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        planned = _plan(store, namespace_id, run_id)
        if dry_run:
            return planned
        try:
            commit = store.commit(
                namespace_id,
                list(map(as_change, planned.changes)),
                expected={one.entity_id: one.before.revision if one.before else 0 for one in planned.changes},
                actor=actor,
                reason=reason or f"undo of run '{run_id}'",
            )
            return replace(planned, changes=tuple(commit.changes), commit=commit)
        except ConflictError:
            if not attempts_left:
                raise
    raise AssertionError("the last attempt returns or raises")


@dataclass(slots=True)
class _Touched:
    """An entity before the run's first change and after its last; `is_shared`: others changed it between."""

    before: Entity | None
    after: Entity | None
    is_shared: bool = False

    @property
    def type(self) -> str:
        entity = self.after or self.before
        return entity.type if entity else ""

    @property
    def source(self) -> StoredSource | None:
        """The evidence that it is, if it is one."""
        entity = self.after or self.before
        return read_source(entity) if entity else None


def _plan(store: Store, namespace_id: str, run_id: str) -> UndoneRun:
    touched = _touched_by(store, namespace_id, run_id)
    records = {
        entity.id: entity for entity in store.iterate(namespace_id, type=TRAJECTORY, where={"run_id": run_id})
    }
    tips = {entity.id: entity for entity in store.iterate(namespace_id, type=GUIDELINE)}
    current = {**store.get_many(namespace_id, list(touched)), **records, **tips}
    # Others changed an entity since if it is not as the run left it.
    before = {
        entity_id: entity.before
        for entity_id, entity in touched.items()
        if not entity.is_shared and is_same_state(entity.after, current.get(entity_id))
    }
    # What was only learned from again is as it was before; all other traces are read again.
    restored = {
        i: before[i] for i, entity in records.items() if entity.metadata.get("relearned") and before.get(i)
    }
    traces = [TraceRecord.of(entity) for entity in records.values()]
    unread = [record for record in traces if record.entity_id not in restored]
    found = _evidence_of(store, namespace_id, unread)
    current |= store.get_many(namespace_id, list(found))
    # Checkpoints and claims: as they were, for records and tips go by what others contributed.
    wanted = {i: entity for i, entity in before.items() if touched[i].type not in _BY_CONTRIBUTION}
    wanted |= {**dict.fromkeys(records), **restored}
    whole = _read_whole(store, namespace_id, unread)
    current |= {entity.id: entity for entity in store.get_many(namespace_id, list(whole)).values()}
    wanted |= {i: replace(current[i], content=p.content, metadata=p.metadata) for i, p in whole.items()}
    without = _TipsWithout(store, namespace_id, traces, unread, tips, touched, before, current)
    wanted |= without.wanted(found)
    changes = {
        entity_id: Applied(before=current.get(entity_id), after=entity)
        for entity_id, entity in wanted.items()
        if not is_same_state(entity, current.get(entity_id))
    }
    if not changes:
        raise InvalidInputError(f"there is nothing to undo: nothing of run '{run_id}' is left")
    return UndoneRun(
        run_id=run_id,
        changes=tuple(changes.values()),
        trace_ids=tuple(record.trace_id for record in unread),
        kept=tuple(i for i in touched if i in current and i not in changes and i not in before),
    )


def _read_whole(store: Store, namespace_id: str, gone: Iterable[TraceRecord]) -> dict[str, Put]:
    """Return the records that stay and are kept as the end of one that goes, whole again, by id."""
    by_project: dict[tuple[str, str], list[TraceRecord]] = {}
    for record in gone:
        by_project.setdefault((record.source, record.project), []).append(record)
    found: list[Put] = []
    for (source, project), records in by_project.items():
        linker = Linker(store, namespace_id, source, project)
        ids = {record.entity_id for record in records}
        found += linker.released([record.trace_id for record in records], ids)
    return {str(put.id): put for put in found}


def _touched_by(store: Store, namespace_id: str, run_id: str) -> dict[str, _Touched]:
    """Return the entities that the run's commits changed, by id."""
    touched: dict[str, _Touched] = {}
    for commit in read_commits(store, namespace_id, run_id=run_id):
        for applied in commit.changes:
            entity = touched.setdefault(applied.entity_id, _Touched(applied.before, applied.before))
            entity.is_shared = entity.is_shared or not is_same_state(entity.after, applied.before)
            entity.after = applied.after
    if not touched:
        raise NotFoundError(
            f"namespace {namespace_id!r} has no commit of run {run_id!r}", namespace_id=namespace_id
        )
    return touched


def _evidence_of(store: Store, namespace_id: str, traces: Iterable[TraceRecord]) -> dict[str, StoredSource]:
    """Return the stored evidence that the traces gave, by id."""
    stories = (_story(record) for record in traces if record.tip_ids)
    return {each.id: each for story in stories for each in story_evidence(store, namespace_id, story)}


def _story(record: TraceRecord) -> StoryKey:
    return StoryKey(record.source, record.project, record.trace_id)


class _TipsWithout:
    """The tips of a run, and their evidence, as they are without it.

    A tip that only the run changed is as it was `before`; all lose the evidence of those of the run's traces
    that are to be read again (`unread`). Of tips that contradict each other, another one may be the better
    backed then.
    """

    def __init__(
        self,
        store: Store,
        namespace_id: str,
        traces: Sequence[TraceRecord],
        unread: Sequence[TraceRecord],
        tips: Mapping[str, Entity],
        touched: Mapping[str, _Touched],
        before: Mapping[str, Entity | None],
        current: Mapping[str, Entity],
    ) -> None:
        self._store = store
        self._namespace_id = namespace_id
        self._traces = traces
        self._tips = tips
        self._touched = touched
        self._before = before
        self._current = current
        self._known = {tip.id: tip for tip in read_tips(tips.values())}
        self._stories = {_story(record) for record in traces}
        self._trace_ids = {record.trace_id for record in unread}
        self._gone = {_story(record) for record in unread}
        self._wanted: dict[str, Entity | None] = {}

    def wanted(self, found: Mapping[str, StoredSource]) -> dict[str, Entity | None]:
        """Return each by its id, None for what goes; `found` is the evidence of the run's traces."""
        self._wanted = dict.fromkeys(found)
        evidence = self._evidence_by_tip(found)
        touched = (i for i, entity in self._touched.items() if entity.type == GUIDELINE)
        backed = (follow_merges(self._known, i) for record in self._traces for i in record.tip_ids)
        changed: dict[str, StoredTip] = {}
        for tip_id in dict.fromkeys([*touched, *evidence, *(tip.id for tip in backed if tip)]):
            if tip := self._without(tip_id, evidence.get(tip_id, ())):
                changed[tip_id] = tip
        changed |= self._unmerged(changed)
        settled = settle(changed, self._known)
        for tip_id, tip in resolve_contradictions(settled, self._known).items():
            if tip != changed.get(tip_id) and self._wanted.get(tip_id, self._tips.get(tip_id)):
                self._put(tip)
        return self._wanted

    def _evidence_by_tip(self, found: Mapping[str, StoredSource]) -> dict[str, list[str]]:
        """Return the ids of the evidence that is found and that the run touched, by the tip it backs now."""
        touched = {
            i: source
            for i, entity in self._touched.items()
            if entity.type == EVIDENCE and (source := entity.source)
        }
        by_tip: dict[str, list[str]] = {}
        for i, source in {**found, **touched}.items():
            tip = follow_merges(self._known, source.tip_id)
            by_tip.setdefault(tip.id if tip else source.tip_id, []).append(i)
        return by_tip

    def _without(self, tip_id: str, evidence_ids: Sequence[str]) -> StoredTip | None:
        """Decide on a tip and its evidence; return the tip with what backs it then, if it was or is one."""
        is_own = tip_id in self._before and all(map(self._is_own, evidence_ids))
        evidence = {i: self._current.get(i) for i in evidence_ids}
        entity = self._tips.get(tip_id)
        if is_own:
            evidence |= {i: self._before[i] for i in evidence_ids if i in self._touched}
            entity = self._before[tip_id]
            self._wanted |= evidence
        self._wanted[tip_id] = entity
        if entity is None:
            # Nothing backs it and nobody keeps it any more, so that it contradicts no other.
            gone = self._known.get(tip_id)
            return gone and gone.with_metadata(creation_mode="", review=None).without_evidence()
        tip = read_tip(entity)
        if tip is None:
            return None
        rest = tip
        stored = [source for each in evidence.values() if each and (source := read_source(each))]
        for story in {each.source.story for each in (*stored, *tip.known_evidence())} & self._gone:
            rest = rest.without_story(story, [each for each in stored if each.source.story == story])
        for trace_id in self._trace_ids.intersection((*tip.confirmed_by, *tip.counterexamples)):
            rest = rest.with_verdict(trace_id, "silent")
        if rest is not tip:
            self._put(rest)
        return rest

    def _is_own(self, evidence_id: str) -> bool:
        """Whether only the run changed the evidence, and no later one found the same."""
        if evidence_id not in self._touched:
            return True
        is_new = self._touched[evidence_id].before is None and evidence_id in self._current
        source = self._touched[evidence_id].source
        return evidence_id in self._before and not (
            is_new and source and source.source.story not in self._stories
        )

    def _unmerged(self, changed: Mapping[str, StoredTip]) -> dict[str, StoredTip]:
        """Return the tips that others were merged into which stand for themselves again, without them."""
        unmerged: dict[str, StoredTip] = {}
        for tip_id, tip in changed.items():
            into = follow_merges(self._known, tip_id)
            if into is None or into.id == tip_id or tip.merged_into:
                continue
            kept = unmerged.get(into.id, changed.get(into.id, into))
            merged_from = [each for each in kept.merged_from if each["id"] not in tip.evidence_tip_ids]
            if merged_from != kept.merged_from:
                unmerged[into.id] = kept.with_metadata(merged_from=merged_from or None)
        for tip in unmerged.values():
            evidence = list(read_evidence(self._store, self._namespace_id, tip))
            unmerged[tip.id] = tip.with_evidence(evidence)
            self._put(unmerged[tip.id])
        return unmerged

    def _put(self, tip: StoredTip) -> None:
        """Plan what stores the tip and its evidence, or deletes them if nothing backs it."""
        for change in tip_changes(self._store, self._namespace_id, tip):
            entity_id = str(change.id)
            entity = self._wanted.get(entity_id) or self._current.get(entity_id)
            self._wanted[entity_id] = _changed(change, entity, self._namespace_id)


def _changed(change: Change, entity: Entity | None, namespace_id: str) -> Entity | None:
    """Return the entity as the change makes it."""
    if isinstance(change, Delete):
        return None
    if entity:
        return replace(entity, content=change.content, metadata=change.metadata)
    now = utc_now()
    return Entity(
        id=str(change.id),
        namespace_id=namespace_id,
        type=change.type,
        content=change.content,
        metadata=change.metadata,
        created_at=now,
        updated_at=now,
        revision=1,
    )
