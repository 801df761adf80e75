"""What an error says, without what only this run had: its ids, names and values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

MASK = "…"

_MOST_WORDS = 16
_TOKEN = re.compile(r"\S+")
_QUOTED = re.compile(r"(?<!\w)(['\"`])(.{0,200}?)\1(?!\w)")
_BRACKETED = re.compile(r"[\[{<].{0,400}?[\]}>]")
_PLAIN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_PUNCTUATION = ".,:;!?()"
# An error that talks like this to whoever reads it is not passed on; what kind it is says enough.
_TALKS = re.compile(
    r"\b(?:https?|www|curl|wget|sudo|rm|chmod|eval|exec|run|execute|fetch|visit|click|install|download|upload|"
    r"send|forward|contact|passwords?|secrets?|credentials?|ignore|disregard|forget|override|instructions?|"
    r"prompt|assistant|disable|bypass|grant|reveal|you are|you must|from now on|important)\b",
    re.IGNORECASE,
)


def mask(text: str, *, values: Iterable[str], names: Set[str]) -> str:
    """Return a short error with `…` for ids, numbers, quoted and proper names; empty where little is left.

    `values` are those of the arguments; `names` are those of tools and arguments, which are kept. Empty too
    where the text is an instruction rather than an error.
    """
    if talks(text):
        return ""
    for value in values:
        if value in text:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)
    text = _QUOTED.sub(lambda found: found[2] if found[2] in names else MASK, text)
    text = _BRACKETED.sub(MASK, text)
    masked: list[str] = []
    starts = True
    for found in _TOKEN.finditer(text):
        word = _word(found[0], names, starts=starts)
        starts = found[0].endswith((".", ":", "!", "?"))
        if not (word == MASK and masked and masked[-1] == MASK):
            masked.append(word)
        if len(masked) > _MOST_WORDS:
            return ""
    said = " ".join(masked).rstrip(" .!;:,")
    plain = sum(MASK not in word for word in masked)
    return said if plain >= max(2, len(masked) // 2) else ""


def talks(text: str) -> bool:
    """Return whether a text tells its reader to do something that an error or a value has no business to."""
    return _TALKS.search(text) is not None


def _word(token: str, names: Set[str], *, starts: bool) -> str:
    core = token.strip(_PUNCTUATION)
    if core in names and not _PLAIN.fullmatch(core):
        return token.replace(core, f"`{core}`")
    is_proper = not starts and core[:1].isupper() and not core.isupper()
    if core and (not _PLAIN.fullmatch(core) or is_proper):
        start = token.index(core)
        return token[:start] + MASK + token[start + len(core) :]
    return token
