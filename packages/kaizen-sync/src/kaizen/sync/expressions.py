"""Regular expressions from TOML files: tables of words are data, and stand there as a reader wants them."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Quantifiers such as {0,3} hold digits, so that a name in braces is always a part.
_PART = re.compile(r"\{([a-z_]+)\}")
# TOML itself drops a line break after the opening quotes, but not the indentation that follows.
_INDENTATION = re.compile(r"(?:\A|\n) *")


@cache
def read_expressions(file: str, table: str = "expressions") -> Mapping[str, tuple[str, ...]]:
    """Return the lists of expressions in a table of a TOML file, by name; `file` is relative to kaizen.sync.

    `{gap}` stands for the expression `gap` of the file's table `parts`. Line breaks in an expression, and the
    indentation after them, do not count.
    """
    tables = tomllib.loads((files("kaizen.sync") / file).read_text(encoding="utf-8"))
    parts: dict[str, str] = tables.get("parts", {})

    def whole(expression: str) -> str:
        return _PART.sub(lambda part: whole(parts[part[1]]), _INDENTATION.sub("", expression))

    return {name: tuple(map(whole, listed)) for name, listed in tables[table].items()}


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """Compile an expression that finds any of these words, the longer ones first."""
    return re.compile(_branches(sorted(set(words))))


def _branches(words: Iterable[str]) -> str:
    # Python's `re` tries one branch after the other; so it has one for each letter.
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[0], []).append(word[1:])
    return "|".join(re.escape(letter) + _after(found) for letter, found in rests.items())


def _after(rests: Sequence[str]) -> str:
    longer = [rest for rest in rests if rest]
    return f"(?:{_branches(longer)}){'?' if '' in rests else ''}" if longer else ""
