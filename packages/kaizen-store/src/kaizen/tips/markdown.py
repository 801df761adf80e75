"""Write tips as Markdown for people and for agents' instruction files; a tip cannot leave its list item."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from kaizen.tips.text import one_line
from kaizen.tips.tip import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.tips.tip import StoredTip

_OTHER = "other"

# What Markdown may take for markup anywhere in a line (CommonMark 0.31, GitHub's autolinks), and the `@` by
# which instruction files include other files. An underscore within a word is none.
_MARKUP = re.compile(r"[\\`*\[\]<>&~@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
# What it may take for a heading, a list, a quote, a rule or a table where a line begins.
_BEGINNING = re.compile(r"^(?:[#+=|-]|\d+(?=[.)]))")


class TipsPage:
    """Collect tips, and write those that are active under their categories."""

    def __init__(self, namespace_id: str) -> None:
        self._namespace_id = namespace_id
        self._items: dict[str, list[str]] = {category: [] for category in (*CATEGORIES, _OTHER)}
        self.left_out: Counter[str] = Counter()

    @property
    def tips(self) -> int:
        return sum(map(len, self._items.values()))

    def add(self, tip: StoredTip) -> None:
        """Take the tip; `left_out` counts by status those that nobody should follow (yet)."""
        if not tip.is_active:
            self.left_out[tip.status] += 1
            return
        category = tip.category if tip.category in CATEGORIES else _OTHER
        self._items[category].append("\n".join(_item(tip)))

    def lines(self) -> Iterator[str]:
        yield f"<!-- Tips learned from earlier runs: `kaizen entities export {self._namespace_id}` -->"
        for category, items in self._items.items():
            if items:
                yield from ("", f"## {category.capitalize()}", "", *items)


def plain(text: str) -> str:
    """Return the text in one line that Markdown shows as it is, without markup, link, HTML or code."""
    escaped = _MARKUP.sub(lambda match: f"\\{match[0]}", one_line(text))
    # A number is escaped behind it: Markdown shows a backslash before a digit.
    return _BEGINNING.sub(lambda m: f"{m[0]}\\" if m[0].isdigit() else f"\\{m[0]}", escaped)


def _item(tip: StoredTip) -> Iterator[str]:
    yield f"- {plain(tip.content)}"
    if tip.trigger.strip():
        yield f"  - When: {plain(tip.trigger)}"
    if steps := [step for step in tip.implementation_steps if step.strip()]:
        yield "  - Steps:"
        yield from (f"    {number}. {plain(step)}" for number, step in enumerate(steps, 1))
    if tip.support:
        yield f"  - Support: {tip.support} {'run' if tip.support == 1 else 'runs'}"
