"""What the detectors look at, and what they find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.offline.masking import mask
from kaizen.sync.generate.offline.steps import is_name, read_steps
from kaizen.sync.trajectory.json_text import as_text
from kaizen.tips.tip import Tip

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.schemas import Schema
    from kaizen.sync.generate.offline.steps import Step
    from kaizen.sync.model import Message
    from kaizen.tips.tip import Category

_QUOTE_CHARS = 300
_MOST_VALUES = 50
_SHORTEST_VALUE = 3  # shorter ones, such as 1 or no, occur in any error
_LONGEST_VALUE = 100


@dataclass(frozen=True, kw_only=True)
class Story:
    """One conversation: its calls, and the schemas of the tools that were offered in it."""

    messages: tuple[Message, ...]
    schemas: Mapping[str, Schema]

    @cached_property
    def steps(self) -> list[Step]:
        return read_steps(self.messages)

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the names of tools and arguments, which a tip may use."""
        offered = ({name, *schema.arguments} for name, schema in self.schemas.items())
        called = ({step.tool, *filter(is_name, step.arguments or ())} for step in self.steps)
        return frozenset().union(*offered, *called)

    def answer(self, step: Step) -> str:
        """Return how a failed call was answered, as a tip may say it: `answers "User not found"`."""
        failure = step.failure
        if failure is None:
            return "answers"
        values = list(islice(_values(step.arguments or {}), _MOST_VALUES))
        said = mask(failure.message, values=values, names=self.names)
        if said:
            return f'answers "{said}"'
        return "fails" if failure.kind == "error" else f"fails ({failure.kind})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A tip, how much it is worth beside others of its run, and the step that it is about."""

    worth: int
    step: Step
    tip: Tip


def finding(
    step: Step,
    *,
    worth: int,
    content: str,
    category: Category,
    trigger: str,
    steps: tuple[str, ...],
    rationale: str,
    quote: str = "",
) -> Finding:
    """Return a finding about a step; without a quote of its own, that of what came back."""
    if not quote and step.failure:
        quote = step.failure.line
    tip = Tip(
        content=content,
        category=category,
        rationale=rationale,
        trigger=trigger,
        implementation_steps=steps,
        task_description=f"Tasks that need `{step.tool}`.",
        quote=(quote or step.quote)[:_QUOTE_CHARS].strip(),
    )
    return Finding(worth=worth, step=step, tip=tip)


def _values(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts and numbers in the arguments that an error may repeat."""
    for value in arguments.values():
        for one in value if isinstance(value, list) else (value,):
            text = as_text(one)
            if _SHORTEST_VALUE <= len(text) <= _LONGEST_VALUE:
                yield text
