"""New tips against known ones: new, duplicate of, merged into, or contradicting.

Exact duplicates and clear strangers are decided here; only what is alike is put to the model, all tips of a
trace in one call, and what nobody foresaw in another. The model answers with numbers of what it was shown:
what it leaves out is added, what it makes up is ignored, and what the words show to be opposites is no
duplicate whatever it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from kaizen.sync.generate.prompt import RECONCILE_PROMPT, load_prompt
from kaizen.sync.knowledge.deciding import decide_by_text
from kaizen.sync.knowledge.decisions import Decided, Decisions
from kaizen.sync.knowledge.neighbours import Neighbours
from kaizen.sync.knowledge.polarity import polarity
from kaizen.sync.trust import dangers
from kaizen.sync.trust.comparing import same_tip
from kaizen.sync.trust.reasons import is_dangerous
from kaizen.tips.contradictions import name_contradiction
from kaizen.tips.merge import stand_in
from kaizen.tips.tip import StoredTip, Tip
from kaizen.tips.wording import fold

if TYPE_CHECKING:
    from kaizen.sync.knowledge.decisions import Kind
    from kaizen.sync.knowledge.neighbours import Known, Neighbour
    from kaizen.sync.llm.client import Model
    from kaizen.sync.llm.schemas import Decision, DecisionsAnswer
    from kaizen.sync.model import Outcome
    from kaizen.sync.state.records import TraceRecord
    from kaizen.tips.tip import TipSource

ANSWER_NAME = "kaizen_reconcile"
SAYS_THE_MODEL = "the model says so"

_MOST_FIRST: tuple[Kind, ...] = ("duplicate", "merge", "contradicts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """One new tip with its evidence; `create` makes the stored tip if it turns out to be new.

    `quarantine_reason` says why that will be quarantined, if it will.
    """

    tip: Tip
    source: TipSource
    create: Callable[[], StoredTip]
    quarantine_reason: str = ""


@dataclass(slots=True)
class Reconciled:
    """The tips to put, and how often each decision was taken."""

    tips: dict[str, StoredTip]
    backed_ids: list[str]
    created: int = 0
    duplicates: int = 0
    merged: int = 0
    contradicting: int = 0


class _Placed(NamedTuple):
    """A new tip among the known ones: the same as one of them, or alike to some, or a stranger to all."""

    new: Learned
    same: StoredTip | None = None
    neighbours: Sequence[Neighbour[StoredTip]] = ()


class Question(NamedTuple):
    """What a model is asked: new tips, each with those to compare it with, and all of those as shown."""

    asked: list[tuple[Tip, Sequence[Neighbour[Known]]]]
    shown: list[Known]

    @property
    def text(self) -> str:
        lines = ["NEW tips:"]
        for number, (tip, _) in enumerate(self.asked, 1):
            lines.append(f"{number}. {_one_line(tip.content)} (when: {_one_line(tip.trigger)})")
        lines += ["", "KNOWN tips:"]
        for number, known in enumerate(self.shown, 1):
            trigger = known.trigger or "not said"
            lines.append(f"{number}. {_one_line(known.content)} (when: {_one_line(trigger)})")
        return "\n".join(lines)


class Reconciler:
    """Reconciles the tips of one sync. Not safe for threads, but for `ask`.

    A model decides of pairs, a new tip and a known one, and what it has decided it is not asked again: not
    when somebody else's commit makes a story be planned once more, nor when it was asked ahead. To ask ahead
    is to compare with tips, too, that are only told, by the stories before: most of them come to be known.
    """

    def __init__(self, model: Model | None) -> None:
        """Without a model the words alone decide."""
        self._model = model
        self._neighbours = Neighbours()
        self._decisions = Decisions()
        self._known: Mapping[str, StoredTip] = {}
        self._named: dict[str, set[Tip]] = {}
        """By story, those of its tips that a model found to have to do with some that were not known yet."""

    def foresee(
        self, story_id: str, learned: Sequence[Learned], known: Mapping[str, StoredTip]
    ) -> Question | None:
        """What to ask already of the tips of a story whose turn it is not; None where that is nothing.

        To be called for each story in the order of their turns, and again where much has changed since.
        """
        if not learned or self._model is None:
            return None
        placed: list[tuple[Tip, Sequence[Neighbour[Known]]]] = []
        for new, same, neighbours in self._placed(learned, known):
            coming = self._neighbours.coming(new.tip.content, before=story_id)
            is_coming = any(fold(near.tip.content) == fold(new.tip.content) for near in coming)
            if not same and not is_coming and not is_dangerous(new.quarantine_reason):
                placed.append((new.tip, [*neighbours, *coming]))
        self._neighbours.expect(story_id, [tip for tip, _ in placed])
        return self._question(story_id, placed)

    def question(
        self, story_id: str, learned: Sequence[Learned], known: Mapping[str, StoredTip]
    ) -> Question | None:
        """What is still to be asked of a story whose turn it is; None where that is nothing."""
        if not learned or self._model is None:
            return None
        placed = self._placed(learned, known)
        return self._question(story_id, [(new.tip, neighbours) for new, _, neighbours in placed])

    def end(self, story_id: str) -> None:
        """That story waits no longer: its tips are known ones now, or none."""
        self._neighbours.expect_no_more(story_id)
        self._named.pop(story_id, None)

    def ask(self, question: Question) -> DecisionsAnswer:
        """Ask the model. Raises `ModelError` where it gives no usable answer."""
        from kaizen.sync.llm.schemas import DecisionsAnswer

        assert self._model is not None
        return self._model.ask(
            system=load_prompt(RECONCILE_PROMPT), user=question.text, answer=DecisionsAnswer, name=ANSWER_NAME
        )

    def take(self, story_id: str, question: Question, answer: DecisionsAnswer) -> None:
        """Keep what the model decided."""
        numbers = {_as_shown(known): number for number, known in enumerate(question.shown, 1)}
        for number, (tip, neighbours) in enumerate(question.asked, 1):
            said = [decision for decision in answer.decisions if decision.new == number]
            about = {decision.known: decision for decision in reversed(said)}
            for near in neighbours:
                # One without a number is about them all.
                decision = about.get(numbers[_as_shown(near.tip)]) or about.get(None)
                decided = _decided(tip, near.tip, decision) if decision else self._opposed(tip, near)
                self._decisions.keep(tip, near.tip, decided)
                if decided.kind != "new" and isinstance(near.tip, Tip):
                    self._named.setdefault(story_id, set()).add(tip)

    def reconcile(self, learned: Sequence[Learned], known: Mapping[str, StoredTip]) -> Reconciled:
        """Decide for each new tip what it is, and return the tips that change.

        A pair that the model was not asked about is taken for different lessons. What a check found dangerous
        is shown to no model and changes no other tip.
        """
        result = Reconciled(tips={}, backed_ids=[])
        if not learned:
            return result
        placed = self._placed(learned, known)
        for new, same, neighbours in placed:
            if same:
                _add_source(result, result.tips.get(same.id, same), new)
            elif not neighbours:
                _create(result, new)
        for new, _, neighbours in placed:
            if neighbours:
                self._apply(result, new, neighbours, known)
        return result

    def _placed(self, learned: Sequence[Learned], known: Mapping[str, StoredTip]) -> list[_Placed]:
        if known is not self._known:
            self._neighbours.know(known)
            self._known = known
        return [self._place(new) for new in learned]

    def _place(self, new: Learned) -> _Placed:
        if same := same_tip(self._neighbours.same(new.tip.content), new.quarantine_reason):
            return _Placed(new, same)
        if is_dangerous(new.quarantine_reason):
            return _Placed(new)
        return _Placed(new, neighbours=self._neighbours.of(new.tip.content))

    def _question(
        self, story_id: str, placed: Sequence[tuple[Tip, Sequence[Neighbour[Known]]]]
    ) -> Question | None:
        """What the model has not decided yet, in one call; None where that is nothing."""
        asked: list[tuple[Tip, Sequence[Neighbour[Known]]]] = []
        for tip, neighbours in placed:
            self._forget_what_never_was(story_id, tip, neighbours)
            if open_ := list(self._open(tip, neighbours)):
                asked.append((tip, open_))
        if not asked:
            return None
        shown = {_as_shown(near.tip): near.tip for _, open_ in asked for near in open_}
        return Question(asked, list(shown.values()))

    def _forget_what_never_was(self, story_id: str, tip: Tip, neighbours: Sequence[Neighbour[Known]]) -> None:
        """Where all that a tip was found to have to do with has not come to be known, ask about it again.

        It may be the same as what that became.
        """
        named = self._named.get(story_id, set())
        if tip in named and all(self._by_model(tip, near).kind == "new" for near in neighbours):
            named.remove(tip)
            for near in neighbours:
                self._decisions.forget(tip, near.tip)

    def _open(self, tip: Tip, neighbours: Sequence[Neighbour[Known]]) -> Iterator[Neighbour[Known]]:
        """Those that were not compared with the tip, up to the most alike that says it already."""
        for near in neighbours:
            decided = self._decisions.get(tip, near.tip)
            if decided is None:
                yield near
            elif decided.kind == "duplicate" and isinstance(near.tip, StoredTip):
                return

    def _apply(
        self,
        result: Reconciled,
        new: Learned,
        neighbours: Sequence[Neighbour[StoredTip]],
        known: Mapping[str, StoredTip],
    ) -> None:
        found = self._found(new.tip, neighbours)
        if found is None:
            _create(result, new)
            return
        target, decided = found
        current = result.tips.get(target.id, known[target.id])
        if decided.kind == "duplicate":
            _add_source(result, current, new)
        elif not new.source.verified:
            # What the trace does not show may not change what is known.
            _create(result, new)
        elif decided.kind == "merge":
            _merge(result, current, new, decided.wording)
        else:
            _contradict(result, current, new, decided.reason)

    def _found(
        self, tip: Tip, neighbours: Sequence[Neighbour[StoredTip]]
    ) -> tuple[StoredTip, Decided] | None:
        """The known tip that the new one has most to do with: one that says it, if any; the most alike."""
        decide = self._by_text if self._model is None else self._by_model
        decided = [(near.tip, decide(tip, near)) for near in neighbours]
        found = [one for one in decided if one[1].kind != "new"]
        return min(found, key=lambda one: _MOST_FIRST.index(one[1].kind), default=None)

    def _by_model(self, tip: Tip, near: Neighbour[Known]) -> Decided:
        return self._decisions.get(tip, near.tip) or Decided("new")

    def _opposed(self, tip: Tip, near: Neighbour[Known]) -> Decided:
        """What the words say of a pair that the model left out: it may not have seen an opposite."""
        decided = self._by_text(tip, near)
        return decided if decided.kind == "contradicts" else Decided("new")

    def _by_text(self, tip: Tip, near: Neighbour[Known]) -> Decided:
        kind, reason = decide_by_text(
            tip.content,
            near.tip.content,
            near.likeness,
            self._neighbours.thresholds,
            cases=(tip.trigger, near.tip.trigger),
        )
        return Decided(kind, reason=reason)


def _as_shown(known: Known) -> tuple[str, str]:
    return known.content, known.trigger


def _decided(tip: Tip, known: Known, decision: Decision) -> Decided:
    """What a model found the tip to be to a known one, as far as the words do not show it to be wrong."""
    if decision.known is None:
        return Decided("new")
    relation, reason = polarity(tip.content, known.content, one_case=tip.trigger, other_case=known.trigger)
    if decision.decision == "contradicts" or (decision.decision != "new" and relation == "opposite"):
        return Decided("contradicts", reason=reason or SAYS_THE_MODEL)
    if decision.decision == "merge" or (decision.decision == "duplicate" and relation == "same"):
        return Decided(decision.decision, wording=(decision.content or "").strip())
    return Decided("new")


def _create(result: Reconciled, new: Learned) -> StoredTip:
    tip = new.create()
    _put(result, tip)
    result.created += 1
    return tip


def _add_source(result: Reconciled, current: StoredTip, new: Learned) -> None:
    _put(result, current.with_source(new.source))
    result.duplicates += 1


def _put(result: Reconciled, tip: StoredTip) -> None:
    result.tips[tip.id] = tip
    if tip.id not in result.backed_ids:
        result.backed_ids.append(tip.id)


def _merge(result: Reconciled, current: StoredTip, new: Learned, wording: str) -> None:
    """The wording is a model's that was shown untrusted texts; what a person rejected takes in nothing."""
    merged = _merged(current, new, wording)
    is_rejected = current.is_kept and current.status == "retired"
    if is_rejected or (not current.is_manual and dangers(merged.texts)):
        _create(result, new)
    else:
        _put(result, merged)
        result.merged += 1


def _merged(current: StoredTip, new: Learned, wording: str) -> StoredTip:
    steps = {fold(step): step for step in current.metadata.get("implementation_steps") or ()}
    for step in new.tip.implementation_steps:
        steps.setdefault(fold(step), step)
    metadata = {**current.metadata, "implementation_steps": list(steps.values())}
    # Without a wording of the model's both texts are kept, so that nothing either said is lost; what a
    # person wrote stays as it is.
    content = current.content if current.is_manual else wording
    content = content or f"{current.content}\n{new.tip.content}"
    return replace(current, content=content, metadata=metadata).with_source(new.source)


def _contradict(result: Reconciled, current: StoredTip, new: Learned, reason: str) -> None:
    """Both stay, each naming the other; which of them agents get is for `contradictions.settled` to say."""
    tip = _create(result, new)
    result.contradicting += 1
    result.tips[tip.id], result.tips[current.id] = name_contradiction(tip, current, reason)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1_000]


def judged_tips(head: TraceRecord, outcome: Outcome, tips: Mapping[str, StoredTip]) -> dict[str, StoredTip]:
    """What the story of that trace taught, where the evidence says another outcome than it has now."""
    judged: dict[str, StoredTip] = {}
    for tip_id in head.tip_ids:
        if tip := stand_in(tips, tip_id):
            before = judged.get(tip.id, tip)
            now = before.judged(head.trace_id, outcome=outcome.name, judged_by=outcome.judged_by)
            if now is not before:
                judged[tip.id] = now
    return judged
