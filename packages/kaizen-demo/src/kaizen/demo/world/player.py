"""An agent without a model: it guesses, reads errors, and follows tips that tell the rule."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

from kaizen.demo.world.agent import SYSTEM_PROMPT, ModelAnswer
from kaizen.demo.world.family import PlannedCall, State

if TYPE_CHECKING:
    from kaizen.demo.world.agent import Messages, Tools
    from kaizen.demo.world.family import ToolRule
    from kaizen.demo.world.task import WorldTask

# One run in so many gives up at an error, or looks around first.
_GIVES_UP = 8
_LOOKS_AROUND = 5


class RulesPlayer:
    """Play one task. Whether a tip helps is decided by its text alone: does it tell the rule of this tool?

    It plays along in a state of its own, so that it knows which calls were refused.
    """

    def __init__(self, task: WorldTask) -> None:
        chosen = random.Random(f"player {task.family.name} {task.seed}")  # noqa: S311 - no secret
        self._task = task
        self._state = State()
        self._gives_up = chosen.randrange(_GIVES_UP) == 0
        self._looks_around = chosen.randrange(_LOOKS_AROUND) == 0
        self._plan: list[PlannedCall] | None = None
        self._was_refused = False
        self._calls = 0

    def __call__(self, messages: Messages, tools: Tools) -> ModelAnswer:
        if self._plan is None:
            rule = self._told_rule(messages, tools)
            self._plan = [*self._first_look(), *self._planned(rule)]
        message = self._next_message()
        return ModelAnswer(message=message, tokens=_tokens([*messages, *tools, message]))

    def _told_rule(self, messages: Messages, tools: Tools) -> ToolRule | None:
        """Return the rule told by a note on its tool, or by a line of the system prompt that names it."""
        found: list[tuple[int, ToolRule]] = []
        for rule in self._task.family.rules:
            text = _text_about(rule.tool, messages, tools)
            if told := re.search(rule.lesson, text):
                found.append((told.start(), rule))
        return min(found, key=lambda told: told[0])[1] if found else None

    def _first_look(self) -> list[PlannedCall]:
        looks = [tool for tool in self._task.family.tools if tool.gives is not None and not tool.required]
        return [PlannedCall(looks[0].name, {})] if looks and self._looks_around else []

    def _planned(self, rule: ToolRule | None) -> tuple[PlannedCall, ...]:
        family = self._task.family
        return family.corrected(rule) if rule else family.plan

    def _next_message(self) -> dict[str, object]:
        if not self._plan:
            return {"role": "assistant", "content": "Done."}
        planned = self._plan.pop(0)
        arguments = self._task.arguments(planned)
        result = self._task.call(self._state, planned.tool, arguments)
        self._state = result.state
        if result.is_refused:
            self._plan = self._after_refusal(planned)
        self._calls += 1
        function = {"name": planned.tool, "arguments": json.dumps(arguments)}
        made = {"id": f"call_{self._calls}", "type": "function", "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [made]}

    def _after_refusal(self, refused: PlannedCall) -> list[PlannedCall]:
        """Return the rest of the plan: what shows how to correct the call, and the corrected call."""
        if self._gives_up or self._was_refused:
            return []
        self._was_refused = True
        rule, family = self._task.rule, self._task.family
        guess = next(planned for planned in family.plan if planned.tool == rule.tool)
        return [*rule.look, *family.corrected_call(guess, rule), *(self._plan or ())]


def _text_about(tool: str, messages: Messages, tools: Tools) -> str:
    described = [t["function"]["description"] for t in tools if t["function"]["name"] == tool]
    system = str(messages[0]["content"]).removeprefix(SYSTEM_PROMPT)
    lines = [line for line in system.splitlines() if re.search(rf"\b{tool}\b", line)]
    return "\n".join([*described, *lines])


def _tokens(value: object) -> int:
    """Return about how many tokens that is: four characters each."""
    return len(json.dumps(value)) // 4
