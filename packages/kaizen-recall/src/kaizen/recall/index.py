"""An index of tips, by tool and by word, and how well they fit the words of a request (BM25). Pure."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from math import log
from struct import Struct
from typing import TYPE_CHECKING

from kaizen.recall import placing
from kaizen.recall.tools import bare_name
from kaizen.recall.words import text_stems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kaizen.recall.model import ServedTip

# Chosen with benchmarks/recall.py: with a greater K1, longer texts and further occurrences count more.
_K1, _B = 3.0, 0.75
# Words that are in many tips tell least, and adding up all their tips takes time.
_MOST_POSTINGS = 3_000
_POSTING = Struct("II")
"""The place of a tip that has a word, and how often."""


class Index:
    """Find tips by their place among all tips, of which the first are the best backed."""

    def __init__(self, tips: Sequence[ServedTip], pause: Callable[[], None] = lambda: None) -> None:
        self.about: list[tuple[str, ...]] = []
        """The tools that each tip is about, the one whose description it belongs into first."""
        self.tokens = array("I")
        """How much room each tip takes."""
        self._by_tool: dict[str, array[int]] = {}
        # Bytes, not arrays: the garbage collector would look at each of those, in the agent's time.
        self._postings: dict[str, bytearray] = {}
        self._lengths = array("H")
        for place, tip in enumerate(tips):
            self.about.append(about := _tools_about(tip))
            self.tokens.append(placing.item_tokens(tip))
            for name in {bare_name(tool) for tool in about}:
                self._by_tool.setdefault(name, array("I")).append(place)
            self._add_words(place, text_stems("\n".join((tip.trigger, tip.task, tip.content, *about))))
            pause()
        self._mean_length = sum(self._lengths) / max(1, len(self._lengths))

    def _add_words(self, place: int, stems: list[str]) -> None:
        self._lengths.append(len(stems))
        for word, count in Counter(stems).items():
            self._postings.setdefault(word, bytearray()).extend(_POSTING.pack(place, count))

    def about_tool(self, name: str) -> Sequence[int]:
        """Return the places of tips that are about a tool of that name, whatever server it is of."""
        return self._by_tool.get(bare_name(name), ())

    def scores(self, weights: Mapping[str, float]) -> dict[int, float]:
        """Return how well tips fit the stems, which have weights; tips that share no rare word are left out.

        One word that no other tip has counts 1 in a tip of the mean length.
        """
        found: dict[int, float] = {}
        for word in self._rarest(weights):
            factor = weights[word] * (_K1 + 1) * self._idf(self._tips_with(word)) / self._idf(1)
            for place, count in _POSTING.iter_unpack(self._postings[word]):
                length = _K1 * (1 - _B + _B * self._lengths[place] / self._mean_length)
                found[place] = found.get(place, 0) + factor * count / (count + length)
        return found

    def _idf(self, count: int) -> float:
        return log(1 + (len(self._lengths) - count + 0.5) / (count + 0.5))

    def _tips_with(self, word: str) -> int:
        return len(self._postings.get(word, b"")) // _POSTING.size

    def _rarest(self, words: Iterable[str]) -> list[str]:
        known = sorted((count, word) for word in words if (count := self._tips_with(word)))
        kept: list[str] = []
        total = 0
        for count, word in known:
            total += count
            if kept and total > _MOST_POSTINGS:
                break
            kept.append(word)
        return kept


def _tools_about(tip: ServedTip) -> tuple[str, ...]:
    """Return the tool whose failed call it prevents, and those that it names, else the only one it knows.

    A tip that names none of several tools is about none.
    """
    text = "\n".join((tip.content, tip.trigger, *tip.steps))
    places = {name: match.start() for name in tip.tools if (match := _named_in(name, text))}
    named = sorted(places, key=places.__getitem__) or (tip.tools if len(tip.tools) == 1 else ())
    return tuple(dict.fromkeys(filter(None, (tip.tool, *named))))


def _named_in(name: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) if name in text else None
