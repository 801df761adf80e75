"""Tokens: made at random, known by their hash, each with a name and what it may do. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

from kaizen.store import InvalidInputError

PREFIX = "kaizen_"
SCOPES = ("read", "write", "review")
"""`read` sees all, `write` adds what waits for a person, `review` decides what agents are shown."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
_LINE = re.compile(rf"(?P<name>{_NAME.pattern}):(?P<scopes>[a-z+]+):sha256:(?P<digest>[0-9a-f]{{64}})")


class Token(NamedTuple):
    """What the server knows of a token. It is random, so that its plain hash cannot be guessed from."""

    name: str
    scopes: frozenset[str]
    digest: str

    def line(self) -> str:
        """Return it as it stands in `KAIZEN_SERVE_TOKENS`."""
        return f"{self.name}:{'+'.join(s for s in SCOPES if s in self.scopes)}:sha256:{self.digest}"


def make_token(name: str, scopes: frozenset[str]) -> tuple[str, Token]:
    """Return a new secret, and what the server is to know of it. Raises `InvalidInputError`."""
    if not _NAME.fullmatch(name) or not scopes <= set(SCOPES):
        raise InvalidInputError(
            f"a token has a name of letters, digits, '.', '_' and '-', and scopes out of {', '.join(SCOPES)}"
        )
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, Token(name, scopes | {"read"}, _digest(secret))


def parse_tokens(text: str) -> tuple[Token, ...]:
    """Read lines as `kaizen serve token` prints them. Raises `InvalidInputError`, which shows none."""
    found = []
    for number, line in enumerate(text.replace(",", " ").split(), 1):
        match = _LINE.fullmatch(line)
        scopes = frozenset(match["scopes"].split("+")) if match else frozenset[str]()
        if match is None or not scopes <= set(SCOPES):
            raise InvalidInputError(
                f"entry {number} of KAIZEN_SERVE_TOKENS is not NAME:SCOPES:sha256:HASH with scopes out of "
                f"{', '.join(SCOPES)}: write the line that `kaizen serve token NAME` prints"
            )
        found.append(Token(match["name"], scopes | {"read"}, match["digest"]))
    return tuple(found)


def find_token(secret: str, known: tuple[Token, ...]) -> Token | None:
    """Return the token with that secret. Takes as long whichever it is, and if it is none."""
    digest = _digest(secret)
    found = None
    for token in known:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


def csrf_of(secret: str) -> str:
    """Return what a form must carry that is sent with this token in a cookie."""
    return hmac.new(secret.encode(), b"kaizen serve form", hashlib.sha256).hexdigest()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
