"""Decide whether the words around an order forbid it: `never disable TLS` orders nothing."""

from __future__ import annotations

import re

from kaizen.sync.expressions import read_expressions
from kaizen.sync.trust.normal import pattern

# Looking further back would cost more than it finds.
_WINDOW = 160
_CLAUSE_END = re.compile(r"[.:;!?](?=\s|$)|,(?! ?(?:\w+,? ){0,4}(?:or|nor|oder|ou|o)\b)")
_ASIDE = re.compile(r", (?:under|for|in|at|by|on) (?:any|no|all) \w{1,20}(?: \w{1,20})?,")


def is_forbidden(text: str, start: int) -> bool:
    """Return whether the clause before `start` forbids what begins there."""
    return _is_negated(_clause_before(text, start), "forbidding")


def is_ruled_out(text: str, start: int, end: int) -> bool:
    """Return whether a clause with `without asking` forbids that, or says that it fails."""
    before = _clause_before(text, start)
    if _is_negated(before, "forbidding") or _is_negated(before, "failing"):
        return True
    after = _CLAUSE_END.split(text[end : end + _WINDOW], maxsplit=1)[0]
    [denying] = read_expressions("trust/negation.toml")["denying_after"]
    return pattern(denying).search(after) is not None


def _clause_before(text: str, start: int) -> str:
    window = text[max(0, start - _WINDOW) : start]
    window = _ASIDE.sub(" ", window)
    ends = [match.end() for match in _CLAUSE_END.finditer(window)]
    return window[ends[-1] if ends else 0 :]


def _is_negated(clause: str, name: str) -> bool:
    return any(pattern(one).search(clause) for one in read_expressions("trust/negation.toml")[name])
