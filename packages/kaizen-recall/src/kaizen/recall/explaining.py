"""Say what a run would be shown, why, and where that is from."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.recall.choosing import Budget, Request, consider
from kaizen.recall.settings import is_enabled, is_traced, read_settings
from kaizen.recall.snapshots.polling import Poller
from kaizen.recall.tools import offered_tools
from kaizen.recall.words import query_stems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.recall.choosing import Candidate
    from kaizen.recall.model import Snapshot


class Explanation(NamedTuple):
    """The tips that were considered for a run, and the snapshot that they are from, if there is one."""

    source: str
    error: str
    age_s: float
    is_from_disk: bool
    snapshot: Snapshot | None
    request: Request
    budget: Budget
    candidates: Sequence[Candidate] = ()

    def to_json(self) -> dict[str, Any]:
        snapshot = self.snapshot
        return {
            "source": self.source,
            "error": self.error,
            "is_from_disk": self.is_from_disk,
            "age_s": round(self.age_s, 1),
            "namespace": snapshot.namespace_id if snapshot else None,
            "snapshot": snapshot.digest if snapshot else None,
            "tips": len(snapshot.tips) if snapshot else 0,
            "considered": [
                {
                    "id": candidate.tip.id,
                    "revision": candidate.tip.revision,
                    "content": candidate.tip.content,
                    "tool": candidate.tool or None,
                    "score": round(candidate.score, 3),
                    "words": self.words(candidate),
                    "support": candidate.tip.support,
                    "tokens": candidate.tokens,
                    "p": candidate.tip.p,
                    "rejected": candidate.rejected or None,
                }
                for candidate in self.candidates
            ],
        }

    def words(self, candidate: Candidate) -> list[str]:
        return shared_words(self.request, candidate)


def shared_words(request: Request, candidate: Candidate) -> list[str]:
    """Return the words, by their stems, that the request and the tip share."""
    tip = candidate.tip
    own = set(query_stems(" ".join((tip.trigger, tip.task, tip.content))))
    return [stem for stem in query_stems(f"{request.task}\n{request.instructions}") if stem in own]


def explain(
    task: str, tools: Sequence[str] = (), *, instructions: str = "", source: str = "", namespace_id: str = ""
) -> Explanation:
    """Read the source now, or else what was saved of it, and consider its tips for the run."""
    settings = read_settings()
    settings = settings._replace(
        source=source or settings.source, namespace_id=namespace_id or settings.namespace_id
    )
    poller = Poller(settings)
    snapshot = poller.read_now()
    request = Request(task, instructions, offered_tools(tools) if tools else None)
    budget = Budget(tokens=settings.max_tokens)
    return Explanation(
        source=settings.source or "the store of this machine",
        error=poller.error,
        age_s=time.time() - poller.read_at if snapshot else 0.0,
        is_from_disk=poller.is_from_disk,
        snapshot=snapshot,
        request=request,
        budget=budget,
        candidates=list(consider(snapshot, request, budget)) if snapshot else (),
    )


def as_text(explanation: Explanation, *, with_scores: bool = False) -> str:
    return "\n".join(_lines(explanation, with_scores))


def _lines(explanation: Explanation, with_scores: bool) -> Iterator[str]:
    snapshot, budget = explanation.snapshot, explanation.budget
    yield _in_frameworks()
    if explanation.error:
        yield f"The source cannot be read: {explanation.error}"
    if snapshot is None:
        yield f"No tips: nothing was read from {explanation.source}."
        return
    saved = ", from the copy on disk" if explanation.is_from_disk else ""
    known = _counted(len(snapshot.tips))
    yield f"{known} of namespace {snapshot.namespace_id} from {explanation.source}{saved}"
    yield f"Read {explanation.age_s:.0f} s ago; digest {snapshot.digest[:12]}"
    shown = [candidate for candidate in explanation.candidates if not candidate.rejected]
    yield f"Shown: {_counted(len(shown))}, {sum(c.tokens for c in shown)} of {budget.tokens} tokens"
    if not explanation.candidates:
        yield "No tip is about these tools or fits the words of the task. `kaizen tips` lists all tips."
    elif not shown and not with_scores:
        yield "Add --explain to see the tips that were considered, and why each is not shown."
    for candidate in explanation.candidates if with_scores else shown:
        yield ""
        yield f"{candidate.tip.ref}  {candidate.tip.content}"
        yield f"  {_why(explanation, candidate)}"
        if with_scores:
            yield f"  score {candidate.score:.3f}, {candidate.tokens} tokens, support {candidate.tip.support}"


def _counted(tips: int) -> str:
    return f"{tips} tip{'' if tips == 1 else 's'}"


def _in_frameworks() -> str:
    """Say whether agents with this environment are given tips, and whether that can be proven to help."""
    if not is_enabled():
        return "Recall is off in the frameworks: set KAIZEN_RECALL_ENABLED=true"
    if find_spec("kaizen.auto") is None:
        return (
            "Recall is on without kaizen-auto: import the frameworks before kaizen.recall; "
            "nothing can be proven of the tips"
        )
    if is_traced():
        return "Recall is on, and spans say which tips were shown"
    return "Recall is on without tracing: nothing can be proven of the tips; set KAIZEN_AUTO_ENABLED=true"


def _why(explanation: Explanation, candidate: Candidate) -> str:
    if candidate.rejected:
        return f"not shown: {candidate.rejected}"
    held_out = f"; held out from {candidate.tip.p:.0%} of the runs" if candidate.tip.p else ""
    if candidate.tool:
        return f"in the description of {candidate.tool}, which it is about{held_out}"
    return f"in the instructions, for the words {', '.join(explanation.words(candidate))}{held_out}"
