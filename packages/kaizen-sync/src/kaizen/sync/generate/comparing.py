"""Ask a model what a run that failed teaches beside one of the same task that succeeded."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kaizen.sync.errors import PromptTooLongError
from kaizen.sync.generate.checks import RETELLS, SAYS_LESS, checked, retells
from kaizen.sync.generate.condense import estimated_tokens
from kaizen.sync.generate.generate import as_tip, input_tokens
from kaizen.sync.generate.grounding import quoted_step
from kaizen.sync.generate.offline.claims import MOST_CALLS, past_calls
from kaizen.sync.generate.offline.differing import find_differences
from kaizen.sync.generate.offline.templates import call_logs, holds_word
from kaizen.sync.generate.prompt import LEAST_TOKENS, load_prompt, render_trajectory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.sync.generate.offline.claims import PastCall
    from kaizen.sync.generate.offline.differing import Difference, DifferenceKind
    from kaizen.sync.llm.client import Model
    from kaizen.sync.llm.schemas import TipsAnswer
    from kaizen.sync.model import Trajectory
    from kaizen.tips.tip import Tip

COMPARE_PROMPT = "compare-1"
ANSWER_NAME = "kaizen_compare"

RUN_TOKENS = 4_000
"""How many tokens each of the two runs may have in a question."""

_QUOTE_CHARS = 300

_KINDS: dict[DifferenceKind, str] = {
    "missing": "called with success in one of the runs only",
    "order": "called in this order in one of the runs, and the other way round in the other",
    "arguments": "called with other arguments",
    "extra": "called in one of the runs only",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compared:
    """Tips, each as the failed and as the successful run back it, and how many were dropped, by reason."""

    tips: tuple[tuple[Tip, Tip], ...] = ()
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call with what is told of it: the number of its step, and its words."""

    past: PastCall
    step: int
    quote: str


class _Run:
    """One of the two runs, with its calls in order."""

    def __init__(self, trajectory: Trajectory) -> None:
        self.trajectory = trajectory
        self.calls = list(_numbered(trajectory))

    @property
    def past(self) -> list[PastCall]:
        return [call.past for call in self.calls]

    def told(self, number: int) -> str:
        """Return a call with its step and, if it was refused, the words of the error."""
        call = self.calls[number]
        refused = f', refused with "{call.past.error}"' if call.past.error else ""
        return f"step {call.step}: {call.quote}{refused}"

    def quote(self, numbers: Sequence[int]) -> str:
        """Return the words of the first of these calls, else of the last call, else of the request."""
        if self.calls:
            return self.calls[numbers[0] if numbers else -1].quote
        requests = (message.content for message in self.trajectory.messages if message.role == "user")
        return next(requests, "")[:_QUOTE_CHARS]


def compare_runs(failed: Trajectory, succeeded: Trajectory, model: Model) -> Compared:
    """Return what the comparison teaches: no tip, or a few. Both runs must be redacted already.

    Raises `ModelError` if the model gives no usable answer.
    """
    runs = _Run(failed), _Run(succeeded)
    differences = find_differences(runs[0].past, runs[1].past)
    answer = _ask(runs, differences, model)
    dropped = Counter(answer.dropped)
    tools = {tool for difference in differences for tool in difference.tools}
    tips: list[Tip] = []
    for tip in map(as_tip, answer.tips):
        if retells(tip.content):
            dropped[RETELLS] += 1
        elif not any(holds_word("\n".join((tip.content, *tip.implementation_steps)), tool) for tool in tools):
            dropped[SAYS_LESS] += 1
        else:
            tips.append(replace(tip, prompt_version=COMPARE_PROMPT))
    rules = [call.error for run in runs for call in run.past if call.error]
    # What only one of the two runs had must not stay in a tip of both.
    for run in runs:
        found = checked(tips, run.trajectory, rules=rules)
        tips, dropped = list(found.tips), dropped + found.dropped
    return Compared(
        tuple((_backed(tip, runs[0], differences), _backed(tip, runs[1], differences)) for tip in tips),
        dropped,
    )


def told_differences(runs: tuple[_Run, _Run], differences: Sequence[Difference]) -> Iterator[str]:
    """Yield each difference in words, with the numbers of the steps that show it."""
    failed, succeeded = runs
    for one in differences:
        names = " and then ".join(f"`{tool}`" for tool in one.tools)
        theirs = "; ".join(map(succeeded.told, one.succeeded)) or "never"
        ours = "; ".join(map(failed.told, one.failed)) or "never"
        yield f"{names}, {_KINDS[one.kind]}. In the run that succeeded: {theirs}. In the other: {ours}."


def _ask(runs: tuple[_Run, _Run], differences: Sequence[Difference], model: Model) -> TipsAnswer:
    """Ask about both runs; if that is too long for the model, half of each is shown, and so on."""
    from kaizen.sync.llm.schemas import TipsAnswer

    system = load_prompt(COMPARE_PROMPT)
    extra = estimated_tokens(system) + estimated_tokens(json.dumps(TipsAnswer.model_json_schema()))
    budget = max(min(RUN_TOKENS, (input_tokens(model) - extra) // 2), LEAST_TOKENS)
    facts = dict(enumerate(told_differences(runs, differences), 1))
    while True:
        failed = render_trajectory(runs[0].trajectory, budget_tokens=budget, findings=facts)
        succeeded = render_trajectory(runs[1].trajectory, budget_tokens=budget)
        user = f"The run that succeeded:\n{succeeded}\n\nThe run that failed:\n{failed}"
        try:
            return model.ask(system=system, user=user, answer=TipsAnswer, name=ANSWER_NAME)
        except PromptTooLongError as error:
            if budget == LEAST_TOKENS:
                raise
            _log.info("two runs of at most %d tokens are too long: %s", budget, error)
            budget = max(min(budget, estimated_tokens(user) // 2) // 2, LEAST_TOKENS)


def _numbered(trajectory: Trajectory) -> Iterator[_Call]:
    first_step = 1
    for log in call_logs(trajectory):
        answered = [call for call in log.calls if call.arguments is not None and call.result is not None]
        for past, call in zip(past_calls(log), answered[:MOST_CALLS], strict=True):
            yield _Call(past, first_step + call.position, call.quote[:_QUOTE_CHARS])
        first_step += len(log.messages)


def _backed(tip: Tip, run: _Run, differences: Sequence[Difference]) -> Tip:
    """Return the tip with what backs it in that run: the model's quote, else a call that differs."""
    about = next(
        (one for one in differences if any(holds_word(tip.content, tool) for tool in one.tools)), None
    )
    is_failed = run.trajectory.outcome.name == "failure"
    numbers = (about.failed if is_failed else about.succeeded) if about else ()
    quote = tip.quote if quoted_step(run.trajectory, tip.quote) else run.quote(numbers)
    step = quoted_step(run.trajectory, quote)
    return replace(tip, quote=quote, steps=(step,) if step else ())
