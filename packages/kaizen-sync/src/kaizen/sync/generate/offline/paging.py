"""Results that come in pages, and pages that were never read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.story import finding

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.steps import Step
    from kaizen.sync.generate.offline.story import Finding, Story

_ARGUMENT = re.compile(
    r"(?i)page|page_?(?:number|num|no|index|token)|offset|skip|start_?index|cursor|(?:next|continuation)_?(?:page_?)?"
    r"(?:token|cursor)|starting_after|marker"
)
_SEARCHED_CHARS = 4_000
_MORE = re.compile(
    r'"(?P<flag>has_?more|has_?next(?:_?page)?|is_?truncated)"\s{0,4}:\s{0,4}true\b'
    r'|"(?P<next>next_?(?:page|cursor|token|page_?token|offset)|continuation_?token)"\s{0,4}:\s{0,4}(?:"[^"]{1,200}"|[1-9]\d{0,18})'
    r"|\bpage (?P<page>\d{1,6}) ?(?:of|/) ?(?P<pages>\d{1,6})\b",
    re.IGNORECASE,
)


def page_argument(steps: Sequence[Step]) -> str:
    """Return the argument that says which page, of calls that differ in nothing else; empty if none does."""
    arguments = [step.arguments for step in steps]
    names = {name for one in arguments for name in one or () if _ARGUMENT.fullmatch(name)}
    rest = {
        repr(sorted((name, repr(value)) for name, value in one.items() if name not in names))
        for one in arguments
        if one is not None
    }
    return min(names) if len(names) == 1 and len(rest) == 1 and None not in arguments else ""


def find_unread_pages(story: Story) -> Iterator[Finding]:
    """Yield tools whose last result says that there is more, which nobody asked for."""
    last = {step.tool: step for step in story.steps if step.succeeded}
    for step in last.values():
        more = _more(step.result or "")
        if more is None:
            continue
        schema = story.schemas.get(step.tool)
        names = [*(step.arguments or ()), *(schema.arguments if schema else ())]
        argument = next(filter(_ARGUMENT.fullmatch, names), "")
        tool = f"`{step.tool}`"
        sign = f"`{more['flag'] or more['next']}`" if not more["page"] else "the number of pages"
        asking = f" with the next `{argument}`" if argument else " for the next page"
        yield finding(
            step,
            worth=50,
            content=f"{tool} returns a part at a time: read {sign} in its result, and call it again{asking} "
            "while there is more, before counting, comparing or choosing.",
            category="strategy",
            trigger=f"All that {tool} can return is needed, or one entry that is not in its first result.",
            steps=(
                f"Look at {sign} in each result of {tool}.",
                f"Call it again{asking} until there is no more.",
                "Put the parts together before using them.",
            ),
            rationale=f"The last result of {tool} said that there was more, and it was never asked for.",
            quote=more[0],
        )


def _more(result: str) -> re.Match[str] | None:
    """Return where a result says that there is more than it holds."""
    # Such marks stand around a list of results, not in it.
    for text in (result[-_SEARCHED_CHARS:], result[:_SEARCHED_CHARS]):
        for found in _MORE.finditer(text):
            if not found["page"] or int(found["page"]) < int(found["pages"]):
                return found
    return None
