"""Undoing one run of the sync: what it contributed goes, what others contributed stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kaizen.store import (
    Applied,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    as_change,
    is_same_state,
    read_commits,
)
from kaizen.sync.knowledge.claim_tests import settle
from kaizen.sync.run.stories import Linker
from kaizen.sync.state.records import TRAJECTORY, TraceRecord
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.contradictions import resolve_contradictions
from kaizen.tips.merge import follow_merges
from kaizen.tips.reading import read_tip, read_tips
from kaizen.tips.tip import story_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from kaizen.store import Commit, Entity, Put, Store
    from kaizen.tips.tip import StoredTip

_ATTEMPTS = 5


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
    # Checkpoints and claims: as they were, for records and tips go by what others contributed.
    wanted = {i: entity for i, entity in before.items() if touched[i].type not in (GUIDELINE, TRAJECTORY)}
    unread = [record for record in traces if record.entity_id not in restored]
    wanted |= {**dict.fromkeys(records), **restored}
    whole = _read_whole(store, namespace_id, unread)
    current |= {entity.id: entity for entity in store.get_many(namespace_id, list(whole)).values()}
    wanted |= {i: replace(current[i], content=p.content, metadata=p.metadata) for i, p in whole.items()}
    touched_tips = [i for i in touched if touched[i].type == GUIDELINE]
    wanted |= _tips_without(traces, tips, touched_tips, before, withdrawn=unread)
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


def _tips_without(
    traces: Sequence[TraceRecord],
    tips: Mapping[str, Entity],
    touched: Iterable[str],
    before: Mapping[str, Entity | None],
    *,
    withdrawn: Sequence[TraceRecord],
) -> dict[str, Entity | None]:
    """Return the tips of the run as they are without it, by id; None for those that go.

    `traces` are those that it processed, of which those `withdrawn` back nothing any more.

    A tip that only the run changed is as it was `before`; others lose the evidence of the traces. Of tips
    that contradict each other, another one may be the better backed then.
    """
    known = {tip.id: tip for tip in read_tips(tips.values())}
    stories = {record.trace_id for record in traces}
    unread = {record.trace_id for record in withdrawn}
    backed = (follow_merges(known, tip_id) for record in traces for tip_id in record.tip_ids)
    changed: dict[str, StoredTip] = {}
    wanted: dict[str, Entity | None] = {}
    for tip_id in dict.fromkeys([*touched, *(tip.id for tip in backed if tip)]):
        entity = tips.get(tip_id)
        # A later run may have left the tip exactly as this one did.
        others = _stories(entity) - _stories(before.get(tip_id)) - stories
        if tip_id in before and not others:
            entity = before[tip_id]
        wanted[tip_id] = entity
        if entity is None:
            if tip_id in known:
                # Nothing backs it and nobody keeps it any more, so that it contradicts no other.
                gone = known[tip_id].with_metadata(creation_mode="", review=None)
                changed[tip_id] = gone.without_evidence()
        elif tip := read_tip(entity):
            changed[tip_id] = rest = _without_stories(tip, unread)
            if rest is not tip:
                is_gone = not (rest.is_backed or rest.merged_into)
                wanted[tip_id] = None if is_gone else replace(entity, metadata=rest.metadata)
    for tip_id, tip in resolve_contradictions(settle(changed, known), known).items():
        entity = wanted.get(tip_id, tips.get(tip_id))
        if entity and tip != changed.get(tip_id):
            wanted[tip_id] = replace(entity, content=tip.content, metadata=tip.metadata)
    return wanted


def _stories(entity: Entity | None) -> set[str]:
    tip = read_tip(entity) if entity else None
    return {story_of(source) for source in tip.sources} if tip else set()


def _without_stories(tip: StoredTip, stories: Collection[str]) -> StoredTip:
    for story_id in {story_of(source) for source in tip.sources}.intersection(stories):
        tip = tip.without_story(story_id)
    for trace_id in {*tip.confirmed_by, *tip.counterexamples}.intersection(stories):
        tip = tip.with_verdict(trace_id, "silent")
    return tip
