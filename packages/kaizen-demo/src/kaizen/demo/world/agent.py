"""Let a model work on a task: one loop for OpenAI-compatible endpoints and for an agent without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kaizen.demo.world.family import State

if TYPE_CHECKING:
    from openai import OpenAI

    from kaizen.demo.world.task import WorldTask

Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]

SYSTEM_PROMPT = (
    "You work for a company. Do what you are asked with the tools, then answer in one short sentence. "
    "If a call is refused, correct it and call again."
)
MOST_CALLS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """An assistant message in OpenAI's chat format, and the tokens it took."""

    message: dict[str, Any]
    prompt_tokens: int
    completion_tokens: int


class ChatModel(Protocol):
    def __call__(self, messages: Messages, tools: Tools) -> ModelAnswer:
        """Return the next message of the assistant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How an agent did on a task: all that was said, and what became of the world.

    `is_first_try` says that no call was refused before the task was done (or, if the attempt was cut there,
    before its first call of the tool with the rule, which was right).
    """

    task: WorldTask
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...]
    state: State
    calls: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    is_done: bool
    is_first_try: bool


def attempt(
    task: WorldTask,
    model: ChatModel,
    *,
    system: str = SYSTEM_PROMPT,
    notes: Mapping[str, str] | None = None,
    first_call_only: bool = False,
) -> Attempt:
    """Work on a task until the model calls no more tools.

    `notes` are added to the descriptions of tools by their names. With `first_call_only` the attempt ends
    after the first call of the tool with the rule, and is done if that call was accepted and right.
    """
    tools = tuple(with_notes(tool.schema, notes or {}) for tool in task.family.tools)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": system},
        {"role": "user", "content": task.text},
    ]
    state, calls, errors, prompt, completion = State(), 0, 0, 0, 0
    is_cut = False
    while calls < MOST_CALLS and not is_cut:
        answer = model(messages, tools)
        messages.append(answer.message)
        prompt, completion = prompt + answer.prompt_tokens, completion + answer.completion_tokens
        asked = answer.message.get("tool_calls") or ()
        if not asked:
            break
        for made in asked:
            name, arguments = made["function"]["name"], read_arguments(made["function"]["arguments"])
            result = task.call(state, name, arguments)
            state, calls, errors = result.state, calls + 1, errors + result.is_refused
            messages.append({"role": "tool", "tool_call_id": made["id"], "content": result.text})
            is_cut = is_cut or (first_call_only and name == task.rule.tool)
    is_done = bool(state.changes) and task.is_on_the_way(state) if is_cut else task.is_done(state)
    return Attempt(
        task=task,
        messages=tuple(messages),
        tools=tools,
        state=state,
        calls=calls,
        errors=errors,
        prompt_tokens=prompt,
        completion_tokens=completion,
        is_done=is_done,
        is_first_try=is_done and errors == 0,
    )


def with_notes(schema: dict[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
    """Return the definition of a tool with what is noted about it at the end of its description."""
    function = schema["function"]
    note = notes.get(function["name"], "")
    return {**schema, "function": {**function, "description": function["description"] + note}}


def read_arguments(text: str) -> dict[str, Any]:
    """Return the arguments of a call; none if the model wrote no JSON object."""
    try:
        arguments = json.loads(text)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


class Endpoint:
    """A model behind an OpenAI-compatible API, asked at temperature 0."""

    def __init__(self, client: OpenAI, model: str, *, max_tokens: int = 160) -> None:
        self._client = client
        self._model = model
        self._max_tokens = max_tokens

    def __call__(self, messages: Messages, tools: Tools) -> ModelAnswer:
        # Plain dicts, as the API takes them; the SDK's types are stricter.
        conversation: dict[str, Any] = {"messages": messages, "tools": tools}
        answer = self._client.chat.completions.create(
            model=self._model, temperature=0, max_tokens=self._max_tokens, **conversation
        )
        message = answer.choices[0].message
        said: dict[str, Any] = {"role": "assistant", "content": message.content or ""}
        if message.tool_calls:
            said["tool_calls"] = [made.model_dump() for made in message.tool_calls]
        used = answer.usage
        return ModelAnswer(
            message=said,
            prompt_tokens=used.prompt_tokens if used else 0,
            completion_tokens=used.completion_tokens if used else 0,
        )
