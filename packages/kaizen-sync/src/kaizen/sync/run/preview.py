"""What a sync would process and what that would cost, as far as that can be known beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from kaizen.store import NotFoundError
from kaizen.sync.generate.comparing import COMPARE_PROMPT, RUN_TOKENS
from kaizen.sync.generate.generate import input_tokens
from kaizen.sync.generate.prompt import TIPS_PROMPT, load_prompt, render_trajectory
from kaizen.sync.llm.client import CHARS_PER_TOKEN
from kaizen.sync.model import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kaizen.store import Commit, Entity, Store
    from kaizen.sync.knowledge.outcome_questions import Pair
    from kaizen.sync.llm.client import Model
    from kaizen.sync.run.stories import LinkedStory

# One or two tips: nothing is known of an answer beforehand.
_ANSWER_TOKENS = 400


@dataclass(slots=True)
class Preview:
    """`tokens` by trace id are those of each prompt, taken to be a quarter of its characters.

    `compared` has those of the questions about two runs that ended differently. `cost_usd` takes 400 tokens
    for each answer and nothing for dividing and reconciling; None: the price is not known.
    """

    source: str
    project: str
    tokens: dict[str, int] = field(default_factory=dict)
    compared: list[int] = field(default_factory=list)
    skipped: int = 0
    model: str = ""
    cost_usd: float | None = None

    def add(self, linked: LinkedStory, model: Model) -> None:
        """Count one story as `run` would process it: a prompt, by its head, and parts that are skipped."""
        if linked.is_learned:
            self.skipped += len(linked.prepared)
            return
        self.skipped += len(linked.prepared.keys() - {linked.story.head})
        if model.is_offline:
            self.tokens[linked.story.head] = 0
            return
        shown = render_trajectory(linked.trajectory(), budget_tokens=input_tokens(model))
        chars = len(load_prompt(TIPS_PROMPT)) + len(shown)
        self.tokens[linked.story.head] = chars // CHARS_PER_TOKEN

    def compare(self, pairs: Iterable[Pair]) -> None:
        """Count the questions about these pairs."""
        prompt = len(load_prompt(COMPARE_PROMPT)) // CHARS_PER_TOKEN
        for pair in pairs:
            shown = (min(story.tokens, RUN_TOKENS) for story in (pair.failed, pair.succeeded))
            self.compared.append(prompt + sum(shown))

    @property
    def prompt_tokens(self) -> int:
        """Return the tokens of all prompts."""
        return sum(self.tokens.values()) + sum(self.compared)

    def price(self, model: Model) -> None:
        """Estimate the cost by the model's price."""
        self.model = model.name
        self.cost_usd = model.price_usd(
            Usage(
                prompt_tokens=self.prompt_tokens,
                completion_tokens=_ANSWER_TOKENS * (len(self.tokens) + len(self.compared)),
            )
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "project": self.project,
            "model": self.model,
            "traces": [{"trace_id": trace_id, "tokens": tokens} for trace_id, tokens in self.tokens.items()],
            "skipped": self.skipped,
            "comparisons": len(self.compared),
            "prompt_tokens": self.prompt_tokens,
            "cost_usd": self.cost_usd,
        }


def read_only_view(store: Store, namespace_id: str) -> Store:
    """Return the store to read that namespace from; one that is missing reads as empty and is not created."""
    try:
        store.get_namespace(namespace_id)
    except NotFoundError:
        return cast("Store", _Empty())
    return store


class _Empty:
    """As much of a store as a preview reads, without anything in it."""

    def get_many(self, namespace_id: str, entity_ids: Sequence[str]) -> dict[str, Entity]:
        return {}

    def commits(self, namespace_id: str, *, after: int = 0) -> list[Commit]:
        return []

    def iterate(self, namespace_id: str, **_: object) -> Iterator[Entity]:
        return iter(())
