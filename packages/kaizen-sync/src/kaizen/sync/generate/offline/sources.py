"""Recoveries by where the right value came from: the result of another tool, or the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.offline.steps import is_name
from kaizen.sync.generate.offline.story import finding
from kaizen.sync.trajectory.json_text import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kaizen.sync.generate.offline.changes import Change
    from kaizen.sync.generate.offline.recoveries import Recovery
    from kaizen.sync.generate.offline.steps import Step
    from kaizen.sync.generate.offline.story import Finding, Story

_ABOUT_VALUES = frozenset({"not found", "invalid argument", "not permitted"})
_SHORTEST_VALUE = 4
# Traces are untrusted: whatever is in one, so much of it is searched and no more.
_FURTHEST = 20
_MOST_CHANGED = 4
_MOST_VALUES = 10
_SEARCHED_CHARS = 50_000


def by_source(story: Story, recovery: Recovery) -> Finding | None:
    """The accepted value was in the result of a tool that the refused one was in no result of."""
    change, failed = recovery.change, recovery.failed
    if change.added or change.removed or not _is_about_values(failed, change):
        return None
    sources = {name: giver for name in change.changed if (giver := _giver(story, recovery, name))}
    if len(sources) != 1:
        return None
    ((name, giver),) = sources.items()
    tool, answer = f"`{failed.tool}`", story.answer(failed)
    return finding(
        failed,
        worth=85,
        content=f"Take `{name}` for {tool} from the result of `{giver}`; with a value from elsewhere {tool} "
        f"{answer}.",
        category="recovery",
        trigger=f"`{name}` is to be passed to {tool}, or {tool} {answer}.",
        steps=(
            f"Call `{giver}` before {tool}, unless its result is there already.",
            f"Copy `{name}` from that result.",
            f"Call {tool} with it.",
        ),
        rationale=f"The accepted `{name}` was in the result of `{giver}`; the refused one was not.",
    )


def _is_about_values(failed: Step, change: Change) -> bool:
    """Return whether the error can be about the values that were changed, a few of them."""
    names = change.changed
    is_about = failed.failure is not None and failed.failure.kind in _ABOUT_VALUES
    return is_about and 0 < len(names) <= _MOST_CHANGED and all(map(is_name, names))


def _giver(story: Story, recovery: Recovery, name: str) -> str:
    """Return the tool whose result had the new values of an argument, and before the failure no old one."""
    old, new = set(_texts(recovery.before[name])), set(_texts(recovery.after[name]))
    changed, gone = new - old, old - new
    if not changed:
        return ""
    failed, succeeded = recovery.failed.number, recovery.succeeded.number
    offered = {step.tool for step in _earlier(story, failed) if _holds(step, gone)}
    for step in reversed(list(_earlier(story, succeeded))):
        if step.tool not in offered and step.tool != recovery.failed.tool and _holds(step, changed):
            return step.tool
    return ""


def _earlier(story: Story, number: int) -> Iterator[Step]:
    return (step for step in story.steps[max(0, number - _FURTHEST) : number] if step.succeeded)


def _holds(step: Step, texts: Iterable[str]) -> bool:
    result = (step.result or "")[:_SEARCHED_CHARS]
    return any(text in result for text in texts)


def by_user(story: Story, recovery: Recovery) -> Finding | None:
    """The user corrected what they had said."""
    change, failed = recovery.change, recovery.failed
    if change.added or change.removed or not _is_about_values(failed, change):
        return None
    between = story.messages[failed.position : recovery.succeeded.position]
    said = "\n".join(one.content[:_SEARCHED_CHARS] for one in between if one.role == "user")
    new = [text for name in change.changed for text in _texts(recovery.after[name])]
    if not said or not new or not all(text in said for text in new):
        return None
    tool, answer = f"`{failed.tool}`", story.answer(failed)
    names = " and ".join(f"`{name}`" for name in change.changed)
    return finding(
        failed,
        worth=60,
        content=f"Ask the user to check {names} where {tool} {answer}; what they first gave can be wrong.",
        category="recovery",
        trigger=f"{tool} {answer}, and {names} came from the user.",
        steps=(
            f"Tell the user which {names} was not accepted, and ask for it once more.",
            f"Call {tool} again with what they give.",
        ),
        rationale=f"{tool} failed, the user gave another {names}, and with that it succeeded.",
    )


def _texts(value: Any) -> list[str]:
    """Return the single values in an argument that are long enough to be found again."""
    values = value if isinstance(value, list) else [value]
    return [text for text in map(as_text, values[:_MOST_VALUES]) if len(text) >= _SHORTEST_VALUE]
