"""A question about a run, with as much of the run as the model takes."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, TypeVar

from kaizen.sync.errors import PromptTooLongError
from kaizen.sync.generate.condense import estimated_tokens
from kaizen.sync.generate.prompt import LEAST_TOKENS, USUAL_TOKENS, load_prompt, render_trajectory

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kaizen.sync.generate.prompt import Segment
    from kaizen.sync.llm.client import Model
    from kaizen.sync.model import Trajectory

    A = TypeVar("A", bound="BaseModel")

_log = logging.getLogger(__name__)

# For the answer, and for one that was no answer when it is asked for again.
_ANSWER_TOKENS = 8_000


def ask_about(
    trajectory: Trajectory,
    model: Model,
    *,
    prompt: str,
    answer: type[A],
    name: str,
    segment: Segment | None = None,
) -> A:
    """Ask by a prompt file about a run, or a segment of it; raises `ModelError` as `Model.ask` does.

    A model that finds the prompt too long for it is asked again with half of the run, down to the least.
    """
    system = load_prompt(prompt)
    extra = estimated_tokens(system) + estimated_tokens(json.dumps(answer.model_json_schema()))
    budget = max(input_tokens(model) - extra, LEAST_TOKENS)
    while True:
        user = render_trajectory(trajectory, budget_tokens=budget, segment=segment)
        try:
            return model.ask(system=system, user=user, answer=answer, name=name)
        except PromptTooLongError as error:
            if budget == LEAST_TOKENS:
                raise
            _log.info("a prompt of at most %d tokens is too long: %s", budget, error)
            # What was sent may have been far below the budget.
            budget = max(min(budget, estimated_tokens(user)) // 2, LEAST_TOKENS)


def input_tokens(model: Model) -> int:
    """How many tokens a prompt for that model may have.

    `KAIZEN_TIPS_MAX_INPUT_TOKENS`, or 50,000, but no more than the model takes less room for its answer.
    """
    wanted = model.settings.max_input_tokens or USUAL_TOKENS
    window = model.max_input_tokens
    return wanted if window is None else min(wanted, window - min(_ANSWER_TOKENS, window // 4))
