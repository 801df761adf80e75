"""New tips against known ones: new, duplicate of, merged into, or contradicting.

Exact duplicates and clear strangers are decided here; only what is alike is put to the model, in one call
for all tips of a trace. The model answers with numbers of what it was shown: what it leaves out is added,
what it makes up is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kaizen.sync.prompting import RECONCILE_PROMPT, load_prompt
from kaizen.sync.wording import fold

if TYPE_CHECKING:
    from kaizen.sync.answers import Decision
    from kaizen.sync.llm import Model
    from kaizen.sync.model import Tip
    from kaizen.sync.records import StoredTip, TipSource

ANSWER_NAME = "kaizen_reconcile"

_ALIKE = 0.5
_NEIGHBOURS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """One new tip with its evidence; `create` makes the stored tip if it turns out to be new."""

    tip: Tip
    source: TipSource
    create: Callable[[], StoredTip]


@dataclass(slots=True)
class Reconciled:
    """The tips to put, and how often each decision was taken."""

    tips: dict[str, StoredTip]
    backed_ids: list[str]
    created: int = 0
    duplicates: int = 0
    merged: int = 0
    contradicting: int = 0


def reconcile(learned: Sequence[Learned], known: Mapping[str, StoredTip], model: Model) -> Reconciled:
    """Decide for each new tip what it is, and return the tips that change.

    Raises `ModelError` where the model gives no usable answer.
    """
    result = Reconciled(tips={}, backed_ids=[])
    by_text = {fold(tip.content): tip.id for tip in known.values()}
    ambiguous: list[tuple[Learned, list[StoredTip]]] = []
    for new in learned:
        if known_id := by_text.get(fold(new.tip.content)):
            _put(result, result.tips.get(known_id, known[known_id]).with_source(new.source))
            result.duplicates += 1
        elif neighbours := _neighbours(new.tip, known.values()):
            ambiguous.append((new, neighbours))
        else:
            _create(result, new)
    if ambiguous and model.is_offline:
        # Nobody can say more than the words do, and those are others.
        for new, _ in ambiguous:
            _create(result, new)
    elif ambiguous:
        _decide(result, ambiguous, known, model)
    return result


def _decide(
    result: Reconciled,
    ambiguous: Sequence[tuple[Learned, Sequence[StoredTip]]],
    known: Mapping[str, StoredTip],
    model: Model,
) -> None:
    from kaizen.sync.answers import DecisionsAnswer

    shown = list({tip.id: tip for _, neighbours in ambiguous for tip in neighbours}.values())
    answer = model.ask(
        system=load_prompt(RECONCILE_PROMPT),
        user=_question([new for new, _ in ambiguous], shown),
        answer=DecisionsAnswer,
        name=ANSWER_NAME,
    )
    decisions: dict[int, Decision] = {}
    for decision in answer.decisions:
        decisions.setdefault(decision.new, decision)
    for number, (new, _) in enumerate(ambiguous, 1):
        decision_ = decisions.get(number)
        target = decision_.known if decision_ else None
        if (
            decision_ is None
            or decision_.decision == "new"
            or target is None
            or not 1 <= target <= len(shown)
        ):
            _create(result, new)
            continue
        tip_id = shown[target - 1].id
        current = result.tips.get(tip_id, known[tip_id])
        if decision_.decision == "duplicate":
            _put(result, current.with_source(new.source))
            result.duplicates += 1
        elif not new.source.verified:
            # What the trace does not show may not change what is known.
            _create(result, new)
        elif decision_.decision == "merge":
            _put(result, _merged(current, new, decision_.content or ""))
            result.merged += 1
        else:
            _contradict(result, current, new)


def _create(result: Reconciled, new: Learned) -> StoredTip:
    tip = new.create()
    _put(result, tip)
    result.created += 1
    return tip


def _put(result: Reconciled, tip: StoredTip) -> None:
    result.tips[tip.id] = tip
    if tip.id not in result.backed_ids:
        result.backed_ids.append(tip.id)


def _merged(current: StoredTip, new: Learned, wording: str) -> StoredTip:
    steps = {fold(step): step for step in current.metadata.get("implementation_steps") or ()}
    for step in new.tip.implementation_steps:
        steps.setdefault(fold(step), step)
    metadata = {**current.metadata, "implementation_steps": list(steps.values())}
    # Without a wording of the model's both texts are kept, so that nothing either said is lost; what a
    # person wrote stays as it is.
    content = current.content if current.is_manual else wording.strip()
    content = content or f"{current.content}\n{new.tip.content}"
    return replace(current, content=content, metadata=metadata).with_source(new.source)


def _contradict(result: Reconciled, current: StoredTip, new: Learned) -> None:
    """Both stay, each naming the other: which is right is for evidence and people to say."""
    tip = _create(result, new)
    result.contradicting += 1
    result.tips[tip.id] = _naming(tip, "contradicts", current.id)
    result.tips[current.id] = _naming(current, "contradicted_by", tip.id)


def _naming(tip: StoredTip, key: str, other_id: str) -> StoredTip:
    names: list[Any] = [*(tip.metadata.get(key) or ()), other_id]
    return replace(tip, metadata={**tip.metadata, key: list(dict.fromkeys(names))})


def _question(new: Sequence[Learned], shown: Sequence[StoredTip]) -> str:
    lines = ["NEW tips:"]
    for number, learned in enumerate(new, 1):
        lines.append(f"{number}. {_one_line(learned.tip.content)} (when: {_one_line(learned.tip.trigger)})")
    lines += ["", "KNOWN tips:"]
    for number, tip in enumerate(shown, 1):
        trigger = str(tip.metadata.get("trigger") or "not said")
        lines.append(f"{number}. {_one_line(tip.content)} (when: {_one_line(trigger)})")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1_000]


def _neighbours(tip: Tip, known: Iterable[StoredTip]) -> list[StoredTip]:
    words = _words(tip.content)
    scored = [(_likeness(words, _words(other.content)), other) for other in known]
    alike = [(score, other) for score, other in scored if score >= _ALIKE]
    alike.sort(key=lambda pair: (-pair[0], pair[1].id))
    return [other for _, other in alike[:_NEIGHBOURS]]


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of the shorter text's words that both have: a short tip inside a long one is alike."""
    smaller = min(len(one), len(other))
    return len(one & other) / smaller if smaller else 0.0


@lru_cache(maxsize=65_536)
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w{3,}", text.casefold())) - _COMMON


_COMMON = frozenset(
    re.findall(
        r"\w+",
        "the and for with that this when then from into must not are was were has have had its use using any"
        " all before after always never should you your can will each only than them they their instead"
        " make sure",
    )
)
