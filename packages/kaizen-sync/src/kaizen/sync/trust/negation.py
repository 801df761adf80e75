"""Recognise words that forbid what follows: `never disable TLS` is good advice."""

from __future__ import annotations

from kaizen.sync.expressions import read_expressions
from kaizen.sync.trust.normal import pattern

# Looking further back would cost more than it finds: a negation stands close to what it negates.
_WINDOW = 160


def is_forbidden(text: str, start: int) -> bool:
    """Return whether the words right before `start` negate what begins there."""
    return _ends_with("directly", text, start)


def is_ruled_out(text: str, start: int) -> bool:
    """Return whether the clause before `start` forbids or reports a failure: `not ... without asking`."""
    return _ends_with("earlier", text, start)


def _ends_with(name: str, text: str, start: int) -> bool:
    [expression] = read_expressions("trust/negation.toml")[name]
    return pattern(expression).search(text, max(0, start - _WINDOW), start) is not None
