"""Let a model work on a task: one loop for OpenAI-compatible endpoints and for an agent without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """An assistant message in OpenAI's chat format, and the tokens of prompt and answer."""

    message: dict[str, Any]
    tokens: int


class ChatModel(Protocol):
    def __call__(self, messages: Messages, tools: Tools) -> ModelAnswer:
        """Return the next message of the assistant."""
        ...


@dataclass(slots=True, kw_only=True)
class Attempt:
    """How an agent does on a task: all that is said, and what becomes of the world.

    `is_cut` says that it ended after the first call of the tool with the rule, `is_repeating` that the last
    call did what was done already.
    """

    task: WorldTask
    tools: tuple[dict[str, Any], ...]
    messages: list[dict[str, Any]]
    state: State = field(default_factory=State)
    calls: int = 0
    errors: int = 0
    tokens: int = 0
    is_cut: bool = False
    is_repeating: bool = False

    @property
    def is_done(self) -> bool:
        """Return whether the state is the wanted one; of a cut attempt, whether that call was right."""
        if self.is_cut:
            was_accepted = self.task.rule.tool in dict(self.state.called)
            return was_accepted and self.task.is_on_the_way(self.state)
        return self.task.is_done(self.state)

    @property
    def is_first_try(self) -> bool:
        """Return whether it is done, and no call was refused."""
        return self.is_done and self.errors == 0

    def take_turn(self, model: ChatModel) -> bool:
        """Ask the model once and make the calls that it asks for; return whether there were any."""
        answer = model(self.messages, self.tools)
        self.messages.append(answer.message)
        self.tokens += answer.tokens
        asked = answer.message.get("tool_calls") or ()
        for made in asked:
            self._make(made["id"], made["function"]["name"], read_arguments(made["function"]["arguments"]))
        return bool(asked)

    def _make(self, call_id: str, name: str, arguments: dict[str, Any]) -> None:
        result = self.task.call(self.state, name, arguments)
        self.state, self.is_repeating = result.state, result.is_repeated
        self.calls += 1
        self.errors += result.is_refused
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": result.text})


def attempt(
    task: WorldTask,
    model: ChatModel,
    *,
    system: str = SYSTEM_PROMPT,
    notes: Mapping[str, str] | None = None,
    first_call_only: bool = False,
) -> Attempt:
    """Work on a task until the model calls no more tools, or repeats itself as weak models do.

    `notes` are added to the descriptions of tools by their names. With `first_call_only` the attempt ends
    after the first call of the tool with the rule.
    """
    said = [{"role": "system", "content": system}, {"role": "user", "content": task.text}]
    tools = tuple(with_notes(tool.schema, notes or {}) for tool in task.family.tools)
    made = Attempt(task=task, tools=tools, messages=said)
    while made.calls < MOST_CALLS and not made.is_repeating and made.take_turn(model):
        if first_call_only and task.rule.tool in _called(made.messages):
            made.is_cut = True
            break
    return made


def _called(messages: Messages) -> set[str]:
    return {made["function"]["name"] for message in messages for made in message.get("tool_calls") or ()}


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
        return ModelAnswer(message=said, tokens=answer.usage.total_tokens if answer.usage else 0)
