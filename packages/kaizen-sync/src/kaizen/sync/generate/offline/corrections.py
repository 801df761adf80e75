"""Recoveries by the arguments: what the schema says, another form, a relation, one more or one less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.changes import relations, rewritten
from kaizen.sync.generate.offline.schemas import violation
from kaizen.sync.generate.offline.steps import is_name
from kaizen.sync.generate.offline.story import finding

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.recoveries import Recovery
    from kaizen.sync.generate.offline.story import Finding, Story


def by_schema(story: Story, recovery: Recovery) -> Finding | None:
    """The call was one that the schema does not allow, and the later one is not."""
    failed = recovery.failed
    schema = story.schemas.get(failed.tool)
    wrong = violation(recovery.before, schema) if schema else None
    if schema is None or wrong is None or violation(recovery.after, schema) == wrong:
        return None
    tool, argument, answer = f"`{failed.tool}`", f"`{wrong.argument}`", story.answer(failed)
    known = ", ".join(f"`{name}`" for name in schema.arguments)
    rule = {
        "missing": f"Always pass {argument} to {tool}: it is required",
        "unknown": f"Pass no {argument} to {tool}: it takes {known}",
        "type": f"Pass {argument} of {tool} as JSON type {wrong.allowed}",
        "value": f"Pass one of {wrong.allowed} as {argument} of {tool}",
    }[wrong.kind]
    return finding(
        failed,
        worth=90,
        content=f"{rule}. Otherwise {tool} {answer}.",
        category="recovery",
        trigger=f"{tool} is to be called, or {answer}.",
        steps=(f"Compare the arguments with the schema of {tool} before the call.", f"{rule}."),
        rationale="A call against the tool's schema failed; one that kept to it succeeded.",
    )


def by_form(story: Story, recovery: Recovery) -> Finding | None:
    """The same value in another form."""
    change, failed = recovery.change, recovery.failed
    if change.added or change.removed or len(change.changed) != 1 or not is_name(name := change.changed[0]):
        return None
    how = rewritten(recovery.before[name], recovery.after[name])
    if not how:
        return None
    tool, answer = f"`{failed.tool}`", story.answer(failed)
    verb = "Pass" if how.startswith(("divided", "multiplied", "as")) else "Write"
    return finding(
        failed,
        worth=95,
        content=f"{verb} `{name}` of {tool} {how}; otherwise it {answer}.",
        category="recovery",
        trigger=f"`{name}` is to be passed to {tool}, or {tool} {answer}.",
        steps=(
            f"{verb} `{name}` {how}, before the first call of {tool}.",
            "Leave the other arguments as they are.",
        ),
        rationale=f"{tool} failed, and succeeded when `{name}` alone was written another way.",
    )


def by_relation(story: Story, recovery: Recovery) -> Finding | None:
    """Two lists that must go together."""
    rules = relations(recovery.before, recovery.after)
    if not rules:
        return None
    rule = rules[0]
    tool, answer = f"`{recovery.failed.tool}`", story.answer(recovery.failed)
    return finding(
        recovery.failed,
        worth=90,
        content=f"{rule} when calling {tool}; otherwise it {answer}.",
        category="recovery",
        trigger=f"{tool} is to be called, or {answer}.",
        steps=(f"{rule}.", f"Only then call {tool}."),
        rationale=f"{tool} failed with lists for which this did not hold, and succeeded where it did.",
    )


def by_names(story: Story, recovery: Recovery) -> Finding | None:
    """Arguments that were left out at first, or should have been."""
    change = recovery.change
    names = change.added + change.removed
    if not names or change.changed or not all(map(is_name, names)):
        return None
    tool, answer = f"`{recovery.failed.tool}`", story.answer(recovery.failed)
    parts = [
        f"{verb} {', '.join(f'`{name}`' for name in group)}"
        for verb, group in (("pass", change.added), ("leave out", change.removed))
        if group
    ]
    how = " and ".join(parts)
    return finding(
        recovery.failed,
        worth=80,
        content=f"When calling {tool}, {how}; otherwise it {answer}.",
        category="recovery",
        trigger=f"{tool} is to be called, or {answer}.",
        steps=(f"{how[0].upper()}{how[1:]} when calling {tool}.",),
        rationale=f"A call of {tool} failed, and succeeded with these arguments alone being different.",
    )
