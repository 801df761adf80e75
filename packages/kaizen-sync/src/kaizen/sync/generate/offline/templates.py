"""The template of an error: its text without what the run put there, so that runs share it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.grounding import RunLiterals, shows_form
from kaizen.sync.generate.offline.calls import Call, expression, is_name, read_calls
from kaizen.sync.trajectory.failures import read_failure
from kaizen.sync.trajectory.json_text import as_text
from kaizen.sync.trajectory.tasks import split_tasks
from kaizen.sync.trajectory.tool_definitions import read_definitions
from kaizen.sync.trust import dangers

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Trajectory

MASK = "…"

_MOST_CHARS = 240
_MOST_VALUES = 50
_VALUE_CHARS = (2, 100)
_SEARCHED_CHARS = 50_000
_SAID_CHARS = 200_000

_SPECIFIC = re.compile(r"[\w#@./:+-]*[\d@#][\w@./:+-]*\w|\d+")
_QUOTED = re.compile(r"(?<!\w)(['\"`])([^'\"`\n]{1,100})\1(?!\w)")
# Two words or more that begin with capitals look like a name, unless they begin the sentence; so does one
# that says by whom something is held.
_PERSON = re.compile(
    r"(?<=[^.!?:\s] )(?!(?:Bad|Not|Too|Internal|Service|Unprocessable|Precondition) )"
    r"[A-Z][a-z]+(?:[ -][A-Z][a-z]+)+(?!\w)"
    r"|(?<=\bby )[A-Z][a-z]+(?!\w)"
)
_PHONE = re.compile(r"(?<![\w+])(?:\+|00)\d[\d ().-]{6,18}\d\b")
_CODE = re.compile(r"[A-Za-z]+(?:[_-][A-Za-z]+)+|[A-Z][a-z]+(?:[A-Z][a-z]+)+")
_NUMBER = re.compile(r"[\d.,]+")
_PLAIN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_MASKS = re.compile(rf"{MASK}(?:[\s,;]*{MASK})+")
_ABOUT_VALUES = re.compile(
    r"\d|\b(?:such as|like|e\.g\.|format|form|one of|only|at most|at least)\b"
    r"|\b[YMDHS]{2,4}(?:[-/:.T][YMDHS]{2,4})+",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)\s+|\n+")


class CallLog:
    """One conversation of a run: its messages, its calls, and the template of each error."""

    def __init__(self, messages: tuple[Message, ...], trajectory: Trajectory, literals: RunLiterals) -> None:
        self.messages = messages
        self.calls = read_calls(messages)
        self._trajectory = trajectory
        self._literals = literals
        self._errors: dict[int, str] = {}

    def error(self, call: Call) -> str:
        """Return the template of a failed call's error; empty if nothing of it may be passed on."""
        if call.failure is None:
            return ""
        if call.number not in self._errors:
            self._errors[call.number] = self._template(call, call.failure.message)
        return self._errors[call.number]

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the names of tools and arguments, and the values that schemas list: they are the tool's."""
        offered = (tool for text in self._trajectory.tools for tool in read_definitions(text))
        words = {name for tool in offered for name in (tool.name, *_schema_words(tool.parameters or {}))}
        called = ({call.tool, *filter(is_name, call.arguments or ())} for call in self.calls)
        return frozenset(words.union(*called))

    def said_before(self, call: Call) -> str:
        """Return what users said and what calls took and returned before that call, but for errors."""
        text, ends = self._said
        end = ends.get(call.position, 0)
        return text[max(0, end - _SAID_CHARS) : end]

    @cached_property
    def _said(self) -> tuple[str, dict[int, int]]:
        """Return all that was said, and up to where it was said before each turn."""
        by_turn: defaultdict[int, list[Call]] = defaultdict(list)
        for call in self.calls:
            by_turn[call.position].append(call)
        parts: list[str] = []
        ends: dict[int, int] = {}
        length = 0
        for position, message in enumerate(self.messages):
            ends[position] = length
            said = [message.content] if message.role == "user" else []
            for call in by_turn[position]:
                said += _texts(call.arguments or {})
                said += [(call.result or "")[:_SEARCHED_CHARS]] if call.succeeded else []
            parts += said
            length += sum(len(part) + 1 for part in said)
        return "\n".join([*parts, ""]), ends

    def _template(self, call: Call, text: str) -> str:
        text = " ".join(text.split())
        said = self.said_before(call)
        spans = [*self._personal(text, said), *self._of_run(call, text, said)]
        masked = _shortened(self._harmless(_MASKS.sub(MASK, _without(text, spans))))
        words = masked.split()
        plain = sum(MASK not in word for word in words)
        # A code such as version_conflict says enough by itself.
        is_code = _CODE.fullmatch(masked) is not None
        return masked if is_code or plain >= max(2, len(words) // 3) else ""

    def _harmless(self, text: str) -> str:
        """Return the first sentence and those about the call, if they give no dangerous order.

        An error is a stranger's text, and may go on to say anything.
        """
        first, *others = _SENTENCES.split(text)
        kept = " ".join(part for part in [first, *filter(self._is_about_call, others)] if not dangers([part]))
        return "" if dangers([kept]) else kept

    def _is_about_call(self, sentence: str) -> bool:
        words = set(re.findall(r"[\w.-]*\w", sentence.casefold()))
        return (
            not words.isdisjoint(map(str.casefold, self.names)) or _ABOUT_VALUES.search(sentence) is not None
        )

    def _personal(self, text: str, said: str) -> Iterator[tuple[int, int]]:
        """Yield what looks like a person's, on whatever side of a rule it stands."""
        yield from self._literals.spans(text, said=said)
        for pattern in (_PERSON, _PHONE):
            yield from (found.span() for found in pattern.finditer(text) if found[0] not in self.names)

    def _of_run(self, call: Call, text: str, said: str) -> Iterator[tuple[int, int]]:
        """Yield where the text repeats an argument, or a value that users or earlier results said."""
        rules = [found.span() for found in expression("rule").finditer(text)]
        listed = {*listed_values(text), *self.names}

        def is_tools(found: re.Match[str], group: int = 0) -> bool:
            start, end = found.span(group)
            if found[group] in listed or shows_form(text[:start]):
                return True
            # A limit is a number that the run may have said too, by chance.
            is_in_rule = any(first <= start and end <= last for first, last in rules)
            return is_in_rule and _NUMBER.fullmatch(found[group]) is not None

        for value in islice(_own_values(call.arguments or {}), _MOST_VALUES):
            if value in text:
                for found in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", text):
                    if not is_tools(found):
                        yield found.span()
        for found in _SPECIFIC.finditer(text):
            if len(found[0]) > 1 and holds_word(said, found[0]) and not is_tools(found):
                yield found.span()
        for found in _QUOTED.finditer(text):
            is_word = found[2].islower() and any(first <= found.start() for first, _ in rules)
            if found[1] != "`" and not is_word and holds_word(said, found[2]) and not is_tools(found, 2):
                yield found.span(2)


def call_logs(trajectory: Trajectory, *, by_task: bool = False) -> list[CallLog]:
    """Return the conversations of a run, the main one first. `trajectory` must be redacted already.

    `by_task` divides the main one, so that nothing is found that joins two tasks of a session.
    """
    literals = RunLiterals(trajectory)
    main = [trajectory.messages]
    if by_task and sum(message.role == "user" for message in trajectory.messages) > 1:
        main = list(map(tuple, split_tasks(trajectory.messages, lambda text: read_failure(text) is not None)))
    conversations = [*main, *(side.messages for side in trajectory.side_conversations)]
    return [CallLog(messages, trajectory, literals) for messages in conversations]


def widen(one: str, other: str) -> str | None:
    """Return the template that stands for both errors; None if they are different errors.

    They may differ in values alone: plain words, and names in backticks, are what tells errors apart.
    """
    if one == other:
        return one
    these, those = one.split(), other.split()
    widened: list[str] = []
    same = 0
    for tag, i, j, k, n in SequenceMatcher(None, these, those, autojunk=False).get_opcodes():
        if tag == "equal":
            widened += these[i:j]
            same += sum(_PLAIN.fullmatch(word.strip(".,:;!?()'\"`")) is not None for word in these[i:j])
        elif _are_values(these[i:j], those[k:n]):
            widened.append(MASK)
        else:
            return None
    return _MASKS.sub(MASK, " ".join(widened)) if same >= 2 else None


def states_rule(error: str) -> bool:
    """Return whether an error says what is allowed, or what to do first, and not only that it failed."""
    return expression("states_rule").search(error) is not None


def listed_values(error: str) -> list[str]:
    """Return the values that an error lists as allowed; empty if it lists none."""
    if not (found := expression("listed").search(error)):
        return []
    parts = re.split(r",\s*(?:or |and )?|\s+(?:or|and)\s+|\s*\|\s*", found[1])
    values = [part.strip(" '\"`.") for part in parts]
    return values if len(values) > 1 and all(value and len(value) <= 40 for value in values) else []


def _own_values(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values of the arguments as an error may repeat them, the longest first."""
    least, most = _VALUE_CHARS
    values = {text for text in _texts(arguments) if len(text) <= most}
    # Short words such as `no` and `yes` are in any text.
    kept = (v for v in values if re.search(r"\d", v) or len(v) >= (4 if v.isalpha() else least))
    return iter(sorted(kept, key=len, reverse=True))


def _texts(value: Any) -> Iterator[str]:
    """Yield the single values in arguments, however deep; a number also as it is usually printed."""
    pending = [value]
    for _ in range(_MOST_VALUES * 4):
        if not pending:
            return
        one = pending.pop()
        if isinstance(one, Mapping):
            pending += one.values()
        elif isinstance(one, list):
            pending += one
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield from {as_text(one), f"{one:g}"}
        elif isinstance(one, str):
            yield one.strip()


def _schema_words(schema: Mapping[str, Any]) -> Iterator[str]:
    properties = schema.get("properties")
    for name, described in properties.items() if isinstance(properties, Mapping) else ():
        yield name
        allowed = described.get("enum") if isinstance(described, Mapping) else None
        yield from (value for value in allowed or () if isinstance(value, str))


def holds_word(text: str, value: str) -> bool:
    """Return whether a text has a value as a word of its own."""
    return value in text and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts, position = [], 0
    for start, end in sorted(spans):
        if start >= position:
            parts += [text[position:start], MASK]
        position = max(position, end)
    return "".join([*parts, text[position:]])


def _shortened(text: str) -> str:
    text = text if len(text) <= _MOST_CHARS else text[:_MOST_CHARS].rpartition(" ")[0]
    return text.rstrip(" .!;:,")


def _are_values(these: list[str], those: list[str]) -> bool:
    """Return whether words that differ between two texts may be what two runs put at the same place."""
    if [MASK] in (these, those) or not (these and those):
        others = [word for word in (*these, *those) if word != MASK]
        return MASK in (*these, *those) and len(others) <= 3 and not any("`" in word for word in others)
    return all(map(_is_value, (*these, *those)))


def _is_value(word: str) -> bool:
    return MASK in word or ("`" not in word and re.search(r"[\d@#/]", word) is not None)
