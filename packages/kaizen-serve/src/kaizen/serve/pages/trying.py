"""Try recall: what a run with this task and these tools would be shown, where, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaizen.recall import Budget, Snapshot, block, consider, note, offered_tools, shared_words
from kaizen.recall import Request as RecallRequest
from kaizen.serve.context import context_of
from kaizen.serve.pages.kept import kept_of
from kaizen.serve.pages.rendering import form_of, is_fragment, namespace_of, render
from kaizen.store import NotFoundError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.recall import Candidate
    from kaizen.serve.pages.kept import Kept

_MOST_CHARS = 20_000
_MOST_TOOLS = 200
_NAME = re.compile(r"[^\s,]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """A tip that fits, with the words that it shares with the task."""

    candidate: Candidate
    words: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What would be written where, and all that was considered."""

    considered: Sequence[Considered]
    notes: Sequence[tuple[str, str]]
    block: str
    tokens: int
    budget: int
    tips: int

    @property
    def shown(self) -> int:
        return sum(not one.candidate.rejected for one in self.considered)


async def try_recall(request: Request) -> Response:
    context = context_of(request)
    form = form_of(request) if request.method == "POST" else {}
    task, instructions, tools = (
        form.get(name, [""])[0][:_MOST_CHARS] for name in ("task", "instructions", "tools")
    )
    trial, is_ready = None, True
    if task.strip() or tools.strip():
        snapshot = await context.read(
            _snapshot, kept_of(request), namespace_of(request), try_candidates=context.where.try_candidates
        )
        is_ready = snapshot is not None
        trial = await context.read(recall_trial, snapshot, task, instructions, tools) if snapshot else None
    template = "recall_results.html" if is_fragment(request) else "recall.html"
    return await render(
        request,
        template,
        trial=trial,
        is_ready=is_ready,
        task=task,
        instructions=instructions,
        tools=tools,
        page="recall",
    )


def _snapshot(kept: Kept, namespace_id: str, *, try_candidates: bool) -> Snapshot | None:
    try:
        catalogue = kept.catalogue(namespace_id)
    except NotFoundError:
        return Snapshot((), namespace_id=namespace_id)
    if catalogue is None:
        return None
    return kept.snapshot(namespace_id, catalogue, try_candidates=try_candidates)


def recall_trial(snapshot: Snapshot, task: str, instructions: str, tools: str) -> Trial:
    """Consider the tips of the snapshot for a run; `tools` are names with blanks, commas or lines between."""
    names = _NAME.findall(tools)[:_MOST_TOOLS]
    wanted = RecallRequest(task, instructions, offered_tools(names) if names else None)
    budget = Budget()
    found = list(consider(snapshot, wanted, budget))
    shown = [candidate for candidate in found if not candidate.rejected]
    by_tool = {one.tool: [other.tip for other in shown if other.tool == one.tool] for one in shown}
    return Trial(
        considered=[
            Considered(candidate=candidate, words=shared_words(wanted, candidate)) for candidate in found
        ],
        notes=[(tool, note(tips)) for tool, tips in by_tool.items() if tool],
        block=block(by_tool.get("", [])),
        tokens=sum(candidate.tokens for candidate in shown),
        budget=budget.tokens,
        tips=len(snapshot.tips),
    )
