"""How many tokens a text costs its reader."""

from __future__ import annotations

import sys
from typing import Literal

CHARS_PER_TOKEN = 4


def count_tokens(text: str) -> int:
    """By the tokenizer that LiteLLM brings (cl100k) where that is loaded anyway; else characters by four."""
    litellm = sys.modules.get("litellm")
    return len(litellm.encode(text=text)) if litellm else -(-len(text) // CHARS_PER_TOKEN)


def counted_by() -> Literal["cl100k", "characters"]:
    """How `count_tokens` counts now."""
    return "cl100k" if "litellm" in sys.modules else "characters"
