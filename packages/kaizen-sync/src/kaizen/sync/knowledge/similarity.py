"""How alike texts are, by their words and by their meaning, and which of many are the most alike."""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.tips.text import telling_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from kaizen.store import Embedder

_ROWS_AT_FIRST = 64
# The same text is looked for more than once while its story waits.
_EMBEDDED = 1_000


class Thresholds(NamedTuple):
    """From which likeness on two tips may be about one thing, contradict each other, or be the same.

    Chosen with `benchmarks/reconcile.py` on one half of the labelled pairs; docs/explanation/tips.md has the
    numbers of the other half.
    """

    alike: float
    opposed: float
    same: float


WITH_MEANING = Thresholds(alike=0.45, opposed=0.6, same=0.86)
BY_WORDS = Thresholds(alike=0.35, opposed=0.5, same=0.86)


class Near(NamedTuple):
    """A text by its key, and how alike it is: from 0 for nothing in common to 1 for all."""

    key: str
    likeness: float


class LikenessIndex:
    """Texts by key, each embedded once, when it comes or changes; without an embedder words alone count.

    Not safe for threads.
    """

    def __init__(self, embedder: Embedder | None = None) -> None:
        import numpy as np

        self.embedder = embedder
        self.thresholds = WITH_MEANING if embedder else BY_WORDS
        self._texts: dict[str, str] = {}
        self._rows: dict[str, int] = {}
        self._keys: list[str] = []
        self._rows_by_word: dict[str, array[int]] = {}
        self._sizes: NDArray[np.float32] = np.zeros(_ROWS_AT_FIRST, dtype=np.float32)
        self._embed = lru_cache(_EMBEDDED)(lambda text: embedder.embed([text])[0]) if embedder else None
        dimension = embedder.dimension if embedder else 0
        self._vectors: NDArray[np.float32] = np.zeros((_ROWS_AT_FIRST, dimension), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._keys)

    def hold(self, texts: Mapping[str, str]) -> None:
        """Hold exactly these texts; one that is held already costs no more than a look."""
        for key in [key for key in self._keys if key not in texts]:
            self.discard(key)
        self.put({key: text for key, text in texts.items() if self._texts.get(key) != text})

    def put(self, texts: Mapping[str, str]) -> None:
        """Take these in, each in place of what was under its key."""
        for key in texts:
            self.discard(key)
        first, count = len(self._keys), len(self._keys) + len(texts)
        if count > len(self._sizes):
            self._grow(2 * count)
        for row, (key, text) in enumerate(texts.items(), first):
            words = telling_words(text)
            self._texts[key], self._rows[key] = text, row
            self._keys.append(key)
            self._sizes[row] = len(words)
            for word in words:
                self._rows_by_word.setdefault(word, array("q")).append(row)
        if self.embedder and texts:
            self._vectors[first:count] = self.embedder.embed(list(texts.values()))

    def discard(self, key: str) -> None:
        """Hold nothing under this key; the last row takes the place, so that no gap stays."""
        if key not in self._rows:
            return
        row, last = self._rows.pop(key), len(self._keys) - 1
        for word in telling_words(self._texts.pop(key)):
            self._rows_by_word[word].remove(row)
        moved = self._keys.pop()
        if moved == key:
            return
        self._keys[row], self._rows[moved] = moved, row
        self._sizes[row], self._vectors[row] = self._sizes[last], self._vectors[last]
        for word in telling_words(self._texts[moved]):
            self._rows_by_word[word].remove(last)
            self._rows_by_word[word].append(row)

    def nearest(self, text: str, *, limit: int, least: float) -> list[Near]:
        """The most alike, at most `limit` and none below `least`: the best first, ties by key."""
        scores = self._likeness(text)
        found = [Near(self._keys[row], float(scores[row])) for row in (scores >= least).nonzero()[0]]
        return sorted(found, key=lambda near: (-near.likeness, near.key))[:limit]

    def likeness(self, key: str, other: str) -> float:
        """How alike two of the texts are."""
        words, others = telling_words(self._texts[key]), telling_words(self._texts[other])
        by_words = _by_words(len(words & others), len(words), len(others))
        if not self.embedder:
            return float(by_words)
        return float(_united(by_words, self._vectors[self._rows[key]] @ self._vectors[self._rows[other]]))

    def _likeness(self, text: str) -> NDArray[np.float32]:
        """How alike each row is to the text."""
        import numpy as np

        words, count = telling_words(text), len(self._keys)
        shared = np.zeros(count, dtype=np.float32)
        for word in words:
            if rows := self._rows_by_word.get(word):
                shared[np.frombuffer(rows, dtype=np.int64)] += 1
        by_words: NDArray[np.float32] = _by_words(shared, len(words), self._sizes[:count])
        if self._embed:
            by_words = _united(by_words, self._vectors[:count] @ self._embed(text))
        return by_words

    def _grow(self, room: int) -> None:
        import numpy as np

        count = len(self._keys)
        sizes, vectors = self._sizes, self._vectors
        self._sizes = np.zeros(room, dtype=np.float32)
        self._vectors = np.zeros((room, vectors.shape[1]), dtype=np.float32)
        self._sizes[:count], self._vectors[:count] = sizes[:count], vectors[:count]


def _united(by_words: Any, by_meaning: Any) -> Any:
    """The mean: words alone miss what is said in others, meaning alone takes all of one subject for alike."""
    return (by_words + by_meaning) / 2


def _by_words(shared: Any, count: Any, other_count: Any) -> Any:
    """The words that both have, by the geometric mean of how many each has."""
    import numpy as np

    return shared / np.sqrt(np.maximum(count * other_count, 1))
