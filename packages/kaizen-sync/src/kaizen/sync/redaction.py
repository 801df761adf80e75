"""What to redact besides secrets: mail addresses, card numbers, and patterns of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from kaizen.sync.errors import RedactionError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

Option = Literal["emails", "cards"]
OPTIONS: tuple[Option, ...] = get_args(Option)

_PATTERNS = "KAIZEN_REDACT_PATTERNS"
# What one text of a trace may take; an expression that takes longer fails the trace, and lets nothing pass.
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class OwnPattern:
    """An expression of the user's, and the kind that is counted and written in its place."""

    kind: str
    expression: Any

    def replaced(self, text: str) -> tuple[str, int]:
        """The text without what matches, and how often it did; `RedactionError` where that takes too long."""
        try:
            replaced, count = self.expression.subn(
                lambda _: f"[redacted: {self.kind}]", text, timeout=_TIMEOUT_S, concurrent=False
            )
        except TimeoutError as error:
            raise RedactionError(
                f"the pattern '{self.kind}' of {_PATTERNS} takes more than {_TIMEOUT_S:g} s for one text; "
                "write it without repetitions inside repetitions"
            ) from error
        return str(replaced), int(count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """Which kinds of `OPTIONS` are redacted, and which patterns of one's own, in this order."""

    options: frozenset[str] = frozenset()
    patterns: tuple[OwnPattern, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Redaction:
        """Read `KAIZEN_REDACT` (`emails,cards`) and `KAIZEN_REDACT_PATTERNS` (`kind=expression` a line).

        Raises `SettingsError` for an option that there is not, and for an expression that is none, that
        matches the empty text, or whose kind cannot be written in a text's place.
        """
        options = {option.strip() for option in environ.get("KAIZEN_REDACT", "").split(",")} - {""}
        for option in sorted(options - set(OPTIONS)):
            raise SettingsError(f"KAIZEN_REDACT holds '{option}'; there are {' and '.join(OPTIONS)}")
        return cls(options=frozenset(options), patterns=tuple(_patterns(environ.get(_PATTERNS, ""))))


def _patterns(text: str) -> Iterator[OwnPattern]:
    # Unlike `re` it can be told how long a search may take.
    import regex

    for line in filter(None, map(str.strip, text.splitlines())):
        kind, separator, expression = line.partition("=")
        kind = kind.strip()
        if not separator or not regex.fullmatch(r"[A-Za-z][\w -]{0,40}", kind):
            raise SettingsError(
                f"{_PATTERNS} holds '{line}'; write a kind and an expression, such as "
                r"Customer Number=CUST-\d{6}, one a line"
            )
        try:
            compiled = regex.compile(expression.strip())
        except regex.error as error:
            raise SettingsError(f"the pattern '{kind}' of {_PATTERNS} is no expression: {error}") from error
        if compiled.search(""):
            raise SettingsError(f"the pattern '{kind}' of {_PATTERNS} matches the empty text, so everywhere")
        yield OwnPattern(kind, compiled)
