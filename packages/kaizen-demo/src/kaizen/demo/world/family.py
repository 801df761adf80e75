"""Declare a family of tasks: its tools, the rule that no schema tells, and how it is broken and obeyed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

Arguments = Mapping[str, Any]
Values = Mapping[str, Any]
"""What one task is about, by name: chosen by `Family.vary`, and used in texts, calls and results."""


@dataclass(frozen=True, slots=True)
class State:
    """What successful calls have done: changes, as they are scored, and all calls with their arguments."""

    changes: tuple[str, ...] = ()
    called: tuple[tuple[str, Arguments], ...] = ()


IsObeyed = Callable[[Arguments, State, Values], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool as the agent sees it, and what a call does.

    `parameters` are names with spaces between them; `name:number` is of that JSON type, `name?` is optional.
    A look-up changes nothing and `gives` values by name, if the parameters in `finds` have the values of the
    task. What a preparation changes is not scored. Parameters in `free` are not compared; those in `normal`
    are compared by what that function makes of them.
    """

    name: str
    description: str
    parameters: str
    gives: Mapping[str, str] | None = None
    finds: Mapping[str, str] = field(default_factory=dict)
    is_preparation: bool = False
    free: str = ""
    normal: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    @property
    def types(self) -> dict[str, str]:
        """Return the JSON type of each parameter."""
        parts = (name.rstrip("?").partition(":") for name in self.parameters.split())
        return {name: kind or "string" for name, _, kind in parts}

    @property
    def required(self) -> list[str]:
        return [name.partition(":")[0] for name in self.parameters.split() if not name.endswith("?")]

    @property
    def schema(self) -> dict[str, Any]:
        """Return the definition that a model is offered."""
        items = {"array": {"items": {"type": "string"}}}
        properties = {name: {"type": kind, **items.get(kind, {})} for name, kind in self.types.items()}
        parameters = {"type": "object", "properties": properties, "required": self.required}
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


def act(name: str, description: str, parameters: str, **more: Any) -> Tool:
    return Tool(name=name, description=description, parameters=parameters, **more)


def prepare(name: str, description: str, parameters: str) -> Tool:
    return Tool(name=name, description=description, parameters=parameters, is_preparation=True)


def look_up(name: str, description: str, parameters: str, **more: Any) -> Tool:
    return Tool(name=name, description=description, parameters=parameters, **{"gives": {}, **more})


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call to make: each argument names the value of the task to pass."""

    tool: str
    arguments: Mapping[str, str]


def call(tool_name: str, **arguments: str) -> PlannedCall:
    return PlannedCall(tool_name, arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRule:
    """A rule of one tool: calls that do not keep it are refused with `error`.

    `error` is a `string.Template` over the values of the task and the arguments of the call. To obey the
    rule, pass other values (`fix`), make calls `before` or make other calls `instead`; `look` are calls that
    show an agent how, if the error does not. `lesson` matches a text only if it tells the rule.
    """

    tool: str
    obeyed: IsObeyed
    error: str
    lesson: str
    fix: Mapping[str, str] = field(default_factory=dict)
    before: tuple[PlannedCall, ...] = ()
    instead: tuple[PlannedCall, ...] = ()
    look: tuple[PlannedCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Tasks of one kind. `plan` is the first guess of an agent that does not know the rule.

    `tasks` are `string.Template`s. From some day on `later` is in force instead of `rule`.
    """

    name: str
    vary: Callable[[random.Random], Values]
    tasks: tuple[str, ...]
    tools: tuple[Tool, ...]
    plan: tuple[PlannedCall, ...]
    rule: ToolRule
    later: ToolRule | None = None

    @property
    def rules(self) -> tuple[ToolRule, ...]:
        return (self.rule, self.later) if self.later else (self.rule,)

    def corrected(self, rule: ToolRule) -> tuple[PlannedCall, ...]:
        """Return the plan with what obeys that rule."""
        return tuple(made for planned in self.plan for made in self.corrected_call(planned, rule))

    def corrected_call(self, planned: PlannedCall, rule: ToolRule) -> tuple[PlannedCall, ...]:
        if planned.tool != rule.tool:
            return (planned,)
        if rule.instead:
            return rule.instead
        return (*rule.before, replace(planned, arguments={**planned.arguments, **rule.fix}))


def number(value: Any) -> float:
    """Return the number that a model passed, maybe as text; not a number if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def matches(parameter: str, expression: str) -> IsObeyed:
    """Accept arguments that match the whole expression."""
    pattern = re.compile(expression)
    return lambda arguments, _state, _values: bool(pattern.fullmatch(str(arguments.get(parameter, ""))))


def one_of(parameter: str, *accepted: str) -> IsObeyed:
    return lambda arguments, _state, _values: arguments.get(parameter) in accepted


def is_value(parameter: str, name: str) -> IsObeyed:
    """Accept the value of the task of that name only."""
    return lambda arguments, _state, values: str(arguments.get(parameter)) == str(values[name])


def follows(tool: str, *shared: str) -> IsObeyed:
    """Accept a call after one of another tool that had the same arguments of these names."""

    def check(arguments: Arguments, state: State, _values: Values) -> bool:
        return any(
            name == tool and all(str(earlier.get(key)) == str(arguments.get(key)) for key in shared)
            for name, earlier in state.called
        )

    return check
