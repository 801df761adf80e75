"""Answer the requests of MCP with our tools, one prompt and one resource."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mcp import types
from mcp.server import Server
from mcp.shared.exceptions import MCPError

from kaizen.serve.__about__ import __version__
from kaizen.serve.mcp.tools import NO_TIPS, TOOLS, Session, call_tool, recall_tips
from kaizen.serve.mcp.tools import RecallTips as Recall
from kaizen.store import StoreError
from kaizen.sync import SyncError
from kaizen.tips import one_line, served_tips, tips_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server import ServerRequestContext

    from kaizen.serve.context import Context
    from kaizen.serve.security.callers import Caller

_log = logging.getLogger("kaizen.serve")

RESOURCE = "kaizen://tips"
PROMPT = "task_with_tips"
_MOST_TOKENS = 2_000


def build_server(context: Context, caller: Callable[[ServerRequestContext[Any]], Caller]) -> Server[Any]:
    """Return the server; `caller` says who makes a request."""
    answers = _Answers(context, caller)
    return Server(
        "kaizen",
        version=__version__,
        instructions="Call recall_tips once before a task.",
        on_list_tools=answers.list_tools,
        on_call_tool=answers.call_tool,
        on_list_prompts=answers.list_prompts,
        on_get_prompt=answers.get_prompt,
        on_list_resources=answers.list_resources,
        on_read_resource=answers.read_resource,
    )


class _Answers:
    """Answer each kind of request; the SDK passes the context of the request and its parameters."""

    def __init__(self, context: Context, caller: Callable[[ServerRequestContext[Any]], Caller]) -> None:
        self._context = context
        self._caller = caller

    async def list_tools(self, _of: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.schema(),
                    annotations=types.ToolAnnotations(read_only_hint=tool.scope == "read"),
                )
                for tool in TOOLS
            ]
        )

    async def call_tool(self, of: ServerRequestContext[Any], params: Any) -> types.CallToolResult:
        try:
            text = await call_tool(self._session(of), params.name, params.arguments or {})
        except (StoreError, SyncError) as error:
            return _said(one_line(str(error)), is_error=True)
        except Exception:  # noqa: BLE001 - the client is told, whatever it is
            _log.exception("the tool %s failed", one_line(params.name)[:100])
            return _said("the server failed; its log says how", is_error=True)
        return _said(text)

    async def list_prompts(self, _of: Any, _params: Any) -> types.ListPromptsResult:
        arguments = [types.PromptArgument(name="task", description="What to do.", required=True)]
        about = "A task, with the advice that earlier runs left for it."
        return types.ListPromptsResult(
            prompts=[types.Prompt(name=PROMPT, description=about, arguments=arguments)]
        )

    async def get_prompt(self, of: ServerRequestContext[Any], params: Any) -> types.GetPromptResult:
        task = str((params.arguments or {}).get("task", ""))
        if params.name != PROMPT or not task:
            raise MCPError(code=types.INVALID_PARAMS, message=f"the prompt is {PROMPT}, with a task")
        tips = await recall_tips(self._session(of), Recall(task=task[:20_000]))
        text = task if tips == NO_TIPS else f"{task}\n\n{tips}"
        content = types.TextContent(type="text", text=text)
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content)])

    async def list_resources(self, _of: Any, _params: Any) -> types.ListResourcesResult:
        about = "The tips that agents are shown, the best backed first."
        found = types.Resource(uri=RESOURCE, name="tips", description=about, mime_type="text/markdown")
        return types.ListResourcesResult(resources=[found])

    async def read_resource(self, _of: Any, params: Any) -> types.ReadResourceResult:
        if str(params.uri) != RESOURCE:
            raise MCPError(code=types.INVALID_PARAMS, message=f"the resource is {RESOURCE}")
        tips = await self._context.latest(self._context.namespace_id, served_tips)
        text = tips_block(tips, max_tokens=_MOST_TOKENS)
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=RESOURCE, mime_type="text/markdown", text=text)]
        )

    def _session(self, of: ServerRequestContext[Any]) -> Session:
        return Session(self._context, self._caller(of))


def _said(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)
