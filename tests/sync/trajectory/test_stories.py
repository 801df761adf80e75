"""Which traces are one story, whenever and in whatever order they arrive."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen.sync.model import Conversation, Message, Outcome, ToolCall, Trajectory, Usage
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.stories import TraceDescription, describe, joined, link, related
from tests.support.traces import load_traces, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from kaizen.sync.trajectory.stories import Story

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def conversation(text: str) -> tuple[Message, ...]:
    """Messages from words: `u:` a user, `s:` a system prompt, `t:` a result, `c:` a call, else an answer."""
    roles = {"u": "user", "s": "system", "t": "tool"}
    messages = []
    for word in text.split():
        kind, _, content = word.rpartition(":")
        if kind == "c":
            call = ToolCall(id=content, name="look", arguments="{}")
            messages.append(Message(role="assistant", tool_calls=(call,)))
        else:
            messages.append(Message(role=roles.get(kind, "assistant"), content=content))
    return tuple(messages)


def trajectory(trace_id: str, text: str, *, session: str = "", ids: str = "", after: str = "") -> Trajectory:
    return Trajectory(
        trace_id=trace_id,
        messages=conversation(text),
        session_id=session,
        response_ids=tuple(ids.split()),
        previous_response_id=after,
    )


def described(*trajectories: Trajectory) -> list[TraceDescription]:
    """Descriptions of traces that started in this order."""
    return [describe(one, START + timedelta(seconds=n)) for n, one in enumerate(trajectories)]


def groups(stories: Iterable[Story]) -> dict[str, list[str]]:
    """The traces of each story below the one that is learned from."""
    return {story.head: list(story.parts) for story in stories}


def test_calls_that_repeat_their_history_are_parts_of_the_longest() -> None:
    stories = link(
        described(
            trajectory("a", "s:be u:hi hello"),
            trajectory("b", "s:be u:hi hello u:more c:1"),
            trajectory("c", "s:be u:hi hello u:more c:1 t:found done"),
        )
    )

    assert groups(stories) == {"c": ["a", "b"]}
    assert stories[0].story_id == "trace:a"
    assert stories[0].told_by == ("c",)


def test_a_trace_in_the_middle_that_is_missing_changes_nothing() -> None:
    stories = link(
        described(trajectory("a", "u:hi hello"), trajectory("c", "u:hi hello u:more yes u:again no"))
    )

    assert groups(stories) == {"c": ["a"]}


def test_runs_with_the_same_prompts_stay_apart() -> None:
    stories = link(
        described(
            trajectory("a", "s:be u:hi hello"),
            trajectory("b", "s:be u:hi welcome u:more yes"),
            trajectory("c", "s:be u:hi"),
            trajectory("d", "s:be u:hi hi u:more no"),
        )
    )

    assert groups(stories) == {"a": [], "b": [], "c": [], "d": []}


def test_runs_that_began_alike_stay_two_stories() -> None:
    stories = link(
        described(
            trajectory("a", "u:hi hello"),
            trajectory("b", "u:hi hello u:one 1"),
            trajectory("c", "u:hi hello u:two 2"),
            trajectory("d", "u:hi hello u:two 2 u:three 3"),
        )
    )

    assert groups(stories) == {"b": ["a"], "d": ["c"]}
    assert [story.story_id for story in stories] == ["trace:a", "trace:c"]


def test_runs_whose_calls_have_other_ids_are_other_runs() -> None:
    stories = link(
        described(
            trajectory("a", "u:hi c:1"), trajectory("b", "u:hi c:2 t:x done"), trajectory("c", "u:hi c:2")
        )
    )

    assert groups(stories) == {"a": [], "b": [], "c": []}


def test_a_trace_that_started_later_is_no_beginning() -> None:
    stories = link(described(trajectory("b", "u:hi hello u:more yes"), trajectory("a", "u:hi hello")))

    assert groups(stories) == {"b": [], "a": []}


def test_the_system_prompt_may_change_from_call_to_call() -> None:
    stories = link(
        described(
            trajectory("a", "s:it-is-noon u:hi hello"), trajectory("b", "s:it-is-one u:hi hello u:bye bye")
        )
    )

    assert groups(stories) == {"b": ["a"]}


def test_separate_runs_of_a_session_are_one_story_told_by_all_of_them() -> None:
    [story] = link(
        described(
            trajectory("a", "u:hi hello", session="s1"),
            trajectory("b", "u:hi hello u:more yes", session="s1"),
            trajectory("c", "u:other 1 u:x 2 u:y 3", session="s1"),
            trajectory("d", "u:third 4", session="s1"),
        )
    )

    assert (story.story_id, story.head, story.parts) == ("session:s1", "c", ("a", "b", "d"))
    assert story.told_by == ("b", "c", "d")


def test_other_sessions_are_other_stories_even_where_one_repeats_the_other() -> None:
    stories = link(
        described(
            trajectory("a", "u:hi hello", session="s1"),
            trajectory("b", "u:hi hello u:more yes", session="s2"),
            trajectory("c", "u:hi hello u:more yes u:again no"),
        )
    )

    assert groups(stories) == {"a": [], "b": [], "c": []}


def test_responses_that_follow_each_other_are_one_story_of_what_each_adds() -> None:
    traces = [
        trajectory("a", "s:be u:hi hello", ids="resp_1"),
        trajectory("x", "u:else so", ids="resp_9"),
        trajectory("b", "s:be u:more c:1", ids="resp_2", after="resp_1"),
        trajectory("c", "s:be t:found done", ids="resp_3", after="resp_2"),
    ]
    stories = link(described(*traces))

    assert groups(stories) == {"c": ["a", "b"], "x": []}
    by_id = {one.trace_id: one for one in traces}
    told_by = stories[0].told_by
    assert told_by == ("a", "b", "c")
    assert told(joined([by_id[trace_id] for trace_id in told_by]).messages) == told(
        conversation("s:be u:hi hello u:more c:1 t:found done")
    )


def test_a_recorded_chain_of_responses_is_one_story(shared_data: Path) -> None:
    traces = load_traces(shared_data / "spans" / "phoenix_dumps" / "openai_responses.json")
    trajectories = {one.trace_id: build_trajectory(one) for one in traces}
    stories = link(describe(trajectories[one.trace_id], one.spans[0].start_time) for one in traces)

    following = [one for one in trajectories.values() if one.previous_response_id]
    assert following
    for one in following:
        [story] = [s for s in stories if one.trace_id in (s.head, *s.parts)]
        followed = [t.trace_id for t in trajectories.values() if one.previous_response_id in t.response_ids]
        assert set(followed) <= {story.head, *story.parts}


def test_the_recorded_calls_of_our_own_agents_are_one_story(repository: Path) -> None:
    for dump, calls in (("openai", 4), ("litellm", 4)):
        traces = load_traces(repository / "tests" / "data" / "phoenix" / f"{dump}.json")
        trajectories = [build_trajectory(one) for one in traces]
        [story] = link(
            describe(t, one.spans[0].start_time) for t, one in zip(trajectories, traces, strict=True)
        )

        longest = max(trajectories, key=lambda one: len(one.messages))
        assert len(traces) >= calls
        assert story.told_by == (story.head,) == (longest.trace_id,)


def test_what_a_story_has_in_common_is_told_once() -> None:
    traces = [
        trajectory("a", "s:be u:hi hello", session="s"),
        trajectory("b", "s:be u:other 1", session="s"),
        trajectory("c", "s:be u:other 1 u:more 2", session="s"),
        trajectory("d", "s:new u:hi hello u:last 3", session="s"),
    ]

    assert told(joined(traces).messages) == told(
        conversation("s:be u:hi hello u:other 1 u:more 2 s:new u:last 3")
    )


def test_a_system_prompt_that_comes_back_within_one_trace_stays() -> None:
    handed_back = trajectory("a", "s:first u:hi hello s:second u:x y s:first u:z end")

    # The same, so that what was read of them is known.
    assert joined([handed_back]).messages is handed_back.messages


def test_a_joined_story_keeps_what_is_beside_its_messages() -> None:
    failed = Outcome(name="failure", judged_by="status")
    side = Conversation(name="title", messages=conversation("u:title greeting"))
    one = Trajectory(
        trace_id="a",
        messages=conversation("u:hi hello"),
        side_conversations=(side,),
        errors=("x",),
        usage=Usage(prompt_tokens=1, completion_tokens=2),
        models=("m",),
    )
    other = Trajectory(
        trace_id="b",
        messages=conversation("u:bye bye"),
        errors=("x", "y"),
        usage=Usage(prompt_tokens=10, completion_tokens=20),
        models=("m", "n"),
        outcome=failed,
    )

    story = joined([one, other])

    assert (story.trace_id, story.errors, story.models) == ("b", ("x", "y"), ("m", "n"))
    assert (story.outcome, story.side_conversations) == (failed, (side,))
    assert story.usage == Usage(prompt_tokens=11, completion_tokens=22)


def test_a_description_is_small_and_survives_json() -> None:
    long = trajectory("a" * 32, " ".join(f"u:{n} {n}" for n in range(200)), ids="resp_1 chatcmpl-2")
    [description] = described(long)

    text = json.dumps(description.to_json())
    assert TraceDescription.of_json(json.loads(text)) == description
    assert len(text) < 200 * 20 + 300
    assert description.response_ids == ("resp_1",)


def test_a_message_survives_json() -> None:
    for message in conversation("s:be u:hi c:1 t:found done"):
        assert Message.of_json(json.loads(json.dumps(message.to_json()))) == message


def test_a_new_trace_finds_its_story_by_exact_look_ups_only() -> None:
    traces = described(*(trajectory(f"t{n}", f"u:{n} hello u:more yes") for n in range(50)))
    [one] = described(trajectory("new", "u:7 hello u:more yes u:again no"))
    index, asked = indexed(traces), []

    def with_key(key: str) -> Iterable[TraceDescription]:
        asked.append(key)
        return index(key)

    found = related([one], with_key)

    assert {description.trace_id for description in found} == {"new", "t7"}
    assert len(asked) < 12


def indexed(traces: Sequence[TraceDescription]) -> Callable[[str], list[TraceDescription]]:
    by_key: defaultdict[str, list[TraceDescription]] = defaultdict(list)
    for one in traces:
        for key in one.keys:
            by_key[key].append(one)
    return lambda key: by_key.get(key, [])


WORDS = st.lists(st.sampled_from(["u:a 1", "u:a 2", "u:b 1", "c:1 t:x"]), max_size=4).map(" ".join)
RUNS = st.lists(
    st.builds(
        lambda text, session, number, after: (text, session, number, after),
        WORDS,
        st.sampled_from(["", "", "", "s1", "s2"]),
        st.integers(0, 3),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=9,
)


@given(RUNS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_any_order_and_any_batches_give_the_same_stories(
    runs: list[tuple[str, str, int, int]], random: object
) -> None:
    traces = described(
        *(
            trajectory(
                f"t{n}", text, session=session, ids=f"resp_{n}", after=f"resp_{after}" if after < n else ""
            )
            for n, (text, session, _, after) in enumerate(runs)
        )
    )
    wanted = {story.story_id: story for story in link(traces)}
    random.shuffle(traces)  # type: ignore[attr-defined]

    known: dict[str, TraceDescription] = {}
    stories: dict[str, Story] = {}
    while traces:
        size = runs[len(traces) - 1][2] + 1
        batch, traces = traces[:size], traces[size:]
        again = related(batch, indexed(list(known.values())))
        touched = {one.trace_id for one in again}
        stories = {k: s for k, s in stories.items() if touched.isdisjoint((s.head, *s.parts))}
        stories |= {story.story_id: story for story in link(again)}
        known |= {one.trace_id: one for one in batch}

    assert stories == wanted
    assert sorted(t for s in stories.values() for t in (s.head, *s.parts)) == sorted(known)
