"""Find what Kaizen itself put into a trace: tips that the agent was shown, and calls of Kaizen's own."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.sync.model import Message, Trajectory
    from kaizen.tips.tip import StoredTip

OWN_CALL = "Kaizen's own model call"

# Eight words where there are so many, since tips often begin with the same few.
_LONG, _SHORT = 8, 4
_BLANK = "\N{OBJECT REPLACEMENT CHARACTER}"
_WORD = re.compile(r"\w+")

Words = tuple[str, ...]


def is_own_call(trajectory: Trajectory) -> bool:
    """Return whether Kaizen itself made the call: something traced the sync's own calls."""
    first = trajectory.messages[0] if trajectory.messages else None
    return first is not None and first.role == "system" and first.content.startswith(_openings())


@cache
def _openings() -> tuple[str, ...]:
    """Return the first line of each of Kaizen's prompts."""
    rooms = (files(f"kaizen.sync.{room}") / "prompts" for room in ("generate", "knowledge"))
    prompts = (file for room in rooms for file in room.iterdir() if file.name.endswith(".md"))
    return tuple(prompt.read_text(encoding="utf-8").partition("\n")[0] for prompt in prompts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The tips that an agent was shown in a trajectory, and the trajectory with those texts blanked."""

    tips: tuple[StoredTip, ...]
    rest: Trajectory


class KnownTips:
    """Find known tips in what agents were told, by their words: case, markup and white space do not count.

    A tip of less than four words is found only as a line of its own. Built once for many traces: each word of
    a trace costs one look-up, however many tips there are.
    """

    def __init__(self, tips: Iterable[StoredTip]) -> None:
        self._tips = [tip for tip in tips if _words(tip.content)]
        self._index = _Index((_words(tip.content), number) for number, tip in enumerate(self._tips))
        self._numbers = {tip.id: number for number, tip in enumerate(self._tips)}

    def shown_in(self, trajectory: Trajectory, start_time: datetime) -> Shown:
        """Return the tips that an agent whose run began then was shown, of those learned before."""
        # What recall recorded is exact; the words find tips that came some other way.
        recalled = (tip_id for exposure in trajectory.exposures for tip_id in exposure.shown_ids)
        shown = {self._numbers[tip_id]: None for tip_id in recalled if tip_id in self._numbers}

        def blanked(message: Message) -> Message:
            # What the agent says itself was not shown to it.
            if message.role == "assistant":
                return message
            found = [
                (number, place)
                for number, place in self._index.found_in(message.content)
                if self._is_older(number, start_time)
            ]
            shown.update((number, None) for number, _ in found)
            # What stands around it in the same message is the tip's too: when it applies, its steps.
            tips = {self._tips[number].id: self._tips[number] for number, _ in found}
            around = _Index((_words(text), 0) for tip in tips.values() for text in _texts(tip))
            places = [place for _, place in [*found, *around.found_in(message.content)]] if found else []
            return replace(message, content=_without(message.content, places)) if places else message

        rest = replace(
            trajectory,
            messages=tuple(map(blanked, trajectory.messages)),
            side_conversations=tuple(
                replace(side, messages=tuple(map(blanked, side.messages)))
                for side in trajectory.side_conversations
            ),
        )
        return Shown(tips=tuple(self._tips[number] for number in sorted(shown)), rest=rest)

    def _is_older(self, number: int, start_time: datetime) -> bool:
        created_at = self._tips[number].created_at
        return created_at is not None and created_at < start_time


class _Index:
    """Look for texts by how they begin."""

    def __init__(self, texts: Iterable[tuple[Words, int]]) -> None:
        self._by_start: defaultdict[Words, list[tuple[Words, int]]] = defaultdict(list)
        for words, number in texts:
            length = _LONG if len(words) >= _LONG else _SHORT
            self._by_start[words[:length]].append((words, number))
        self._first = {start[0] for start in self._by_start if start}
        # Looking up must not add a key for each word of each trace.
        self._by_start.default_factory = None

    def found_in(self, text: str) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield the number of each text that is in this one, and where."""
        if not self._first:
            return
        tokens = [(match[0].casefold(), match.start(), match.end()) for match in _WORD.finditer(text)]
        words = tuple(word for word, _, _ in tokens)
        for at, word in enumerate(words):
            if word not in self._first:
                continue
            for known, number in self._starting(words, at):
                end = at + len(known)
                if words[at:end] == known:
                    place = tokens[at][1], tokens[end - 1][2]
                    if len(known) >= _SHORT or _is_line(text, place):
                        yield number, place

    def _starting(self, words: Words, at: int) -> Iterator[tuple[Words, int]]:
        for size in (*range(1, _SHORT + 1), _LONG):
            if at + size <= len(words):
                yield from self._by_start.get(words[at : at + size], ())


def _words(text: str) -> Words:
    return tuple(word.casefold() for word in _WORD.findall(text))


def _is_line(text: str, place: tuple[int, int]) -> bool:
    """Return whether there are no other words on its line."""
    start = text.rfind("\n", 0, place[0]) + 1
    end = text.find("\n", place[1])
    return not _WORD.search(text[start : place[0]] + text[place[1] : end if end >= 0 else len(text)])


def _texts(tip: StoredTip) -> Iterator[str]:
    """Yield the texts of a tip beside its content."""
    return filter(_words, (tip.trigger, tip.rationale, *tip.implementation_steps))


def _without(text: str, places: Iterable[tuple[int, int]]) -> str:
    kept, at = [], 0
    for start, end in sorted(places):
        if start >= at:
            kept += [text[at:start], _BLANK]
        at = max(at, end)
    return "".join([*kept, text[at:]])
