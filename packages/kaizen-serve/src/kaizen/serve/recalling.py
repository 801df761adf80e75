"""Choose tips for a run that asks, as kaizen.recall does it in an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.recall import Budget, Request, Snapshot, consider, offered_tools, read_document, recall_from
from kaizen.tips import recall_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.recall import Candidate, Recalled
    from kaizen.serve.context import Context
    from kaizen.store import Store


class Choice(NamedTuple):
    """What a run is shown, and all tips that were looked at for it."""

    request: Request
    recalled: Recalled
    candidates: Sequence[Candidate]


async def choose_tips(
    context: Context,
    namespace_id: str,
    task: str,
    tools: Sequence[Any] | None = None,
    *,
    instructions: str = "",
    unit: str = "",
    budget: Budget | None = None,
) -> Choice:
    """Return the tips for a run. Without a unit none is held out, since no span says what was shown."""
    snapshot = await context.latest(namespace_id, context.read_snapshot)
    request = Request(task, instructions, None if tools is None else offered_tools(tools))
    return await context.read(_choose, snapshot, request, unit, budget or Budget())


def _choose(snapshot: Snapshot, request: Request, unit: str, budget: Budget) -> Choice:
    recalled = recall_from(snapshot, request, unit=unit, budget=budget, holdout_bound=1.0 if unit else 0.0)
    return Choice(request, recalled, list(consider(snapshot, request, budget)))


def read_snapshot(store: Store, namespace_id: str, *, try_candidates: bool) -> Snapshot:
    """Return the servable tips in the form in which they are chosen from."""
    document = recall_document(store, namespace_id, try_candidates=try_candidates)
    return read_document(document.encode(), namespace_id)
