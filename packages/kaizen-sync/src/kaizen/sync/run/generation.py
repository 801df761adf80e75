"""Tips for one story, made in a worker thread, as a result that can be committed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from kaizen.sync.errors import ModelAccessError, ModelUnavailableError, outage_of
from kaizen.sync.generate.generate import generate_tips
from kaizen.sync.generate.second_opinion import with_vetoes
from kaizen.sync.run.commits import Result
from kaizen.sync.run.isolation import failure_reason

if TYPE_CHECKING:
    from kaizen.sync.generate.checks import Generated
    from kaizen.sync.llm.client import Model
    from kaizen.sync.model import Trajectory
    from kaizen.sync.run.budget import Budget
    from kaizen.sync.run.commits import Planner
    from kaizen.sync.run.stories import LinkedStory


@dataclass(frozen=True, slots=True)
class Generator:
    """Asks the tips model about stories, within the run's budget."""

    model: Model
    trust_model: Model | None
    planner: Planner
    budget: Budget

    def generate(self, linked: LinkedStory, as_of: int) -> Result:
        """Return the story's tips or why there are none: one story never fails another."""
        result = partial(Result, linked=linked, as_of=as_of)
        try:
            if linked.is_learned:
                return result(state="learned")
            if why := self.budget.halt_reason():
                return result(state="deferred", reason=why)
            # Joined before the model is asked: what fails here says nothing about the model.
            trajectory = linked.trajectory()
            made = self.budget.ask(lambda: self._made(trajectory), self.model.is_up)
            return self.planner.attach_evidence(
                result(
                    state="learned" if made.tips else "no_lesson", tips=made.tips, tips_dropped=made.dropped
                )
            )
        except (ModelAccessError, ModelUnavailableError) as error:
            return result(state="deferred", reason=self.budget.waiting_reason(error), outage=outage_of(error))
        except Exception as error:  # noqa: BLE001 - one story is isolated from the next
            return result(state="failed", reason=failure_reason(error, linked.story.head))

    def _made(self, trajectory: Trajectory) -> Generated:
        made = generate_tips(trajectory, self.model)
        return (
            made if self.trust_model is None else replace(made, tips=with_vetoes(made.tips, self.trust_model))
        )
