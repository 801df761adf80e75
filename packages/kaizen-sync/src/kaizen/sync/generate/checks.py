"""Check new tips without a model: each must say something, and not only about its own run."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from kaizen.sync.expressions import read_expressions
from kaizen.sync.generate.grounding import RunLiterals
from kaizen.tips.text import fold, overlap, turning_words, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kaizen.sync.model import Trajectory
    from kaizen.tips.tip import Tip

EMPTY = "empty"
TOO_LONG = "too long"
TOO_MANY = "too many"
RESTATES_TASK = "restates the task"
REPEATS_ANOTHER = "repeats another"
RUN_SPECIFIC = "run-specific"
RETELLS = "retells the run"
UNUSABLE = "no usable answer"
SAYS_LESS = "says less than the run shows"

MOST_TIPS = 20
MOST_CHARS = 1_000
MOST_STEPS = 20

# How much of a tip a request must say for the tip to say nothing more.
_SAID_IN_SENTENCE = 0.9
_LIKE_REQUEST = 0.75
_LIKE_ANOTHER = 0.8
_SENTENCE_WORDS = 60
_FEWEST_WORDS = 3
_REQUEST_CHARS = 100_000  # users paste whole files, and each tip is compared with all of it
_PLACEHOLDER = re.compile(r"<[\w -]{1,20}>")
_SENTENCE = re.compile(r"(?<=[.!?])\s|[\n;]")

# A tip that names more of what only one run had is about that run.
_CONTENT_LITERALS = 2
_ALL_LITERALS = 5
_GENERAL_WORDS = 5


@dataclass(frozen=True, slots=True)
class Generated:
    """The tips that a run teaches, and how many were dropped, by reason."""

    tips: tuple[Tip, ...] = ()
    dropped: Counter[str] = field(default_factory=Counter)


def checked(tips: Iterable[Tip], trajectory: Trajectory, *, rules: Iterable[str] = ()) -> Generated:
    """Return the tips that pass, in order, with a placeholder for each value that only this run had.

    What the `rules` of the tools hold, which their errors state, is none.
    """
    literals, requests = RunLiterals(trajectory, kept="\n".join(rules)), _Requests(trajectory)
    kept: list[Tip] = []
    dropped: Counter[str] = Counter()
    for tip in tips:
        passed = _passed(tip, kept, literals, requests)
        if isinstance(passed, str):
            dropped[passed] += 1
        else:
            kept.append(passed)
    return Generated(tuple(kept), dropped)


def _passed(tip: Tip, kept: Sequence[Tip], literals: RunLiterals, requests: _Requests) -> Tip | str:
    """Return the tip as it is kept beside those before it, or the reason for dropping it."""
    if problem := _size_problem(tip):
        return problem
    general = _generalised(tip, literals)
    if general is None:
        return RUN_SPECIFIC
    if requests.say(general.content):
        return RESTATES_TASK
    if any(_is_alike(general.content, known.content) for known in kept):
        return REPEATS_ANOTHER
    return general if len(kept) < MOST_TIPS else TOO_MANY


def _size_problem(tip: Tip) -> str:
    if not words(tip.content):
        return EMPTY
    texts = (tip.content, tip.rationale, tip.trigger, tip.task_description, *tip.implementation_steps)
    if len(tip.implementation_steps) > MOST_STEPS or any(len(text) > MOST_CHARS for text in texts):
        return TOO_LONG
    return ""


def _generalised(tip: Tip, literals: RunLiterals) -> Tip | None:
    """Return the tip without the values of its run; None if too little is left."""
    found: set[str] = set()

    def general(text: str) -> str:
        text, values = literals.generalised(text)
        found.update(values)
        return text

    content = general(tip.content)
    left = words(_PLACEHOLDER.sub(" ", content))
    if found and (len(found) > _CONTENT_LITERALS or len(left) < _GENERAL_WORDS):
        return None
    changed = replace(
        tip,
        content=content,
        rationale=general(tip.rationale),
        trigger=general(tip.trigger),
        implementation_steps=tuple(map(general, tip.implementation_steps)),
        task_description=general(tip.task_description),
    )
    if found:
        written = (tip.content, *tip.implementation_steps, tip.trigger, tip.rationale, tip.task_description)
        changed = replace(changed, as_written=written)
    return changed if len(found) <= _ALL_LITERALS else None


def retells(text: str) -> bool:
    """Return whether a text tells what happened in a run, instead of what to do in the next."""
    return _retelling().search(text) is not None


@cache
def _retelling() -> re.Pattern[str]:
    return re.compile("|".join(read_expressions("generate/retelling.toml")["retelling"]), re.IGNORECASE)


def _is_alike(one: str, other: str) -> bool:
    if fold(one) == fold(other):
        return True
    these, those = words(one), words(other)
    return overlap(these, those) >= _LIKE_ANOTHER and turning_words(these) == turning_words(those)


class _Requests:
    """The requests of a run's users, sentence by sentence."""

    def __init__(self, trajectory: Trajectory) -> None:
        self._sentences: list[frozenset[str]] = []
        self._wholes: list[frozenset[str]] = []
        left = _REQUEST_CHARS
        for message in trajectory.messages:
            if message.role == "user" and left > 0:
                text = message.content[:left]
                left -= len(text)
                self._wholes.append(words(text))
                self._sentences += filter(None, map(words, _SENTENCE.split(text)))

    def say(self, content: str) -> bool:
        """Return whether a tip only repeats a request."""
        tip = words(content)
        if len(tip) < _FEWEST_WORDS:
            return False
        if any(overlap(tip, whole) >= _LIKE_REQUEST for whole in self._wholes):
            return True
        return any(
            len(sentence) <= _SENTENCE_WORDS and len(tip & sentence) >= _SAID_IN_SENTENCE * len(tip)
            for sentence in self._sentences
        )
