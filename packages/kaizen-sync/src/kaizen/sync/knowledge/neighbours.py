"""Which known tips a new one is to be compared with: the most alike by words and meaning."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from kaizen.store import StoreError
from kaizen.sync.trust.comparing import is_shown
from kaizen.tips.merge import wordings
from kaizen.tips.wording import fold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.store import Embedder
    from kaizen.sync.knowledge.similarity import LikenessIndex, Thresholds
    from kaizen.tips.tip import StoredTip, Tip

    Known = StoredTip | Tip

_log = logging.getLogger(__name__)

# Whatever searches of the store embed with: the thresholds are those of this embedder.
EMBEDDER = "wordllama"
_MOST = 5


K_co = TypeVar("K_co", bound="Known", covariant=True)


class Neighbour(NamedTuple, Generic[K_co]):
    """A known tip, and how alike it is."""

    tip: K_co
    likeness: float


class Neighbours:
    """Finds neighbours for one sync; what was known before is not looked at again. Not safe for threads.

    Beside the known tips there are `coming` ones, of stories that wait for their turn.
    """

    def __init__(self) -> None:
        self._index: LikenessIndex | None = None
        self._coming_index: LikenessIndex | None = None
        self._coming: dict[str, tuple[int, Tip]] = {}
        self._places: dict[str, int] = {}
        self._expected = 0
        self._tips: Mapping[str, StoredTip] = {}
        self._texts: dict[str, str] = {}
        self._folds: dict[str, tuple[str, ...]] = {}
        self._ids_by_fold: dict[str, dict[str, None]] = {}

    @property
    def thresholds(self) -> Thresholds:
        return self._loaded().thresholds

    def know(self, tips: Mapping[str, StoredTip]) -> None:
        """From now on these tips are the known ones."""
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

    def same(self, content: str) -> list[StoredTip]:
        """The known tips with this very text, but for what `fold` takes off; else what stands for it."""
        text = fold(content)
        tips = [self._tips[tip_id] for tip_id in self._ids_by_fold.get(text, ())]
        return [tip for tip in tips if fold(tip.content) == text] or tips

    def of(self, content: str) -> list[Neighbour[StoredTip]]:
        """The known tips that may be about the same thing, the most alike first; none for a stranger."""
        if not self._tips:
            return []
        near = self._loaded().nearest(content, limit=_MOST, least=self.thresholds.alike)
        return [Neighbour(self._tips[key], likeness) for key, likeness in near]

    def coming(self, content: str, *, before: str) -> list[Neighbour[Tip]]:
        """The same of the tips that may come to be known by what stories before that one teach."""
        if not self._coming_index:
            return []
        place = self._places.get(before, self._expected)
        near = self._coming_index.nearest(content, limit=len(self._coming), least=self.thresholds.alike)
        found = ((*self._coming[key], likeness) for key, likeness in near)
        earlier = [Neighbour(tip, likeness) for number, tip, likeness in found if number < place]
        return earlier[:_MOST]

    def expect(self, story_id: str, tips: Sequence[Tip]) -> None:
        """These may come to be known, by what that story teaches; counts once for each story."""
        if story_id in self._places:
            return
        if self._coming_index is None:
            from kaizen.sync.knowledge.similarity import LikenessIndex

            self._coming_index = LikenessIndex(self._loaded().embedder)
        place = self._places[story_id] = self._expected
        self._expected += 1
        coming = {f"{place}:{number}": tip for number, tip in enumerate(tips)}
        self._coming |= {key: (place, tip) for key, tip in coming.items()}
        self._coming_index.put({key: tip.content for key, tip in coming.items()})

    def expect_no_more(self, story_id: str) -> None:
        """What that story teaches is known now, or is not taught."""
        place = self._places.pop(story_id, None)
        for key in [key for key, (number, _) in self._coming.items() if number == place]:
            assert self._coming_index is not None
            self._coming_index.discard(key)
            del self._coming[key]

    def _loaded(self) -> LikenessIndex:
        if self._index is None:
            from kaizen.sync.knowledge.similarity import LikenessIndex

            self._index = LikenessIndex(load_embedder())
        return self._index


def load_embedder() -> Embedder | None:
    """What tips are compared with by meaning; None, with a warning, where it does not load."""
    from kaizen.store import embedders as embedding

    try:
        return embedding.load_embedder(EMBEDDER)
    except StoreError as error:
        _log.warning("Comparing tips by their words only: %s", error)
        return None
