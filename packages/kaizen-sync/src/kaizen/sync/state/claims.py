"""Which traces a run has under way, so that two syncs at once share the work and never pay for it twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kaizen.store import Delete, NotFoundError, Put
from kaizen.sync.state.records import ACTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kaizen.store import Store
    from kaizen.sync.state.ledger import Ledger
    from kaizen.sync.state.records import Claim

_RENEW_AFTER = timedelta(minutes=1)


class Claims:
    """The claim of one run, kept in the store while it works.

    With it goes what `run` says of the run so far, so that one that is killed has not gone without a trace.
    """

    def __init__(
        self, store: Store, namespace_id: str, ledger: Ledger, claim: Claim, run: Callable[[], Put]
    ) -> None:
        self._store = store
        self._namespace_id = namespace_id
        self._ledger = ledger
        self._claim = claim
        self._run = run
        self.is_kept = False
        self._held: set[str] = set()

    def take(self, trace_ids: Sequence[str]) -> set[str]:
        """Claim those that no other run has under way, and return them."""
        while True:
            now = datetime.now(UTC)
            taken = {
                trace_id
                for claim in self._ledger.claims(self._claim.id)
                if claim.holds(now)
                for trace_id in claim.trace_ids
            }
            granted = set(trace_ids) - taken
            if not granted or self._keep(self._held | granted):
                self._held |= granted
                return granted

    def release(self, trace_id: str) -> None:
        """The trace is done with; the next change of the claim says so."""
        self._held.discard(trace_id)

    def renew(self) -> None:
        """Say that the run is still at work, if that was long ago."""
        if self.is_kept and datetime.now(UTC) - self._claim.at > _RENEW_AFTER:
            self._keep(self._held)

    def close(self) -> None:
        """Give up what is left, and remove claims whose runs are gone."""
        now = datetime.now(UTC)
        stale = [claim.id for claim in self._ledger.claims(self._claim.id) if not claim.holds(now)]
        for claim_id in [*([self._claim.id] if self.is_kept else []), *stale]:
            try:
                self._store.commit(
                    self._namespace_id, [Delete(id=claim_id)], actor=ACTOR, reason="claim ends"
                )
            except NotFoundError:
                continue

    def _keep(self, trace_ids: set[str]) -> bool:
        claim = replace(self._claim, trace_ids=frozenset(trace_ids), at=datetime.now(UTC))
        changes = [claim.to_put(), self._run()]
        reason = f"{len(trace_ids)} traces under way"
        if not self._ledger.commit(changes, expected=self._ledger.version, reason=reason):
            return False
        self._claim, self.is_kept = claim, True
        return True
