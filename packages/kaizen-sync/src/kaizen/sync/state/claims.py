"""Which traces a run has under way, so that two syncs at once share the work and never pay for it twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from kaizen.store import Delete, NotFoundError, Put
from kaizen.sync.state.records import ACTOR, Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kaizen.store import Store
    from kaizen.sync.model import Clock
    from kaizen.sync.state.ledger import Ledger

_RENEW_AFTER = timedelta(minutes=1)


class Claims:
    """The claim of one run, kept in the store while it works.

    With it goes what `run` says of the run so far, so that one that is killed has not gone without a trace.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        run_id: str,
        run: Callable[[], Put],
        *,
        clock: Clock,
        dry_run: bool = False,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._claim = Claim(run_id=run_id, source=ledger.source, project=ledger.project, at=clock())
        self._run = run
        self._clock = clock
        self._dry_run = dry_run
        self.is_kept = False
        self._held: set[str] = set()

    def take(self, trace_ids: Sequence[str]) -> set[str]:
        """Claim those that no other run has under way, and return them; a dry run may look at them all."""
        if self._dry_run:
            return set(trace_ids)
        for _ in self._ledger.attempts():
            now = self._clock()
            taken = {
                trace_id
                for claim in self._ledger.claims(self._claim.id)
                if claim.is_alive(now)
                for trace_id in claim.trace_ids
            }
            granted = set(trace_ids) - taken
            # Where others were faster, what they claimed is left out the next time round.
            if not granted or self._keep(self._held | granted):
                self._held |= granted
                return granted
        raise AssertionError("attempts either return or raise")

    def take_no_more(self) -> None:
        """Let every trace be looked at from now on, and claim none."""
        self._dry_run = True

    def release(self, trace_id: str) -> None:
        """Give up a trace that is done; the next change of the claim says so."""
        self._held.discard(trace_id)

    def renew(self) -> None:
        """Renew the claim if that was long ago, so that it does not lapse."""
        if self.is_kept and self._clock() - self._claim.at > _RENEW_AFTER:
            self._keep(self._held)

    def close(self) -> None:
        """Give up what is left, and remove claims whose runs are gone."""
        now = self._clock()
        stale = [claim.id for claim in self._ledger.claims(self._claim.id) if not claim.is_alive(now)]
        for claim_id in [*([self._claim.id] if self.is_kept else []), *stale]:
            try:
                self._store.commit(
                    self._ledger.namespace_id, [Delete(id=claim_id)], actor=ACTOR, reason="claim ends"
                )
            except NotFoundError:
                continue

    def _keep(self, trace_ids: set[str]) -> bool:
        claim = replace(self._claim, trace_ids=frozenset(trace_ids), at=self._clock())
        changes = [claim.to_put(), self._run()]
        reason = f"{len(trace_ids)} traces under way"
        if not self._ledger.commit(changes, expected=self._ledger.version, reason=reason):
            return False
        self._claim, self.is_kept = claim, True
        return True
