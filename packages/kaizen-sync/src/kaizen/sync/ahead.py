"""Questions of stories that wait for their turn, asked before it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from kaizen.sync.answers import DecisionsAnswer


class Answered(NamedTuple):
    """A question and the answer to it, which is none to any other."""

    question: str
    answer: DecisionsAnswer


class Ahead:
    """Asks what a story will ask once it is its turn, as far as that can be told before.

    An answer counts only for the very same question, so that what a sync stores does not depend on how fast
    its calls were. One that was asked in vain is paid for all the same: how many stories are asked for ahead
    doubles with each hit, up to `most`, and is halved by each miss.
    """

    def __init__(
        self, ask: Callable[[str], DecisionsAnswer], start: Callable[..., Future[Answered]], *, most: int
    ) -> None:
        self._ask = ask
        self._start = start
        self._most = most
        self._asked: dict[str, tuple[str, Future[Answered]]] = {}
        self.window = most
        """For how many of the stories that are next it is worth while to ask."""

    def ask(self, story_id: str, question: str) -> None:
        """Ask that of a story whose turn has not come, if nothing was asked of it yet."""
        if question and story_id not in self._asked:
            self._asked[story_id] = question, self._answered(question)

    def answer(self, story_id: str, question: str) -> Future[Answered] | None:
        """The answer of a story whose turn it is, as a rule under way; None where the question is none."""
        asked, answer = self._asked.pop(story_id, (question, None))
        if asked != question:
            self.window = max(1, self.window // 2)
            answer = None
        elif answer:
            self.window = min(self._most, 2 * self.window)
        return answer or (self._answered(question) if question else None)

    def _answered(self, question: str) -> Future[Answered]:
        return self._start(lambda: Answered(question, self._ask(question)))
