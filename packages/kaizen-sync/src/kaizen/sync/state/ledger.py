"""What a namespace holds of one project as of one version, kept up to date from the commits that are made."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from kaizen.store import ConflictError, Exclusive
from kaizen.sync.state.checkpoint import Checkpoint, checkpoint_id
from kaizen.sync.state.exposures import EXPOSURE
from kaizen.sync.state.records import (
    ACTOR,
    CLAIM,
    TRAJECTORY,
    Claim,
    TraceRecord,
    called_path,
    judged_tools,
    record_id,
)
from kaizen.sync.state.rejudge_schedule import Ask
from kaizen.sync.trajectory.tool_definitions import newest
from kaizen.tips.changes import tip_changes
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.evidence import StoryKey
from kaizen.tips.merge import follow_merges, unmerged_tips
from kaizen.tips.reading import read_tip, read_tips, story_evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kaizen.store import Applied, Change, Commit, Entity, JsonValue, Put, Store
    from kaizen.sync.state.records import CountedState
    from kaizen.tips.evidence import StoredSource
    from kaizen.tips.tip import StoredTip

T = TypeVar("T")

# The next sync reads the commits since the checkpoint before it knows the counts, so they stay few.
_FEW_COMMITS = 200
_COMMIT_ATTEMPTS = 50
# Many syncs that only try again when others were faster would seldom come to commit.
_ATTEMPTS_AMONG_OTHERS = 2


class Ledger:
    """The checkpoint, how the project's traces ended, and all tips, each as of `version`.

    A commit that expects `version` therefore sees no other state. The counts need no entity of their own to
    be exact: they are those of the checkpoint and of every commit since, whoever made it.

    `unseen` counts the records that were there when the run began, less those it has `seen`.
    """

    def __init__(self, store: Store, namespace_id: str, source: str, project: str) -> None:
        self._store = store
        self.namespace_id = namespace_id
        self.source = source
        self.project = project
        self._tips: dict[str, StoredTip] | None = None
        self._standing: dict[str, StoredTip] | None = None
        entity_id = checkpoint_id(source, project)
        entity = store.get_many(namespace_id, [entity_id]).get(entity_id)
        self.checkpoint = Checkpoint.of(entity) if entity else Checkpoint(source=source, project=project)
        self.kept = self.checkpoint
        self.version = self.checkpoint.version
        self.state_counts = Counter(self.checkpoint.state_counts)
        # Those that the agents of the project were offered last, by name.
        self.tools = self.checkpoint.tools
        self._claims: dict[str, Claim] | None = None
        # The hours whose traces are asked for again, those of the checkpoint and those recorded since.
        self.asks = {ask.hour: ask for ask in self.checkpoint.asks}
        self.reopened = False
        # How many records of experiments changed since verdicts were made by them.
        self.exposures_changed = self.checkpoint.exposures_changed
        # The tools of stories whose records changed and whose outcome is known.
        self.judged_tools: set[str] = set()
        self.is_to_compare = self.checkpoint.is_to_compare
        # How often others changed a record: what was linked before may be linked otherwise since.
        self.changed_by_others = 0
        self._began: dict[str, CountedState | None] = {}
        self.refresh()
        # Counted from here on: what others commit during the run is not part of what it found.
        self.unseen = Counter(self.state_counts)
        self._began.clear()
        self.reopened = False

    @property
    def tips(self) -> dict[str, StoredTip]:
        """All tips of the namespace by id; read when they are first asked for."""
        if self._tips is None:
            found = self._store.iterate(self.namespace_id, type=GUIDELINE)
            self._tips = {tip.id: tip for tip in read_tips(found)}
            # Commits made while they were listed are taken in again, which is harmless.
            self.refresh()
        return self._tips

    @property
    def standing_tips(self) -> Mapping[str, StoredTip]:
        """Those of `tips` that were not merged into another: the same object until one of them changes."""
        if self._standing is None:
            self._standing = unmerged_tips(self.tips)
        return self._standing

    def records(self, trace_ids: Sequence[str]) -> dict[str, TraceRecord]:
        """Return the stored records of those of the traces that have one, by trace id."""
        return {trace_id: TraceRecord.of(entity) for trace_id, entity in self.entities(trace_ids).items()}

    def entities(self, trace_ids: Sequence[str]) -> dict[str, Entity]:
        """Return the entities of those of the traces that have one, by trace id."""
        ids = [record_id(self.source, self.project, trace_id) for trace_id in trace_ids]
        entities = self._store.get_many(self.namespace_id, ids)
        return {str(entity.metadata["trace_id"]): entity for entity in entities.values()}

    def stories_that_called(self, tool: str, *, outcome: str = "") -> Iterator[Entity]:
        """Yield the records of all stories of the namespace in which that tool was called.

        Only of those that ended with that outcome, if there is one.
        """
        where: dict[str, JsonValue] = {
            called_path(tool): True,
            **({"outcome.name": outcome} if outcome else {}),
        }
        found = self._store.iterate(self.namespace_id, type=TRAJECTORY, where=where)
        return (entity for entity in found if entity.metadata.get("state") in ("learned", "no_lesson"))

    def judged_stories(self, outcome: str) -> Iterator[Entity]:
        """Yield the records of all stories of the project that ended with that outcome."""
        where: dict[str, JsonValue] = {
            "source": self.source,
            "project": self.project,
            "outcome.name": outcome,
        }
        found = self._store.iterate(self.namespace_id, type=TRAJECTORY, where=where)
        return (entity for entity in found if entity.metadata.get("state") in ("learned", "no_lesson"))

    def comparisons(self, ids: Sequence[str]) -> dict[str, Entity]:
        """Return the notes of what was asked about runs that ended differently, those that exist, by id."""
        return self._store.get_many(self.namespace_id, ids) if ids else {}

    def story(self, trace_id: str) -> StoryKey:
        """Return the key of the story that is learned from that trace."""
        return StoryKey(self.source, self.project, trace_id)

    def backed_by(self, trace_id: str, tip_ids: Iterable[str] = ()) -> dict[str, list[StoredSource]]:
        """Return the stored evidence that the story of a trace gave, by the id of the tip that it backs now.

        `tip_ids` are those of its record: such a tip is there without any if its evidence is not stored yet.
        """
        backed: dict[str, list[StoredSource]] = {}
        for tip_id in tip_ids:
            if (tip := follow_merges(self.tips, tip_id)) and tip.unstored:
                backed[tip.id] = []
        for stored in story_evidence(self._store, self.namespace_id, self.story(trace_id)):
            if tip := follow_merges(self.tips, stored.tip_id):
                backed.setdefault(tip.id, []).append(stored)
        return backed

    def tip_changes(self, tips: Iterable[StoredTip]) -> list[Change]:
        """Return the changes that store these tips with their evidence, or delete what nothing backs."""
        return [
            change
            for tip in tips
            for change in tip_changes(self._store, self.namespace_id, tip, self.tips.get(tip.id))
        ]

    def claims(self, own_id: str) -> list[Claim]:
        """Return what other runs of the project have under way; read when it is first asked for."""
        if self._claims is None:
            found = self._store.iterate(self.namespace_id, type=CLAIM)
            self._claims = {entity.id: Claim.of(entity) for entity in found}
            self.refresh()
        return [
            claim
            for claim in self._claims.values()
            if claim.id != own_id and (claim.source, claim.project) == (self.source, self.project)
        ]

    def refresh(self) -> None:
        """Apply what others committed since."""
        while commits := self._store.commits(self.namespace_id, after=self.version):
            for commit in commits:
                self._apply(commit, by_others=True)

    def attempts(self) -> Iterator[int]:
        """Yield the version to plan a commit on, again and again while others are faster.

        After a few attempts others have to wait, if the store can do that. Raises `ConflictError` when they
        have been faster too often.
        """
        for _ in range(_ATTEMPTS_AMONG_OTHERS):
            yield self.version
        store = self._store
        with store.exclusive(self.namespace_id) if isinstance(store, Exclusive) else nullcontext():
            for _ in range(_COMMIT_ATTEMPTS - _ATTEMPTS_AMONG_OTHERS):
                self.refresh()
                yield self.version
        raise ConflictError(
            f"namespace '{self.namespace_id}' is changed by others faster than this sync can commit; "
            "run it again when they are done",
            namespace_id=self.namespace_id,
        )

    def commit(
        self, changes: Sequence[Change], *, expected: int, reason: str, run_id: str | None = None
    ) -> bool:
        """Commit on top of that version; if others were faster, apply what they did and return False."""
        try:
            commit = self._store.commit(
                self.namespace_id, changes, expected=expected, actor=ACTOR, reason=reason, run_id=run_id
            )
        except ConflictError:
            self.refresh()
            return False
        self._apply(commit, by_others=False)
        return True

    def keep(self, checkpoint: Checkpoint, run: Sequence[Put]) -> None:
        """Put a checkpoint as of now together with `run`, unless that would say nothing new."""
        for version in self.attempts():
            now = replace(
                checkpoint,
                state_counts=+self.state_counts,
                tools=self.tools,
                asks=tuple(ask for _, ask in sorted(self.asks.items())),
                exposures_changed=self.exposures_changed,
                is_to_compare=self.is_to_compare,
                version=version,
            )
            is_near = self.version - self.checkpoint.version < _FEW_COMMITS
            if not run and is_near and now.is_equivalent_to(self.kept):
                return
            if self.commit([now.to_put(), *run], expected=version, reason="how far the sync has come"):
                return

    def seen(self, trace_id: str, record: TraceRecord | None) -> None:
        """Count a trace as seen by the run; `record` is no newer than the last `refresh`."""
        began = self._began.get(trace_id, record.counted_state if record else None)
        if began is not None:
            self.unseen[began] -= 1

    def recount_unseen(self, before: TraceRecord, after: TraceRecord) -> None:
        """Count a trace that the run has not seen by another state, because of one that it has."""
        began = self._began.get(before.trace_id, before.counted_state)
        if began is not None and after.counted_state is not None:
            self.unseen[began] -= 1
            self.unseen[after.counted_state] += 1
            self._began[before.trace_id] = after.counted_state

    def _apply(self, commit: Commit, *, by_others: bool) -> None:
        for change in commit.changes:
            before, after = self._record(change.before), self._record(change.after)
            if before is not None or after is not None:
                self._count(before, after, by_others=by_others)
            if change.after is not None and after is not None and after.description is not None:
                offered: Mapping[str, Any] = change.after.metadata
                start = after.description.start_time
                self.tools = newest(self.tools, offered.get("tools") or {}, start, after.trace_id)
            entity = change.after or change.before
            self.judged_tools |= judged_tools(change.before) | judged_tools(change.after)
            self.exposures_changed += entity is not None and entity.type == EXPOSURE
            if _keep(self._tips, change, GUIDELINE, read_tip):
                self._standing = None
            _keep(self._claims, change, CLAIM, Claim.of)
        self.version = commit.version

    def _record(self, entity: Entity | None) -> TraceRecord | None:
        if entity is None or entity.type != TRAJECTORY:
            return None
        metadata = entity.metadata
        if (metadata.get("source"), metadata.get("project")) != (self.source, self.project):
            return None
        return TraceRecord.of(entity)

    def _count(self, before: TraceRecord | None, after: TraceRecord | None, *, by_others: bool) -> None:
        for record, difference in ((before, -1), (after, 1)):
            if record is not None and record.counted_state is not None:
                self.state_counts[record.counted_state] += difference
        if after is not None and after.recorded_in and after.recorded_in != (before and before.recorded_in):
            self.asks.setdefault(after.recorded_in, Ask(hour=after.recorded_in))
        if before is not None and after is None:
            # Somebody wants it forgotten, or undid a run: only a whole index finds it again.
            self.checkpoint = replace(self.checkpoint, anchor=None)
            self.reopened = True
        if by_others:
            self.changed_by_others += 1
            trace_id = (before or after).trace_id  # type: ignore[union-attr]  # one of them is there
            self._began.setdefault(trace_id, before.counted_state if before else None)


def _keep(kept: dict[str, T] | None, change: Applied, type_: str, of: Callable[[Entity], T | None]) -> bool:
    """Take a change into what is kept of entities of that type, if it is kept already and this is one.

    An entity that `of` cannot read is kept as if it were not there.
    """
    if kept is None:
        return False
    after = of(change.after) if change.after is not None and change.after.type == type_ else None
    if after is not None:
        kept[change.entity_id] = after
    elif change.before is not None and change.before.type == type_:
        kept.pop(change.before.id, None)
    else:
        return False
    return True
