"""The tools that coding agents are given. Their descriptions are short, since every caller pays for them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, Field

from kaizen.serve.api.operations import Id, Taken, checked
from kaizen.serve.recalling import choose_tips
from kaizen.serve.security.callers import Caller, check_scope
from kaizen.store import InvalidInputError, Where, find_entity, search_page
from kaizen.sync import Redaction, report_outcome, suggest_tip
from kaizen.tips import GUIDELINE, StoredTip, one_line

if TYPE_CHECKING:
    from kaizen.serve.context import Context

MOST_CHARACTERS = 4_000
"""How much a result may hold: about 1,000 tokens."""

_MOST_TIP = 400
_ACTIVE = {"status": "active"}

NO_TIPS = "No tip fits this task."


class RecallTips(Taken):
    task: str = Field(max_length=20_000)
    tools: list[str] = Field(default=[], max_length=500, description="Names of the tools you have.")


class GetTip(Taken):
    id: Id


class SearchTips(Taken):
    query: str = Field(min_length=1, max_length=1_000)
    limit: int = Field(default=5, ge=1, le=20)


class ReportOutcome(Taken):
    success: bool
    unit: str = Field(default="", max_length=200, description="Session or run; or give trace_id.")
    trace_id: str = Field(default="", max_length=200)
    note: str = Field(default="", max_length=2_000)


class SuggestTip(Taken):
    content: str = Field(min_length=1, max_length=2_000, description="What to do, and when.")
    trigger: str = Field(default="", max_length=2_000)
    steps: list[str] = Field(default=[], max_length=10)
    rationale: str = Field(default="", max_length=2_000)


class Session(NamedTuple):
    """Who calls a tool, and on what."""

    context: Context
    caller: Caller

    @property
    def namespace_id(self) -> str:
        return self.context.namespace_id


class AgentTool(NamedTuple):
    """A tool: what it takes, and what it answers in words."""

    name: str
    description: str
    scope: str
    takes: type[BaseModel]
    call: Callable[[Session, Any], Awaitable[str]]

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = _without_titles(self.takes.model_json_schema())
        return schema


async def call_tool(session: Session, name: str, arguments: dict[str, Any]) -> str:
    """Return what the tool answers, within the budget. Raises `StoreError` and its like."""
    tool = next((tool for tool in TOOLS if tool.name == name), None)
    if tool is None:
        raise InvalidInputError(f"there is no tool {one_line(name)[:100]}")
    check_scope(session.caller, tool.scope)
    answer = await tool.call(session, checked(tool.takes, arguments))
    return answer if len(answer) <= MOST_CHARACTERS else f"{answer[:MOST_CHARACTERS]} ... (cut)"


async def recall_tips(session: Session, given: RecallTips) -> str:
    choice = await choose_tips(session.context, session.namespace_id, given.task, given.tools or None)
    return choice.recalled.full_text or NO_TIPS


async def get_tip(session: Session, given: GetTip) -> str:
    context = session.context
    entity = await context.read(find_entity, context.store, session.namespace_id, given.id, type=GUIDELINE)
    tip = StoredTip.of(entity)
    if not tip.is_active:
        # It may be what somebody else wants agents to read.
        raise InvalidInputError(f"tip {entity.id} is not active, so it is not for agents")
    named = {
        "When": tip.trigger,
        "Why": tip.rationale,
        "Steps": "; ".join(tip.implementation_steps),
        "Backed by": f"{tip.support} conversations",
    }
    return "\n".join(
        [one_line(tip.content), *(f"{name}: {one_line(text)}" for name, text in named.items() if text)]
    )


async def search_tips(session: Session, given: SearchTips) -> str:
    context = session.context
    hits = await context.read(
        search_page,
        context.store,
        session.namespace_id,
        given.query,
        types=(GUIDELINE,),
        where=Where(equal=_ACTIVE),
        limit=given.limit,
    )
    lines = [f"{hit.entity.id}: {one_line(hit.entity.content)[:_MOST_TIP]}" for hit in hits]
    return "\n".join(lines) or "No tip was found."


async def report(session: Session, given: ReportOutcome) -> str:
    context = session.context
    await context.write(
        report_outcome,
        context.store,
        session.namespace_id,
        **given.model_dump(),
        actor=session.caller.actor,
        redaction=Redaction.from_environ(os.environ),
    )
    return "Reported."


async def suggest(session: Session, given: SuggestTip) -> str:
    context = session.context
    entity = await context.write(
        suggest_tip,
        context.store,
        session.namespace_id,
        **given.model_dump(),
        actor=session.caller.actor,
        redaction=Redaction.from_environ(os.environ),
    )
    return f"Suggested as {entity.id}. A person decides on it."


TOOLS = (
    AgentTool(
        "recall_tips",
        "Get advice learned from earlier runs. Call it once, before you begin a task.",
        "read",
        RecallTips,
        recall_tips,
    ),
    AgentTool("search_tips", "Find tips by words.", "read", SearchTips, search_tips),
    AgentTool("get_tip", "Read one tip whole.", "read", GetTip, get_tip),
    AgentTool("report_outcome", "Say whether a run reached its goal.", "write", ReportOutcome, report),
    AgentTool(
        "suggest_tip",
        "Suggest a lesson for later runs. A person reviews it first.",
        "write",
        SuggestTip,
        suggest,
    ),
)


def _without_titles(schema: Any) -> Any:
    """Return the schema without what only repeats the names of its fields."""
    if isinstance(schema, list):
        return [_without_titles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"title", "maxLength", "minLength", "pattern", "maxItems", "additionalProperties"}
    return {key: _without_titles(value) for key, value in schema.items() if key not in left_out}
