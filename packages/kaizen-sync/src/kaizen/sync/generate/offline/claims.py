"""What a detector claims about a tool, as a value that can be checked on any run."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kaizen.sync.generate.offline.commands import holds_command
from kaizen.sync.generate.offline.templates import holds_word, listed_values, states_rule, widen
from kaizen.sync.trajectory.json_text import as_text

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.calls import Call
    from kaizen.sync.generate.offline.templates import CallLog
    from kaizen.sync.model import OutcomeName

Kind = Literal[
    "before",  # call other tools first; with `arguments`, page by page
    "form",  # write an argument another way: `how`, which `pattern` matches
    "unit",  # divide or multiply an argument
    "listed",  # pass one of the values that the error lists
    "clause",  # add `how` to an argument
    "command",  # begin a command with `how`, and not with `pattern`
    "size",  # pass at most `how` entries; or what `how` says of a `pattern`, the type of an argument
    "pass",  # pass arguments that were left out, or under another name, or leave out others
    "source",  # take an argument from the result of another tool
    "instead",  # call another tool that does the same
    "install",  # install all modules at once
    "ask",  # ask the user again
    "change",  # the arguments that were changed, to keep to the rule that the error states
    "rule",  # the rule that the error states, where no run has shown how to keep to it
    "outcome",  # call another tool first, as runs that succeeded did and runs that failed did not; no error
]
# Of two claims about one error, that which says less is part of the other: the first say least.
_VAGUE: tuple[Kind, ...] = ("rule", "change")

Verdict = Literal["holds", "broken", "silent"]

_SEARCHED_CHARS = 50_000
_ARGUMENT_CHARS = 300
MOST_CALLS = 300
_NEAR = 20
_FURTHEST = 200  # traces are untrusted: whatever is in one, so much of it is searched and no more
JSON_TYPES: Mapping[type, str] = {
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "a list",
}
LEAST_CHARS = 4  # shorter values are in any result


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """How a call of `tool` must be made, else it is refused with `error`, a template, or the run fails.

    `is_conditional` says that calls which did not keep to it succeeded too: of an order, that it depends on
    what can be checked before; of all else, that only the rule that the error states is certain.
    """

    kind: Kind
    tool: str
    error: str = ""
    arguments: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    how: str = ""
    pattern: str = ""
    is_conditional: bool = False

    @property
    def signature(self) -> dict[str, str]:
        return {"tool": self.tool, "error": self.error} if self.error else {}

    @property
    def rank(self) -> int:
        """Return how much it says: what the tool demands, of which arguments, or what to do."""
        kind = "change" if self.is_conditional and self.kind != "before" else self.kind
        return _VAGUE.index(kind) if kind in _VAGUE else len(_VAGUE)

    @property
    def is_stated(self) -> bool:
        """Return whether the error itself states the rule, so that one conversation is enough."""
        if self.kind in ("ask", "install", "outcome"):
            return False
        if self.tools and not any(holds_word(self.error, tool) for tool in self.tools):
            return False
        return states_rule(self.error)

    def to_json(self) -> dict[str, Any]:
        values = {**asdict(self), "is_stated": self.is_stated}.items()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values if value}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Claim:
        names = {field.name for field in fields(cls)}
        known: dict[str, Any] = {
            name: tuple(part) if isinstance(part, list) else part
            for name, part in value.items()
            if name in names
        }
        return cls(**known)

    def says(self) -> tuple[object, ...]:
        """Return what tells it from other claims about the same error."""
        return self.kind, self.arguments, self.tools, self.how

    def is_same_error(self, tool: str, error: str) -> bool:
        return tool == self.tool and widen(self.error, error) is not None

    def check(self, calls: Sequence[PastCall], ending: Ending | None = None) -> Verdict:
        """Check it on one conversation.

        It holds if a call kept to it and succeeded, or did not and was refused with the error; it is broken
        if a call did not keep to it and succeeded, whatever else happened. What is claimed of the outcome
        depends on the `ending`, which is silent about all other claims.
        """
        if self.kind == "outcome":
            return self._check_ending(calls, ending or Ending())
        obeys = _CHECKS.get(self.kind)
        verdict: Verdict = "silent"
        for number, call in enumerate(calls):
            if call.tool != self.tool or obeys is None:
                continue
            kept = obeys(self, call, calls[:number])
            if kept is False and call.succeeded:
                return "broken"
            if call.succeeded:
                # That a call came after another is the usual order more often than a condition.
                is_proof = kept is True and self.kind != "before"
            else:
                is_proof = kept is False and self.is_same_error(call.tool, call.error or "")
            verdict = "holds" if is_proof else verdict
        return verdict

    def _check_ending(self, calls: Sequence[PastCall], ending: Ending) -> Verdict:
        before = called_before(calls, self.tool, ending.outcome)
        if before is None:
            return "silent"
        is_kept = before.issuperset(self.tools)
        if is_kept == (ending.outcome == "failure"):
            return "broken"
        # That a success kept to it proves nothing alone, nor a failure that could not.
        return "holds" if not is_kept and set(ending.offered).issuperset(self.tools) else "silent"


class Ending(NamedTuple):
    """How a run ended, and the names of the tools that it was offered."""

    outcome: OutcomeName = "unknown"
    offered: Collection[str] = ()


class PastCall(NamedTuple):
    """What claims are checked on, of one call: short enough to be kept of all runs.

    `error` is the template of its error, empty if it has none that may be kept, or if nobody can tell whether
    the call succeeded, and None if it did. `givers` are the look-ups before it whose
    results had the value of an argument, by its name.
    """

    tool: str
    arguments: Mapping[str, Any]
    error: str | None
    givers: Mapping[str, Sequence[str]]

    @property
    def succeeded(self) -> bool:
        return self.error is None


def called_before(calls: Sequence[PastCall], tool: str, outcome: OutcomeName) -> set[str] | None:
    """Return the tools that were called with success before that one; None if the conversation is silent.

    Before its first success if the run succeeded, and before its last call if it failed, so that doubt
    counts against whatever is claimed of the order.
    """
    if outcome == "unknown":
        return None
    is_success = outcome == "success"
    places = [n for n, call in enumerate(calls) if call.tool == tool and (call.succeeded or not is_success)]
    if not places:
        return None
    end = places[0] if is_success else places[-1]
    return {call.tool for call in calls[:end] if call.succeeded} - {tool}


def past_calls(log: CallLog) -> list[PastCall]:
    """Return the calls of a conversation that came to a result, in order."""
    answered = (call for call in log.calls if call.arguments is not None and call.result is not None)
    return [
        PastCall(
            tool=call.tool,
            arguments={name: _short(value) for name, value in (call.arguments or {}).items()},
            error=None if call.succeeded else log.error(call),
            givers=_givers(log, call),
        )
        for call in islice(answered, MOST_CALLS)
    ]


def _short(value: Any) -> Any:
    """Return a value as claims look at it: long texts by their beginning, long lists and objects not."""
    if isinstance(value, str):
        return value[:_ARGUMENT_CHARS]
    return value if len(as_text(value)) <= _ARGUMENT_CHARS else type(value)()


def _givers(log: CallLog, call: Call) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    wanted = {name: single_values(value) for name, value in (call.arguments or {}).items()}
    for other in islice(earlier(log.calls, call.number), _NEAR):
        for name, values in wanted.items():
            tools = found.setdefault(name, [])
            if other.tool not in tools and values and holds_value(other, values):
                tools.append(other.tool)
    return {name: sorted(tools) for name, tools in found.items() if tools}


def earlier(calls: Sequence[Call], number: int) -> Iterator[Call]:
    """Yield the calls that succeeded not long before that one, newest first."""
    for position in range(number - 1, max(0, number - _FURTHEST) - 1, -1):
        if calls[position].succeeded:
            yield calls[position]


def holds_value(call: Call, texts: Iterable[str]) -> bool:
    """Return whether the result of a call has one of these values."""
    result = (call.result or "")[:_SEARCHED_CHARS]
    return any(text in result for text in texts)


def single_values(value: Any) -> list[str]:
    """Return the single values in an argument that are long enough to be found again."""
    values = value if isinstance(value, list) else [value]
    return [text for text in map(as_text, values[:10]) if len(text) >= LEAST_CHARS]


def _kept_before(claim: Claim, _: PastCall, before: Sequence[PastCall]) -> bool | None:
    return set(claim.tools) <= {call.tool for call in before if call.succeeded}


def _kept_form(claim: Claim, call: PastCall, _: Sequence[PastCall]) -> bool | None:
    value = call.arguments.get(claim.arguments[0])
    if value is None or not claim.pattern:
        return None
    if claim.pattern in JSON_TYPES.values():
        return JSON_TYPES.get(type(value)) == claim.pattern
    return re.search(claim.pattern, as_text(value)) is not None


def _kept_command(claim: Claim, call: PastCall, _: Sequence[PastCall]) -> bool | None:
    text = as_text(call.arguments.get(claim.arguments[0]))
    if holds_command(text, claim.how):
        return True
    return False if holds_command(text, claim.pattern) else None


def _kept_list(claim: Claim, call: PastCall, _: Sequence[PastCall]) -> bool | None:
    value = call.arguments.get(claim.arguments[0])
    listed = listed_values(claim.error)
    return value in listed if isinstance(value, str) and listed else None


def _kept_passing(claim: Claim, call: PastCall, _: Sequence[PastCall]) -> bool | None:
    passed = [name in call.arguments for name in claim.arguments]
    return not any(passed) if claim.how == "leave out" else all(passed)


def _kept_size(claim: Claim, call: PastCall, _: Sequence[PastCall]) -> bool | None:
    value = call.arguments.get(claim.arguments[0])
    if not claim.pattern:
        return len(value) <= int(claim.how) if isinstance(value, list) and value else None
    if value is None or JSON_TYPES.get(type(value)) != claim.pattern:
        return None
    size = float(len(value) if isinstance(value, str) else value)
    side, number = claim.how.split()[1:3]
    if isinstance(value, str) and float(number) >= _ARGUMENT_CHARS:
        return None  # texts are kept by their beginning
    return size <= float(number) if side == "most" else size >= float(number)


def _kept_source(claim: Claim, call: PastCall, _: Sequence[PastCall]) -> bool | None:
    [name] = claim.arguments
    if name in call.arguments and not single_values(call.arguments[name]):
        return None
    return not set(claim.tools).isdisjoint(call.givers.get(name, ()))


_CHECKS: dict[str, Callable[[Claim, PastCall, Sequence[PastCall]], bool | None]] = {
    "before": _kept_before,
    "form": _kept_form,
    "clause": _kept_form,
    "listed": _kept_list,
    "command": _kept_command,
    "pass": _kept_passing,
    "size": _kept_size,
    "source": _kept_source,
}
