"""Write what all answers share: ids, token counts, errors, embeddings, the list of models."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import struct
from typing import TYPE_CHECKING, Any

from kaizen.demo.conversation import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED = 1767225600
"""Every answer's time, so that the same request gets the same bytes."""

MODEL = "kaizen-scripted"


def digest(value: object) -> str:
    """Return 24 hex digits that stand for this JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]


def call_id(body: dict[str, Any], index: int) -> str:
    return f"call_{digest([body, index])}"


def tokens(*values: object) -> int:
    """Count about four characters a token, as for English text."""
    texts = (value if isinstance(value, str) else json.dumps(value) for value in values if value)
    return sum(math.ceil(len(text) / 4) for text in texts)


def pieces(text: str) -> Iterator[str]:
    """Split a text into the short pieces in which a model streams it."""
    return (text[start : start + 12] for start in range(0, len(text), 12))


def error_body(message: str, *, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def models() -> dict[str, Any]:
    return {"object": "list", "data": [model(MODEL)]}


def model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "kaizen"}


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """Embed the texts in ``input``; texts that share words are near each other."""
    asked = body.get("input")
    if not asked:
        raise RequestError("Missing required parameter: 'input'.")
    texts = asked if isinstance(asked, list) and not isinstance(asked[0], int) else [asked]
    vectors = [_vector(text, body.get("dimensions") or 256) for text in texts]
    encoded = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if encoded else vector}
        for index, vector in enumerate(vectors)
    ]
    used = tokens(*texts)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "data": data, "model": body.get("model", ""), "usage": usage}


def _vector(text: str | list[int], size: int) -> list[float]:
    words = re.findall(r"\w+", text.lower()) if isinstance(text, str) else [str(token) for token in text]
    vector = [0.0] * size
    for word in words or [""]:
        hashed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
        vector[hashed % size] += 1.0 if hashed >> 63 else -1.0
    length = math.sqrt(sum(part * part for part in vector)) or 1.0
    return [part / length for part in vector]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
