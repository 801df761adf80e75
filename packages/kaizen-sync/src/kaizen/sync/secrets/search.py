"""Find secrets in a text, as it stands and decoded."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from kaizen.sync.decoding import blobs, views
from kaizen.sync.expressions import any_of, read_expressions
from kaizen.sync.secrets.names import KIND, beside_names
from kaizen.sync.secrets.values import is_password, is_random

_FILE = "secrets/places.toml"
_PROVIDERS = "secrets/providers.toml"

# Tokens are long, hold digits, and change between letters and digits more often than words do.
_RUN = re.compile(r"(?<![A-Za-z0-9_+/=.~%|:$@-])[A-Za-z0-9_+/=.~%|:$@-]{16,}+")
_TURN = re.compile(r"[a-zA-Z][0-9]|[0-9][a-zA-Z]|[a-z][A-Z]")
_FEWEST_TURNS = 3
# Rules may end before the token does.
_REST = re.compile(r"[A-Za-z0-9_-]*+(?:=[A-F0-9]{8})?=*+")
_PREFIX = re.compile(r"(?:\(\?i:|\(\?:|\(|\\b)*([A-Za-z0-9_:/-]+)(?![?*{|])")
_PREFIX_CHARS = 4
_LONGEST = 1_000  # so much of a token a rule may look at
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)

# The name of a kind that was written in place of a secret.
_IS_MARKED = re.compile(r"\[redacted: [\w -]*\Z")
_MARK_CHARS = 60

Rule = tuple[str, re.Pattern[str]]


class Secret(NamedTuple):
    """Where a secret stands in a text, and what kind it is."""

    start: int
    end: int
    kind: str


def find_secrets(text: str) -> list[Secret]:
    """Return the secrets in a text, in order; none overlaps another.

    Decoded are escapes, percent codes, entities, base64, hexadecimal, and what is broken up by invisible
    characters, codes of terminals or line breaks. What such a code hides is all that the code covers.
    """
    found = [*_found(text)]
    for view in views(text):
        found += [Secret(*view.original(start, end), kind) for start, end, kind in _found(view.text)]
    return _apart(
        secret
        for secret in found
        if not _IS_MARKED.search(text[max(0, secret.start - _MARK_CHARS) : secret.start])
    )


def _found(text: str) -> Iterator[Secret]:
    lower = _lower(text)
    ends: dict[re.Pattern[str], int] = {}
    for opening in _openings().finditer(lower):
        for kind, expression in _placed()[opening[0]]:
            # What an expression has matched is not searched by it again: that would not end in linear time.
            if opening.start() >= ends.get(expression, 0) and (
                match := expression.match(text, opening.start())
            ):
                ends[expression] = match.end()
                yield from _checked(kind, match)
    for run in _RUN.finditer(text):
        turns = len(_TURN.findall(run[0]))
        if turns:
            yield from _provided(text, lower, *run.span())
        if turns >= _FEWEST_TURNS:
            yield from _tokens(text, *run.span())
    for start, end in beside_names(text, lower):
        yield Secret(start, end, KIND)


def _provided(text: str, lower: str, start: int, end: int) -> Iterator[Secret]:
    """Yield the tokens of providers in a long run of letters and digits."""
    until = 0
    for opening in _prefixes().finditer(lower, start, end):
        begins = opening.start()
        for kind, expression in _prefixed()[opening[0]] if begins >= until else ():
            if match := expression.match(text, begins, min(end, begins + _LONGEST)):
                until = _REST.match(text, match.end()).end()  # type: ignore[union-attr]
                yield Secret(begins, until, kind)
                break


def _tokens(text: str, start: int, end: int) -> Iterator[Secret]:
    """Yield other tokens in such a run, and base64 or hexadecimal that holds a secret."""
    for kind, expression in _shapes():
        for match in expression.finditer(text, start, end):
            yield from _checked(kind, match)
    for begins, ends, inner in blobs(text[start:end]):
        if secret := next(_found(inner), None):
            yield Secret(start + begins, start + ends, secret.kind)


def _checked(kind: str, match: re.Match[str]) -> Iterator[Secret]:
    group = "secret" if "secret" in match.re.groupindex else 0
    check = _CHECKS.get(kind)
    if not match[group].startswith("[redacted") and (check is None or check(match)):
        yield Secret(*match.span(group), kind)


def _apart(found: Iterable[Secret]) -> list[Secret]:
    """Unite what overlaps; its kind is that of what was found first."""
    apart: list[tuple[int, Secret]] = []
    for order, secret in sorted(enumerate(found), key=lambda one: one[1]):
        if apart and secret.start < apart[-1][1].end:
            first, last = min(apart[-1], (order, secret)), apart[-1][1]
            apart[-1] = first[0], Secret(last.start, max(last.end, secret.end), first[1].kind)
        else:
            apart.append((order, secret))
    return [secret for _, secret in apart]


def _lower(text: str) -> str:
    lower = text.lower()
    # A few letters are two in lower case, and all places must stay where they are.
    return (
        lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    )


@cache
def _placed() -> dict[str, list[Rule]]:
    """Return the expressions by what they begin with."""
    listed = read_expressions(_FILE)
    placed: defaultdict[str, list[Rule]] = defaultdict(list)
    for kind, openings in read_expressions(_FILE, "openings").items():
        for opening in openings:
            placed[opening] += [(kind, re.compile(one, re.DOTALL)) for one in listed[kind]]
    return placed


@cache
def _openings() -> re.Pattern[str]:
    return any_of(_placed())


@cache
def _prefixed() -> dict[str, list[Rule]]:
    """Return the rules for tokens of providers by the first letters of the tokens, our own rules first."""
    rules: list[tuple[str, Rule]] = []
    for kind, listed in (*read_expressions(_FILE, "prefixed").items(), *read_expressions(_PROVIDERS).items()):
        for expression in listed:
            if prefix := _PREFIX.match(expression):
                rules.append((prefix[1][:_PREFIX_CHARS].lower(), (kind, re.compile(expression))))
    letters = {prefix for prefix, _ in rules}
    return {longer: [rule for prefix, rule in rules if longer.startswith(prefix)] for longer in letters}


@cache
def _prefixes() -> re.Pattern[str]:
    return any_of(_prefixed())


@cache
def _shapes() -> tuple[Rule, ...]:
    listed = read_expressions(_FILE, "shapes").items()
    return tuple((kind, re.compile(one)) for kind, found in listed for one in found)


def _is_secret_value(match: re.Match[str]) -> bool:
    return "secret" not in match.re.groupindex or is_password(match["secret"], is_literal=False)


def _is_random_value(match: re.Match[str]) -> bool:
    return is_random(match["secret"], 16)


def _is_random_token(match: re.Match[str]) -> bool:
    prefixes = read_expressions(_FILE, "prefixes")
    first = re.split("[_-]", match[0])[0].casefold()
    if _UUID.search(match[0]):
        return first in prefixes["of_keys"]
    return first not in prefixes["of_ids"] and is_random(match["random"], 16)


# Kinds whose expressions match ordinary words and numbers too.
_CHECKS: dict[str, Callable[[re.Match[str]], bool]] = {
    "Authorization Header": _is_secret_value,
    "Password in Command": _is_secret_value,
    "Signed URL": _is_random_value,
    "Prefixed Token": _is_random_token,
}
