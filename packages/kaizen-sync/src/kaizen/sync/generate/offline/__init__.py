"""Tips without a model: what a trajectory itself proves, worded from templates.

Deterministic and free. The wording depends on the names of tools and arguments and on what an error says
without the values of the run, so that two runs that teach the same teach it in the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.alternatives import find_alternatives, find_exclusions
from kaizen.sync.generate.offline.corrections import by_form, by_names, by_relation, by_schema
from kaizen.sync.generate.offline.paging import find_unread_pages
from kaizen.sync.generate.offline.preparations import by_other_calls, by_pages
from kaizen.sync.generate.offline.programs import find_missing_modules
from kaizen.sync.generate.offline.recoveries import recoveries
from kaizen.sync.generate.offline.repeats import find_ignored_errors, find_loops, find_repeated_failures
from kaizen.sync.generate.offline.schemas import read_schemas
from kaizen.sync.generate.offline.sources import by_source, by_user
from kaizen.sync.generate.offline.story import Story

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.sync.generate.offline.story import Finding
    from kaizen.sync.model import Trajectory
    from kaizen.tips.tip import Tip

PROMPT_VERSION = "offline-1"

_MOST_TIPS = 3
# What made the difference between a failed call and the one that succeeded: the first that holds.
_DIFFERENCES = (
    by_schema,
    by_other_calls,
    by_pages,
    by_form,
    by_relation,
    by_names,
    by_source,
    by_user,
)
_DETECTORS = (
    find_alternatives,
    find_exclusions,
    find_missing_modules,
    find_unread_pages,
    find_ignored_errors,
    find_repeated_failures,
    find_loops,
)


def mine_tips(trajectory: Trajectory) -> list[Tip]:
    """Return at most three tips, the best evidenced first. `trajectory` must be redacted already."""
    best: dict[str, Finding] = {}
    for found in sorted(_findings(trajectory), key=lambda one: -one.worth):
        best.setdefault(found.tip.content, found)
    return [found.tip for found in best.values()][:_MOST_TIPS]


def _findings(trajectory: Trajectory) -> Iterator[Finding]:
    schemas = read_schemas(trajectory.tools)
    conversations = (trajectory.messages, *(side.messages for side in trajectory.side_conversations))
    for messages in conversations:
        story = Story(messages=messages, schemas=schemas)
        for recovery in recoveries(story):
            found = next(filter(None, (by(story, recovery) for by in _DIFFERENCES)), None)
            if found:
                yield found
        for find in _DETECTORS:
            yield from find(story)
