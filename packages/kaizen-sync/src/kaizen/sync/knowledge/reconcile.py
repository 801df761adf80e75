"""Reconcile new tips with known ones: new, duplicate of, merged into, or contradicting.

Exact duplicates and clear strangers are decided here; only what is similar is put to the model, all tips of a
trace in one call. The model answers with numbers of what it was shown: what it leaves out is added, what it
makes up is ignored, and what the words show to be opposites is not a duplicate, whatever it says.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from kaizen.sync.knowledge.claim_tests import same_lesson, with_lesson
from kaizen.sync.knowledge.opposites import compare_statements, decide_by_words
from kaizen.sync.knowledge.prompts import load_prompt
from kaizen.sync.knowledge.similarity import Neighbours
from kaizen.sync.trust import dangers
from kaizen.sync.trust.comparing import is_shown, same_tip
from kaizen.sync.trust.reasons import is_dangerous
from kaizen.tips.contradictions import record_contradiction
from kaizen.tips.merge import merge
from kaizen.tips.text import fold, one_line
from kaizen.tips.tip import StoredTip, Tip

if TYPE_CHECKING:
    from kaizen.sync.knowledge.similarity import KnownTip, Neighbour
    from kaizen.sync.llm.client import Model
    from kaizen.sync.llm.schemas import Decision, DecisionsAnswer
    from kaizen.sync.model import Outcome
    from kaizen.tips.evidence import StoredSource, StoryKey, TipSource

RECONCILE_PROMPT = "reconcile-2"
ANSWER_NAME = "kaizen_reconcile"
MODEL_SAYS_SO = "the model says so"

Relation = Literal["new", "duplicate", "merge", "contradicts"]

_MOST_FIRST: tuple[Relation, ...] = ("duplicate", "merge", "contradicts")
_MOST_DECISIONS = 10_000  # the oldest are about stories long committed
_SHOWN_CHARS = 1_000  # no generated tip is longer; one of a person may be


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTip:
    """One new tip with its evidence; `create` makes the stored tip if it turns out to be new.

    `quarantine_reason` is empty unless that will be quarantined. `shown_ids` are the known tips that the run
    was shown, to which it adds nothing.
    """

    tip: Tip
    source: TipSource
    create: Callable[[], StoredTip]
    quarantine_reason: str = ""
    shown_ids: frozenset[str] = frozenset()


@dataclass(slots=True)
class Reconciled:
    """The tips to put, and how often each decision was taken."""

    tips: dict[str, StoredTip]
    backed_ids: list[str]
    created: int = 0
    duplicates: int = 0
    merged: int = 0
    contradicting: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Return how often each decision was taken, as a report counts them."""
        names = ("created", "duplicates", "merged", "contradicting")
        return {name: getattr(self, name) for name in names}


class PairDecision(NamedTuple):
    """What a new tip is to a known one: `new` if nothing. `wording` is that of a merge."""

    relation: Relation
    wording: str = ""
    reason: str = ""


class _Placed(NamedTuple):
    """A new tip among the known ones: the same as one of them, similar to some, or a stranger to all."""

    new: NewTip
    same: StoredTip | None = None
    neighbours: Sequence[Neighbour[StoredTip]] = ()


class Question(NamedTuple):
    """A question for a model: new tips, each with those to compare it with, and all of those as shown."""

    asked: list[tuple[Tip, Sequence[Neighbour[KnownTip]]]]
    shown: list[KnownTip]

    @property
    def text(self) -> str:
        new = [_shown(tip, "") for tip, _ in self.asked]
        known = [_shown(tip, "not said") for tip in self.shown]
        return "\n".join(["NEW tips:", *_numbered(new), "", "KNOWN tips:", *_numbered(known)])


class Reconciler:
    """Reconcile the tips of one sync. Not safe for threads, but for `ask`.

    A model decides on pairs, a new tip and a known one, and each decision is kept: it is not asked again when
    somebody else's commit makes a story be planned once more, nor when it was asked ahead. Asking ahead also
    compares with the pending tips of the stories before, since most of them come to be known.
    """

    def __init__(self, model: Model | None) -> None:
        """Without a model the words alone decide."""
        self._model = model
        self._neighbours = Neighbours()
        self._decisions: OrderedDict[tuple[str, ...], PairDecision] = OrderedDict()
        self._known: Mapping[str, StoredTip] = {}
        self._related_to_pending: dict[str, set[Tip]] = {}
        """By story, those of its tips that a model related to pending tips."""

    def prefetch_question(
        self, story_id: str, learned: Sequence[NewTip], known: Mapping[str, StoredTip]
    ) -> Question | None:
        """Return what to ask already about a story that waits for its turn; None if there is nothing.

        Call it for each story in the order of their turns, and again if much has changed since.
        """
        if not learned or self._model is None:
            return None
        placed: list[tuple[Tip, Sequence[Neighbour[KnownTip]]]] = []
        for new, same, neighbours in self._placed(learned, known):
            found = self._neighbours.of_pending(new.tip.content, before=story_id)
            # Claims differ in what they say, or join by it: no model is needed.
            pending = [near for near in found if not (new.tip.claim and near.tip.claim)]
            is_pending = any(fold(near.tip.content) == fold(new.tip.content) for near in pending)
            if not same and not is_pending and not is_dangerous(new.quarantine_reason):
                placed.append((new.tip, [*neighbours, *pending]))
        self._neighbours.add_pending(story_id, [tip for tip, _ in placed])
        return self._question(story_id, placed)

    def question(
        self, story_id: str, learned: Sequence[NewTip], known: Mapping[str, StoredTip]
    ) -> Question | None:
        """Return what is still to be asked about a story whose turn it is; None if there is nothing."""
        if not learned or self._model is None:
            return None
        placed = self._placed(learned, known)
        return self._question(story_id, [(new.tip, neighbours) for new, _, neighbours in placed])

    def finish(self, story_id: str) -> None:
        """Forget the pending tips of that story: they are known now, or dropped."""
        self._neighbours.remove_pending(story_id)
        self._related_to_pending.pop(story_id, None)

    def is_up(self) -> bool:
        """Whether the model answers anything at all."""
        return self._model is not None and self._model.is_up()

    def ask(self, question: Question) -> DecisionsAnswer:
        """Ask the model. Raises `ModelError` if it gives no usable answer."""
        from kaizen.sync.llm.schemas import DecisionsAnswer

        assert self._model is not None
        return self._model.ask(
            system=load_prompt(RECONCILE_PROMPT), user=question.text, answer=DecisionsAnswer, name=ANSWER_NAME
        )

    def record_answer(self, story_id: str, question: Question, answer: DecisionsAnswer) -> None:
        """Keep what the model decided."""
        numbers = {_as_shown(known): number for number, known in enumerate(question.shown, 1)}
        for number, (tip, neighbours) in enumerate(question.asked, 1):
            # Reversed, so that of two decisions on one pair the first holds.
            about = {said.known: said for said in reversed(answer.decisions) if said.new == number}
            for near in neighbours:
                # One without a number is about them all.
                said = about.get(numbers[_as_shown(near.tip)]) or about.get(None)
                decision = _checked(tip, near.tip, said) if said else self._opposite_by_words(tip, near)
                self._keep(tip, near.tip, decision)
                if decision.relation != "new" and isinstance(near.tip, Tip):
                    self._related_to_pending.setdefault(story_id, set()).add(tip)

    def reconcile(self, learned: Sequence[NewTip], known: Mapping[str, StoredTip]) -> Reconciled:
        """Decide for each new tip what it is, and return the tips that change.

        A pair that the model was not asked about is taken for two lessons. What a check found dangerous is
        shown to no model and changes no other tip.
        """
        result = Reconciled(tips={}, backed_ids=[])
        if not learned:
            return result
        placed = self._placed(learned, known)
        # First what needs no decision, so that the others find it in the result.
        for new, same, neighbours in placed:
            if same:
                _add_source(result, result.tips.get(same.id, same), new)
            elif not neighbours:
                _create(result, new)
        for new, _, neighbours in placed:
            if neighbours:
                self._apply(result, new, neighbours, known)
        return result

    def _placed(self, learned: Sequence[NewTip], known: Mapping[str, StoredTip]) -> list[_Placed]:
        if known is not self._known:
            self._neighbours.set_known(known)
            self._known = known
        return [self._place(new) for new in learned]

    def _place(self, new: NewTip) -> _Placed:
        if same := same_tip(self._neighbours.with_same_text(new.tip.content), new.quarantine_reason):
            return _Placed(new, same)
        if is_dangerous(new.quarantine_reason):
            return _Placed(new)
        if new.tip.claim:
            shown = (tip for tip in self._known.values() if is_shown(tip))
            if same := same_lesson(new.tip, shown):
                return _Placed(new, same)
        near = self._neighbours.of(new.tip.content)
        # Claims differ in what they say, however alike their words are.
        return _Placed(new, neighbours=[one for one in near if not (new.tip.claim and one.tip.claim)])

    def _question(
        self, story_id: str, placed: Sequence[tuple[Tip, Sequence[Neighbour[KnownTip]]]]
    ) -> Question | None:
        """Return what the model has not decided yet, in one call; None if there is nothing."""
        asked: list[tuple[Tip, Sequence[Neighbour[KnownTip]]]] = []
        for tip, neighbours in placed:
            self._forget_related_to_dropped(story_id, tip, neighbours)
            if undecided := list(self._undecided(tip, neighbours)):
                asked.append((tip, undecided))
        if not asked:
            return None
        shown = {_as_shown(near.tip): near.tip for _, undecided in asked for near in undecided}
        return Question(asked, list(shown.values()))

    def _forget_related_to_dropped(
        self, story_id: str, tip: Tip, neighbours: Sequence[Neighbour[KnownTip]]
    ) -> None:
        """Have a tip asked about again if no pending tip that it was related to came to be known.

        It may be the same as what that became.
        """
        related = self._related_to_pending.get(story_id, set())
        if tip in related and all(self._by_model(tip, near).relation == "new" for near in neighbours):
            related.remove(tip)
            for near in neighbours:
                self._decisions.pop(_pair(tip, near.tip), None)

    def _undecided(
        self, tip: Tip, neighbours: Iterable[Neighbour[KnownTip]]
    ) -> Iterator[Neighbour[KnownTip]]:
        """Yield those that were not compared with the tip, up to the most similar that repeats it."""
        for near in neighbours:
            decision = self._decisions.get(_pair(tip, near.tip))
            if decision is None:
                yield near
            elif decision.relation == "duplicate" and isinstance(near.tip, StoredTip):
                return

    def _apply(
        self,
        result: Reconciled,
        new: NewTip,
        neighbours: Sequence[Neighbour[StoredTip]],
        known: Mapping[str, StoredTip],
    ) -> None:
        found = self._most_related(new.tip, neighbours)
        if found is None:
            _create(result, new)
            return
        target, decision = found
        current = result.tips.get(target.id, known[target.id])
        if decision.relation == "duplicate" or (decision.relation == "merge" and target.id in new.shown_ids):
            _add_source(result, current, new)
        elif not new.source.verified:
            # What the trace does not show may not change what is known.
            _create(result, new)
        elif decision.relation == "merge":
            self._merge(result, current, new, decision.wording)
        else:
            _contradict(result, current, new, decision.reason)

    def _merge(self, result: Reconciled, current: StoredTip, new: NewTip, wording: str) -> None:
        """Merge in a model's wording, which was shown untrusted texts; a rejected tip takes in nothing."""
        worded_by = {"model": self._model.name, "prompt_version": RECONCILE_PROMPT} if self._model else None
        # The evidence comes with `with_source`, which knows what it is worth.
        part = replace(new.create().without_evidence(), id=current.id)
        merged = merge(
            current,
            [part],
            # Without a wording both texts are kept, so that nothing either says is lost.
            content=wording or f"{current.content}\n{part.content}",
            worded_by=worded_by if wording else None,
        ).with_source(new.source)
        is_rejected = current.is_a_persons and current.status == "retired"
        if is_rejected or (not current.is_manual and dangers(merged.texts)):
            _create(result, new)
        else:
            _put(result, merged)
            result.merged += 1

    def _most_related(
        self, tip: Tip, neighbours: Sequence[Neighbour[StoredTip]]
    ) -> tuple[StoredTip, PairDecision] | None:
        """Return the known tip that the new one repeats, else is merged into, else contradicts, if any.

        Of several the most similar.
        """
        decide = self._by_words if self._model is None else self._by_model
        decided = [(near.tip, decide(tip, near)) for near in neighbours]
        found = [pair for pair in decided if pair[1].relation != "new"]
        return min(found, key=lambda pair: _MOST_FIRST.index(pair[1].relation), default=None)

    def _keep(self, tip: Tip, known: KnownTip, decision: PairDecision) -> None:
        self._decisions[_pair(tip, known)] = decision
        while len(self._decisions) > _MOST_DECISIONS:
            self._decisions.popitem(last=False)

    def _by_model(self, tip: Tip, near: Neighbour[KnownTip]) -> PairDecision:
        return self._decisions.get(_pair(tip, near.tip)) or PairDecision("new")

    def _opposite_by_words(self, tip: Tip, near: Neighbour[KnownTip]) -> PairDecision:
        """Decide on a pair that the model left out: it may not have seen an opposite."""
        decision = self._by_words(tip, near)
        return decision if decision.relation == "contradicts" else PairDecision("new")

    def _by_words(self, tip: Tip, near: Neighbour[KnownTip]) -> PairDecision:
        triggers = tip.trigger, near.tip.trigger
        thresholds = self._neighbours.thresholds
        relation, reason = decide_by_words(
            tip.content, near.tip.content, near.similarity, thresholds, triggers=triggers
        )
        return PairDecision(relation, reason=reason)


def update_outcome(
    story: StoryKey,
    backed: Mapping[str, Sequence[StoredSource]],
    outcome: Outcome,
    tips: Mapping[str, StoredTip],
) -> dict[str, StoredTip]:
    """Return those of the tips whose evidence from that story has another outcome now.

    `backed` is the evidence that the story gave, by the id of the tip.
    """
    found = {
        tip_id: tips[tip_id].with_outcome(story, stored, outcome=outcome.name, judged_by=outcome.judged_by)
        for tip_id, stored in backed.items()
    }
    return {tip_id: tip for tip_id, tip in found.items() if tip is not tips[tip_id]}


def _numbered(lines: Sequence[str]) -> list[str]:
    return [f"{number}. {line}" for number, line in enumerate(lines, 1)]


def _shown(tip: KnownTip, without_trigger: str) -> str:
    trigger = one_line(tip.trigger or without_trigger)[:_SHOWN_CHARS]
    return f"{one_line(tip.content)[:_SHOWN_CHARS]} (when: {trigger})"


def _as_shown(tip: KnownTip) -> tuple[str, str]:
    return tip.content, tip.trigger


def _pair(new: Tip, known: KnownTip) -> tuple[str, ...]:
    """Return what a model is shown of a pair: what it decided of the same texts holds."""
    return *_as_shown(new), *_as_shown(known)


def _checked(tip: Tip, known: KnownTip, said: Decision) -> PairDecision:
    """Return what a model decided on a pair, unless the words show it to be wrong."""
    if said.known is None:
        return PairDecision("new")
    triggers = tip.trigger, known.trigger
    relation, reason = compare_statements(tip.content, known.content, triggers=triggers)
    if said.decision == "contradicts" or (said.decision != "new" and relation == "opposite"):
        return PairDecision("contradicts", reason=reason or MODEL_SAYS_SO)
    if said.decision == "merge" or (said.decision == "duplicate" and relation != "different"):
        return PairDecision(said.decision, wording=(said.content or "").strip())
    return PairDecision("new")


def _create(result: Reconciled, new: NewTip) -> StoredTip:
    tip = new.create()
    _put(result, tip)
    result.created += 1
    return tip


def _add_source(result: Reconciled, current: StoredTip, new: NewTip) -> None:
    if current.id not in new.shown_ids:
        _put(result, with_lesson(current, new.tip).with_source(new.source))
    result.duplicates += 1


def _put(result: Reconciled, tip: StoredTip) -> None:
    result.tips[tip.id] = tip
    if tip.id not in result.backed_ids:
        result.backed_ids.append(tip.id)


def _contradict(result: Reconciled, current: StoredTip, new: NewTip, reason: str) -> None:
    """Keep both, each naming the other; `resolve_contradictions` decides which of them agents get."""
    tip = _create(result, new)
    result.contradicting += 1
    result.tips[tip.id], result.tips[current.id] = record_contradiction(tip, current, reason)
