"""Long runs divided into the tasks that they worked on, each learned from by itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kaizen.sync.errors import UnusableAnswerError
from kaizen.sync.generate.ask import ask_about
from kaizen.sync.generate.prompt import SEGMENT_PROMPT, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.sync.llm.client import Model
    from kaizen.sync.llm.schemas import WordedSegment
    from kaizen.sync.model import Trajectory

_log = logging.getLogger(__name__)

ANSWER_NAME = "kaizen_segments"
MOST_SEGMENTS = 8

_LONG_STEPS = 20
_LONG_REQUESTS = 4


def segments(trajectory: Trajectory, model: Model) -> list[Segment]:
    """The tasks of a run, or none where it is one, is short, or is not to be divided.

    Only the main conversation is divided. Raises `ModelError` where the model cannot be asked; an answer that
    is of no use divides nothing.
    """
    if not model.settings.segmentation_enabled or not is_long(trajectory):
        return []
    from kaizen.sync.llm.schemas import SegmentsAnswer

    try:
        answer = ask_about(trajectory, model, prompt=SEGMENT_PROMPT, answer=SegmentsAnswer, name=ANSWER_NAME)
    except UnusableAnswerError as error:
        _log.info("trace %s is not divided: %s", trajectory.trace_id, error)
        return []
    return repaired(answer.segments, len(trajectory.messages))


def is_long(trajectory: Trajectory) -> bool:
    """Whether a run may hold several tasks: it has twenty steps, and four requests of a user."""
    roles = [message.role for message in trajectory.messages if message.role != "system"]
    requests = sum(
        role == "user" and before != "user" for before, role in zip(["", *roles], roles, strict=False)
    )
    return len(trajectory.messages) >= _LONG_STEPS and requests >= _LONG_REQUESTS


def repaired(worded: Iterable[WordedSegment], steps: int) -> list[Segment]:
    """The segments in order, so that each step from 1 to `steps` is in exactly one; none where it is but one.

    Of those that overlap the earlier one keeps its steps, what no segment has belongs to the one before, and
    what is beyond the eighth belongs to it.
    """
    found: list[Segment] = []
    for one in sorted(worded, key=lambda one: (one.first_step, one.last_step)):
        first = max(one.first_step, found[-1].last + 1 if found else 1)
        last = min(one.last_step, steps)
        if first <= last:
            found.append(Segment(first=first, last=last, task_description=one.task_description.strip()))
    starts = [1, *(segment.first for segment in found[1:MOST_SEGMENTS])]
    ends = [*(start - 1 for start in starts[1:]), steps]
    if len(starts) < 2:
        return []
    return [
        Segment(first=first, last=last, task_description=segment.task_description)
        for first, last, segment in zip(starts, ends, found, strict=False)
    ]
