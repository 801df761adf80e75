"""A call that failed, and the later call of the same tool that succeeded: what made the difference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.offline.changes import Change, compare

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.steps import Step
    from kaizen.sync.generate.offline.story import Story

# What lies further apart was no second try.
_FURTHEST = 30
_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The last failed call of a tool with one error before it succeeded, and all calls in between."""

    failed: Step
    succeeded: Step
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    between: Sequence[Step]

    @property
    def change(self) -> Change:
        return compare(self.before, self.after)


def recoveries(story: Story) -> Iterator[Recovery]:
    """Yield every failed call whose tool succeeded soon after, one for each error that it gave until then."""
    return islice(_recoveries(story), _MOST)


def _recoveries(story: Story) -> Iterator[Recovery]:
    failing: defaultdict[str, dict[str, Step]] = defaultdict(dict)
    for step in story.steps:
        if step.is_program or step.arguments is None:
            continue
        if step.failure:
            failing[step.tool][story.answer(step)] = step
        elif step.succeeded:
            for failed in failing.pop(step.tool, {}).values():
                # Calls of one turn were made without knowing how the others ended.
                is_retry = failed.position < step.position and step.number - failed.number <= _FURTHEST
                if failed.arguments is not None and is_retry:
                    yield Recovery(
                        failed=failed,
                        succeeded=step,
                        before=failed.arguments,
                        after=step.arguments,
                        between=story.steps[failed.number + 1 : step.number],
                    )
