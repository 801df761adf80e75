"""Traces of one conversation are learned from once, whenever and in whatever order they arrive."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.cli.sync.report import print_report
from kaizen.demo.faults import Fault
from kaizen.store import Delete, Put
from kaizen.sync.errors import IncompleteRecordError
from kaizen.sync.generate.generate import generate_tips
from kaizen.sync.state.records import TraceRecord
from kaizen.sync.state.trajectories import stored_trajectory, trajectory_content
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.stories import describe
from kaizen.sync.undo import undo_run
from tests.support.listed import MESSAGE, ListedSource, one_call
from tests.support.syncing import make_sync, open_data_dir

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.store import Entity
    from kaizen.sync import Report
    from kaizen.sync.generate.checks import Generated
    from kaizen.sync.model import Message, Span, Trace


def loop(words: str, *, name: str = "t", at: int = 0) -> list[Trace]:
    """The calls of one conversation, in which each word is a lesson; each repeats what was said before."""
    told: list[MESSAGE] = []
    traces = []
    for number, word in enumerate(words.split()):
        told.append({"role": "user", "content": f"What is LESSON-{word}?"})
        answer = f"About {word}, says {name}."
        traces.append(one_call(f"{name}{number}", at + number, list(told), answer))
        told.append({"role": "assistant", "content": answer})
    return traces


def session_of(*traces: Trace) -> list[Trace]:
    def in_session(span: Span) -> Span:
        return replace(span, attributes={**span.attributes, "session.id": "one.session"})

    return [replace(trace, spans=tuple(map(in_session, trace.spans))) for trace in traces]


class Syncs:
    """Syncs one after the other into one store, and what they leave."""

    def __init__(self, data_dir: Path, backend: str, scripted: ModelServer) -> None:
        self.data_dir, self.backend, self.scripted = data_dir, backend, scripted
        self.seen: list[Trace] = []

    def sync(self, *traces: Trace, **settings: Any) -> Report:
        """A sync that finds these besides those of the syncs before."""
        self.seen += traces
        self.scripted.clear()
        with open_data_dir(self.data_dir, self.backend) as store:
            report = make_sync(ListedSource(self.seen), store, **settings).run()
            stored = [str(e.metadata["state"]) for e in store.iterate("kaizen", type="trajectory")]
        assert report.traces == len({one.trace_id for one in self.seen})
        assert {s: n for s, n in report.states.items() if n} == {s: stored.count(s) for s in set(stored)}
        return report

    @property
    def calls(self) -> int:
        """How often the last sync asked for tips."""
        return sum(request.schema_name == "kaizen_tips" for request in self.scripted.requests)

    def reasons(self) -> dict[str, str]:
        """Of every trace the reason, or the state where there is none; of a part the head of its story."""
        records = [TraceRecord.of(entity) for entity in self.entities().values()]
        heads = {one.story_id: one.trace_id for one in records if not one.is_part}
        return {
            one.trace_id: f"part of {heads[one.story_id]}" if one.is_part else one.reason or one.state
            for one in records
        }

    def entities(self) -> dict[str, Entity]:
        """The record of every trace."""
        with open_data_dir(self.data_dir, self.backend) as store:
            return {str(e.metadata["trace_id"]): e for e in store.iterate("kaizen", type="trajectory")}

    def told(self) -> dict[str, tuple[Message, ...]]:
        """The messages of every trace, as they are read back."""
        found = self.entities()
        return {trace_id: stored_trajectory(e, found).messages for trace_id, e in found.items()}

    def kept(self) -> dict[str, list[object]]:
        """Of every trace the messages in its record: their texts, or how many are another's."""
        return {
            trace_id: [
                entry if isinstance(entry, int) else entry["content"]
                for entry in json.loads(e.content)["messages"]
            ]
            for trace_id, e in self.entities().items()
        }

    def support(self) -> dict[str, Any]:
        """The support of every tip by its lesson."""
        return {content[len("Remember ") : -1]: m["support"] for content, m in self.tips().items()}

    def tips(self) -> dict[str, dict[str, Any]]:
        with open_data_dir(self.data_dir, self.backend) as store:
            return {e.content: dict(e.metadata) for e in store.iterate("kaizen", type="guideline")}

    def version(self) -> int:
        with open_data_dir(self.data_dir, self.backend) as store:
            return store.get_namespace("kaizen").version


@pytest.fixture
def syncs(backend: str, tmp_path: Path, scripted: ModelServer) -> Syncs:
    return Syncs(tmp_path, backend, scripted)


def test_a_loop_of_five_calls_is_learned_from_once(syncs: Syncs) -> None:
    report = syncs.sync(*loop("a b c d e"))
    assert syncs.calls == 1
    assert syncs.reasons() == {"t4": "learned", **dict.fromkeys(["t0", "t1", "t2", "t3"], "part of t4")}
    assert (report.processed["learned"], report.processed["skipped"]) == (1, 4)
    assert syncs.support() == dict.fromkeys("abcde", 1)
    tip = syncs.tips()["Remember a."]
    assert (tip["source_task_id"], tip["source_span_id"]) == ("t4", "span-t4")


def test_a_sync_that_finds_nothing_new_changes_nothing(syncs: Syncs) -> None:
    syncs.sync(*loop("a b c"))
    before = syncs.version()
    assert syncs.sync().processed.total() == 0
    assert syncs.calls == 0
    assert syncs.version() == before


def test_a_longer_trace_of_a_later_sync_takes_the_place_of_the_earlier_head(syncs: Syncs) -> None:
    traces = loop("a b c d")
    syncs.sync(*traces[:2])
    assert syncs.reasons() == {"t0": "part of t1", "t1": "learned"}
    syncs.sync(*traces[2:])
    assert syncs.calls == 1
    assert syncs.reasons() == {"t3": "learned", **dict.fromkeys(["t0", "t1", "t2"], "part of t3")}
    assert syncs.support() == dict.fromkeys("abcd", 1)


def test_what_only_the_earlier_head_taught_goes_with_it(syncs: Syncs) -> None:
    traces = loop("a b")
    syncs.sync(traces[0])
    no_tips = {"choices": [{"message": {"role": "assistant", "content": '{"tips": []}'}}]}
    syncs.scripted.fail(Fault(kind="status", status=200, contains="LESSON-b", body=no_tips))
    report = syncs.sync(traces[1])
    assert report.tips["removed"] == 1
    assert syncs.tips() == {}
    assert syncs.reasons() == {"t0": "part of t1", "t1": "no_lesson"}


def test_traces_that_arrive_in_reverse_order_need_no_second_call(syncs: Syncs) -> None:
    traces = loop("a b c")
    syncs.sync(traces[2])
    syncs.sync(traces[1])
    assert syncs.calls == 0
    syncs.sync(traces[0])
    assert syncs.calls == 0
    assert syncs.reasons() == {"t0": "part of t2", "t1": "part of t2", "t2": "learned"}
    assert syncs.support() == dict.fromkeys("abc", 1)


def test_the_store_is_the_same_however_the_traces_arrive(
    tmp_path: Path, scripted: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = sorted(
        [*loop("a b c", name="x"), *loop("b d a", name="y")], key=lambda one: (one.start_time, one.trace_id)
    )
    expected = None
    for number, batch in enumerate((64, 1, 2, 4)):
        monkeypatch.setattr("kaizen.sync.run.pipeline._BATCH", batch)
        syncs = Syncs(tmp_path / str(number), "filesystem", scripted)
        syncs.sync(*traces)
        found = (
            syncs.reasons(),
            {
                content: [{k: v for k, v in s.items() if k != "url"} for s in m["sources"]]
                for content, m in syncs.tips().items()
            },
        )
        expected = expected or found
        assert found == expected


def test_traces_of_a_session_are_told_one_after_the_other(syncs: Syncs) -> None:
    first, second = session_of(*loop("a b", name="x")[1:], *loop("c", name="y", at=9))
    syncs.sync(first)
    assert syncs.support() == dict.fromkeys("ab", 1)
    syncs.sync(second)
    assert syncs.calls == 1
    assert syncs.reasons() == {"x1": "learned", "y0": "part of x1"}
    assert syncs.support() == dict.fromkeys("abc", 1)
    (source,) = syncs.tips()["Remember c."]["sources"]
    assert (source["trace_id"], source["span_id"], source["story_id"]) == ("y0", "span-y0", "x1")


def test_traces_that_follow_a_response_are_one_story(syncs: Syncs) -> None:
    def answered(trace_id: str, at: int, word: str, **ids: str) -> Trace:
        told = [{"role": "user", "content": f"LESSON-{word}"}]
        # As the SDK writes a response.
        output = {"id": ids["response"], "previous_response_id": ids.get("previous"), "object": "response"}
        return one_call(trace_id, at, told, f"About {word}.", **{"output.value": json.dumps(output)})

    syncs.sync(answered("r0", 0, "a", response="resp_1"))
    syncs.sync(answered("r1", 1, "b", response="resp_2", previous="resp_1"))
    assert syncs.reasons() == {"r0": "part of r1", "r1": "learned"}
    assert syncs.support() == dict.fromkeys("ab", 1)


def test_runs_with_the_same_first_message_stay_apart(syncs: Syncs) -> None:
    syncs.sync(*loop("a b", name="x"), *loop("a c", name="y", at=1))
    assert syncs.calls == 2
    assert syncs.reasons() == {"x0": "part of x1", "x1": "learned", "y0": "part of y1", "y1": "learned"}
    assert syncs.support() == {"a": 2, "b": 1, "c": 1}


def test_a_record_from_before_stories_stays_as_it_is_until_its_trace_grows(syncs: Syncs) -> None:
    traces = loop("a b c")
    syncs.sync(traces[0])
    with open_data_dir(syncs.data_dir, syncs.backend) as store:
        (record,) = store.iterate("kaizen", type="trajectory")
        newer = ("story", "story_keys", "story_id", "told_by")
        older = {k: v for k, v in record.metadata.items() if k not in newer}
        store.commit("kaizen", [Put(id=record.id, type=record.type, content=record.content, metadata=older)])
    syncs.sync(traces[1])
    assert syncs.calls == 1
    assert syncs.reasons() == {"t0": "learned", "t1": "learned"}

    (span,) = syncs.seen[0].spans
    syncs.seen[0] = replace(
        traces[0], spans=(span, replace(span, span_id="late", kind="CHAIN", attributes={}))
    )
    syncs.sync(traces[2])
    assert syncs.calls == 1
    assert syncs.reasons() == {"t0": "part of t2", "t1": "part of t2", "t2": "learned"}
    assert syncs.support() == dict.fromkeys("abc", 1)


def test_a_story_that_failed_is_told_again_and_what_it_taught_stays_until_then(syncs: Syncs) -> None:
    traces = loop("a b c")
    syncs.sync(traces[0])
    syncs.scripted.fail(Fault(kind="empty", contains="LESSON-c"), times=None)
    report = syncs.sync(*traces[1:])
    assert report.states["failed"] == 2
    assert syncs.reasons()["t0"] == "learned"
    assert syncs.support() == {"a": 1}
    syncs.scripted.heal()
    syncs.sync()
    assert syncs.reasons() == {"t0": "part of t2", "t1": "part of t2", "t2": "learned"}
    assert syncs.support() == dict.fromkeys("abc", 1)


def test_a_head_that_turns_out_to_have_failed_leaves_the_story_to_the_others(syncs: Syncs) -> None:
    traces = loop("a b c")
    syncs.sync(*traces)
    head = traces[2].spans[0]
    failed = replace(head, status="ERROR", end_time=head.end_time + timedelta(seconds=1))
    syncs.seen[2] = replace(traces[2], spans=(failed,))
    syncs.sync()
    assert syncs.calls == 1
    assert syncs.reasons() == {"t0": "part of t1", "t1": "learned", "t2": "errors excluded"}
    assert syncs.support() == {"a": 1, "b": 1}


@pytest.mark.parametrize(("own", "others"), [(1, 2), (2, 1)])
def test_a_trace_that_another_sync_commits_meanwhile_joins_the_story(
    syncs: Syncs, monkeypatch: pytest.MonkeyPatch, own: int, others: int
) -> None:
    traces = loop("a b c")
    waiting = [traces[others]]

    def generate(*args: Any) -> Generated:
        if waiting:
            with open_data_dir(syncs.data_dir, syncs.backend) as store:
                make_sync(ListedSource([waiting.pop()]), store).run()
        return generate_tips(*args)

    monkeypatch.setattr("kaizen.sync.run.generation.generate_tips", generate)
    with open_data_dir(syncs.data_dir, syncs.backend) as store:
        make_sync(ListedSource([traces[own]]), store).run()
    assert syncs.calls == 2
    assert syncs.reasons() == {"t1": "part of t2", "t2": "learned"}
    assert syncs.support() == dict.fromkeys("abc", 1)


def test_a_tip_that_does_not_pass_the_checks_is_counted_with_its_reason(
    syncs: Syncs, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [
        {"role": "user", "content": "Learn LESSON-kept! And remember what-is-asked. LESSON-what-is-asked"}
    ]
    report = syncs.sync(one_call("t0", 0, told, "Done."))
    print_report(report)

    assert list(syncs.tips()) == ["Remember kept."]
    assert syncs.tips()["Remember kept."]["sources"][0]["steps"] == [1]
    assert report.to_json()["tips_dropped"] == {"restates the task": 1}
    assert "Tips dropped: restates the task 1." in capsys.readouterr().out
    with open_data_dir(syncs.data_dir, syncs.backend) as store:
        (record,) = store.iterate("kaizen", type="trajectory")
    assert record.metadata["tips_dropped"] == {"restates the task": 1}


def as_built(traces: list[Trace]) -> dict[str, tuple[Message, ...]]:
    return {one.trace_id: build_trajectory(one).messages for one in traces}


def grown(trace: Trace) -> Trace:
    """The trace with one more span."""
    (span, *_) = trace.spans
    return replace(trace, spans=(*trace.spans, replace(span, span_id="late", kind="CHAIN", attributes={})))


@pytest.mark.parametrize("order", ["0 1 2 3", "3 2 1 0", "2 0 3 1", "01 23", "0123"])
def test_each_message_is_kept_once_whenever_its_call_arrives(syncs: Syncs, order: str) -> None:
    traces = loop("a b c d")
    for batch in order.split():
        syncs.sync(*(traces[int(number)] for number in batch))

    question, answer = "What is LESSON-{}?".format, "About {}, says t.".format
    assert syncs.kept() == {
        "t0": [question("a"), answer("a")],
        **{f"t{n}": [2 * n, question(word), answer(word)] for n, word in enumerate("bcd", 1)},
    }
    assert syncs.told() == as_built(traces)
    assert {e.metadata["reason"] for e in syncs.entities().values()} == {
        "",
        "part of the conversation that begins with t0",
    }


def test_what_differs_from_call_to_call_is_kept_with_each(syncs: Syncs) -> None:
    told = [{"role": "system", "content": "It is noon."}, {"role": "user", "content": "LESSON-a"}]
    first = one_call("t0", 0, told, "One.")
    later = [{"role": "system", "content": "It is one."}, *told[1:], {"role": "assistant", "content": "One."}]
    second = one_call("t1", 1, [*later, {"role": "user", "content": "LESSON-b"}], "Two.")
    syncs.sync(first, second)

    assert syncs.kept()["t1"] == ["It is one.", 2, "LESSON-b", "Two."]
    assert syncs.told() == as_built([first, second])


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_call_that_grows_leaves_what_others_repeat_of_it_whole(syncs: Syncs, number: int) -> None:
    traces = loop("a b c d")
    syncs.sync(*traces)
    syncs.seen[number] = grown(traces[number])
    syncs.sync()

    assert syncs.told() == as_built(syncs.seen)
    assert [len(entries) for _, entries in sorted(syncs.kept().items())] == [2, 3, 3, 3]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_call_that_is_another_now_leaves_what_others_repeat_of_it_whole(syncs: Syncs, number: int) -> None:
    traces = loop("a b c d")
    syncs.sync(*traces)
    other = one_call("x", 0, [{"role": "user", "content": "LESSON-x"}], "Another.").spans[0]
    (span,) = traces[number].spans
    ended = span.end_time + timedelta(seconds=1)
    syncs.seen[number] = replace(
        traces[number], spans=(replace(span, attributes=other.attributes, end_time=ended),)
    )
    syncs.sync()

    assert syncs.told() == as_built(syncs.seen)
    assert syncs.reasons()[f"t{number}"] == "learned"


def test_a_call_that_turns_out_to_have_failed_leaves_what_others_repeat_of_it(syncs: Syncs) -> None:
    traces = loop("a b c d")
    syncs.sync(*traces)
    (span,) = traces[1].spans
    failed = replace(span, status="ERROR", end_time=span.end_time + timedelta(seconds=1))
    syncs.seen[1] = replace(traces[1], spans=(failed,))
    syncs.sync()

    records = syncs.entities()
    assert records.pop("t1").content == ""
    wanted = as_built(syncs.seen)
    assert {k: stored_trajectory(e, records).messages for k, e in records.items()} == {
        k: wanted[k] for k in records
    }


def test_undoing_a_run_leaves_what_later_calls_repeat_of_its_traces(syncs: Syncs) -> None:
    traces = loop("a b c d")
    first = syncs.sync(*traces[:2])
    syncs.sync(*traces[2:])
    with open_data_dir(syncs.data_dir, syncs.backend) as store:
        undone = undo_run(store, "kaizen", first.run_id)
    assert undone.trace_ids == ("t0",)
    assert syncs.told() == {k: v for k, v in as_built(traces).items() if k != "t0"}

    syncs.sync()
    assert syncs.told() == as_built(traces)
    assert syncs.kept()["t1"][0] == 2
    assert syncs.support() == dict.fromkeys("abcd", 1)


def test_a_record_deleted_by_hand_is_missed_and_never_made_up(syncs: Syncs) -> None:
    traces = loop("a b c")
    syncs.sync(*traces[:2])
    with open_data_dir(syncs.data_dir, syncs.backend) as store:
        store.commit("kaizen", [Delete(id=syncs.entities()["t0"].id)])
    with pytest.raises(IncompleteRecordError, match="trace t1 repeats that of trace t0, which is gone"):
        syncs.told()

    syncs.seen = syncs.seen[1:]
    syncs.sync(traces[2])
    found = syncs.entities()
    assert stored_trajectory(found["t2"], found).messages == as_built(traces)["t2"]
    assert syncs.support() == dict.fromkeys("abc", 1)


def test_a_call_more_changes_the_records_of_two_traces_only(syncs: Syncs) -> None:
    traces = loop(" ".join(f"w{n}" for n in range(12)))
    for one in traces[:-1]:
        syncs.sync(one)
    before = syncs.entities()
    syncs.sync(traces[-1])

    changed = [k for k, e in syncs.entities().items() if k not in before or e.revision != before[k].revision]
    assert changed == ["t10", "t11"]
    parts = [e for e in syncs.entities().values() if TraceRecord.of(e).is_part]
    sizes = [len(json.dumps(dict(e.metadata))) + len(e.content) for e in parts[1:]]
    assert max(sizes) < 1.1 * min(sizes)


def test_a_story_kept_whole_by_an_older_version_is_read_and_goes_on(syncs: Syncs) -> None:
    traces = loop("a b c")
    syncs.sync(*traces[:2])
    with open_data_dir(syncs.data_dir, syncs.backend) as store:
        for trace_id, e in syncs.entities().items():
            trajectory = stored_trajectory(e, syncs.entities())
            metadata = {k: v for k, v in e.metadata.items() if k not in ("continues", "story_id")}
            record = replace(TraceRecord.of(e), description=describe(trajectory, traces[0].start_time))
            story = record.to_put(trajectory, {}).metadata["story"]
            metadata |= {"story": {k: v for k, v in story.items() if k != "earlier"}}
            metadata |= {"story": {**metadata["story"], "start_time": e.metadata["story"]["start_time"]}}
            metadata |= {"reason": "part of t1" if trace_id == "t0" else ""}
            content = trajectory_content(trajectory)
            store.commit("kaizen", [Put(id=e.id, type=e.type, content=content, metadata=metadata)])
    assert syncs.told() == as_built(traces[:2])

    syncs.sync(traces[2])
    assert syncs.told() == as_built(traces)
    assert syncs.reasons() == {"t0": "part of t2", "t1": "part of t2", "t2": "learned"}
    assert [len(entries) for _, entries in sorted(syncs.kept().items())] == [2, 3, 3]
