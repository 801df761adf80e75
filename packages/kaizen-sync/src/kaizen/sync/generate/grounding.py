"""Find in a run what a tip took from it: its quote, and values that only this run had."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

from kaizen.sync.expressions import read_expressions
from kaizen.sync.generate.prompt import in_data
from kaizen.sync.trajectory.json_text import json_or_none

if TYPE_CHECKING:
    from kaizen.sync.model import Trajectory

_PLACEHOLDERS = {"address": "<e-mail address>", "path": "<path>", "id": "<id>", "date": "<date>"}

_PERSONAL_CHARS = (3, 100)  # shorter ones are abbreviations, longer ones texts
_MOST_PERSONAL = 200  # one expression looks for them all
_BEFORE_CHARS = 32

_WORD = re.compile(r"\w+")
_OF_RUN = re.compile(r"\b(?:got|but|received|given|found|not)\b")
# What the prompt writes before a message or a call is no part of it.
_MARK = re.compile(r"\s*\[[0-9a-f]{8} [^\]\n]{1,300}\]")


class RunLiterals:
    """Find the values in a text that come from the data of one run: ids, addresses, dates, paths, people."""

    def __init__(self, trajectory: Trajectory, *, kept: str = "") -> None:
        """Find no value that is in `kept`: what is known to be the tools' own words."""
        self._trajectory = trajectory
        self._kept = kept

    def generalised(self, text: str) -> tuple[str, list[str]]:
        """Return the text with a placeholder for each value of the run, and the values, each once."""
        found: dict[str, None] = {}

        def replacement(match: re.Match[str]) -> str:
            kind, literal = match.lastgroup or "", match[0]
            if not self._is_of_run(kind, literal, text[: match.start()]):
                return literal
            found[literal] = None
            return _PLACEHOLDERS[kind]

        text = _literals().sub(replacement, text)
        if self._personal:
            found |= dict.fromkeys(self._personal.findall(text))
            text = self._personal.sub("<personal data>", text)
        return text, list(found)

    def spans(self, text: str, *, said: str) -> Iterator[tuple[int, int]]:
        """Yield where an error names a person, or holds an id, an address or a path that may be a person's.

        A date is the run's only if it is in `said`, and nothing that shows how to write a value is.
        """
        for match in _literals().finditer(text):
            kind, literal = match.lastgroup or "", match[0]
            is_said = literal in said
            is_example = kind != "address" and not is_said and shows_form(text[: match.start()])
            is_of_run = not is_common(literal) and literal not in self._offered
            if is_of_run and not is_example and (kind != "date" or is_said):
                yield match.span()
        if self._personal:
            yield from (match.span() for match in self._personal.finditer(text))

    def _is_of_run(self, kind: str, literal: str, before: str) -> bool:
        if kind == "date" and shows_form(before):
            return False
        return not is_common(literal) and literal in self._data and literal not in self._offered

    @cached_property
    def _data(self) -> str:
        """Everything that users, tools and the agent said."""
        told = self._trajectory.all_messages()
        texts = [message.content for message in told if message.role != "system"]
        texts += (f"{call.name} {call.arguments}" for message in told for call in message.tool_calls)
        return "\n".join([*texts, *self._trajectory.errors])

    @cached_property
    def _personal(self) -> re.Pattern[str] | None:
        """Match names, addresses and the like that tools were called with, longest first."""
        least, most = _PERSONAL_CHARS
        found = {
            value: None
            for message in self._trajectory.all_messages()
            for call in message.tool_calls
            for value in _personal_values(json_or_none(call.arguments))
            if least <= len(value) <= most and value not in self._offered
        }
        values = sorted(list(found)[:_MOST_PERSONAL], key=len, reverse=True)
        alternatives = "|".join(map(re.escape, values))
        return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)") if values else None

    @cached_property
    def _offered(self) -> str:
        """Return what all runs of this agent share: its tools and its instructions."""
        systems = (message.content for message in self._trajectory.messages if message.role == "system")
        return "\n".join([*self._trajectory.tools, *systems, self._kept])


def shows_form(before: str) -> bool:
    """Return whether the words before a value say that it shows how values are written."""
    found = None
    for found in _word_pattern("before_a_form").finditer(before[-_BEFORE_CHARS:]):  # noqa: B007 - the last
        pass
    return found is not None and not _OF_RUN.search(found.string, found.end())


@cache
def _literals() -> re.Pattern[str]:
    kinds = read_expressions("generate/grounding.toml", "literals").items()
    return re.compile("|".join(f"(?P<{kind}>{'|'.join(forms)})" for kind, forms in kinds))


@cache
def _word_pattern(name: str) -> re.Pattern[str]:
    words = "|".join(read_expressions("generate/grounding.toml", "words")[name])
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


def _personal_values(arguments: object) -> Iterator[str]:
    if isinstance(arguments, Mapping):
        for name, value in arguments.items():
            # `admin` is nobody.
            is_word = isinstance(value, str) and value.isalpha() and value.islower()
            if isinstance(value, str) and not is_word and _word_pattern("personal").fullmatch(name):
                yield value


def is_common(literal: str) -> bool:
    """Return whether a value belongs to nobody: `git@github.com`, `~/.bashrc`, 1000000, 1048576."""
    if literal.startswith(("git@", "~/.")):
        return True
    if literal.isascii() and literal.isdigit():
        number = int(literal) if len(literal) < 20 else 1
        # Round numbers, powers of two and their neighbours are sizes and limits.
        return number % 1_000 in (0, 999) or number & (number - 1) == 0 or number & (number + 1) == 0
    return False


def quoted_span(trajectory: Trajectory, quote: str) -> str | None:
    """Return the id of the span whose message contains the quote (white space folded), or None."""
    step = quoted_step(trajectory, quote)
    if step is not None:
        return trajectory.all_messages()[step - 1].span_id
    wanted = " ".join(quote.split())
    if wanted and any(wanted in _shown(error) for error in trajectory.errors):
        return trajectory.messages[-1].span_id if trajectory.messages else ""
    return None


def quoted_step(trajectory: Trajectory, quote: str) -> int | None:
    """Return the number of the first message that contains the quote (white space folded), or None."""
    found = _step_with(trajectory, quote)
    if found is None and (mark := _MARK.match(quote)):
        return _step_with(trajectory, quote[mark.end() :])
    return found


def _step_with(trajectory: Trajectory, quote: str) -> int | None:
    wanted = _shown(quote)
    if not wanted:
        return None
    # Looking for one word first spares folding what cannot hold the quote, however long the run is.
    longest = max(_WORD.findall(wanted), key=len, default="")
    return next(
        (
            step
            for step, message in enumerate(trajectory.all_messages(), 1)
            for text in (message.content, *(f"{c.name}({c.arguments})" for c in message.tool_calls))
            if longest in text and wanted in _shown(text)
        ),
        None,
    )


def _shown(text: str) -> str:
    return " ".join(in_data(text).split())
