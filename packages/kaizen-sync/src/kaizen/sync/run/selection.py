"""Which traces of a project need a sync's attention, found with as few requests as the checkpoint allows."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal

from kaizen.store import ConflictError
from kaizen.sync.model import IndexedTrace, is_settled
from kaizen.sync.state.checkpoint import Checkpoint, Waiting
from kaizen.sync.state.records import ACTOR, ERRORS_EXCLUDED, TRAJECTORY, TraceRecord, mark_gone

if TYPE_CHECKING:
    from kaizen.store import Store
    from kaizen.sync.model import Anchor, Clock, Trace
    from kaizen.sync.run.budget import Budget
    from kaizen.sync.settings import SyncSettings
    from kaizen.sync.sources.base import Source
    from kaizen.sync.state.claims import Claims
    from kaizen.sync.state.ledger import Ledger
    from kaizen.sync.state.report import Report

Reading = Literal["nothing", "recent", "full", "window"]

STILL_RUNNING = "still running"
CHANGED = "changed while it was read"

_PAGE = 200
_MARKED_AT_ONCE = 100
# Clocks of agents differ, and spans arrive later than they start.
_OVERLAP = timedelta(minutes=10)
# Measured: so many spans are listed by the index in the time that one is read with its attributes.
_INDEXED_PER_READ = 20
# Aware, so that it compares; such a trace is fetched before its start is known.
_UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)


def plan_reading(
    checkpoint: Checkpoint, newest: Anchor | None, settings: SyncSettings, *, now: datetime
) -> Reading:
    """How much of the source must be listed to miss nothing.

    The anchor says what is new only while the source knows it: else all is listed. Also where that is
    cheaper, and once in a while, since a trace that is moved here from another project brings its old row
    numbers.
    """
    if settings.since is not None or settings.until is not None:
        return "window"
    anchor, full_at = checkpoint.anchor, checkpoint.full_at
    if settings.full or newest is None or anchor is None or full_at is None or checkpoint.index_from is None:
        return "full"
    # A clock that was ahead once must not put the next whole index off.
    if not -_OVERLAP.total_seconds() <= (now - full_at).total_seconds() < settings.full_every_s:
        return "full"
    # The number alone is no proof: databases give numbers again after deletes.
    if newest == anchor:
        return "recent" if checkpoint.deferred or checkpoint.open_states(settings) else "nothing"
    if newest.row is None or anchor.row is None:
        # The source says itself whether it knows what has changed.
        return "recent"
    # A number below the anchor's means that rows were deleted, so that rows in between may be new.
    new_rows = newest.row - anchor.row
    is_cheap = new_rows * _INDEXED_PER_READ < checkpoint.spans
    return "recent" if new_rows > 0 and is_cheap else "full"


class Selection:
    """The traces of one run: lists them, counts those that need no work, and notes those that wait.

    It takes traces from the `budget` and claims them, so that no other run works on them.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        settings: SyncSettings,
        ledger: Ledger,
        report: Report,
        budget: Budget,
        claims: Claims,
        *,
        clock: Clock,
    ) -> None:
        self._source = source
        self._store = store
        self._settings = settings
        self._ledger = ledger
        self._report = report
        self._budget = budget
        self._claims = claims
        self._clock = clock
        self._newest: Anchor | None = None
        self._newest_start: datetime | None = None
        self._first_taken: datetime | None = None
        self._spans = 0
        # Numbers of 8 bytes instead of ids: a project may have millions of traces.
        self._listed = array("Q")
        self._counted = array("Q")
        self._processed = array("Q")
        self._expected: dict[str, tuple[IndexedTrace, TraceRecord | None]] = {}
        self._waiting = Waiting()
        self.reading: Reading = "nothing"
        # Records of traces that are gone from the source (True), or are there again (False).
        self._moved: dict[str, bool] = {}

    def traces(self) -> Iterator[IndexedTrace]:
        """What must be fetched, oldest first but for late spans of old traces."""
        settings = self._settings
        if settings.since is not None or settings.until is not None:
            self.reading = "window"
            yield from self._of_index(self._source.index(since=settings.since, until=settings.until))
            return
        self._newest = self._source.probe()
        checkpoint = replace(self._ledger.checkpoint, state_counts=self._ledger.state_counts)
        self.reading = plan_reading(checkpoint, self._newest, settings, now=self._clock())
        if self.reading == "nothing":
            return
        late: dict[str, None] | None = {}
        if self.reading == "recent" and self._newest != checkpoint.anchor:
            assert checkpoint.anchor is not None
            late = self._source.changed_since(checkpoint.anchor)
        # Without row numbers, late spans of old traces show in a whole index alone.
        if self.reading == "full" or late is None:
            self.reading = "full"
            yield from self._of_index(self._source.index())
            return
        named = dict.fromkeys(self._open_ids(checkpoint))
        yield from self._by_id(named)
        index = self._source.index(since=checkpoint.index_from)
        yield from self._of_index(index, but=named, late=late)
        # Traces with late spans that started before the index does.
        yield from self._by_id([trace_id for trace_id in late if trace_id not in named])

    def admits(self, trace: Trace) -> bool:
        """Whether a trace that was fetched is to be worked on; otherwise it is counted."""
        indexed, known = self._expected.pop(trace.trace_id)
        if not trace.spans:
            self._report.count("skipped", "deleted meanwhile", processed=True)
            if known is not None:
                self._moved[known.entity_id] = True
            return False
        # Retention may delete spans between the index and the read: half a trace teaches what never happened.
        if not {s.span_id for s in indexed.spans} <= {s.span_id for s in trace.spans}:
            self.defer(trace.trace_id, CHANGED, indexed.start_time)
            return False
        if indexed.spans:
            return True
        self._note(trace)
        return self._needs_work(trace, known, self._clock()) and bool(self._claimed([trace]))

    def defer(self, trace_id: str, why: str, start_time: datetime | None = None) -> None:
        """Count a trace as waiting for a later sync."""
        self._report.count("deferred", why, processed=False)
        self._waiting.add(trace_id, None if start_time == _UNKNOWN_START else start_time)

    def count_known(self, record: TraceRecord) -> None:
        """Count a trace that needs no work."""
        self._report.count(record.state, record.reason, processed=False)
        self._counted.append(_short(record.trace_id))

    def count_processed(self, record: TraceRecord) -> None:
        """Count a trace that this run worked on."""
        self._report.count(record.state, record.reason, processed=True)
        self._processed.append(_short(record.trace_id))

    def recount(self, before: TraceRecord, after: TraceRecord) -> None:
        """Count a trace as what this run made of its record, although it was another that came."""
        key = _short(before.trace_id)
        if key in self._processed:
            self._report.recount(before, after, processed=True)
        elif key in self._counted:
            self._report.recount(before, after, processed=False)
        elif key not in self._listed:
            self._ledger.recount_unseen(before, after)

    def share_done(self, reached: datetime) -> float | None:
        """Return about how much of the work is done once the traces up to that start are; None if unknown.

        How many are left is not known before all are listed. So it goes by the time in which they started, or
        by `limit` where that ends the run earlier.
        """
        shares = []
        if self._settings.limit is not None:
            shares.append(self._report.processed.total() / self._settings.limit)
        first, last = self._first_taken, self._newest.start_time if self._newest else None
        if first is not None and last is not None and first < last:
            shares.append((reached - first) / (last - first))
        return min(1.0, max(shares)) if shares else None

    def next_checkpoint(self) -> Checkpoint:
        """Where the next sync starts, once every trace of this one is counted."""
        before = self._ledger.checkpoint
        if self.reading in ("nothing", "window"):
            return before
        newest = self._newest_start
        if self.reading == "recent":
            # What is kept is an overlap before the newest trace, which may not have been listed now.
            earlier = before.index_from + _OVERLAP if before.index_from else None
            newest = max(filter(None, (newest, earlier)), default=None)
        rows = _row(self._newest) - _row(before.anchor)
        return replace(
            before,
            # A record that somebody deleted is only found again by a whole index.
            anchor=None if self._ledger.reopened else self._newest,
            index_from=self._waiting.index_from(newest, _OVERLAP),
            waiting=self._waiting.named(),
            deferred=self._waiting.traces,
            spans=self._spans if self.reading == "full" else before.spans + rows,
            full_at=self._clock() if self.reading == "full" else before.full_at,
        )

    def _vanished(self) -> Iterator[str]:
        """Ids of the records whose traces a whole index did not list."""
        if self.reading != "full" or not self._ledger.unseen.total():
            return
        listed = array("Q", sorted(self._listed))
        for record in self._records_where():
            key = _short(record.trace_id)
            at = bisect_left(listed, key)
            if not record.is_gone and (at == len(listed) or listed[at] != key):
                yield record.entity_id

    def mark_moved(self) -> None:
        """Records of traces that the source has no longer, or has again, say so from now on."""
        moved = chain(self._moved.items(), ((entity_id, True) for entity_id in self._vanished()))
        namespace_id = self._settings.namespace_id
        while page := dict(islice(moved, _MARKED_AT_ONCE)):
            entities = self._store.get_many(namespace_id, list(page))
            changes = [mark_gone(entity, gone=page[entity_id]) for entity_id, entity in entities.items()]
            expected = {entity_id: entity.revision for entity_id, entity in entities.items()}
            if changes:
                # What somebody else changes just now is looked at again by the next whole index.
                with suppress(ConflictError):
                    self._store.commit(
                        namespace_id, changes, expected=expected, actor=ACTOR, reason="deleted in the source"
                    )
        self._ledger.refresh()

    def parked(self) -> Iterator[TraceRecord]:
        """The records of traces that failed so often that they are left alone."""
        if any(counted.state == "failed" and n for counted, n in self._ledger.state_counts.items()):
            for record in self._records_where(state="failed"):
                if record.attempts >= self._settings.max_attempts and not record.is_gone:
                    yield record

    def _open_ids(self, checkpoint: Checkpoint) -> Iterator[str]:
        """The traces that wait, those to be tried again, and failed ones where they are wanted now."""
        yield from checkpoint.waiting
        is_open = checkpoint.open_states(self._settings)
        if any(counted_state.state == "failed" for counted_state in is_open):
            failed = [r for r in self._records_where(state="failed") if r.counted_state in is_open]
            yield from (record.trace_id for record in sorted(failed, key=_start_time))
        if any(counted_state.reason == ERRORS_EXCLUDED for counted_state in is_open):
            for record in self._records_where(state="skipped", reason=ERRORS_EXCLUDED):
                if not record.is_gone:
                    yield record.trace_id

    def _records_where(self, **where: str) -> Iterator[TraceRecord]:
        of_project = {"source": self._source.name, "project": self._source.project}
        found = self._store.iterate(
            self._settings.namespace_id, type=TRAJECTORY, where={**of_project, **where}
        )
        return map(TraceRecord.of, found)

    def _of_index(
        self,
        index: Iterable[IndexedTrace],
        *,
        but: Collection[str] = (),
        late: dict[str, None] | None = None,
    ) -> Iterator[IndexedTrace]:
        index = iter(index)
        while page := list(islice(index, _PAGE)):
            for trace in page:
                self._note(trace)
                if late is not None:
                    # It is in the index, and is not to be fetched twice.
                    late.pop(trace.trace_id, None)
            yield from self._of_page([trace for trace in page if trace.trace_id not in but])

    def _by_id(self, trace_ids: Iterable[str]) -> Iterator[IndexedTrace]:
        remaining = iter(trace_ids)
        while page := list(islice(remaining, _PAGE)):
            yield from self._of_page(
                [IndexedTrace(trace_id=trace_id, start_time=_UNKNOWN_START, spans=()) for trace_id in page]
            )

    def _of_page(self, page: Sequence[IndexedTrace]) -> Iterator[IndexedTrace]:
        records = self._ledger.records([trace.trace_id for trace in page])
        # After the records were read, so that the ledger knows of every change that they show.
        self._ledger.refresh()
        now = self._clock()
        wanted: list[IndexedTrace] = []
        for trace in page:
            known = records.get(trace.trace_id)
            self._listed.append(_short(trace.trace_id))
            self._ledger.seen(trace.trace_id, known)
            if not trace.spans:
                # Only when it is fetched will be known whether there is anything to do.
                if why := self._budget.full_reason():
                    self.defer(trace.trace_id, why, trace.start_time)
                    continue
            elif not self._needs_work(trace, known, now):
                continue
            self._expected[trace.trace_id] = (trace, known)
            wanted.append(trace)
        granted = self._claimed([trace for trace in wanted if trace.spans])
        for trace in wanted:
            if not trace.spans or trace.trace_id in granted:
                yield trace
            else:
                del self._expected[trace.trace_id]

    def _claimed(self, traces: Sequence[IndexedTrace | Trace]) -> Collection[str]:
        """The ids of those that this run may work on; the others are counted as waiting."""
        granted = self._claims.take([trace.trace_id for trace in traces]) if traces else ()
        for trace in traces:
            if trace.trace_id not in granted:
                self.defer(trace.trace_id, "in another sync", trace.start_time)
        return granted

    def _needs_work(self, trace: IndexedTrace | Trace, known: TraceRecord | None, now: datetime) -> bool:
        settings = self._settings
        if known and known.is_final(trace.digest, settings):
            self.count_known(known)
            if known.is_gone:
                self._moved[known.entity_id] = False
            return False
        is_running = not is_settled(trace, now, quiet_s=settings.quiet_s, max_wait_s=settings.max_wait_s)
        if why := STILL_RUNNING if is_running else self._budget.full_reason():
            self.defer(trace.trace_id, why, trace.start_time)
            return False
        self._budget.take_trace()
        self._first_taken = min(trace.start_time, self._first_taken or trace.start_time)
        return True

    def _note(self, trace: IndexedTrace | Trace) -> None:
        self._spans += len(trace.spans)
        # A clock that is ahead must not hide what comes after.
        start = min(trace.start_time, self._clock())
        self._newest_start = max(start, self._newest_start or start)


def _row(anchor: Anchor | None) -> int:
    return anchor.row or 0 if anchor else 0


def _start_time(record: TraceRecord) -> str:
    """Return when the trace started, as text that sorts; nothing is known of those without a trajectory."""
    return record.description.start_time if record.description else ""


def _short(trace_id: str) -> int:
    return int.from_bytes(blake2b(trace_id.encode(), digest_size=8).digest())
