"""Tips for one story, or for two that ended differently, made in a worker thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from kaizen.sync.errors import ModelAccessError, ModelError, ModelUnavailableError, outage_of
from kaizen.sync.generate.checks import UNUSABLE
from kaizen.sync.generate.comparing import compare_runs
from kaizen.sync.generate.generate import generate_tips
from kaizen.sync.generate.second_opinion import with_vetoes
from kaizen.sync.knowledge.outcome_questions import Answered
from kaizen.sync.run.commits import Result
from kaizen.sync.run.isolation import failure_reason
from kaizen.sync.state.records import WAS_SHOWN

if TYPE_CHECKING:
    from kaizen.sync.generate.checks import Generated
    from kaizen.sync.generate.comparing import Compared
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

    def compare(self, failed: LinkedStory, succeeded: LinkedStory) -> Answered | None:
        """Return what the comparison of two stories teaches; None if the model cannot be asked now.

        No usable answer teaches nothing: the same question would get the same one.
        """
        if self.budget.halt_reason():
            return None
        stories = failed, succeeded
        try:
            compared = self.budget.ask(
                lambda: self._compared(failed.trajectory(), succeeded.trajectory()), self.model.is_up
            )
            backed = [[*map(self.planner.evidence_for, tips, stories)] for tips in compared.tips]
            learned = [found for tips in backed if (found := list(filter(None, tips)))]
            shown = len(compared.tips) - len(learned)
            return Answered(learned, +(compared.dropped + Counter({WAS_SHOWN: shown})))
        except (ModelAccessError, ModelUnavailableError):
            return None
        except ModelError as error:
            failure_reason(error, f"{failed.story.head} beside {succeeded.story.head}")
            return Answered((), Counter({UNUSABLE: 1}))

    def _compared(self, failed: Trajectory, succeeded: Trajectory) -> Compared:
        compared = compare_runs(failed, succeeded, self.model)
        if self.trust_model is None:
            return compared
        vetoes = [tip.veto for tip in with_vetoes([one for one, _ in compared.tips], self.trust_model)]
        tips = (
            (replace(one, veto=veto), replace(other, veto=veto))
            for (one, other), veto in zip(compared.tips, vetoes, strict=True)
        )
        return replace(compared, tips=tuple(tips))

    def _made(self, trajectory: Trajectory) -> Generated:
        made = generate_tips(trajectory, self.model)
        return (
            made if self.trust_model is None else replace(made, tips=with_vetoes(made.tips, self.trust_model))
        )
