"""Traces that hold what no store can: they are cleaned where they enter, and learned from."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync import SyncSettings
from kaizen.sync.cleaning import clean_text, clean_trace, clean_value
from kaizen.sync.model import Anchor, Trace
from kaizen.sync.run.selection import plan_reading
from kaizen.sync.state.checkpoint import Checkpoint
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.json_text import load_json, load_literal
from tests.support.listed import ListedSource, one_call
from tests.support.syncing import make_sync, open_data_dir
from tests.support.traces import llm, trace, user

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer

LONE = "\ud800"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("", ""),
        ("plain", "plain"),
        ("Grüße 🎉", "Grüße 🎉"),
        (f"x{LONE}", "x\ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud83d" + "\ude00", "😀"),
    ],
)
def test_lone_surrogates_are_replaced_and_nothing_else(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_a_value_is_clean_at_every_level() -> None:
    value = {f"k{LONE}": [f"a{LONE}", {"n": 10**30, "m": -(10**30)}, 2**63 - 1, True, None, 0.5]}

    assert clean_value(value) == {
        "k\ufffd": ["a\ufffd", {"n": str(10**30), "m": str(-(10**30))}, 2**63 - 1, True, None, 0.5]
    }
    assert clean_value(10**20_000) == "[a number of 66439 bits]"


def test_a_value_without_end_is_cut() -> None:
    deep: Any = "end"
    for _ in range(900):
        deep = [deep]

    assert "nested too deeply" in json.dumps(clean_value(deep))


@pytest.mark.parametrize("load", [load_json, load_literal])
def test_a_surrogate_in_an_escape_is_replaced_where_it_is_decoded(load: Any) -> None:
    assert load('{"a": ["\\ud800", "\\uD83D\\uDE00"]}')["a"][0] == "\ufffd"


def poisoned(kind: str) -> Trace:
    messages = [{"role": "user", "content": "What is LESSON-poison about?"}]
    more: dict[str, Any] = {
        "tool": {"llm.output_messages.0.message.tool_calls.0.tool_call.function.name": f"x{LONE}"},
        "escape": {"input.value": '{"messages": [{"role": "user", "content": "LESSON-poison \\ud800"}]}'},
        "tokens": {"llm.token_count.prompt": 10**30, "llm.token_count.completion": 2**63 - 1},
        "fraction": {"llm.token_count.prompt": 1e300},
        "session": {"session.id": f"s{LONE}"},
        "key": {f"metadata{LONE}": {LONE: [10**30]}},
        "schema": {"llm.tools.0.tool.json_schema": '{"name": "\\ud800", "input_schema": {}}'},
        "model": {"llm.model_name": f"gpt{LONE}"},
    }[kind]
    if kind == "escape":
        found = one_call(f"{kind:x<32}", 0, [], "-", **more)
        attributes = {k: v for k, v in found.spans[0].attributes.items() if "input_messages" not in k}
        return Trace(trace_id=found.trace_id, spans=(replace(found.spans[0], attributes=attributes),))
    return one_call(f"{kind:x<32}", 0, messages, f"About poison {LONE}.", **more)


KINDS = ["tool", "escape", "tokens", "fraction", "session", "key", "schema", "model"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_trajectory_of_a_poisoned_trace_can_be_stored(kind: str) -> None:
    trajectory = build_trajectory(clean_trace(poisoned(kind)))

    assert clean_value(asdict(trajectory)) == json.loads(json.dumps(asdict(trajectory)))
    json.dumps(asdict(trajectory), ensure_ascii=False).encode()
    assert 0 <= trajectory.usage.prompt_tokens < 2**63
    assert "LESSON-poison" in trajectory.messages[0].content


def test_token_counts_that_nobody_can_have_used_do_not_count() -> None:
    calls = [llm(f"s{n}", [user(f"{n}")], "-", at=n, tokens=(2**62, 7)) for n in range(3)]

    usage = build_trajectory(trace(*calls)).usage

    assert (usage.prompt_tokens, usage.completion_tokens) == (0, 21)


@pytest.mark.parametrize("kind", ["sqlite", "filesystem", "postgres"])
def test_a_sync_learns_from_every_poisoned_trace_on_every_backend(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, scripted: ModelServer
) -> None:
    where = request.getfixturevalue("postgres").url if kind == "postgres" else kind
    messages = [{"role": "user", "content": "What is LESSON-other about?"}]
    traces = [*map(poisoned, KINDS), one_call("o" * 32, 1, messages, "Another one.")]
    with open_data_dir(tmp_path, where) as store:
        report = make_sync(ListedSource(traces), store, full=True).run()
        tips = {tip.content: tip.metadata["support"] for tip in store.iterate("kaizen", type="guideline")}

    assert dict(report.states) == {"learned": len(traces)}
    assert tips == {"Remember poison.": len(KINDS), "Remember other.": 1}


# a clock that was wrong


@pytest.mark.parametrize(
    ("ahead", "reading"),
    [
        (timedelta(minutes=-5), "nothing"),
        (timedelta(minutes=5), "nothing"),
        (timedelta(days=-2), "full"),
        (timedelta(days=400), "full"),
    ],
)
def test_a_clock_that_was_ahead_once_does_not_put_off_the_whole_index(ahead: timedelta, reading: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    anchor = Anchor(row=7, token="s")
    checkpoint = Checkpoint(source="s", project="p", anchor=anchor, index_from=now, full_at=now + ahead)

    assert plan_reading(checkpoint, anchor, SyncSettings(), now=now) == reading
