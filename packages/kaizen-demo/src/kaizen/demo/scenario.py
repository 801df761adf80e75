"""Load scenarios: what the scripted model answers, as data.

A scenario file is a JSON object with any of these lists:

``agents``
    ``{"name", "when", "steps"}``. ``when`` names conditions that must all hold: ``user`` and ``system`` (text
    contained in the first message of that role), ``tools`` (names that are all offered), ``schema`` (the name
    of the JSON schema asked for; without it, none must be asked for). Step n is the model's answer number n,
    and the last one is repeated: ``{"text": ..}``, ``{"json": ..}`` or ``{"tool_calls": [{"name",
    "arguments"}]}``, with text allowed beside calls. A step with ``after`` is due as soon as the conversation
    contains that text, for agents that do not tell the model of answers that led to an error. A step with
    ``unless_told`` is left out if the instructions or the description of a tool contain that text: a mistake
    that the model does not make if it is told better.
``tips``, ``comparisons``, ``decisions`` and ``groups``
    ``{"pattern", "answer"}``. Each distinct match of the regular expression in the conversation adds one
    answer to what a ``kaizen_tips``, ``kaizen_compare``, ``kaizen_reconcile`` or ``kaizen_consolidate``
    request gets; its strings may use the match's groups, as in ``\\g<word>``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaizen.demo.conversation import Conversation

BUILT_IN = Path(__file__).parent / "scenarios"


class ScenarioError(ValueError):
    """A scenario file does not say what a scenario must say."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: text, tool calls, or both."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The conditions under which an agent scenario is the one that answers."""

    user: str = ""
    system: str = ""
    tools: frozenset[str] = frozenset()
    schema: str | None = None

    def holds(self, conversation: Conversation) -> bool:
        return (
            self.user in conversation.first("user")
            and self.system in conversation.first("system")
            and self.tools <= set(conversation.tools)
            and self.schema == conversation.schema_name
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What the model says next.

    ``after`` is a text that makes it due, whatever was said before; ``unless_told`` is one that spares it.
    """

    answer: Answer
    after: str = ""
    unless_told: str = ""


@dataclass(frozen=True, slots=True)
class AgentScenario:
    name: str
    when: When
    steps: tuple[Step, ...]

    def answer(self, conversation: Conversation) -> Answer:
        told = conversation.instructions
        steps = [step for step in self.steps if not step.unless_told or step.unless_told not in told]
        seen = (n for n, step in enumerate(steps) if step.after and step.after in conversation.text)
        due = max(conversation.step, *seen, 0)
        return steps[min(due, len(steps) - 1)].answer


@dataclass(frozen=True, slots=True)
class Rule:
    """One answer for each distinct match of a pattern."""

    pattern: re.Pattern[str]
    answer: dict[str, Any]

    def answers(self, text: str) -> list[dict[str, Any]]:
        matches = {match[0]: match for match in reversed(list(self.pattern.finditer(text)))}
        return [_fill(self.answer, match) for match in sorted(matches.values(), key=lambda m: m.start())]


@dataclass(frozen=True, slots=True)
class Scenarios:
    """All that a scripted model knows; the first scenario that holds answers."""

    agents: tuple[AgentScenario, ...] = ()
    tips: tuple[Rule, ...] = ()
    decisions: tuple[Rule, ...] = ()
    groups: tuple[Rule, ...] = ()
    comparisons: tuple[Rule, ...] = ()

    def __add__(self, other: Scenarios) -> Scenarios:
        return Scenarios(
            self.agents + other.agents,
            self.tips + other.tips,
            self.decisions + other.decisions,
            self.groups + other.groups,
            self.comparisons + other.comparisons,
        )

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Scenarios:
        """Build scenarios from a file's content; raises ScenarioError with what is wrong."""
        if unknown := value.keys() - {"agents", "tips", "decisions", "groups", "comparisons"}:
            raise ScenarioError(f"unknown keys {sorted(unknown)}")
        try:
            return cls(
                agents=tuple(_agent(item) for item in value.get("agents", ())),
                tips=tuple(_rule(item) for item in value.get("tips", ())),
                decisions=tuple(_rule(item) for item in value.get("decisions", ())),
                groups=tuple(_rule(item) for item in value.get("groups", ())),
                comparisons=tuple(_rule(item) for item in value.get("comparisons", ())),
            )
        except KeyError as exc:
            raise ScenarioError(f"the key {exc} is missing") from exc
        except (TypeError, re.error) as exc:
            raise ScenarioError(str(exc)) from exc


def load_scenarios(path: Path | None = None) -> Scenarios:
    """Load one scenario file, or all ``*.json`` of a directory in order of name.

    :param path: the built-in scenarios by default.
    :raises ScenarioError: naming the file.
    """
    path = path or BUILT_IN
    loaded = Scenarios()
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        try:
            loaded += Scenarios.from_json(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, OSError) as exc:
            raise ScenarioError(f"{file}: {exc}") from exc
    return loaded


def _agent(item: dict[str, Any]) -> AgentScenario:
    when = dict(item["when"])
    when["tools"] = frozenset(when.get("tools", ()))
    if not item["steps"]:
        raise ScenarioError(f"the scenario {item['name']} has no steps")
    return AgentScenario(item["name"], When(**when), tuple(_step(step) for step in item["steps"]))


def _step(step: dict[str, Any]) -> Step:
    if unknown := step.keys() - {"text", "json", "tool_calls", "after", "unless_told"}:
        raise ScenarioError(f"a step has unknown keys {sorted(unknown)}")
    text = json.dumps(step["json"]) if "json" in step else step.get("text", "")
    calls = tuple(ToolCall(**call) for call in step.get("tool_calls", ()))
    return Step(Answer(text, calls), step.get("after", ""), step.get("unless_told", ""))


def _rule(item: dict[str, Any]) -> Rule:
    return Rule(re.compile(item["pattern"]), item["answer"])


def _fill(value: Any, match: re.Match[str]) -> Any:
    match value:
        case str():
            return match.expand(value)
        case list():
            return [_fill(item, match) for item in value]
        case dict():
            return {key: _fill(item, match) for key, item in value.items()}
        case _:
            return value
