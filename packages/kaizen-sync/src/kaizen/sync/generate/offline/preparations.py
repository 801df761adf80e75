"""Recoveries by what was called in between: another tool that had to come first, or more pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.paging import page_argument
from kaizen.sync.generate.offline.story import finding

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.recoveries import Recovery
    from kaizen.sync.generate.offline.story import Finding, Story

_MOST_HELPERS = 2


def by_other_calls(story: Story, recovery: Recovery) -> Finding | None:
    """The very same call succeeded after other tools had been called."""
    if recovery.change.names:
        return None
    if not recovery.between:
        return _by_patience(story, recovery)
    failed = recovery.failed
    helpers = _helpers(recovery)
    if not helpers or len(helpers) > _MOST_HELPERS:
        return None
    tool, answer = f"`{failed.tool}`", story.answer(failed)
    first = " and ".join(f"`{name}`" for name in helpers)
    return finding(
        failed,
        worth=100,
        content=f"Call {first} before {tool} where {tool} {answer}: the same call succeeds afterwards.",
        category="recovery",
        trigger=f"{tool} is to be called, or {answer}.",
        steps=(f"Call {first} first.", f"Then call {tool} with the arguments that it was to have."),
        rationale=f"{tool} failed, {first} was called, and then the same call of {tool} succeeded.",
    )


def _helpers(recovery: Recovery) -> list[str]:
    """Return the tools that succeeded in between; those that the error names, where it names any."""
    names = list(dict.fromkeys(step.tool for step in recovery.between if step.succeeded))
    line = recovery.failed.failure.line if recovery.failed.failure else ""
    return [name for name in names if name in line] or names


def _by_patience(story: Story, recovery: Recovery) -> Finding | None:
    failed = recovery.failed
    if failed.failure is None or not failed.failure.is_passing:
        return None
    tool, answer = f"`{failed.tool}`", story.answer(failed)
    return finding(
        failed,
        worth=30,
        content=f"Repeat {tool} unchanged once where it {answer}: the same call can succeed at the next try.",
        category="recovery",
        trigger=f"{tool} {answer}.",
        steps=(f"Call {tool} again with the same arguments.", "Go another way if it fails again."),
        rationale="The same call failed for a passing reason and succeeded right after.",
    )


def by_pages(story: Story, recovery: Recovery) -> Finding | None:
    """More pages were read in between, and nothing else was done."""
    between = recovery.between
    listing = between[0].tool if between else ""
    if any(step.tool != listing or not step.succeeded for step in between):
        return None
    if not (argument := page_argument(between)):
        return None
    tool, lister, answer = f"`{recovery.failed.tool}`", f"`{listing}`", story.answer(recovery.failed)
    return finding(
        recovery.failed,
        worth=100,
        content=f"Read all pages of {lister} (`{argument}`) before {tool}; with a part of them it {answer}.",
        category="recovery",
        trigger=f"{tool} depends on what {lister} returns, or {answer}.",
        steps=(
            f"Call {lister} with the next `{argument}` until a page is empty or says that it is the last.",
            "Put all pages together.",
            f"Only then call {tool}.",
        ),
        rationale=f"{tool} failed after a part of the pages, and succeeded after more of them had been read.",
    )
