"""Redact secrets, and what the user adds, before anything leaves for a model or a store."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from kaizen.sync.cleaning import clean_text
from kaizen.sync.errors import RedactionError, SettingsError
from kaizen.sync.expressions import read_expressions
from kaizen.sync.secrets import find_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

    from kaizen.sync.model import Annotation, Conversation, Message, Outcome, Trajectory

T = TypeVar("T", bound="DataclassInstance")

Option = Literal["emails", "cards"]
OPTIONS: tuple[Option, ...] = get_args(Option)

_PATTERNS = "KAIZEN_REDACT_PATTERNS"
# What one text of a trace may take; an expression that takes longer fails the trace, and lets nothing pass.
_TIMEOUT_S = 5.0
# The texts of a few long conversations; each takes about 200 bytes if nothing in it is redacted.
_MOST_KNOWN = 20_000


@dataclass(frozen=True, slots=True)
class OwnPattern:
    """A pattern of the user's, and the kind that is counted and written in place of what matches."""

    kind: str
    expression: Any

    def replaced(self, text: str) -> tuple[str, int]:
        """Return the redacted text and the number of matches; raise `RedactionError` after 5 s."""
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


_Redacted = tuple[str, Counter[str]]


class RecentlyRedacted:
    """What was found in the texts seen last: the redacted text, None if it is the same, and the counts."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, tuple[str | None, Counter[str]]] = OrderedDict()
        self._lock = Lock()

    def look_up(self, text: str, redact: Callable[[str], _Redacted]) -> _Redacted:
        """Return what `redact` makes of a text, and what it counts there; it is asked once."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()
        with self._lock:
            if found := self._found.get(digest):
                self._found.move_to_end(digest)
                return text if found[0] is None else found[0], found[1]
        redacted, counts = redact(text)
        with self._lock:
            self._found[digest] = (None if redacted == text else redacted, counts)
            if len(self._found) > _MOST_KNOWN:
                self._found.popitem(last=False)
        return redacted, counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What to redact besides secrets: kinds of `OPTIONS`, and patterns of the user's, in order.

    `known` are the texts that were redacted last, by digest: the calls of a conversation repeat its messages.
    """

    options: frozenset[str] = frozenset()
    patterns: tuple[OwnPattern, ...] = ()
    known: RecentlyRedacted = field(default_factory=RecentlyRedacted, compare=False, repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Redaction:
        """Read `KAIZEN_REDACT` (`emails,cards`) and `KAIZEN_REDACT_PATTERNS` (`kind=expression` a line).

        Raises `SettingsError` for an unknown option, and for an expression that does not compile, that
        matches the empty text, or whose kind is not a plain word or two.
        """
        options = {option.strip() for option in environ.get("KAIZEN_REDACT", "").split(",")} - {""}
        for option in sorted(options - set(OPTIONS)):
            raise SettingsError(f"KAIZEN_REDACT holds '{option}'; there are {' and '.join(OPTIONS)}")
        return cls(options=frozenset(options), patterns=tuple(_own_patterns(environ.get(_PATTERNS, ""))))


@dataclass(slots=True)
class Redactor:
    """Replace secrets by `[redacted: <kind>]` and count the replacements by kind.

    Raises `RedactionError` if a pattern of the user's takes too long.
    """

    redaction: Redaction = field(default_factory=Redaction)
    counts: Counter[str] = field(default_factory=Counter)

    def text(self, text: str) -> str:
        """Return the text without secrets and without what UTF-8 cannot carry."""
        text, counts = self.redaction.known.look_up(text, lambda text: redact_text(text, self.redaction))
        self.counts.update(counts)
        return text

    def trajectory(self, trajectory: Trajectory) -> Trajectory:
        """Redact every text of a trajectory."""
        listed = ("errors", "tools", "models", "response_ids")
        texts: dict[str, Any] = {name: tuple(map(self.text, getattr(trajectory, name))) for name in listed}
        return replace(
            self._with_texts(trajectory, "session_id", "previous_response_id"),
            messages=tuple(map(self._message, trajectory.messages)),
            side_conversations=tuple(map(self._conversation, trajectory.side_conversations)),
            outcome=self.outcome(trajectory.outcome),
            **texts,
        )

    def outcome(self, outcome: Outcome) -> Outcome:
        """Redact every text of an outcome."""
        return self._with_texts(outcome, "judged_by", "detail")

    def annotation(self, annotation: Annotation) -> Annotation:
        """Redact every text of an annotation."""
        return self._with_texts(annotation, "name", "label", "explanation")

    def _with_texts(self, value: T, *names: str) -> T:
        texts: dict[str, Any] = {name: self.text(getattr(value, name)) for name in names}
        return replace(value, **texts)

    def _conversation(self, conversation: Conversation) -> Conversation:
        messages = tuple(map(self._message, conversation.messages))
        return replace(self._with_texts(conversation, "name"), messages=messages)

    def _message(self, message: Message) -> Message:
        # Ids are random enough to look like secrets, and without them no result finds its call.
        calls = tuple(
            replace(self._with_texts(call, "name", "arguments"), id=clean_text(call.id))
            for call in message.tool_calls
        )
        return replace(
            self._with_texts(message, "role", "content", "name"),
            tool_call_id=clean_text(message.tool_call_id),
            tool_calls=calls,
        )


def redact_text(text: str, redaction: Redaction) -> tuple[str, Counter[str]]:
    """Return the text without secrets and what UTF-8 cannot carry, and how many there were of each kind.

    Raises `RedactionError` if a pattern of the user's takes too long.
    """
    text, counts = clean_text(text), Counter[str]()
    # The user's patterns come first, before ours cut into what they are meant for.
    for own in redaction.patterns:
        text, count = own.replaced(text)
        counts += Counter({own.kind: count})
    found = find_secrets(text)
    parts, position = [], 0
    for secret in found:
        parts += [text[position : secret.start], f"[redacted: {secret.kind}]"]
        position = secret.end
        counts[secret.kind] += 1
    text = "".join([*parts, text[position:]])
    # In their order in `OPTIONS`, whatever order the user wrote them in.
    for option in OPTIONS:
        if option in redaction.options:
            text = _without_option(text, option, counts)
    return text, counts


def _without_option(text: str, option: Option, counts: Counter[str]) -> str:
    [(kind, [expression])] = read_expressions("secrets/places.toml", option).items()

    def replacement(match: re.Match[str]) -> str:
        if option == "cards" and not _is_card_number(match[0]):
            return match[0]
        counts[kind] += 1
        return f"[redacted: {kind}]"

    return re.sub(expression, replacement, text)


def _is_card_number(digits: str) -> bool:
    """Return whether the digits pass Luhn's check (ISO/IEC 7812-1, annex B)."""
    numbers = [int(c) for c in reversed(digits) if c.isdigit()]
    doubled = (sum(divmod(2 * number, 10)) for number in numbers[1::2])
    return (sum(numbers[::2]) + sum(doubled)) % 10 == 0


def _own_patterns(text: str) -> Iterator[OwnPattern]:
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
