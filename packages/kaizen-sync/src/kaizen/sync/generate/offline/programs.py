"""Programs that an agent runs itself: modules that were missing, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.story import finding

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.steps import Step
    from kaizen.sync.generate.offline.story import Finding, Story

_MISSING = re.compile(r"(?:No module named|Cannot find module) ['\"]?([\w@/-]+)")
_INSTALL = re.compile(r"\b(?:install|add)\b")
_CHARS = 2_000


def find_missing_modules(story: Story) -> Iterator[Finding]:
    """Two or more modules that were found missing one at a time, and installed."""
    missing: dict[str, dict[str, Step]] = {}
    for step in story.steps:
        if not step.is_program:
            continue
        known = missing.setdefault(step.tool, {})
        if step.failure and (found := _MISSING.search(step.failure.line)):
            known.setdefault(found[1], step)
        elif step.succeeded and len(known) > 1 and _INSTALL.search(step.quote[:_CHARS]):
            yield _finding(story, list(known.values())[-1])
            missing[step.tool] = {}


def _finding(story: Story, step: Step) -> Finding:
    tool, answer = f"`{step.tool}`", story.answer(step)
    return finding(
        step,
        worth=70,
        content=f"Install all modules that a project requires in one go before running its code with {tool}: "
        "otherwise they turn out to be missing one after the other, each at the cost of a failed run.",
        category="recovery",
        trigger=f"Code of a project is to be run with {tool} for the first time, or {tool} {answer}.",
        steps=(
            "Read from the project's own files which modules it requires.",
            f"Install them with one call of {tool}.",
            "Only then run its code.",
        ),
        rationale="Two or more runs failed, each for another missing module, until they had been installed.",
    )
