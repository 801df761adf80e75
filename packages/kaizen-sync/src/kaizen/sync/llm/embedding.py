"""Embed texts by a provider's model, through LiteLLM: `KAIZEN_EMBEDDER=litellm/text-embedding-3-small`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.store import InvalidInputError, StoreError, UnavailableError
from kaizen.sync.llm.calling import call, import_litellm
from kaizen.sync.llm.failures import is_about_key, is_unknown_model, said
from kaizen.sync.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

# Cohere takes 96 texts a call and Gemini 100; 64 of the longest texts are few tokens for OpenAI.
BATCH = 64
_ATTEMPTS = 4
_TIMEOUT_S = 60.0
# One text is what somebody searches for, and waits: the search goes on by words without it.
_ATTEMPTS_FOR_ONE = 2
_TIMEOUT_FOR_ONE_S = 10.0


def load(model: str) -> LiteLLMEmbedder:
    """Return the embedder for a LiteLLM model name; nothing is imported or asked before the first text."""
    if not model:
        raise InvalidInputError(
            "embedder 'litellm' needs a model: set KAIZEN_EMBEDDER, say to litellm/text-embedding-3-small"
        )
    return LiteLLMEmbedder(model)


class LiteLLMEmbedder:
    """Embed texts with a provider's model. Safe for threads."""

    def __init__(self, name: str) -> None:
        self.model = f"litellm/{name}"
        self._name = name
        self._dimension = 0

    @property
    def dimension(self) -> int:
        """Return the length of a vector; ask the model if it has not answered yet. Raises like `embed`."""
        if not self._dimension:
            self._ask(["dimension"])
        return self._dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row per text, of norm 1; of norm 0 for blank texts, which providers refuse.

        Raises `InvalidInputError` if the provider refuses the key or the model, `UnavailableError` if it
        fails otherwise, `StoreError` if its answer does not fit the texts.
        """
        import numpy as np

        redactor = Redactor()
        rows = [row for row, text in enumerate(texts) if text.strip()]
        vectors: list[list[float]] = []
        for start in range(0, len(rows), BATCH):
            vectors += self._ask([redactor.text(texts[row]) for row in rows[start : start + BATCH]])
        embedded = np.zeros((len(texts), self.dimension), dtype=np.float32)
        if rows:
            embedded[rows] = vectors
        lengths = np.linalg.norm(embedded, axis=1, keepdims=True)
        np.divide(embedded, lengths, out=embedded, where=lengths > 0)
        return embedded

    def _ask(self, texts: list[str]) -> list[list[float]]:
        alone = len(texts) == 1
        try:
            response = call(
                import_litellm().embedding,
                attempts=_ATTEMPTS_FOR_ONE if alone else _ATTEMPTS,
                model=self._name,
                input=texts,
                # OpenAI's client asks for base64 otherwise, which few other servers know.
                encoding_format="float",
                timeout_s=_TIMEOUT_FOR_ONE_S if alone else _TIMEOUT_S,
            )
        except Exception as error:  # litellm's errors share no root, and providers' own come through
            raise self._wrapped(error) from error
        # The API promises an index for each, and no order.
        data = sorted(response.data or [], key=lambda item: int(item["index"]))
        vectors: list[list[float]] = [item["embedding"] for item in data]
        sizes = {len(vector) for vector in vectors}
        if len(vectors) != len(texts) or len(sizes) != 1 or sizes - {self._dimension or max(sizes)}:
            raise StoreError(
                f"embedder '{self.model}' answered {len(texts)} texts with {len(vectors)} vectors of "
                f"{sorted(sizes)} numbers" + (f", and of {self._dimension} before" if self._dimension else "")
            )
        self._dimension = sizes.pop()
        return vectors

    def _wrapped(self, error: Exception) -> StoreError:
        problem = said(error)[:300]
        if is_about_key(error):
            return InvalidInputError(
                f"embedder '{self.model}' refuses the key ({problem}): set the provider's key variable, such "
                "as OPENAI_API_KEY, or choose another embedder with KAIZEN_EMBEDDER"
            )
        if is_unknown_model(error):
            return InvalidInputError(
                f"there is no embedder '{self.model}' ({problem}): name the model as LiteLLM does in "
                "KAIZEN_EMBEDDER, and check the provider's base URL"
            )
        return UnavailableError(f"embedder '{self.model}' failed: {type(error).__name__}: {problem}")
