"""Tips as Markdown, for people and for agents' instruction files; a tip cannot leave its list item. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kaizen.cli.output import one_line
from kaizen.tips.tip import CATEGORIES

if TYPE_CHECKING:
    from kaizen.store import Entity

_ACTIVE = "active"
_OTHER = "other"

# What Markdown may take for markup anywhere in a line (CommonMark 0.31, GitHub's autolinks), and the `@` by
# which instruction files include other files. An underscore within a word is none.
_MARKUP = re.compile(r"[\\`*\[\]<>&~@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
# What it may take for a heading, a list, a quote, a rule or a table where a line begins.
_BEGINNING = re.compile(r"^(?:[#+=|-]|\d+(?=[.)]))")


class TipsPage:
    """Collects tips, and writes those that are active under their categories."""

    def __init__(self, namespace_id: str) -> None:
        self._namespace_id = namespace_id
        self._items: dict[str, list[str]] = {category: [] for category in (*CATEGORIES, _OTHER)}
        self.left_out: Counter[str] = Counter()

    @property
    def tips(self) -> int:
        return sum(map(len, self._items.values()))

    def add(self, tip: Entity) -> None:
        """Take the tip; `left_out` counts by status those that nobody should follow (yet)."""
        status = tip.metadata.get("status")
        if status not in (None, _ACTIVE):
            self.left_out[one_line(status)] += 1
            return
        category = tip.metadata.get("category")
        known = category if isinstance(category, str) and category in CATEGORIES else _OTHER
        self._items[known].append("\n".join(_item(tip)))

    def lines(self) -> Iterator[str]:
        yield f"<!-- Tips learned from earlier runs: `kaizen entities export {self._namespace_id}` -->"
        for category, items in self._items.items():
            if items:
                yield from ("", f"## {category.capitalize()}", "", *items)


def plain(text: str) -> str:
    """The text in one line that Markdown shows as it is: no markup, link, HTML or code is in it."""
    escaped = _MARKUP.sub(lambda match: f"\\{match[0]}", one_line(text))
    return _BEGINNING.sub(_escape_beginning, escaped)


def _escape_beginning(match: re.Match[str]) -> str:
    return f"{match[0]}\\" if match[0].isdigit() else f"\\{match[0]}"


def _item(tip: Entity) -> Iterator[str]:
    yield f"- {plain(tip.content)}"
    trigger = tip.metadata.get("trigger")
    if isinstance(trigger, str) and trigger.strip():
        yield f"  - When: {plain(trigger)}"
    steps = list(_texts(tip.metadata.get("implementation_steps")))
    if steps:
        yield "  - Steps:"
        yield from (f"    {number}. {plain(step)}" for number, step in enumerate(steps, 1))
    support = tip.metadata.get("support")
    if type(support) is int and support > 0:
        yield f"  - Support: {support} {'run' if support == 1 else 'runs'}"


def _texts(value: Any) -> Iterable[str]:
    return (
        (item for item in value if isinstance(item, str) and item.strip()) if isinstance(value, list) else ()
    )
