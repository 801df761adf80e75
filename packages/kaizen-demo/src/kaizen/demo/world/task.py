"""One task of a family: its text, what calls do to its state, and whether that state is the wanted one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from string import Template
from typing import Any

from kaizen.demo.world.family import Arguments, Family, PlannedCall, State, Tool, ToolRule, Values


@dataclass(frozen=True, slots=True)
class CallResult:
    """The state after a call, the text that the agent sees, whether the call was refused, or done before."""

    state: State
    text: str
    is_refused: bool = False
    is_repeated: bool = False


@dataclass(frozen=True, kw_only=True)
class WorldTask:
    """The task of a family that a seed gives; `is_later` says that the family's later rule is in force."""

    family: Family
    seed: str
    is_later: bool = False
    values: Values = field(init=False)
    text: str = field(init=False)

    def __post_init__(self) -> None:
        chosen = random.Random(f"{self.family.name} {self.seed}")  # noqa: S311 - no secret
        values = self.family.vary(chosen)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "text", Template(chosen.choice(self.family.tasks)).substitute(values))

    @property
    def rule(self) -> ToolRule:
        """Return the rule in force."""
        return (self.family.later if self.is_later else None) or self.family.rule

    @cached_property
    def goal(self) -> State:
        """Return the state after the calls that obey the rule."""
        state = State()
        for made in self.family.corrected(self.rule):
            answer = self.call(state, made.tool, self.arguments(made))
            if answer.is_refused:
                raise ValueError(f"the family {self.family.name} refuses its own correction: {answer.text}")
            state = answer.state
        return state

    def is_done(self, state: State) -> bool:
        """Return whether all that was asked for was changed, and nothing else."""
        return sorted(state.changes) == sorted(self.goal.changes)

    def is_on_the_way(self, state: State) -> bool:
        """Return whether nothing was changed that should not be."""
        left = list(self.goal.changes)
        for change in state.changes:
            if change not in left:
                return False
            left.remove(change)
        return True

    def arguments(self, made: PlannedCall) -> dict[str, Any]:
        return {parameter: self.values[name] for parameter, name in made.arguments.items()}

    def call(self, state: State, name: str, arguments: Arguments) -> CallResult:
        """Return what a call does in that state; a refused one changes nothing."""
        tool = next((tool for tool in self.family.tools if tool.name == name), None)
        if tool is None:
            return CallResult(state, f"Error: unknown tool '{name}'", is_refused=True)
        if missing := [key for key in tool.required if arguments.get(key) in (None, "")]:
            return CallResult(state, f"Error: missing required argument '{missing[0]}'", is_refused=True)
        if tool.name == self.rule.tool and not self.rule.obeyed(arguments, state, self.values):
            shown = {**self.values, **arguments}
            return CallResult(state, Template(self.rule.error).safe_substitute(shown), is_refused=True)
        return (
            self._look_up(tool, state, arguments) if tool.gives is not None else _act(tool, state, arguments)
        )

    def _look_up(self, tool: Tool, state: State, arguments: Arguments) -> CallResult:
        for parameter, name in tool.finds.items():
            if str(arguments.get(parameter)) != str(self.values[name]):
                text = f"Error: {parameter} '{arguments.get(parameter)}' not found"
                return CallResult(state, text, is_refused=True)
        given = {shown: self.values.get(name, name) for shown, name in (tool.gives or {}).items()}
        return CallResult(_with_call(state, tool, arguments), json.dumps(given))


def _act(tool: Tool, state: State, arguments: Arguments) -> CallResult:
    compared = [key for key in tool.required if key not in tool.free.split()]
    forms: dict[str, Callable[[Any], Any]] = {key: tool.normal.get(key) or _plain for key in compared}
    normal = {key: form(arguments[key]) for key, form in forms.items()}
    change = () if tool.is_preparation else (f"{tool.name} {json.dumps(normal, sort_keys=True)}",)
    done = _with_call(state, tool, arguments)
    if set(change) & set(state.changes):
        text = json.dumps({"status": "already done", **arguments})
        return CallResult(done, text, is_repeated=True)
    return CallResult(
        State((*state.changes, *change), done.called), json.dumps({"status": "done", **arguments})
    )


def _with_call(state: State, tool: Tool, arguments: Arguments) -> State:
    return State(state.changes, (*state.called, (tool.name, dict(arguments))))


def _plain(value: Any) -> str:
    return str(value).strip().casefold()
