"""How a command is written where the shell refused it as it was written first: with another start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.calls import Call

# The command itself was refused. A test that fails says nothing about how tests are run.
_REFUSED = re.compile(
    r"command not found|no module named|cannot find module|missing script|unrecogni[sz]ed|not recogni[sz]ed|"
    r"(?:unknown|invalid|no such) (?:option|command|argument|flag|task|target|subcommand|script)|"
    r"no rule to make target|did not match any|no such file or directory|permission denied",
    re.IGNORECASE,
)
_ARGUMENTS = ("command", "cmd")
# What a shell joins, redirects or replaces is more than one command, and so are quotes.
_WORD = re.compile(r"[\w@%+=:,.-][\w@%+=:,./-]*", re.ASCII)
_CHANGES_DIRECTORY = re.compile(r"\s*cd\s+[^\s;&|]+\s*&&\s*")
_VALUE = re.compile(r"-.*|.*[/\\].*|.*\.\w{1,5}(?:::.*)?|\d+")
_MOST_CHARS = 200
_MOST_WORDS = 6


def argument_of(call: Call) -> str:
    """Return the name of the argument that holds a command for a shell; empty if none does."""
    return next((name for name in _ARGUMENTS if isinstance((call.arguments or {}).get(name), str)), "")


def was_refused(call: Call) -> bool:
    """Return whether it is the command that failed, and not what it ran."""
    return call.failure is not None and _REFUSED.search(call.failure.message or call.failure.line) is not None


def rewritten(before: str, after: str) -> tuple[str, str] | None:
    """Return how two commands begin that do the same, without what they do it to; None if they may not.

    `pytest tests/test_a.py` and `uv run pytest tests/test_b.py` begin with `pytest` and `uv run pytest`.
    """
    one, other = _start(_words(before)), _start(_words(after))
    if not one or not other or one == other or max(len(one), len(other)) > _MOST_WORDS:
        return None
    # A command of which nothing is left is another one.
    common = {word for word in one if not word.startswith("-")}.intersection(other)
    return (" ".join(one), " ".join(other)) if common else None


def holds_command(text: str, start: str) -> bool:
    """Return whether one of the commands in a text begins so."""
    return any(_begins(_words(part), start.split()) for part in re.split(r"&&|;|\|\|?|\n", text))


def retries(calls: Sequence[Call], number: int) -> Iterator[Call]:
    """Yield the calls of the same tool that succeeded after that one, and later than in its turn."""
    first = calls[number]
    for call in calls[number + 1 :]:
        if call.tool == first.tool and call.position > first.position and call.succeeded:
            yield call


def _words(command: str) -> list[str]:
    """Return the words of a plain command, in whatever directory; none if it is more than that."""
    text = _CHANGES_DIRECTORY.sub("", command.strip())
    words = text.split()
    return words if len(text) <= _MOST_CHARS and all(map(_WORD.fullmatch, words)) else []


def _start(words: Sequence[str]) -> list[str]:
    """Return the program with its variables, modules and subcommands, up to the first value of the run."""
    start: list[str] = []
    for number, word in enumerate(words):
        is_module = number > 0 and words[number - 1] == "-m"
        if start and _VALUE.fullmatch(word) and not (word == "-m" or is_module):
            break
        start.append(word)
    return start


def _begins(words: Sequence[str], start: Sequence[str]) -> bool:
    return list(words[: len(start)]) == list(start)
