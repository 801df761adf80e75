"""Test what tips claim on all runs that are known, and give each tip the status that it has earned."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.offline.claims import Claim, Ending, PastCall
from kaizen.sync.generate.offline.templates import widen
from kaizen.sync.generate.offline.wording import word
from kaizen.sync.state.records import called_tools, start_of, stored_outcome
from kaizen.tips.effect import current_effect
from kaizen.tips.text import fold

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from kaizen.store import Entity
    from kaizen.sync.generate.offline.claims import Verdict
    from kaizen.sync.state.ledger import Ledger
    from kaizen.tips.tip import StoredTip, Tip


# How many conversations show what is claimed of outcomes.
_SUCCESSES = 5
_FAILURES = 2

MOST_ACTIVE = 5
"""How many tips of a tool agents get."""

_OF_ARGUMENTS = ("form", "listed", "clause", "pass", "size", "unit")


@dataclass(frozen=True, slots=True)
class ClaimTests:
    """Tests claims on the stories of a namespace, of which it reads those that called the tool."""

    ledger: Ledger

    def test(
        self,
        tips: Mapping[str, StoredTip],
        calls: Sequence[Sequence[PastCall]],
        *,
        head: str,
        at: str,
        trace_ids: Collection[str],
        unconfirmed: Collection[str],
    ) -> dict[str, StoredTip]:
        """Return the tips that a story changes, `tips` among them, each as it is after its claim was tested.

        What is known already is tested on this story, what is new on all others too. `head` is the story's,
        which began at `at` and whose traces are `trace_ids`; `unconfirmed` are the ids of tips that it may
        break and not confirm, since it taught them itself, or the agent was shown them.
        """
        changed = dict(tips)
        tools = {call.tool for conversation in calls for call in conversation}
        for tip in {**self.ledger.tips, **tips}.values():
            # What is claimed of outcomes, which may be known later, is tested when the run ends.
            if tip.claim and not is_of_outcomes(tip) and tip.claim["tool"] in tools and not tip.merged_into:
                claim = Claim.of_json(tip.claim)
                verdict = verdict_of(claim, calls)
                verdict = "silent" if verdict == "holds" and tip.id in unconfirmed else verdict
                tested = tip.with_verdict(head, verdict, stories=trace_ids)
                tested = _with_rule_seen(tested, claim, verdict, calls, at)
                if tip.id not in self.ledger.tips:
                    tested = self.test_on_others(tested, trace_ids)
                if tested != tip or tip.id in tips:
                    changed[tip.id] = tested
        return changed

    def test_on_others(self, tip: StoredTip, trace_ids: Collection[str] = ()) -> StoredTip:
        """Return the tip after its claim was tested on all stories but those of these traces."""
        claim = Claim.of_json(tip.claim)
        for entity in self.ledger.stories_that_called(claim.tool):
            trace_id = str(entity.metadata["trace_id"])
            if trace_id not in trace_ids:
                calls = [*stored_calls(entity)]
                verdict = verdict_of(claim, calls, ending_of(entity))
                tip = tip.with_verdict(trace_id, verdict)
                tip = _with_rule_seen(tip, claim, verdict, calls, start_of(entity))
        return tip


def _with_rule_seen(
    tip: StoredTip, claim: Claim, verdict: Verdict, calls: Iterable[Sequence[PastCall]], at: str
) -> StoredTip:
    is_refused = any(is_refusal(claim.signature, call) for conversation in calls for call in conversation)
    return tip.with_rule_seen(at, is_refused=is_refused, is_broken=verdict == "broken")


def is_refusal(signature: Mapping[str, str], call: PastCall) -> bool:
    """Return whether a call is the failed one that a tip prevents."""
    if not signature or call.tool != signature["tool"] or not call.error:
        return False
    return widen(signature["error"], call.error) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureHistory:
    """How often the failed call that a tip prevents was seen, among the conversations that called the tool.

    `conversations` called it, `seen_in` of them with that failure, last in trace `trace_id` that began at
    `last_seen`; `since` called it later.
    """

    conversations: int
    seen_in: int
    last_seen: str = ""
    trace_id: str = ""
    since: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_history(signature: Mapping[str, str], stories: Iterable[Entity]) -> SignatureHistory:
    """Return how often a failed call was seen in these stories, all of which called the tool."""
    called: list[tuple[str, str, bool]] = []
    for entity in stories:
        calls = (call for conversation in stored_calls(entity) for call in conversation)
        is_seen = any(is_refusal(signature, call) for call in calls)
        called.append((start_of(entity), str(entity.metadata["trace_id"]), is_seen))
    called.sort()
    seen = [number for number, (_, _, is_seen) in enumerate(called) if is_seen]
    if not seen:
        return SignatureHistory(conversations=len(called), seen_in=0)
    last_seen, trace_id, _ = called[seen[-1]]
    return SignatureHistory(
        conversations=len(called),
        seen_in=len(seen),
        last_seen=last_seen,
        trace_id=trace_id,
        since=len(called) - 1 - seen[-1],
    )


def verdict_of(claim: Claim, calls: Iterable[Sequence[PastCall]], ending: Ending | None = None) -> Verdict:
    """Check a claim on a story: one conversation that breaks it is enough."""
    verdicts = {claim.check(conversation, ending) for conversation in calls}
    return "broken" if "broken" in verdicts else "holds" if "holds" in verdicts else "silent"


def calls_metadata(calls: Sequence[Sequence[PastCall]]) -> dict[str, Any]:
    """Return what the record of a story's head keeps of its calls."""
    tools = (call.tool for conversation in calls for call in conversation)
    return {
        "calls": [[list(call) for call in conversation] for conversation in calls],
        "called": called_tools(tools),
    }


def stored_calls(entity: Entity) -> Iterator[list[PastCall]]:
    """Yield the calls of a story, by conversation, as the record of its head keeps them."""
    metadata: Mapping[str, Any] = entity.metadata
    return ([PastCall(*call) for call in conversation] for conversation in metadata.get("calls") or ())


def ending_of(entity: Entity) -> Ending:
    """Return how a story ended, as far as the record of its head says."""
    metadata: Mapping[str, Any] = entity.metadata
    return Ending(stored_outcome(entity).name, tuple(metadata.get("tools") or ()))


def is_of_outcomes(tip: StoredTip) -> bool:
    """Return whether a tip says by what runs that succeeded differ from those that failed."""
    return tip.claim.get("kind") == "outcome"


def same_lesson(tip: Tip, known: Iterable[StoredTip]) -> StoredTip | None:
    """Return the known tip that claims the same about the same error; None if there is none."""
    claim = Claim.of_json(tip.claim)
    same = (
        other
        for other in known
        if other.claim and Claim.of_json(other.claim).says() == claim.says() and _is_same_error(other, claim)
    )
    return min(
        same, key=lambda other: (Claim.of_json(other.claim).error != claim.error, other.id), default=None
    )


def with_lesson(known: StoredTip, tip: Tip) -> StoredTip:
    """Return a known tip whose error stands for that of a new one too; its own wording follows."""
    if not (known.claim and tip.claim):
        return known
    claim = Claim.of_json(known.claim)
    error = widen(claim.error, Claim.of_json(tip.claim).error)
    if error is None or error == claim.error:
        return known
    return _claiming(known, replace(claim, error=error))


def settle(changed: Mapping[str, StoredTip], known: Mapping[str, StoredTip]) -> dict[str, StoredTip]:
    """Return the changed tips, and others about the same errors, with the status that they have earned.

    A claim is a candidate until a second conversation shows it, or the error itself states it. One with a
    counterexample is retired, or says when it holds; so is one that says less than an active one.
    """
    tools = {tip.claim["tool"] for tip in changed.values() if tip.claim}
    tips = {**known, **changed}
    about = [tip for tip in tips.values() if tip.claim and tip.claim["tool"] in tools]
    earned: list[StoredTip] = []
    active: list[StoredTip] = []
    for tip in sorted(about, key=lambda tip: (-_lasting_rank(tip), tip.id)):
        now = _earned(tip, active)
        earned.append(now)
        if now.is_active:
            active.append(now)
    now_by_id = {tip.id: tip for tip in (*earned, *_beyond_cap(active))}
    return {**changed, **{i: now for i, now in now_by_id.items() if i in changed or now != tips[i]}}


def _lasting_rank(tip: StoredTip) -> int:
    """Return how much a tip says whatever its counterexamples: what is weakened comes after what is not."""
    claim = Claim.of_json(tip.claim)
    return replace(claim, is_conditional=_is_weakened(tip, claim)).rank


def _beyond_cap(active: Sequence[StoredTip]) -> Iterator[StoredTip]:
    """Yield the tips that agents get no more, since their tool has enough of better backed ones."""
    by_tool: defaultdict[str, list[StoredTip]] = defaultdict(list)
    for tip in active:
        if not (tip.is_a_persons or current_effect(tip)):
            by_tool[tip.claim["tool"]].append(tip)
    for tips in by_tool.values():
        tips.sort(key=lambda tip: (-tip.support - len(tip.confirmed_by), tip.content))
        yield from (tip.with_metadata(status="candidate") for tip in tips[MOST_ACTIVE:])


def _earned(tip: StoredTip, active: Sequence[StoredTip]) -> StoredTip:
    # What was measured of a tip says more than what its claim explains.
    is_measured = bool(current_effect(tip))
    if is_measured or tip.is_a_persons or tip.merged_into or tip.retired_for or not tip.is_backed:
        return tip
    claim = Claim.of_json(tip.claim)
    claim = replace(claim, is_conditional=_is_weakened(tip, claim))
    tip = _claiming(tip, claim)
    if tip.status == "quarantined":
        return tip
    covering = next((other.id for other in active if _covers(other, tip, claim)), None)
    is_broken = bool(tip.counterexamples) and not claim.is_conditional and not _is_new_rule(tip, claim)
    earned = "retired" if is_broken or covering else "active" if _is_shown(tip, claim) else "candidate"
    return tip.with_metadata(status=earned, covered_by=covering)


def _is_weakened(tip: StoredTip, claim: Claim) -> bool:
    """Return whether counterexamples leave of a claim the rule that the error states."""
    if not tip.counterexamples or not claim.is_stated or _is_new_rule(tip, claim):
        return False
    return claim.kind == "before" or (claim.kind in _OF_ARGUMENTS and not tip.is_of_an_old_rule)


def _is_new_rule(tip: StoredTip, claim: Claim) -> bool:
    """Return whether the tool got the rule after all counterexamples, as it says itself to two conversations.

    Only of rules about the arguments: what must be called before may depend on a state that nobody sees.
    """
    return claim.kind in _OF_ARGUMENTS and claim.is_stated and tip.is_of_a_new_rule and _is_repeated(tip)


def _is_repeated(tip: StoredTip) -> bool:
    return tip.support + len(tip.confirmed_by) > 1


def _is_shown(tip: StoredTip, claim: Claim) -> bool:
    """Return whether enough conversations show a claim that nothing breaks."""
    if claim.kind == "outcome":
        # A tool that has no part in it parts five successes from two failures once in 21 times.
        return tip.support >= _SUCCESSES and len(tip.confirmed_by) >= _FAILURES
    return claim.is_stated or _is_repeated(tip)


def _claiming(tip: StoredTip, claim: Claim) -> StoredTip:
    """Return a tip with that claim; worded anew if its words are those of the claim before."""
    before = Claim.of_json(tip.claim)
    if claim == before:
        return tip
    tip_now = tip.with_metadata(claim=claim.to_json(), signature=claim.signature)
    if tip.is_a_persons or fold(tip.content) != fold(word(before).content):
        return tip_now
    worded = word(claim)
    return tip_now.with_content(worded.content).with_metadata(
        implementation_steps=list(worded.implementation_steps), trigger=worded.trigger
    )


def _covers(other: StoredTip, tip: StoredTip, claim: Claim) -> bool:
    """Return whether another tip says the same, or more, about the same failed call."""
    is_same = fold(other.content) == fold(tip.content)
    return is_same or (Claim.of_json(other.claim).rank > claim.rank and _is_same_error(other, claim))


def _is_same_error(tip: StoredTip, claim: Claim) -> bool:
    return Claim.of_json(tip.claim).is_same_error(claim.tool, claim.error)
