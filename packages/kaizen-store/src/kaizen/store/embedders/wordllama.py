"""Embed by default: static word vectors that the package wordllama ships, read from its own files.

wordllama itself is never imported: that would configure the root logger, and cost three times as much.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kaizen.store.embedders import refuse_model, scale_to_unit
from kaizen.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
# What a token's vector takes in memory while it is averaged: a kilobyte.
_TOKENS_AT_ONCE = 16_384


def load(model: str) -> WordLlama:
    """Return the embedder; `model` is empty, since there is only one.

    Raises `ImportError` where the package is missing, `StoreError` where its files are not what they were.
    """
    refuse_model("wordllama", model)
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'wordllama'", name="wordllama")
    package = Path(spec.submodule_search_locations[0])
    import tokenizers

    try:
        vectors = _read_safetensors(package / WEIGHTS, "embedding.weight")
        return WordLlama(tokenizers.Tokenizer.from_file(str(package / TOKENIZER)), vectors)
    except Exception as exc:  # tokenizers raises bare Exception
        raise StoreError(
            f"the word vectors in {package} cannot be read ({exc}): reinstall wordllama 0.4, "
            "or set KAIZEN_EMBEDDER=none"
        ) from exc


class WordLlama:
    """The mean of the vectors of a text's tokens. Safe for threads, and after a fork."""

    # Names the vectors and not the release that ships them: another release with the same ones need not
    # embed anew. The last part counts what we do with them.
    model = "wordllama/l2_supercat_256/1"
    # Of 150 queries of random letters or odd words, few find a tip at this cosine; of the tasks of
    # benchmarks/search_quality.py only MetaTool loses hits by it (recall of the first five 0.740 to 0.695).
    least_cosine = 0.25

    def __init__(self, tokenizer: Tokenizer, vectors: NDArray[np.float16]) -> None:
        self._tokenizer = tokenizer
        self._vectors = vectors

    @property
    def dimension(self) -> int:
        return int(self._vectors.shape[1])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        embedded = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for rows, token_ids, starts in self._batches(texts):
            embedded[rows] = np.add.reduceat(self._vectors[token_ids].astype(np.float32), starts)
        return scale_to_unit(embedded)

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int], list[int]]]:
        """Give rows, all their tokens, and where those of each row start; leave out rows without tokens.

        Text by text: a batch would start threads, which do not survive a fork and make tokenizers say so.
        """
        rows: list[int] = []
        starts: list[int] = []
        token_ids: list[int] = []
        for row, text in enumerate(texts):
            found = self._tokenizer.encode(text, add_special_tokens=False).ids
            if not found:
                continue
            if rows and len(token_ids) + len(found) > _TOKENS_AT_ONCE:
                yield rows, token_ids, starts
                rows, starts, token_ids = [], [], []
            rows.append(row)
            starts.append(len(token_ids))
            token_ids += found
        if rows:
            yield rows, token_ids, starts


def _read_safetensors(path: Path, name: str) -> NDArray[np.float16]:
    """Map one tensor of 16-bit floats, left on disk until its rows are asked for.

    Not the package safetensors: it would copy the tensor into memory, 16 MB for each process.
    Eight bytes say how long the JSON header is, which says where after it the tensor lies: see "Format" in
    safetensors' README.
    """
    import numpy as np

    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        tensor = json.loads(file.read(size))[name]
    if tensor["dtype"] != "F16":
        raise ValueError(f"{name} in {path} is of {tensor['dtype']}, not of F16")
    return np.memmap(
        path, dtype="<f2", mode="r", offset=8 + size + tensor["data_offsets"][0], shape=tuple(tensor["shape"])
    )
