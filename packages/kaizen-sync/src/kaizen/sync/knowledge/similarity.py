"""Measure how similar texts are, by their words and by their meaning, and find the most similar of many."""

from __future__ import annotations

import logging
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from kaizen.store import StoreError
from kaizen.sync.trust.comparing import is_shown
from kaizen.tips.merge import wordings
from kaizen.tips.text import fold, word_stems
from kaizen.tips.tip import StoredTip, Tip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from kaizen.store import Embedder

_log = logging.getLogger(__name__)

KnownTip = StoredTip | Tip
K_co = TypeVar("K_co", bound=KnownTip, covariant=True)

EMBEDDER = "wordllama"
"""What searches of the store embed with by default: the thresholds are those of this embedder."""

_MOST_NEIGHBOURS = 5
_ROWS_AT_FIRST = 64
# The same text is looked for more than once while its story waits.
_EMBEDDED = 1_000


class Thresholds(NamedTuple):
    """The similarity from which two tips may be about one thing, contradict each other, or be the same.

    Chosen with `benchmarks/reconcile.py` on one half of the labelled pairs; docs/explanation/tips.md has the
    numbers of the other half.
    """

    alike: float
    opposed: float
    same: float


WITH_MEANING = Thresholds(alike=0.45, opposed=0.6, same=0.86)
BY_WORDS = Thresholds(alike=0.35, opposed=0.5, same=0.86)


class Match(NamedTuple):
    """A text by its key, and how similar it is: from 0 for nothing in common to 1 for all."""

    key: str
    similarity: float


class SimilarityIndex:
    """Hold texts by key, each embedded once, when it comes or changes; without an embedder words alone count.

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
        """Add these, each in place of what was under its key."""
        for key in texts:
            self.discard(key)
        first, count = len(self._keys), len(self._keys) + len(texts)
        if count > len(self._sizes):
            # Doubled, so that adding one by one does not copy all each time.
            self._grow(2 * count)
        for row, (key, text) in enumerate(texts.items(), first):
            words = word_stems(text)
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
        for word in word_stems(self._texts.pop(key)):
            self._rows_by_word[word].remove(row)
        moved = self._keys.pop()
        if moved == key:
            return
        self._keys[row], self._rows[moved] = moved, row
        self._sizes[row], self._vectors[row] = self._sizes[last], self._vectors[last]
        for word in word_stems(self._texts[moved]):
            self._rows_by_word[word].remove(last)
            self._rows_by_word[word].append(row)

    def nearest(self, text: str, *, limit: int, least: float) -> list[Match]:
        """Return the most similar, at most `limit` and none below `least`: the best first, ties by key."""
        scores = self._similarities(text)
        found = [Match(self._keys[row], float(scores[row])) for row in (scores >= least).nonzero()[0]]
        return sorted(found, key=lambda match: (-match.similarity, match.key))[:limit]

    def similarity(self, key: str, other: str) -> float:
        """Return how similar two of the texts are."""
        words, others = word_stems(self._texts[key]), word_stems(self._texts[other])
        by_words = _by_words(len(words & others), len(words), len(others))
        if not self.embedder:
            return float(by_words)
        return float(_mean(by_words, self._vectors[self._rows[key]] @ self._vectors[self._rows[other]]))

    def _similarities(self, text: str) -> NDArray[np.float32]:
        """Return how similar each row is to the text."""
        import numpy as np

        words, count = word_stems(text), len(self._keys)
        shared = np.zeros(count, dtype=np.float32)
        for word in words:
            if rows := self._rows_by_word.get(word):
                shared[np.frombuffer(rows, dtype=np.int64)] += 1
        by_words: NDArray[np.float32] = _by_words(shared, len(words), self._sizes[:count])
        if self._embed:
            by_words = _mean(by_words, self._vectors[:count] @ self._embed(text))
        return by_words

    def _grow(self, room: int) -> None:
        import numpy as np

        count = len(self._keys)
        sizes, vectors = self._sizes, self._vectors
        self._sizes = np.zeros(room, dtype=np.float32)
        self._vectors = np.zeros((room, vectors.shape[1]), dtype=np.float32)
        self._sizes[:count], self._vectors[:count] = sizes[:count], vectors[:count]


def _mean(by_words: Any, by_meaning: Any) -> Any:
    """Return the mean: words alone miss paraphrases, meaning alone finds all of one subject similar."""
    return (by_words + by_meaning) / 2


def _by_words(shared: Any, count: Any, other_count: Any) -> Any:
    """Return the words that both have, by the geometric mean of how many each has."""
    import numpy as np

    return shared / np.sqrt(np.maximum(count * other_count, 1))


class Neighbour(NamedTuple, Generic[K_co]):
    """A known tip, and how similar it is."""

    tip: K_co
    similarity: float


class Neighbours:
    """Find the known tips most similar to new ones, for one sync. Not safe for threads.

    What was known before is not looked at again. Beside the known tips there are pending ones, of stories
    that wait for their turn to be committed.
    """

    def __init__(self) -> None:
        self._index: SimilarityIndex | None = None
        self._pending_index: SimilarityIndex | None = None
        self._pending: dict[str, tuple[int, Tip]] = {}
        self._places: dict[str, int] = {}
        self._next_place = 0
        self._tips: Mapping[str, StoredTip] = {}
        self._texts: dict[str, str] = {}
        self._folds: dict[str, tuple[str, ...]] = {}
        self._ids_by_fold: dict[str, dict[str, None]] = {}

    @property
    def thresholds(self) -> Thresholds:
        return self._loaded().thresholds

    def set_known(self, tips: Mapping[str, StoredTip]) -> None:
        """Take these tips for the known ones from now on."""
        before, self._tips = self._tips, dict(tips)
        changed = [tip for tip_id, tip in tips.items() if before.get(tip_id) is not tip]
        reworded = {tip.id: tip.content for tip in changed if self._texts.get(tip.id) != tip.content}
        gone = before.keys() - tips.keys()
        for tip_id in (*gone, *(tip.id for tip in changed)):
            for text in self._folds.pop(tip_id, ()):
                del self._ids_by_fold[text][tip_id]
        for tip in changed:
            self._folds[tip.id] = tuple(wordings(tip))
            for text in self._folds[tip.id]:
                self._ids_by_fold.setdefault(text, {})[tip.id] = None
        for tip_id in gone:
            self._texts.pop(tip_id, None)
        self._texts |= reworded
        if gone or reworded:
            index = self._loaded()
            for tip_id in gone:
                index.discard(tip_id)
            index.put({tip_id: text for tip_id, text in reworded.items() if is_shown(self._tips[tip_id])})

    def with_same_text(self, content: str) -> list[StoredTip]:
        """Return the known tips with this very text once folded; else those that it was merged into."""
        text = fold(content)
        tips = [self._tips[tip_id] for tip_id in self._ids_by_fold.get(text, ())]
        return [tip for tip in tips if fold(tip.content) == text] or tips

    def of(self, content: str) -> list[Neighbour[StoredTip]]:
        """Return the known tips that may be about the same thing, the most similar first."""
        if not self._tips:
            return []
        near = self._loaded().nearest(content, limit=_MOST_NEIGHBOURS, least=self.thresholds.alike)
        return [Neighbour(self._tips[key], similarity) for key, similarity in near]

    def of_pending(self, content: str, *, before: str) -> list[Neighbour[Tip]]:
        """Return the same of the pending tips, of stories before that one."""
        if not self._pending_index:
            return []
        place = self._places.get(before, self._next_place)
        near = self._pending_index.nearest(content, limit=len(self._pending), least=self.thresholds.alike)
        found = ((*self._pending[key], similarity) for key, similarity in near)
        earlier = [Neighbour(tip, similarity) for number, tip, similarity in found if number < place]
        return earlier[:_MOST_NEIGHBOURS]

    def add_pending(self, story_id: str, tips: Sequence[Tip]) -> None:
        """Add the tips of a story that may come to be known; does nothing for a story that is pending."""
        if story_id in self._places:
            return
        if self._pending_index is None:
            self._pending_index = SimilarityIndex(self._loaded().embedder)
        place = self._places[story_id] = self._next_place
        self._next_place += 1
        pending = {f"{place}:{number}": tip for number, tip in enumerate(tips)}
        self._pending |= {key: (place, tip) for key, tip in pending.items()}
        self._pending_index.put({key: tip.content for key, tip in pending.items()})

    def remove_pending(self, story_id: str) -> None:
        """Remove the tips of a story: they are known now, or dropped."""
        place = self._places.pop(story_id, None)
        for key in [key for key, (number, _) in self._pending.items() if number == place]:
            assert self._pending_index is not None
            self._pending_index.discard(key)
            del self._pending[key]

    def _loaded(self) -> SimilarityIndex:
        if self._index is None:
            self._index = SimilarityIndex(load_embedder())
        return self._index


def load_embedder() -> Embedder | None:
    """Return the embedder that tips are compared with; None, with a warning, if it does not load."""
    from kaizen.store import embedders

    try:
        return embedders.load_embedder(EMBEDDER)
    except StoreError as error:
        _log.warning("Comparing tips by their words only: %s", error)
        return None
