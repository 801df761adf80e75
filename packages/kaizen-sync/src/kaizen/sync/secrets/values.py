"""Tell values that are secrets from words, names, numbers and code."""

from __future__ import annotations

import re
from functools import cache

from kaizen.sync.expressions import read_expressions

_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"), re.compile(r"[^\w\s.,:-]"))
_TURNS = re.compile(r"[a-z](?=[A-Z0-9])|[0-9](?=[a-zA-Z])|[A-Z](?=[0-9])")
# A variable, a template, a member of an object, an address, a file, a time, what was redacted before.
_REFERENCE = re.compile(
    r"\$\{?(?:[A-Z_][A-Z0-9_]*|[a-z_]+)\}?|\$[({].*|[<{%\[].*|[A-Za-z_]+(?:\.[A-Za-z_]+)+|\w{2,12}://.*"
    r"|[\w./-]*\.(?:py|json|ya?ml|toml|txt|pem|key|crt|cer|js|ts|html?|md|csv|xml|sh|env|cfg|ini|conf|log|sql|db)"
    r"|[A-Z][A-Z0-9_]*=.*|\d{4}-\d\d-\d\d.*|\d\d?:\d\d.*|(?i:your|my|the|an|some|dummy|fake|example|test)[_-].*"
    r"|(?i:x{3,}|\.{3,}|\*{2,}|-{3,}|_{3,}).*|redacted:.*",
    re.DOTALL,
)
_PATH = re.compile(r"[./~\\]*/[\w./@+-]*")
_HASH = re.compile(r"\$\w{1,16}\$\S{20,}|0x[0-9a-fA-F]{40,}")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*%?")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def is_placeholder(value: str) -> bool:
    """Return whether a value refers to a secret, or says something of one, rather than being one."""
    if _HASH.fullmatch(value):
        return False
    if value.casefold() in _placeholders() or _REFERENCE.fullmatch(value):
        return True
    return bool(_PATH.fullmatch(value)) and not _turns_often(value)


@cache
def _placeholders() -> frozenset[str]:
    return frozenset(read_expressions("secrets/names.toml", "values")["placeholders"])


def is_random(value: str, fewest: int) -> bool:
    """Return whether a value mixes letters and digits as no word does."""
    if len(value) < fewest or " " in value or is_placeholder(value) or _UUID.fullmatch(value):
        return False
    has_both = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return has_both and (_turns_often(value) or _kinds(value) == len(_KINDS))


def _turns_often(value: str) -> bool:
    turns = len(_TURNS.findall(value))
    return turns >= 2 and turns * 5 >= len(value.rstrip("="))


def _kinds(value: str) -> int:
    return sum(bool(kind.search(value)) for kind in _KINDS)


def is_password(value: str, *, is_literal: bool) -> bool:
    """Return whether a value beside a name such as `password` is one.

    `is_literal` says that the value stands in quotes, or where only values do: then words are passwords too.
    """
    if len(value) < 4 or " " in value.strip() or is_placeholder(value):
        return False
    if _NUMBER.fullmatch(value) or not value.isascii():
        return is_literal and len(value) >= 6
    if sum(c.isdigit() for c in value) >= 2:
        return True
    if _kinds(value) == 1 or value.istitle() or value.isupper():
        return is_literal and len(value) >= 6 and not value.isupper() and "_" not in value
    # Names of code have no digits: `accessToken`.
    return is_literal or not value.isidentifier() or any(c.isdigit() for c in value)
