"""Tools that stand for one another: one that did what another did not, and two that exclude each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.offline.story import finding
from kaizen.sync.trajectory.json_text import as_text

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.steps import Step
    from kaizen.sync.generate.offline.story import Finding, Story

_FURTHEST = 8
_SHORTEST_VALUE = 3
_LONGEST_VALUE = 100
_MOST_TOOLS = 8
_NOT_OF_STATE = frozenset({"not found", "missing argument", "rate limit", "timeout", "unavailable"})


def find_alternatives(story: Story) -> Iterator[Finding]:
    """Yield tools that failed and were given up for another that did the same and succeeded soon after."""
    last_success = {step.tool: step.number for step in story.steps if step.succeeded}
    for step in story.steps:
        if not step.failure or step.is_program or last_success.get(step.tool, -1) > step.number:
            continue
        following = story.steps[step.number + 1 : step.number + 1 + _FURTHEST]
        other = next((one for one in following if one.succeeded and _does_the_same(step, one)), None)
        if other is None:
            continue
        tool, instead, answer = f"`{step.tool}`", f"`{other.tool}`", story.answer(step)
        yield finding(
            step,
            worth=75,
            content=f"Use {instead} where {tool} {answer}.",
            category="recovery",
            trigger=f"{tool} {answer}.",
            steps=(f"Do not call {tool} again for it.", f"Call {instead} instead."),
            rationale=f"{tool} failed and never succeeded afterwards; {instead}, called in its place, did.",
        )


def _does_the_same(step: Step, other: Step) -> bool:
    """Return whether another tool did the same: with two of the values, or under nearly the same name."""
    if step.tool == other.tool:
        return False
    if len(_values(step.arguments) & _values(other.arguments)) >= 2:
        return True
    words, others = step.tool.split("_"), other.tool.split("_")
    return len(words) > 2 and words[:2] == others[:2]


def _values(arguments: Mapping[str, Any] | None) -> set[str]:
    values = (as_text(value) for value in (arguments or {}).values())
    return {value for value in values if len(value) >= _SHORTEST_VALUE}


def find_exclusions(story: Story) -> Iterator[Finding]:
    """Yield tools that refused what another tool had been called for before, with success."""
    succeeded: defaultdict[tuple[str, str], dict[str, Step]] = defaultdict(dict)
    last_success = {step.tool: step.number for step in story.steps if step.succeeded}
    for step in story.steps:
        if step.is_program or step.arguments is None:
            continue
        if step.succeeded:
            for name, value in _scalars(step.arguments).items():
                if len(succeeded[name, value]) < _MOST_TOOLS:
                    succeeded[name, value][step.tool] = step
        elif step.failure and step.failure.kind not in _NOT_OF_STATE:
            if last_success.get(step.tool, -1) > step.number:
                continue
            if found := _excluding(step, succeeded):
                yield _exclusion(story, found[0], step, found[1])


def _excluding(
    step: Step, succeeded: Mapping[tuple[str, str], Mapping[str, Step]]
) -> tuple[Step, str] | None:
    """Return the earlier call with the same single values, two or more, and the first of their names."""
    mine = _scalars(step.arguments or {})
    for name, value in mine.items():
        for other in succeeded.get((name, value), {}).values():
            others = _scalars(other.arguments or {})
            shared = mine.keys() & others.keys()
            alike = [one for one in shared if mine[one] == others[one]]
            if other.tool != step.tool and len(alike) == len(shared) >= 2:
                return other, name
    return None


def _exclusion(story: Story, first: Step, second: Step, name: str) -> Finding:
    one, other, answer = f"`{first.tool}`", f"`{second.tool}`", story.answer(second)
    return finding(
        second,
        worth=78,
        content=f"Decide between {one} and {other} for one `{name}` before calling either: after {one} has "
        f"succeeded, {other} {answer}.",
        category="strategy",
        trigger=f"Both {one} and {other} are wanted for the same `{name}`.",
        steps=(
            f"Before calling {one}, say that {other} is refused afterwards, and settle which is wanted.",
            "Call that one.",
        ),
        rationale=f"{one} succeeded, and {other} for the same `{name}` then failed and never succeeded.",
    )


def _scalars(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments that are short texts or numbers."""
    return {
        name: value
        for name, value in ((name, as_text(one)) for name, one in arguments.items() if not _is_nested(one))
        if _SHORTEST_VALUE <= len(value) <= _LONGEST_VALUE
    }


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | dict)
