"""Find characters that people do not see and models read."""

from __future__ import annotations

import re

HIDES = "it hides characters"

# The flags of England, Scotland and Wales are a black flag and tag characters.
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f")
_TAGS = re.compile("[\U000e0000-\U000e007f]")
# What follows is shown in another order than a model reads it.
_OVERRIDES = re.compile("[\u202d\u202e]")
# So many in a row write a message of their own; fewer are joiners, or where a long word may be broken.
_RUN = re.compile("[\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]{8,}+")
# Without joiners, direction marks and selectors, which Persian, Hebrew and emoji need.
_ANY = re.compile("[\u00ad\u180e\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\U000e0100-\U000e01ef]")


def hidden_in(text: str) -> str:
    """Return the kind of hidden characters that no ordinary text has; empty if none."""
    if text.isascii():
        return ""
    if _TAGS.search(_FLAG.sub("", text)):
        return "tag characters"
    if _OVERRIDES.search(text):
        return "a change of direction"
    return "invisible characters" if _RUN.search(text) else ""


def hidden_in_tip(text: str) -> str:
    """Return why a tip with hidden characters is held back, even a few; empty if it has none."""
    what = hidden_in(text) or ("invisible characters" if _ANY.search(text) else "")
    return f"{HIDES}: {what}" if what else ""
