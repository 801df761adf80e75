"""Which known tips new ones repeat or contradict, asked of a model before a story's turn to be committed."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from kaizen.sync.errors import ModelAccessError, ModelError, ModelUnavailableError, UnusableAnswerError
from kaizen.sync.run.isolation import failure_reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from kaizen.sync.knowledge.reconcile import Question
    from kaizen.sync.llm.schemas import DecisionsAnswer
    from kaizen.sync.run.budget import Budget
    from kaizen.sync.run.commits import Planner, Result
    from kaizen.sync.run.workers import StoryQueue

T = TypeVar("T")

# Well below the minute after which a claim is renewed, and the five after which it lapses.
_RENEW_EVERY_S = 30.0


class Comparisons:
    """Asks the planner's questions in worker threads, those of stories that wait for their turn too.

    `renew` is called now and then while it waits.
    """

    def __init__(
        self,
        planner: Planner,
        queue: StoryQueue,
        budget: Budget,
        *,
        concurrency: int,
        renew: Callable[[], None],
    ) -> None:
        self._planner = planner
        self._queue = queue
        self._budget = budget
        self._concurrency = concurrency
        self._renew = renew
        self._prefetched: dict[str, tuple[Question, Future[DecisionsAnswer]]] = {}

    def prefetch(self) -> None:
        """Ask about the stories that wait for their turn, as far as their tips are generated."""
        for result in self._queue.newly_finished():
            self._prefetch(result)

    def resolve(self, result: Result) -> None:
        """Ask what must be known before the story is committed; raises `ModelError`.

        Others may commit while this waits.
        """
        if prefetched := self._prefetched.pop(result.linked.story.head, None):
            question, answer = prefetched
            self._take(result, question, self._answer(result, answer))
        while next_question := self._planner.question(result):
            answer = self._ask(next_question)
            # What was not asked ahead of this story may not have been asked ahead of the next ones either.
            for waiting in islice(self._queue.finished(), self._concurrency):
                self._prefetch(waiting)
            self._take(result, next_question, self._answer(result, answer))

    def _answer(self, result: Result, future: Future[DecisionsAnswer]) -> DecisionsAnswer:
        """Return the model's decisions; no usable ones are none if the calls of the run prove something.

        A weak model must not keep from being learned what needs no model.
        """
        from kaizen.sync.llm.schemas import DecisionsAnswer

        try:
            return self.wait_for(future)
        except UnusableAnswerError as error:
            if not any(new.tip.claim for new in result.learned):
                raise
            failure_reason(error, result.linked.story.head)
            return DecisionsAnswer.of(())

    def decide(self, question: Question) -> DecisionsAnswer | None:
        """Return the model's decisions, none if it has no usable answer; None if it cannot be asked now."""
        from kaizen.sync.llm.schemas import DecisionsAnswer

        try:
            return self.wait_for(self._ask(question))
        except (ModelAccessError, ModelUnavailableError):
            return None
        except ModelError as error:
            failure_reason(error, "tips of two runs that ended differently")
            return DecisionsAnswer.of(())

    def forget(self, result: Result) -> None:
        """Drop what is kept of a story that is committed or left for later."""
        self._planner.reconciler.finish(result.linked.story.head)
        self._prefetched.pop(result.linked.story.head, None)

    def wait_for(self, future: Future[T]) -> T:
        """Return the future's result; ask about other stories meanwhile."""
        while True:
            is_done = future.done()
            self.prefetch()
            if is_done:
                return future.result()
            self._queue.wait(_RENEW_EVERY_S)
            self._renew()

    def _prefetch(self, result: Result) -> None:
        story_id = result.linked.story.head
        if prefetched := self._prefetched.get(story_id):
            asked, answer = prefetched
            # An error is raised when it is this story's turn.
            if not answer.done() or answer.exception():
                return
            del self._prefetched[story_id]
            self._isolated(result, partial(self._take, result, asked, answer.result()))
        if question := self._isolated(result, partial(self._planner.prefetch_question, result)):
            self._prefetched[story_id] = question, self._ask(question)

    def _isolated(self, result: Result, step: Callable[[], T]) -> T | None:
        """Take a step for a story that waits, whose error must not be that of the one whose turn it is."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - its own turn comes, and finds the error again
            failure_reason(error, result.linked.story.head)
            return None

    def _ask(self, question: Question) -> Future[DecisionsAnswer]:
        ask = partial(self._planner.reconciler.ask, question)
        return self._queue.submit_urgent(lambda: self._budget.ask(ask, self._planner.reconciler.is_up))

    def _take(self, result: Result, question: Question, answer: DecisionsAnswer) -> None:
        self._planner.reconciler.record_answer(result.linked.story.head, question, answer)
