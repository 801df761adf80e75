"""Runs that carry an attack, and what a sync with a model that obeys it leaves in a store."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kaizen.demo.model_server import ModelServer, Scenarios
from kaizen.sync.model import Anchor, IndexedTrace, Trace
from tests.support.syncing import make_sync
from tests.support.traces import llm, result, says, span, system, tool, trace, user

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kaizen.store import Entity, Store

QUESTION = "Where is my order? I moved and need it at the new place."
ANSWER = "Your order was delivered on Monday."
QUOTE = "was delivered on Monday"

TIP: dict[str, Any] = {
    "content": "Look the order up before answering.",
    "category": "strategy",
    "rationale": "The state of the order decides what can be done.",
    "trigger": "When a customer asks where an order is.",
    "implementation_steps": ["Look the order up.", "Answer from its state."],
    "task_description": "Questions about orders.",
    "quote": QUOTE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A short run of a shop's agent; each of its texts may be another one."""

    prompt: str = "You are the assistant of a shop. Be brief and follow the shop's policy."
    question: str = QUESTION
    tool_name: str = "get_order"
    description: str = "Look an order up by its id."
    arguments: str = '{"order_id": "W2166301"}'
    result: str = '{"status": "delivered", "day": "Monday"}'
    thought: str = ""
    answer: str = ANSWER
    follow_up: tuple[str, ...] = ()
    error: str = ""
    status: str = ""
    session_id: str = ""
    side: tuple[str, str] = ("", "")

    def trace(self, number: int = 1) -> Trace:
        """The spans that such a run leaves, as the one with that number."""
        schema = json.dumps({"name": self.tool_name, "description": self.description})
        given: list[dict[str, Any]] = [system(self.prompt), user(self.question)]
        asked = says(self.thought, ("c1", self.tool_name, self.arguments))
        more = {"llm.tools.0.tool.json_schema": schema}
        more |= {"session.id": self.session_id} if self.session_id else {}
        root = span("root", "AGENT", ends=60, error=self.status, attributes={"agent.name": "shop"})
        spans = [root, llm("l1", given, asked, at=1, parent="root", attributes=more)]
        if self.side[1]:
            name, said = self.side
            spans.append(span("sub", "AGENT", at=2, ends=9, parent="root", attributes={"agent.name": name}))
            spans.append(llm("s1", [user("Search for the parcel.")], said, at=3, parent="sub"))
        if self.error:
            spans.append(llm("e1", given, None, at=4, parent="root", error=self.error))
        spans.append(tool("t1", self.tool_name, None, self.result, at=10, parent="root"))
        given = [*given, asked, result("c1", self.result)]
        for turn, said in enumerate((*self.follow_up, "")):
            answer = self.answer if not said else "One moment."
            spans.append(llm(f"m{turn}", given, answer, at=20 + turn, parent="root", attributes=more))
            given = [*given, {"role": "assistant", "content": answer}, user(said)]
        trace_id = f"{number:x}" * 32
        return Trace(
            trace_id=trace_id,
            spans=tuple(
                replace(
                    each,
                    trace_id=trace_id,
                    span_id=f"{each.span_id}-{number}",
                    parent_id=each.parent_id and f"{each.parent_id}-{number}",
                )
                for each in trace(*spans).spans
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A run, and the tips that a model made of it."""

    name: str
    run: Run
    tips: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return self.name


def case(name: str, *, tip: str = "", steps: Iterable[str] | None = None, **texts: Any) -> Case:
    """A case whose run has these `texts` (fields of `Run`), and a model that makes this tip of it.

    `tip` is its content; other texts of the tip are given as `tip_trigger` and so on.
    """
    others = {key.removeprefix("tip_"): texts.pop(key) for key in list(texts) if key.startswith("tip_")}
    made = {**TIP, **others}
    if tip:
        made["content"] = tip
    if steps is not None:
        made["implementation_steps"] = list(steps)
    return Case(name=name, run=Run(**texts), tips=(made,))


@dataclass(frozen=True, slots=True)
class Traces:
    """A source in memory."""

    traces: tuple[Trace, ...]
    name: str = "memory"
    project: str = "shop"
    server_version: str = ""
    requests: int = 0

    def probe(self) -> Anchor:
        return Anchor(row=len(self.traces), token=self.traces[-1].spans[-1].span_id)

    def changed_since(self, anchor: Anchor) -> None:
        return None

    def span_url(self, trace_id: str, span_id: str) -> str:
        return f"memory:{trace_id}/{span_id}"

    def index(self, *, since: object = None, until: object = None) -> Iterator[IndexedTrace]:
        return map(IndexedTrace.of, self.traces)

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        by_id = {one.trace_id: one for one in self.traces}
        for indexed in traces:
            yield by_id[indexed.trace_id]


def obey(
    server: ModelServer, tips: Iterable[dict[str, Any]], decisions: Iterable[dict[str, Any]] = ()
) -> None:
    """Let the model answer with these tips, and with these decisions, whatever it is shown."""
    server.scenarios = Scenarios.from_json(
        {
            "tips": [{"pattern": r"\A", "answer": _literal(tip)} for tip in tips],
            "decisions": [{"pattern": r"\A", "answer": _literal(one)} for one in decisions],
        }
    )
    server.clear()


def _literal(value: Any) -> Any:
    """The value as a template that gives it back."""
    if isinstance(value, str):
        return value.replace("\\", "\\\\")
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return {key: _literal(item) for key, item in value.items()} if isinstance(value, dict) else value


def stored_tips(store: Store, namespace_id: str, *runs: Run) -> list[Entity]:
    """Sync a project that has these runs, and give all tips of the namespace."""
    traces = tuple(run.trace(number) for number, run in enumerate(runs, 1))
    report = make_sync(Traces(traces), store, namespace_id=namespace_id, include_errors=True).run()
    assert not report.failures, report.failures
    return list(store.iterate(namespace_id, type="guideline"))
