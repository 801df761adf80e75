"""Tips that an agent was shown, and Kaizen's own calls, recognised in what a trace says."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from kaizen.sync.generate.grounding import quoted_span
from kaizen.sync.generate.prompt import TIPS_PROMPT, load_prompt
from kaizen.sync.knowledge import prompts
from kaizen.sync.knowledge.merge_question import CONSOLIDATE_PROMPT
from kaizen.sync.knowledge.reconcile import RECONCILE_PROMPT
from kaizen.sync.knowledge.shown import KnownTips, Shown, is_own_call
from kaizen.sync.model import Conversation, Message, Trajectory
from kaizen.tips.markdown import TipsPage
from kaizen.tips.tip import StoredTip
from tests.support.cpu import cpu_time
from tests.support.traces import START

CHECK = "Check `stock_level` before you promise a delivery date."
LONG = "Ask the *warehouse* for the current stock before you promise a date to anyone."


def tip(tip_id: str, content: str, *, hours_before: float = 1, **metadata: Any) -> StoredTip:
    created_at = START - timedelta(hours=hours_before)
    return StoredTip(id=tip_id, content=content, metadata=metadata, created_at=created_at)


def told(*messages: tuple[str, str]) -> Trajectory:
    return Trajectory(
        trace_id="t",
        messages=tuple(Message(role=role, content=text, span_id="s") for role, text in messages),
    )


def shown(trajectory: Trajectory, *tips: StoredTip) -> Shown:
    return KnownTips(tips).shown_in(trajectory, START)


def ids(trajectory: Trajectory, *tips: StoredTip) -> list[str]:
    return [one.id for one in shown(trajectory, *tips).tips]


@pytest.mark.parametrize("role", ["system", "developer", "user", "tool"])
@pytest.mark.parametrize("content", [CHECK, LONG])
def test_a_tip_in_what_an_agent_is_told_is_recognised(role: str, content: str) -> None:
    text = f"You sell things. Tips:\n- {content.upper()}\n- Be kind."
    assert ids(told((role, text)), tip("a", content), tip("b", "Something else that nobody says.")) == ["a"]


def test_what_the_agent_says_itself_was_not_shown() -> None:
    assert ids(told(("user", "go"), ("assistant", CHECK)), tip("a", CHECK)) == []


def test_a_tip_that_is_younger_than_the_run_was_not_shown() -> None:
    assert ids(told(("system", CHECK)), tip("a", CHECK, hours_before=-1)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("Retry once.", True), ("- *Retry once*\n- Other", True), ("Retry once when it fails.", False)],
)
def test_a_short_tip_is_recognised_only_as_a_line_of_its_own(text: str, found: bool) -> None:
    assert ids(told(("system", text)), tip("a", "Retry once.")) == (["a"] if found else [])


def test_half_a_tip_is_none() -> None:
    assert ids(told(("system", LONG.removesuffix("to anyone."))), tip("a", LONG)) == []


def test_tips_that_begin_alike_are_told_apart() -> None:
    other = f"{LONG} Even on Sundays."
    assert ids(told(("system", LONG)), tip("a", LONG), tip("b", other)) == ["a"]
    assert ids(told(("system", other)), tip("a", LONG), tip("b", other)) == ["a", "b"]


def test_all_that_an_exported_page_says_of_a_tip_is_blanked_and_nothing_else() -> None:
    metadata: dict[str, Any] = {
        "status": "active",
        "category": "strategy",
        "trigger": "a customer wants *something* [today]",
        "implementation_steps": ["call stock_level with the id", "wait"],
    }
    page = TipsPage("kaizen")
    page.add(StoredTip(id="a", content=LONG, metadata=metadata))
    text = "\n".join(["You are a clerk in a shop.", *page.lines(), "Never say wait to a customer."])
    found = shown(told(("system", text), ("user", "go on")), tip("a", LONG, **metadata))
    assert [one.id for one in found.tips] == ["a"]
    for quote in ("current stock before you promise", "customer wants", "call stock_level with"):
        assert quoted_span(told(("system", text)), quote) is not None
        assert quoted_span(found.rest, quote) is None
    for quote in ("You are a clerk in a shop.", "Never say wait to a customer.", "go on"):
        assert quoted_span(found.rest, quote) == "s"


def test_sub_agents_are_looked_at_too() -> None:
    side = Conversation(name="helper", messages=told(("system", CHECK)).messages)
    trajectory = Trajectory(trace_id="t", messages=told(("user", "go")).messages, side_conversations=(side,))
    found = shown(trajectory, tip("a", CHECK))
    assert [one.id for one in found.tips] == ["a"]
    assert CHECK not in found.rest.side_conversations[0].messages[0].content


def test_five_thousand_tips_and_a_long_prompt_take_no_time() -> None:
    tips = [
        tip(str(n), f"When the order number {n} is late, call the carrier {n} at once.") for n in range(5_000)
    ]
    started = time.process_time()
    known = KnownTips(tips)
    text = "When the customer calls, be kind. " * 3_000 + tips[77].content
    with cpu_time(below_s=2.0):
        assert [one.id for one in known.shown_in(told(("system", text)), START).tips] == ["77"]
    assert time.process_time() - started < 4.0


@pytest.mark.parametrize(
    "prompt",
    [load_prompt(TIPS_PROMPT), *map(prompts.load_prompt, (RECONCILE_PROMPT, CONSOLIDATE_PROMPT))],
)
def test_a_call_of_the_sync_itself_is_recognised(prompt: str) -> None:
    assert is_own_call(told(("system", prompt), ("user", "<run>...</run>")))
    assert not is_own_call(told(("user", prompt)))
    assert not is_own_call(told(("system", "You are a clerk."), ("user", "go")))
    assert not is_own_call(told())
