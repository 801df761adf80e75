"""The same eight real conversations through five client stacks: every stack must tell the same story."""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.state.trajectories import stored_trajectory
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.stories import describe, joined, link
from tests.support.listed import ListedSource
from tests.support.slow import SLOW
from tests.support.syncing import make_sync, open_data_dir
from tests.support.traces import load_traces, order_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.sync.model import Trace, Trajectory

CALLBACK = "litellm-arize"
STACKS = ("oi-openai", "oi-litellm", "oi-langchain", "ollm")


@cache
def replayed(folder: Path, stack: str) -> list[Trace]:
    return load_traces(folder / f"{stack}.rest.json.gz")


@pytest.fixture
def replay(shared_data: Path) -> Path:
    return shared_data / "spans" / "replay_retail"


def expected(replay: Path) -> list[list[dict[str, Any]]]:
    told = json.loads(gzip.decompress((replay / "expected_trajectories.json.gz").read_bytes()))
    return [[as_expected(message) for message in one["messages"]] for one in told]


def as_expected(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message by the fields of the expected files: no content is None there, and "" here.

    Arguments are compared as JSON values, since LangChain writes them anew.
    """
    calls = message.get("tool_calls") or ()
    return {
        "role": message["role"],
        "content": message.get("content") or "",
        "tool_call_id": message.get("tool_call_id"),
        "name": message.get("name"),
        "tool_calls": [
            (c["id"], c["type"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls
        ],
    }


def conversation(trajectory: Trajectory) -> list[dict[str, Any]]:
    assert order_faults(trajectory.messages) == []
    return [as_expected(message.to_json()) for message in trajectory.messages]


def in_any_order(conversations: Iterable[list[dict[str, Any]]]) -> list[str]:
    return sorted(json.dumps(one) for one in conversations)


@pytest.mark.parametrize("stack", STACKS)
def test_a_real_conversation_reads_the_same_through_every_stack(replay: Path, stack: str) -> None:
    trajectories = [build_trajectory(one) for one in replayed(replay, stack)]

    assert in_any_order(map(conversation, trajectories)) == in_any_order(expected(replay))
    assert all(one.side_conversations == () for one in trajectories)


def test_calls_that_are_traces_of_their_own_are_the_same_eight_stories(replay: Path) -> None:
    traces = {one.trace_id: one for one in replayed(replay, CALLBACK)}
    trajectories = {trace_id: build_trajectory(one) for trace_id, one in traces.items()}
    stories = link(describe(t, traces[trace_id].spans[0].start_time) for trace_id, t in trajectories.items())

    told = [joined([trajectories[trace_id] for trace_id in story.told_by]) for story in stories]

    assert len(traces) == 78
    assert [len(story.told_by) for story in stories] == [1] * 8
    assert sum(len(story.parts) for story in stories) == 70
    # The user's last word ends the run. It was in no call, so no span of this stack can tell it.
    assert in_any_order(map(conversation, told)) == in_any_order(one[:-1] for one in expected(replay))


def test_the_last_word_of_the_user_is_nowhere_in_the_spans_of_litellms_callback(replay: Path) -> None:
    everything = "\n".join(
        str(value)
        for trace in replayed(replay, CALLBACK)
        for s in trace.spans
        for value in s.attributes.values()
    )

    for one in expected(replay):
        assert one[-1]["role"] == "user"
        assert one[-1]["content"] not in everything
    assert one[-2]["content"][:40] in everything


@pytest.mark.parametrize("stack", [*STACKS, CALLBACK] if SLOW else [CALLBACK])
def test_a_sync_keeps_eight_conversations_whatever_the_stack(
    replay: Path, stack: str, backend: str, tmp_path: Path, scripted: ModelServer
) -> None:
    traces = replayed(replay, stack)
    with open_data_dir(tmp_path, backend) as store:
        report = make_sync(ListedSource(traces), store).run()
        found = {str(e.metadata["trace_id"]): e for e in store.iterate("kaizen", type="trajectory")}
    heads = [entity for entity in found.values() if entity.metadata["state"] == "no_lesson"]
    told = [[as_expected(one.to_json()) for one in stored_trajectory(head, found).messages] for head in heads]
    last = -1 if stack == CALLBACK else None
    assert in_any_order(told) == in_any_order(one[:last] for one in expected(replay))
    assert report.states == {"no_lesson": 8, **({"skipped": len(traces) - 8} if len(traces) > 8 else {})}
