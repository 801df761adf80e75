"""Whether a model's wording keeps what a claim says: the rule in the tool's own words, and an action."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from kaizen.sync.expressions import read_expressions
from kaizen.sync.generate.offline.templates import MASK, holds_word, listed_values
from kaizen.tips.text import word_stems

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.claims import Claim

# What stands letter by letter in a rule is in backticks, is a path, or has digits, signs or capitals.
_BACKTICKED = re.compile(r"`([^`\n]+)`")
_LITERAL = re.compile(r"/.+|(?=.*\d)(?=.*[A-Za-z:+/_-]).{2,}|\d{2,}|.*[A-Z].*[A-Z].*")
_STATUS = re.compile(r"^(?:HTTP )?\d{3}\b[A-Za-z ]*:?|\bHTTP(?:/\d(?:\.\d)?)?\b")
_LEAST_WORDS = 0.5


def is_said(claim: Claim, text: str) -> bool:
    """Return whether a text tells a later agent to do what the claim says, in the words of the rule."""
    names = (claim.tool, *claim.tools, *claim.arguments)
    return all(holds_word(text, name) for name in names) and names_action(text) and keeps_rule(claim, text)


def names_action(text: str) -> bool:
    """Return whether a text says what to do, and is not a title."""
    return _action().search(text) is not None


def keeps_rule(claim: Claim, text: str) -> bool:
    """Return whether a text has a code, example or limit of the rule; else half of the rule's words.

    Where the rule is to call another tool, its name is enough. Of a list all values are needed.
    """
    if listed := listed_values(claim.error) if claim.kind == "listed" else []:
        return all(value in text for value in listed)
    if claim.tools:
        return True
    literals = {*literals_of(claim.how), *literals_of(claim.error)}
    if any(literal in text for literal in literals):
        return True
    rule = _words(claim.how if claim.how and claim.kind != "unit" else claim.error, claim)
    needed = 1 if claim.kind == "unit" else _LEAST_WORDS * len(rule)
    return bool(rule) and len(rule & word_stems(text)) >= needed


def literals_of(rule: str) -> set[str]:
    """Return what stands letter by letter in a rule."""
    stated = _STATUS.sub(" ", rule)
    plain = (
        token.strip(".,;:'\"()[]") for token in _BACKTICKED.sub(" ", stated).split() if MASK not in token
    )
    return {*_BACKTICKED.findall(stated), *filter(_LITERAL.fullmatch, plain)}


def _words(rule: str, claim: Claim) -> frozenset[str]:
    """Return the words that carry a rule: no names, no placeholders, nothing that stands in any rule."""
    for literal in (MASK, *literals_of(rule)):
        rule = rule.replace(literal, " ")
    rule = _STATUS.sub(" ", rule)
    named = word_stems(" ".join((claim.tool, *claim.arguments)))
    return word_stems(_any_rule().sub(" ", rule)) - named


@cache
def _action() -> re.Pattern[str]:
    words = "|".join(read_expressions("generate/offline/saying.toml")["action"])
    return re.compile(words, re.IGNORECASE)


@cache
def _any_rule() -> re.Pattern[str]:
    words = "|".join(read_expressions("generate/offline/saying.toml")["any_rule"])
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
