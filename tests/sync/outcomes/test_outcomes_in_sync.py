"""What is said of runs, before and after they are learned from, and what follows from it in the store."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen.store import Put
from kaizen.sync import OutcomeRules, SourceError
from kaizen.sync.model import Annotation
from kaizen.sync.run import rejudge as rejudging
from kaizen.tips.tip import StoredTip
from tests.support.listed import ListedSource, one_call
from tests.support.polling import wait_until
from tests.support.spans import lesson_span, send_spans
from tests.support.syncing import make_sync, open_data_dir, records, run_sync, tips

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.phoenix_server import PhoenixServer
    from kaizen.store import Store
    from kaizen.sync import Report
    from kaizen.sync.model import Clock, Target, Trace


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many hours pass, as far as asking again goes."""

    def pass_by(hours: float) -> None:
        def late(*args: Any, clock: Clock) -> rejudging.Rejudging:
            return rejudging.Rejudging(*args, clock=lambda: clock() + timedelta(hours=hours))

        monkeypatch.setattr("kaizen.sync.run.pipeline.Rejudging", late)

    return pass_by


def says(label: str, *, target: Target = "trace", **more: Any) -> Annotation:
    return Annotation(target=target, name="correctness", label=label, **more)


def lesson(word: str, *, at: int = 0, failed: bool = False, **attributes: Any) -> Trace:
    trace = one_call(
        word, at, [{"role": "user", "content": f"What is LESSON-{word}?"}], "Well.", **attributes
    )
    if not failed:
        return trace
    agent = replace(
        trace.spans[0], span_id=f"root-{word}", kind="AGENT", status="ERROR", status_message="boom"
    )
    below = replace(trace.spans[0], parent_id=agent.span_id)
    return replace(trace, spans=(replace(agent, attributes={}), below))


def sync(source: ListedSource, data_dir: Path, **settings: Any) -> Report:
    source.asked.clear()
    with open_data_dir(data_dir) as store:
        return make_sync(source, store, **settings).run()


def evidence(data_dir: Path) -> dict[str, list[tuple[str, str]]]:
    """Of each tip the outcomes of its sources, and who says so."""
    return {
        content: [(source["outcome"], source["judged_by"]) for source in metadata["sources"]]
        for content, metadata in tips(data_dir).items()
    }


def commits(data_dir: Path) -> int:
    with open_data_dir(data_dir) as store:
        return store.get_namespace("kaizen").version


# before a trace is learned from


def test_a_verdict_decides_what_counts_as_a_failed_trace(scripted: ModelServer, tmp_path: Path) -> None:
    source = ListedSource(
        [lesson("raised", failed=True), lesson("saved", failed=True), lesson("wrong", at=1)]
    )
    source.said["trace", "saved"] = [says("correct")]
    source.said["span", "span-wrong"] = [says("incorrect", target="span")]
    report = sync(source, tmp_path)
    assert {one["trace_id"]: one["reason"] or one["state"] for one in records(tmp_path).values()} == {
        "raised": "errors excluded",
        "saved": "learned",
        "wrong": "errors excluded",
    }
    assert report.states["skipped"] == 2
    sync(source, tmp_path, include_errors=True)
    assert evidence(tmp_path) == {
        "Remember saved.": [("success", "HUMAN annotation 'correctness' of the trace")],
        "Remember wrong.": [("failure", "HUMAN annotation 'correctness' of the span")],
        "Remember raised.": [("failure", "status of AGENT span 'ChatCompletion'")],
    }


def test_which_annotations_count_can_be_set(scripted: ModelServer, tmp_path: Path) -> None:
    source = ListedSource([lesson("one")])
    source.said["trace", "one"] = [
        says("incorrect"),
        Annotation(target="trace", name="stars", score=5, annotator_kind="CODE"),
    ]
    sync(source, tmp_path, outcome_rules=OutcomeRules(names=("stars",), success_score=4, failure_score=2))
    assert evidence(tmp_path)["Remember one."] == [("success", "CODE annotation 'stars' of the trace")]


def test_what_people_write_is_redacted_before_anybody_sees_it(scripted: ModelServer, tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2" * 9
    source = ListedSource([lesson("one")])
    source.said["trace", "one"] = [says("correct", explanation=f"used {secret}")]
    sync(source, tmp_path)
    (request,) = [r for r in scripted.requests if r.schema_name == "kaizen_tips"]
    assert "used [redacted" in str(request.body)
    record = records(tmp_path)["one"]
    assert secret not in str(request.body) + str(record)
    assert "used [redacted" in record["outcome"]["detail"]


def test_a_source_that_fails_meanwhile_keeps_what_was_read(scripted: ModelServer, tmp_path: Path) -> None:
    class Failing(ListedSource):
        def fetch(self, traces: Any) -> Any:
            yield from super().fetch(traces)
            raise SourceError("gone")

    source = Failing([lesson("one")])
    with pytest.raises(SourceError, match="gone"):
        sync(source, tmp_path)
    assert set(tips(tmp_path)) == {"Remember one."}
    assert source.asked == []


# afterwards


def test_a_late_verdict_updates_the_evidence_without_a_model_call(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    source = ListedSource([lesson("one"), lesson("two", at=1)])
    sync(source, tmp_path)
    before, calls = commits(tmp_path), len(scripted.requests)
    source.said["trace", "one"] = [says("incorrect", explanation="wrong order")]
    later(3)
    report = sync(source, tmp_path)
    assert evidence(tmp_path) == {
        "Remember one.": [("failure", "HUMAN annotation 'correctness' of the trace")],
        "Remember two.": [("unknown", "")],
    }
    assert len(scripted.requests) == calls
    assert records(tmp_path)["one"]["outcome"]["detail"] == "incorrect: wrong order"
    assert report.states["learned"] == 2
    assert report.to_json()["outcomes"]["updated"] == 1
    with open_data_dir(tmp_path) as store:
        made = [commit for commit in store.commits("kaizen", after=before) if len(commit.changes) > 0]
        assert [commit.reason for commit in made] == ["outcome judged", "how far the sync has come"]
        assert {change.entity_id.partition(":")[0] for change in made[0].changes} >= {"trajectory"}
        assert len(made[0].changes) == 3, "the record, the tip and its evidence"
        (run,) = [e for e in store.iterate("kaizen", type="run") if e.metadata["outcomes"]["updated"]]
        assert run.metadata["run_id"] == report.run_id == made[0].run_id


def test_a_verdict_that_is_withdrawn_brings_back_what_the_spans_tell(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    source = ListedSource([lesson("one", failed=True)])
    source.said["trace", "one"] = [says("correct")]
    sync(source, tmp_path)
    source.said["trace", "one"] = []
    later(3)
    assert sync(source, tmp_path).outcomes_updated == 1
    assert evidence(tmp_path)["Remember one."] == [("failure", "status of AGENT span 'ChatCompletion'")]
    assert records(tmp_path)["one"]["state"] == "learned"


def test_a_verdict_on_a_part_counts_for_the_whole_story(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    session = {"session.id": "s1"}
    source = ListedSource([lesson("first", **session), lesson("last", at=5, **session)])
    sync(source, tmp_path)
    source.said["trace", "first"] = [says("correct")]
    later(3)
    assert sync(source, tmp_path).outcomes_updated == 1
    assert {one for said in evidence(tmp_path).values() for one in said} == {
        ("success", "HUMAN annotation 'correctness' of the trace")
    }
    # Of the session it is said of each of its traces; what a person says of a trace goes before.
    source.said["session", "s1"] = [says("incorrect", target="session")]
    source.said["trace", "first"] = []
    later(9)
    sync(source, tmp_path)
    later(30)
    sync(source, tmp_path)
    assert {one for said in evidence(tmp_path).values() for one in said} == {
        ("failure", "HUMAN annotation 'correctness' of the session")
    }


def test_the_store_is_the_same_whether_a_part_was_judged_before_or_after(
    scripted: ModelServer, tmp_path: Path
) -> None:
    session = {"session.id": "s1"}
    first, last = lesson("first", **session), lesson("last", at=5, **session)
    source = ListedSource([first, last])
    source.said["trace", "first"] = [says("correct")]
    sync(source, tmp_path / "together")
    source.traces = {"last": last}
    sync(source, tmp_path / "apart")
    source.traces = {"last": last, "first": first}
    sync(source, tmp_path / "apart")
    assert evidence(tmp_path / "apart") == evidence(tmp_path / "together")


def test_only_this_storys_evidence_follows(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    other = replace(lesson("one", at=7), trace_id="again")
    other = replace(other, spans=tuple(replace(s, trace_id="again", span_id="again-1") for s in other.spans))
    source = ListedSource([lesson("one"), other])
    sync(source, tmp_path)
    assert len(evidence(tmp_path)["Remember one."]) == 2
    source.said["trace", "again"] = [says("incorrect")]
    later(3)
    sync(source, tmp_path)
    assert sorted(outcome for outcome, _ in evidence(tmp_path)["Remember one."]) == ["failure", "unknown"]


def test_a_sync_with_nothing_new_asks_once_where_something_is_due(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    source = ListedSource([lesson(f"n{n}", at=n, **{"session.id": f"s{n}"}) for n in range(3)])
    sync(source, tmp_path)
    asked = []
    version = commits(tmp_path)
    assert (sync(source, tmp_path).reading, source.asked, commits(tmp_path)) == ("nothing", [], version)
    later(3)
    for _ in range(5):
        assert sync(source, tmp_path).reading == "nothing"
        asked.append([(target, len(ids)) for target, ids in source.asked])
    assert asked == [[("trace", 3)], [("session", 3)], [("span", 3)], [], []]
    # The next round, and the last; then never again.
    later(24)
    assert [len(source.asked) for _ in range(4) if sync(source, tmp_path)] == [1, 1, 1, 0]
    later(24 * 8)
    assert [len(source.asked) for _ in range(4) if sync(source, tmp_path)] == [1, 1, 1, 0]
    later(24 * 300)
    version = commits(tmp_path)
    assert (sync(source, tmp_path).reading, source.asked, commits(tmp_path)) == ("nothing", [], version)


def test_with_many_traces_a_sync_goes_on_where_the_one_before_stopped(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "_PAGE", 2)
    source = ListedSource([lesson(f"n{n}", at=n) for n in range(5)])
    sync(source, tmp_path)
    later(3)
    asked: list[str] = []
    for _ in range(7):
        sync(source, tmp_path)
        asked += [one for target, ids in source.asked for one in ids if target == "trace"]
    assert sorted(asked) == [f"n{n}" for n in range(5)]
    assert len(set(asked)) == len(asked)


def test_a_wait_of_nothing_asks_never_again(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    source = ListedSource([lesson("one")])
    sync(source, tmp_path, outcome_wait_s=0.0)
    later(24)
    sync(source, tmp_path, outcome_wait_s=0.0)
    assert source.asked == []


def test_a_trace_of_which_nothing_was_learned_for_its_error_is_not_asked_for(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    source = ListedSource([lesson("raised", failed=True)])
    sync(source, tmp_path)
    later(24)
    sync(source, tmp_path)
    assert source.asked == []


def test_what_another_commits_meanwhile_is_kept(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    source = ListedSource([lesson("one")])
    sync(source, tmp_path)
    later(3)

    def approve(store: Store) -> None:
        """Somebody changes the tip just while it is asked."""
        (entity,) = store.iterate("kaizen", type="guideline")
        tip = StoredTip.of(entity)
        store.commit("kaizen", replace(tip, metadata={**tip.metadata, "note": "mine"}).to_changes())

    class Busy(ListedSource):
        def annotations(self, target: Target, ids: Any) -> Any:
            with open_data_dir(tmp_path) as store:
                approve(store)
                store.commit("kaizen", [Put(id="unrelated", type="note", content="")])
            return super().annotations(target, ids)

    busy = Busy(list(source.traces.values()))
    busy.said["trace", "one"] = [says("incorrect")]
    report = sync(busy, tmp_path)
    assert report.outcomes_updated == 1
    assert evidence(tmp_path)["Remember one."][0][0] == "failure"
    assert tips(tmp_path)["Remember one."]["note"] == "mine"
    assert sync(busy, tmp_path).outcomes_updated == 0


def test_a_source_that_cannot_be_asked_again_fails_no_sync(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    source = ListedSource([lesson("one")])
    sync(source, tmp_path)
    later(3)

    class Silent(ListedSource):
        def annotations(self, target: Target, ids: Any) -> Any:
            raise SourceError("too busy")

    assert not sync(Silent(list(source.traces.values())), tmp_path).is_failure
    assert "too busy" in caplog.text
    source.said["trace", "one"] = [says("correct")]
    assert sync(source, tmp_path).outcomes_updated == 1


def test_a_source_that_says_nothing_is_left_alone(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    class Plain(ListedSource):
        annotations: Any = property()

    source = Plain([lesson("one")])
    sync(source, tmp_path)
    with open_data_dir(tmp_path) as store:
        assert store.get("kaizen", "checkpoint:listed:stories").metadata["asks"] == []


def test_where_inner_spans_count_no_more_spans_are_asked_for_at_once(
    scripted: ModelServer, tmp_path: Path, later: Callable[[float], None]
) -> None:
    rules = OutcomeRules(include_inner_spans=True)
    traces = []
    for number in range(3):
        trace = lesson(f"n{number}", at=number)
        inner = [
            replace(trace.spans[0], span_id=f"{number}-{n}", kind="CHAIN", parent_id="root", attributes={})
            for n in range(60)
        ]
        traces.append(replace(trace, spans=(trace.spans[0], *inner)))
    source = ListedSource(traces)
    sync(source, tmp_path, outcome_rules=rules)
    later(3)
    asked = []
    for _ in range(6):
        sync(source, tmp_path, outcome_rules=rules)
        asked += [(target, len(ids)) for target, ids in source.asked]
    assert asked == [("trace", 1), ("span", 61)] * 3


# tips that were shown


def told_tip(word: str, text: str, *, at: int) -> Trace:
    """A run that is told a text first, `at` minutes from now."""
    messages = [{"role": "system", "content": text}, {"role": "user", "content": f"Go on with {word}."}]
    minutes = (datetime.now(UTC) - datetime(2026, 1, 1, 12, tzinfo=UTC)).total_seconds() / 60
    return one_call(word, int(minutes) + at, messages, "Done.")


SHOWN = "Never forget what LESSON-alpha says about the order."


@pytest.mark.parametrize(
    ("text", "at", "learned"),
    [
        (f"Tips:\n- {SHOWN}", 60, False),
        (f"Tips:\n- {SHOWN}\nBy the way: LESSON-alpha", 60, True),
        (f"Tips:\n- {SHOWN}", -60, True),
    ],
)
def test_a_lesson_that_is_only_in_a_tip_that_was_shown_is_not_learned(
    scripted: ModelServer, tmp_path: Path, text: str, at: int, learned: bool
) -> None:
    with open_data_dir(tmp_path) as store:
        store.create_namespace("kaizen")
        known = Put(id="known", type="guideline", content=SHOWN, metadata={"creation_mode": "manual"})
        store.commit("kaizen", [known])
    source = ListedSource([told_tip("one", text, at=at)])
    report = sync(source, tmp_path, max_wait_s=0.1)
    record = records(tmp_path)["one"]
    assert record["shown_tip_ids"] == (["known"] if at > 0 else [])
    assert set(tips(tmp_path)) == {SHOWN, *(["Remember alpha."] if learned else [])}
    if learned:
        assert record["state"] == "learned"
    else:
        assert (record["state"], record["reason"]) == ("no_lesson", "its tips were shown to the agent")
    dropped = {} if learned else {"was shown to the agent": 1}
    assert report.to_json()["tips_dropped"] == record["tips_dropped"] == dropped


def test_a_tip_that_was_shown_gains_support_only_from_what_the_run_shows_itself(
    scripted: ModelServer, tmp_path: Path
) -> None:
    sync(ListedSource([lesson("alpha")]), tmp_path)
    page = "Tips:\n- Remember alpha.\n"
    run = told_tip("one", page, at=60)
    repeated = told_tip("two", f"{page}Ask about LESSON-alpha.", at=61)
    source = ListedSource([lesson("alpha"), run, repeated])
    sync(source, tmp_path, max_wait_s=0.1)
    assert tips(tmp_path)["Remember alpha."]["support"] == 2
    assert [len(records(tmp_path)[one]["shown_tip_ids"]) for one in ("alpha", "one", "two")] == [0, 1, 1]


# against a real Phoenix


def annotate(phoenix: PhoenixServer, target: str, **data: Any) -> None:
    answer = httpx.post(
        f"{phoenix.url}/v1/{target}_annotations?sync=true", json={"data": [data]}, trust_env=False, timeout=30
    )
    answer.raise_for_status()


def test_what_people_say_of_a_run_reaches_the_model_the_record_and_the_evidence(
    phoenix: PhoenixServer,
    project: str,
    scripted: ModelServer,
    tmp_path: Path,
    later: Callable[[float], None],
) -> None:
    session = f"s-{secrets.token_hex(4)}"
    spans = {word: lesson_span(word) for word in ("trace", "span", "session", "plain")}
    spans["session"]["attributes"]["session.id"] = session
    send_spans(phoenix.url, project, list(spans.values()))
    ids = {word: span["context"] for word, span in spans.items()}
    result = {"label": "correct", "score": 1.0, "explanation": "the customer said so"}
    human = {"name": "correctness", "annotator_kind": "HUMAN", "result": result}
    annotate(phoenix, "trace", trace_id=ids["trace"]["trace_id"], **human)
    annotate(phoenix, "span", span_id=ids["span"]["span_id"], **human)
    wait_until(lambda: annotate(phoenix, "session", session_id=session, **human) is None, what="session")
    first = run_sync(phoenix.url, project, tmp_path)
    assert evidence(tmp_path) == {
        **{
            f"Remember {word}.": [("success", f"HUMAN annotation 'correctness' of the {word}")]
            for word in ("trace", "span", "session")
        },
        "Remember plain.": [("unknown", "")],
    }
    prompts = [r.body["messages"][-1]["content"] for r in scripted.requests if r.schema_name == "kaizen_tips"]
    said = "success, judged by \"HUMAN annotation 'correctness' of the"
    assert sum(said in prompt and "the customer said so" in prompt for prompt in prompts) == 3
    # projects, the newest row, the index, the spans, and what is said of traces, of sessions and of spans
    assert first.requests == 7
    annotate(phoenix, "span", span_id=ids["plain"]["span_id"], **{**human, "result": {"label": "wrong"}})
    assert run_sync(phoenix.url, project, tmp_path).requests == 2
    later(3)
    requests = [run_sync(phoenix.url, project, tmp_path).requests for _ in range(4)]
    assert requests == [3, 3, 3, 2]
    assert evidence(tmp_path)["Remember plain."] == [
        ("failure", "HUMAN annotation 'correctness' of the span")
    ]
