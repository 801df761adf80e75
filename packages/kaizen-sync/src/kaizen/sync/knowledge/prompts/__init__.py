"""Prompt files by their version, for questions about known tips."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load_prompt(version: str) -> str:
    """Return the text of a prompt file, named by its version, such as `reconcile-2`."""
    return (files(__name__) / f"{version}.md").read_text(encoding="utf-8")
