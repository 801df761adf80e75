"""Calls that were made again and again, and brought nothing new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.story import finding

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.steps import Step
    from kaizen.sync.generate.offline.story import Finding, Story

_OFTEN = 3  # twice may be chance


def find_loops(story: Story) -> Iterator[Finding]:
    """Yield calls that were repeated unchanged, each with the same result."""
    same: defaultdict[tuple[str, str, int], list[Step]] = defaultdict(list)
    for step in story.steps:
        if step.succeeded and not step.is_program:
            same[step.tool, step.spelling, hash(step.result)].append(step)
    for steps in same.values():
        if len(steps) < _OFTEN:
            continue
        tool = f"`{steps[0].tool}`"
        yield finding(
            steps[-1],
            worth=40,
            content=f"Keep what {tool} returned for later; with the same arguments it returns the same.",
            category="optimization",
            trigger=f"{tool} has been called in this run with the arguments that it is to be called with.",
            steps=(
                f"Look for an earlier result of {tool} with the same arguments.",
                "Use that instead of another call, unless something has been changed since.",
            ),
            rationale="Three or more calls with the same arguments returned the same.",
        )


def find_ignored_errors(story: Story) -> Iterator[Finding]:
    """Yield calls that failed and were repeated unchanged, as if they had not."""
    failed: set[tuple[str, str]] = set()
    for step in story.steps:
        if not step.failure or step.is_program or step.failure.is_passing:
            continue
        if (step.tool, step.spelling) not in failed:
            failed.add((step.tool, step.spelling))
            continue
        tool, answer = f"`{step.tool}`", story.answer(step)
        yield finding(
            step,
            worth=55,
            content=f"Do not repeat {tool} unchanged where it {answer}: the same call fails again.",
            category="recovery",
            trigger=f"{tool} {answer}.",
            steps=(
                "Read which argument or which state the error is about.",
                f"Change that before {tool} is called again, or go another way.",
            ),
            rationale="The same call was made again after the error, and failed again.",
        )


def find_repeated_failures(story: Story) -> Iterator[Finding]:
    """Yield errors that came back again and again until the tool was given up."""
    succeeded = {step.tool: step.number for step in story.steps if step.succeeded}
    failed: defaultdict[tuple[str, str], list[Step]] = defaultdict(list)
    for step in story.steps:
        if step.failure and not step.is_program and succeeded.get(step.tool, -1) < step.number:
            failed[step.tool, story.answer(step)].append(step)
    for (name, answer), steps in failed.items():
        if len(steps) < _OFTEN:
            continue
        tool = f"`{name}`"
        yield finding(
            steps[-1],
            worth=45,
            content=f"Stop calling {tool} once it {answer} a second time: further calls are answered alike.",
            category="strategy",
            trigger=f"{tool} {answer}, and not for the first time.",
            steps=(
                "Read the error and say what it rules out.",
                f"Do not call {tool} again unless that has been changed.",
                "Go another way, or report the error.",
            ),
            rationale=f"Three or more calls of {tool} gave this error, and none succeeded afterwards.",
        )
