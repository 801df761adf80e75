"""Secrets of many formats, made anew from `data/secret_formats.toml`, in two halves by family.

The rules of the redaction were written with the building half at hand. The reporting half was made before
them, its misses were never listed, and its total is what the documentation tells.
"""

from __future__ import annotations

import json
import random
import re
import string
import tomllib
import uuid
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

from benchmarks.secret_corpus import ALNUM, HEX, LOWER, SHAPED_PLACES, UPPER, URLSAFE, made

Half = Literal["building", "reporting"]

FILE = Path(__file__).resolve().parent / "data" / "secret_formats.toml"
TIMES = 3

_ALPHABETS = {
    "a": ALNUM,
    "l": LOWER,
    "u": UPPER,
    "h": HEX,
    "H": HEX.upper(),
    "d": string.digits,
    "s": URLSAFE,
    "b": ALNUM + "+/",
    "c": string.ascii_lowercase,
    "p": ALNUM + "!*^_.$+",
}
_RANDOM = re.compile(r"\{([aluhHdsbcp])(\d+)\}|\{([gk])\}")
_SECRET = re.compile("«(.*)»", re.DOTALL)
_PIECE = 12  # so much of a secret must not be left


@dataclass(frozen=True, slots=True)
class Sample:
    """A text, the secret in it, and how it is encoded there."""

    family: str
    format: str
    text: str
    secret: str
    how: tuple[str, ...] = ()

    def is_left_in(self, text: str) -> bool:
        """Return whether a piece of the secret is in the text, as it stands or decoded."""
        views = [text]
        for how in reversed(self.how):
            views += [_ENCODINGS[how].undo(view) for view in views]
        size = min(len(self.secret), _PIECE)
        pieces = {self.secret[start : start + size] for start in range(0, len(self.secret) - size + 1, size)}
        return any(piece in view for piece in pieces for view in views)


def half_of(family: str) -> Half:
    """Return the half that a family belongs to, by its name alone."""
    return "building" if sha256(family.encode()).digest()[0] % 2 else "reporting"


def samples(half: Half, seed: int = 1) -> Iterator[Sample]:
    """Yield samples of all formats of a half."""
    for family, form, text, how in _formats():
        if half_of(family) != half:
            continue
        rng = random.Random(f"{seed} {family} {form}")
        for _ in range(TIMES):
            yield _sample(family, form, text or rng.choice(_PLACES).format(f"«{form}»"), how, rng)


_PLACES = [place for name, place in SHAPED_PLACES.items() if "json" not in name] + ['"value": "{}",']


@cache
def _formats() -> tuple[tuple[str, str, str, tuple[str, ...]], ...]:
    tables: dict[str, Any] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    shaped = [(family, form, "", ()) for family, forms in tables["shaped"].items() for form in forms]
    placed = [
        (family, text, text.replace(r"\r", "\r").replace(r"\n", "\n"), ())
        for family, texts in tables["placed"].items()
        for text in texts
    ]
    encoded = [
        (family, text, text, tuple(table["how"]))
        for family, table in tables["encoded"].items()
        for text in table["texts"]
    ]
    return (*shaped, *placed, *encoded)


def _sample(family: str, form: str, text: str, how: tuple[str, ...], rng: random.Random) -> Sample:
    def written(match: re.Match[str]) -> str:
        if match[3] == "g":
            return str(uuid.UUID(int=rng.getrandbits(128)))
        if match[3] == "k":
            return rng.choice(["RSA", "EC", "OPENSSH", "ENCRYPTED"])
        return made(rng, _ALPHABETS[match[1]], int(match[2]))

    text = _RANDOM.sub(written, text)
    found = _SECRET.search(text)
    assert found, form
    before, secret, after = text[: found.start()], found[1], text[found.end() :]
    parts = before, secret, after
    for name in how:
        parts = _ENCODINGS[name].encode(*parts)
    return Sample(family, form, "".join(parts), secret, how)


Parts = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a text with a secret is encoded, given the parts before and after it, and how that is undone."""

    encode: Callable[[str, str, str], Parts]
    undo: Callable[[str], str]


def _of_secret(change: Callable[[str], str]) -> Callable[[str, str, str], Parts]:
    return lambda before, secret, after: (before, change(secret), after)


def _of_all(change: Callable[[str], str]) -> Callable[[str, str, str], Parts]:
    return lambda before, secret, after: ("", change(before + secret + after), "")


def _each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(c, ord(c)) for c in text)


def _between(separator: str, size: int) -> Callable[[str], str]:
    return lambda text: separator.join(text[at : at + size] for at in range(0, len(text), size))


def _without(expression: str) -> Callable[[str], str]:
    return lambda text: re.sub(expression, "", text)


def _unescaped(expression: str, base: int) -> Callable[[str], str]:
    return lambda text: re.sub(expression, lambda match: chr(int(match[1], base)), text)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    """Decode runs of base64 from each of their first four characters on: they may be cut anywhere."""
    found = []
    for run in re.findall(r"[A-Za-z0-9+/_-]{8,}", re.sub(r"\n", "", text)):
        for at in range(4):
            part = run[at : at + (len(run) - at) // 4 * 4].replace("-", "+").replace("_", "/")
            found.append(b64decode(part).decode("latin-1"))
    return "\n".join(found)


def _unhexed(text: str) -> str:
    runs = re.findall(r"(?:[0-9a-f]{2}){4,}", text.replace(" ", ""))
    return "\n".join(bytes.fromhex(run).decode("latin-1") for run in runs)


_FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
_HEX_URL = _each("%{1:02X}")

_ENCODINGS = {
    "url": Encoding(_of_secret(_HEX_URL), unquote),
    "url whole": Encoding(_of_all(lambda text: quote(text, safe="")), unquote),
    "u": Encoding(_of_secret(_each("\\u{1:04x}")), _unescaped(r"\\u([0-9a-f]{4})", 16)),
    "u whole": Encoding(_of_all(_each("\\u{1:04x}")), _unescaped(r"\\u([0-9a-f]{4})", 16)),
    "x": Encoding(_of_secret(_each("\\x{1:02x}")), _unescaped(r"\\x([0-9a-f]{2})", 16)),
    "octal": Encoding(_of_secret(_each("\\{1:03o}")), _unescaped(r"\\([0-7]{3})", 8)),
    "json": Encoding(
        _of_all(lambda text: json.dumps({"arguments": text})),
        lambda text: text.replace("\\\\", "\\").replace('\\"', '"').replace("\\n", "\n"),
    ),
    "base64": Encoding(_of_secret(_base64), _decoded),
    "base64 whole": Encoding(_of_all(_base64), _decoded),
    "base64url whole": Encoding(
        _of_all(lambda text: urlsafe_b64encode(text.encode()).decode().rstrip("=")), _decoded
    ),
    "base64 wrapped": Encoding(_of_all(lambda text: _between("\n", 76)(_base64(text))), _decoded),
    "hex whole": Encoding(_of_all(lambda text: text.encode().hex()), _unhexed),
    "hex spaced whole": Encoding(_of_all(lambda text: text.encode().hex(" ")), _unhexed),
    "zero width": Encoding(_of_secret(_between("\u200b", 3)), _without("\u200b")),
    "soft hyphen": Encoding(_of_secret(_between("\u00ad", 5)), _without("\u00ad")),
    "ansi": Encoding(
        _of_secret(lambda text: f"\x1b[31m{text[:9]}\x1b[0m{text[9:]}"), _without("\x1b\\[[0-9;]*m")
    ),
    "ansi names": Encoding(
        lambda before, secret, after: (
            f"\x1b[36m{before[:-1]}\x1b[39m{before[-1:]}\x1b[1m",
            secret,
            f"\x1b[0m{after}",
        ),
        _without("\x1b\\[[0-9;]*m"),
    ),
    "entities": Encoding(_of_secret(_each("&#{1};")), unescape),
    "entity quotes": Encoding(_of_all(lambda text: text.replace('"', "&quot;")), unescape),
    "line breaks": Encoding(_of_secret(_between("\n", 40)), _without("\n")),
    "continued": Encoding(_of_secret(_between("\\\n", 20)), _without(r"\\\n")),
    "quoted printable": Encoding(_of_secret(_between("=\n", 30)), _without("=\n")),
    "concatenated": Encoding(_of_secret(_between('" + "', 16)), _without(r'" \+ "')),
    "full width names": Encoding(lambda *parts: (parts[0].translate(_FULL_WIDTH), *parts[1:]), str),
    "spread": Encoding(_of_secret(_between(" ", 1)), _without(" ")),
}
