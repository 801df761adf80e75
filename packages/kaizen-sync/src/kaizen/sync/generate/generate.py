"""Generate tips from one trajectory: a model words them, or they are mined offline; then they are checked."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from kaizen.sync.errors import PromptTooLongError, UnusableAnswerError
from kaizen.sync.generate.checks import RETELLS, SAYS_LESS, UNUSABLE, Generated, checked, retells
from kaizen.sync.generate.condense import estimated_tokens
from kaizen.sync.generate.grounding import quoted_step
from kaizen.sync.generate.offline import MOST_FINDINGS, mine
from kaizen.sync.generate.prompt import (
    LEAST_TOKENS,
    SEGMENT_PROMPT,
    TIPS_PROMPT,
    USUAL_TOKENS,
    Segment,
    load_prompt,
    render_trajectory,
)
from kaizen.sync.llm.client import schema_of
from kaizen.tips.text import overlap, words
from kaizen.tips.tip import Tip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kaizen.sync.generate.offline.differences import Finding
    from kaizen.sync.llm.client import Model
    from kaizen.sync.llm.schemas import Answer, WordedSegment, WordedTip
    from kaizen.sync.model import Trajectory

A = TypeVar("A", bound="Answer")

_log = logging.getLogger(__name__)

MOST_SEGMENTS = 8

_LONG_STEPS = 20
_LONG_REQUESTS = 4
_COPIED = 0.9
_QUOTE_CHARS = 1_000  # models may quote whole messages
# Room for the answer, and for one that has to be asked for again.
_ANSWER_TOKENS = 8_000


def generate_tips(trajectory: Trajectory, model: Model) -> Generated:
    """Return what the run teaches: no tip, or a few. `trajectory` must be redacted already.

    A long run of several tasks is asked about task by task if that is enabled. Raises `ModelError` if the
    model gives no usable answer, which is not the same as no tips, and the calls prove nothing either.
    """
    findings = mine(trajectory)[:MOST_FINDINGS]
    dropped: Counter[str] = Counter()
    if model.is_offline:
        tips = [finding.tip for finding in findings]
    else:
        numbered = dict(enumerate(findings, 1))
        parts: list[Segment | None] = [*divide(trajectory, model)] or [None]
        worded = [each for part in parts for each in _worded(trajectory, model, part, numbered, dropped)]
        tips = _with_findings(worded, numbered, dropped)
    rules = [finding.claim.error for finding in findings]
    generated = checked((_with_steps(trajectory, tip) for tip in tips), trajectory, rules=rules)
    return replace(generated, dropped=generated.dropped + dropped)


def _worded(
    trajectory: Trajectory,
    model: Model,
    segment: Segment | None,
    findings: Mapping[int, Finding],
    dropped: Counter[str],
) -> list[tuple[Tip, int | None]]:
    """Return the model's tips; none if it has no usable answer, and what the calls prove stands anyway."""
    try:
        return list(_ask_tips(trajectory, model, segment, findings, dropped))
    except (UnusableAnswerError, PromptTooLongError) as error:
        if not findings:
            raise
        _log.info("trace %s has the tips that its calls prove alone: %s", trajectory.trace_id, error)
        dropped[UNUSABLE] += 1
        return []


def _ask_tips(
    trajectory: Trajectory,
    model: Model,
    segment: Segment | None,
    findings: Mapping[int, Finding],
    dropped: Counter[str],
) -> Iterator[tuple[Tip, int | None]]:
    """Yield the tips as the model words them, each with the number of the finding that it words."""
    from kaizen.sync.llm.schemas import TipsAnswer

    answer = ask_about(
        trajectory,
        model,
        prompt=TIPS_PROMPT,
        answer=TipsAnswer,
        name="kaizen_tips",
        segment=segment,
        findings={n: one.fact for n, one in findings.items() if segment is None or one.step in segment},
    )
    dropped.update(answer.dropped)
    task = segment.task_description if segment else ""
    for worded in answer.tips:
        tip = as_tip(worded)
        yield (replace(tip, task_description=task) if task else tip), worded.finding


def as_tip(worded: WordedTip) -> Tip:
    """Return a tip as the model words it."""
    return Tip(
        content=worded.content.strip(),
        category=worded.category,
        rationale=worded.rationale.strip(),
        trigger=worded.trigger.strip(),
        implementation_steps=tuple(filter(None, map(str.strip, worded.implementation_steps))),
        task_description=worded.task_description.strip(),
        quote=worded.quote.strip()[:_QUOTE_CHARS],
        steps=tuple(worded.steps),
    )


def _with_findings(
    worded: Iterable[tuple[Tip, int | None]], findings: Mapping[int, Finding], dropped: Counter[str]
) -> list[Tip]:
    """Return the model's tips, and the miner's for each finding that none of them says.

    A tip that says what a finding claims carries that claim.
    """
    tips: list[Tip] = []
    said: set[int] = set()
    for tip, number in worded:
        about = (
            number
            if number in findings
            else next((n for n, finding in findings.items() if finding.is_about(tip)), None)
        )
        if retells(tip.content):
            dropped[RETELLS] += 1
        elif about is None or about in said:
            tips.append(tip)
        elif not findings[about].is_said_by(tip):
            dropped[SAYS_LESS] += 1
        else:
            said.add(about)
            tips.append(_proven(tip, findings[about].tip))
    return [*tips, *(finding.tip for n, finding in findings.items() if n not in said)]


def _proven(tip: Tip, mined: Tip) -> Tip:
    """Return a tip as one that says what the miner found; the miner's own, if it only repeats that.

    The miner's words follow its claim when other runs widen it, and weak models copy them with mistakes.
    """
    if overlap(words(tip.content), words(mined.content)) >= _COPIED:
        return mined
    proven = replace(tip, signature=mined.signature, claim=mined.claim, quote=tip.quote or mined.quote)
    if retells("\n".join((tip.trigger, *tip.implementation_steps))):
        return replace(proven, trigger=mined.trigger, implementation_steps=mined.implementation_steps)
    return proven


def _with_steps(trajectory: Trajectory, tip: Tip) -> Tip:
    """Keep only steps that the run has, and add the one that holds the quote."""
    last = len(trajectory.all_messages())
    steps = {*tip.steps, quoted_step(trajectory, tip.quote) or 0}
    return replace(tip, steps=tuple(sorted(step for step in steps if 1 <= step <= last)))


def divide(trajectory: Trajectory, model: Model) -> list[Segment]:
    """Divide a long run into its tasks; return nothing if it is short, is one task, or must not be divided.

    Only the main conversation is divided. Raises `ModelError` if the model cannot be asked; an unusable
    answer divides nothing.
    """
    if not model.settings.segmentation_enabled or not is_long(trajectory):
        return []
    from kaizen.sync.llm.schemas import SegmentsAnswer

    try:
        answer = ask_about(
            trajectory, model, prompt=SEGMENT_PROMPT, answer=SegmentsAnswer, name="kaizen_segments"
        )
    except UnusableAnswerError as error:
        _log.info("trace %s is not divided: %s", trajectory.trace_id, error)
        return []
    return repair_segments(answer.segments, len(trajectory.messages))


def is_long(trajectory: Trajectory) -> bool:
    """Return whether a run may hold several tasks: it has 20 steps, and 4 requests of a user."""
    roles = [message.role for message in trajectory.messages if message.role != "system"]
    requests = sum(
        role == "user" and before != "user" for before, role in zip(["", *roles], roles, strict=False)
    )
    return len(trajectory.messages) >= _LONG_STEPS and requests >= _LONG_REQUESTS


def repair_segments(worded: Iterable[WordedSegment], steps: int) -> list[Segment]:
    """Order the segments so that each step from 1 to `steps` is in exactly one; return [] for a single one.

    Where two overlap, the earlier keeps its steps. A step in no segment goes to the segment before it, and
    the eighth takes everything after it.
    """
    found: list[Segment] = []
    for segment in sorted(worded, key=lambda segment: (segment.first_step, segment.last_step)):
        first = max(segment.first_step, found[-1].last + 1 if found else 1)
        last = min(segment.last_step, steps)
        if first <= last:
            found.append(Segment(first=first, last=last, task_description=segment.task_description.strip()))
    starts = [1, *(segment.first for segment in found[1:MOST_SEGMENTS])]
    ends = [*(start - 1 for start in starts[1:]), steps]
    if len(starts) < 2:
        return []
    return [
        Segment(first=first, last=last, task_description=segment.task_description)
        for first, last, segment in zip(starts, ends, found, strict=False)
    ]


def ask_about(
    trajectory: Trajectory,
    model: Model,
    *,
    prompt: str,
    answer: type[A],
    name: str,
    segment: Segment | None = None,
    findings: Mapping[int, str] | None = None,
) -> A:
    """Ask a prompt file's question about a run, or a segment of it; raises `ModelError` as `Model.ask` does.

    If the prompt is too long for the model, half of the run is shown, then half of that, and so on.
    """
    system = load_prompt(prompt)
    extra = estimated_tokens(system) + estimated_tokens(json.dumps(schema_of(answer)))
    budget = max(input_tokens(model) - extra, LEAST_TOKENS)
    while True:
        user = render_trajectory(trajectory, budget_tokens=budget, segment=segment, findings=findings)
        try:
            return model.ask(system=system, user=user, answer=answer, name=name)
        except PromptTooLongError as error:
            if budget == LEAST_TOKENS:
                raise
            _log.info("a prompt of at most %d tokens is too long: %s", budget, error)
            # What was sent may have been far below the budget.
            budget = max(min(budget, estimated_tokens(user)) // 2, LEAST_TOKENS)


def input_tokens(model: Model) -> int:
    """Return how many tokens a prompt for that model may have.

    `KAIZEN_TIPS_MAX_INPUT_TOKENS`, or 50,000, but no more than the model takes, less room for its answer.
    """
    wanted = model.settings.max_input_tokens or USUAL_TOKENS
    window = model.max_input_tokens
    return wanted if window is None else min(wanted, window - min(_ANSWER_TOKENS, window // 4))
