"""Outages cost nothing but time, and what goes wrong with one trace stops no other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.faults import Fault
from kaizen.store import UnavailableError
from kaizen.sync import SyncSettings, retry_failed
from kaizen.sync.errors import ModelUnavailableError
from kaizen.sync.generate.generate import generate_tips
from kaizen.sync.run import generation, pipeline, prepare
from kaizen.sync.run.budget import Budget
from kaizen.sync.run.commits import Planner
from kaizen.sync.run.evidence import Evidence
from kaizen.sync.run.stories import LinkedStory
from kaizen.sync.state.ledger import Ledger
from tests.support.listed import ListedSource, one_call
from tests.support.syncing import make_sync, open_data_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.sync import Report
    from kaizen.sync.model import Trace

POISON = "p" * 32
WORDS = ("alpha", "beta", "gamma", "delta")


def lesson(trace_id: str, at: int, word: str) -> Trace:
    return one_call(trace_id, at, [{"role": "user", "content": f"What is LESSON-{word} about?"}], word)


def lessons(count: int) -> list[Trace]:
    return [lesson(f"t{number:02}", number, f"n{number}") for number in range(count)]


def synced(data_dir: Path, traces: list[Trace], **settings: Any) -> Report:
    with open_data_dir(data_dir) as store:
        return make_sync(ListedSource(traces), store, **settings).run()


def stored(data_dir: Path) -> dict[str, dict[str, Any]]:
    with open_data_dir(data_dir) as store:
        found = [dict(entity.metadata) for entity in store.iterate("kaizen", type="trajectory")]
    return {str(metadata["trace_id"]): metadata for metadata in found}


# an outage


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=500),
        Fault(kind="status", status=429),
        Fault(kind="status", status=503),
        Fault(kind="cut"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_an_outage_of_five_syncs_costs_nothing_but_time(
    fault: Fault, scripted: ModelServer, tmp_path: Path
) -> None:
    traces = lessons(10)
    scripted.fail(fault, times=None)
    for _ in range(5):
        scripted.clear()
        report = synced(tmp_path, traces, concurrency=1)
        assert dict(report.states) == {"deferred": 10}
        assert report.reasons == {("deferred", "the model is unavailable"): 10}
        assert "openai/gpt-4.1-mini" in report.refusal
        assert report.is_failure
        # A model that asks to be called less often is not asked whether it is up.
        asked = 3 if fault.status == 429 else 4
        assert len(scripted.requests) == asked, "it stops at once"
    assert stored(tmp_path) == {}

    scripted.heal()
    report = synced(tmp_path, traces)
    assert dict(report.states) == {"learned": 10}
    assert (report.refusal, report.is_failure) == ("", False)


def test_a_model_that_is_too_slow_is_unavailable(scripted: ModelServer, tmp_path: Path) -> None:
    scripted.fail(Fault(kind="hang"), times=None)
    with open_data_dir(tmp_path) as store:
        sync = make_sync(ListedSource(lessons(5)), store, concurrency=1)
        sync._tips_model.settings = sync._tips_model.settings.model_copy(update={"timeout_s": 0.2})
        report = sync.run()
    assert dict(report.states) == {"deferred": 5}
    assert len(scripted.requests) == 4


@pytest.mark.parametrize("concurrency", [1, 4])
def test_prompts_that_a_model_always_fails_on_count_as_failed_and_end_no_run(
    scripted: ModelServer, tmp_path: Path, concurrency: int
) -> None:
    poisoned = [lesson(f"p{number}", number, f"poison{number}") for number in range(8)]
    traces = [*poisoned, *(lesson(f"t{number}", 10 + number, f"n{number}") for number in range(4))]
    scripted.fail(Fault(kind="status", status=500, contains="LESSON-poison"), times=None)
    for attempt in range(1, 4):
        report = synced(tmp_path, traces, concurrency=concurrency, max_attempts=3)
        assert report.states == {"learned": 4, "failed": 8}, attempt
        assert report.refusal == ""
        failed = [metadata for metadata in stored(tmp_path).values() if metadata["state"] == "failed"]
        assert {metadata["attempts"] for metadata in failed} == {attempt}
        assert all(metadata["reason"].endswith("it answers other prompts") for metadata in failed)

    scripted.clear()
    report = synced(tmp_path, traces, concurrency=concurrency, max_attempts=3)
    assert report.states == {"learned": 4, "failed": 8}
    assert scripted.requests == []


def test_an_outage_now_and_then_ends_no_run_and_counts_no_attempt(
    scripted: ModelServer, tmp_path: Path
) -> None:
    traces = lessons(8)
    for number in range(0, 8, 2):
        scripted.fail(Fault(kind="status", status=503, contains=f"LESSON-n{number}"), times=2)
    report = synced(tmp_path, traces, concurrency=1)
    assert dict(report.states) == {"deferred": 4, "learned": 4}
    assert "503" in report.refusal or "ServiceUnavailable" in report.refusal
    assert report.is_failure
    scripted.heal()
    assert dict(synced(tmp_path, traces).states) == {"learned": 8}


def test_a_failed_trace_keeps_its_attempts_through_an_outage(scripted: ModelServer, tmp_path: Path) -> None:
    traces = lessons(1)
    scripted.fail(Fault(kind="nonsense"), times=2)
    assert synced(tmp_path, traces).failures[0].attempts == 1
    scripted.fail(Fault(kind="status", status=500), times=None)
    for _ in range(5):
        synced(tmp_path, traces)
        assert stored(tmp_path)["t00"]["attempts"] == 1
    scripted.heal()
    assert dict(+synced(tmp_path, traces).states) == {"learned": 1}


def test_an_outage_while_tips_are_compared_leaves_the_story_for_later(
    scripted: ModelServer, tmp_path: Path
) -> None:
    traces = lessons(8)
    scripted.fail(Fault(kind="status", status=503, schema="kaizen_reconcile"), times=None)
    # Else it would be these prompts that fail, and not the model.
    scripted.fail(Fault(kind="status", status=503, contains="Answer with the word"), times=None)
    for _ in range(5):
        report = synced(tmp_path, traces, concurrency=1)
        assert (report.states["learned"], report.states["failed"]) == (1, 0)
    assert report.is_failure
    scripted.heal()
    assert dict(synced(tmp_path, traces).states) == {"learned": 8}


def test_a_story_whose_last_call_is_gone_waits_for_the_model_without_an_attempt(
    scripted: ModelServer, tmp_path: Path
) -> None:
    """Nothing of the story is new, and only as a failed trace is it found again."""
    asked = [{"role": "user", "content": "What is LESSON-a about?"}]
    first = one_call("t0", 0, asked, "About a.")
    more = [*asked, {"role": "assistant", "content": "About a."}, {"role": "user", "content": "LESSON-b?"}]
    synced(tmp_path, [first, one_call("t1", 1, more, "About b.")])
    other = one_call("t1", 1, [{"role": "user", "content": "What is LESSON-c about?"}], "About c.")
    changed = pipeline.replace(other, spans=(pipeline.replace(other.spans[0], span_id="another"),))
    scripted.fail(Fault(kind="status", status=503), times=None)
    for _ in range(6):
        synced(tmp_path, [first, changed], full=True)
        record = stored(tmp_path)["t0"]
        assert (record["state"], record["attempts"]) == ("failed", 0)
    scripted.heal()
    assert dict(+synced(tmp_path, [first, changed]).states) == {"learned": 2}


def test_after_a_stop_nothing_is_asked_again_and_waits(scripted: ModelServer, tmp_path: Path) -> None:
    scripted.fail(Fault(kind="nonsense"), times=None)
    with open_data_dir(tmp_path) as store:
        sync = make_sync(ListedSource(lessons(3)), store, concurrency=1)
        complete = sync._tips_model._complete

        def stop_meanwhile(*arguments: Any) -> Any:
            answer = complete(*arguments)
            sync.stop()
            return answer

        sync._tips_model._complete = stop_meanwhile  # type: ignore[method-assign]
        report = sync.run()
    assert len(scripted.requests) == 1
    assert report.reasons == {("deferred", "sync was stopped"): 3}
    assert (report.stopped, report.refusal) == (True, "")
    assert stored(tmp_path) == {}


def test_calls_end_after_three_outages_in_a_row_and_an_answer_starts_the_count_again() -> None:
    budget = Budget(SyncSettings(), None)  # type: ignore[arg-type]  # no price is asked for

    asked: list[None] = []

    def unavailable() -> None:
        raise ModelUnavailableError("down")

    def is_up() -> bool:
        asked.append(None)
        return False

    for outages in (2, 2, 3):
        assert budget.ask(lambda: "answer", is_up) == "answer"
        for _ in range(outages):
            assert budget.halt_reason() == ""
            with pytest.raises(ModelUnavailableError):
                budget.ask(unavailable, is_up)
    assert budget.halt_reason() == "the model is unavailable"
    with pytest.raises(ModelUnavailableError, match="down"):
        budget.ask(lambda: pytest.fail("it is not asked any more"), is_up)
    assert len(asked) == 1


# one poisoned trace


def poison(name: str, function: Callable[..., Any], is_poisoned: Callable[..., bool]) -> Callable[..., Any]:
    def poisoned(*arguments: Any, **named: Any) -> Any:
        if is_poisoned(*arguments):
            raise UnicodeEncodeError("utf-8", f"x{chr(0xD800)}", 1, 2, f"poisoned {name}")
        return function(*arguments, **named)

    return poisoned


def of_result(_: Any, result: Any, *rest: Any) -> bool:
    return POISON in result.linked.trace_ids and result.state != "failed"


def in_batch(_: Any, prepared: Any, *rest: Any) -> bool:
    return any(trace.trace_id == POISON for trace in prepared)


def in_content(_: Any, changes: Any, *rest: Any) -> bool:
    return any(POISON in change.id and change.content for change in changes if hasattr(change, "content"))


STEPS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "cleaning": (pipeline, "clean_trace", lambda trace: trace.trace_id == POISON),
    "trajectory": (prepare, "build_trajectory", lambda trace: trace.trace_id == POISON),
    "description": (prepare, "describe", lambda trajectory, _: trajectory.trace_id == POISON),
    "linking": (pipeline.Linker, "link_stories", in_batch),
    "joining": (LinkedStory, "trajectory", lambda linked: linked.story.head == POISON),
    "generation": (generation, "generate_tips", lambda trajectory, _: trajectory.trace_id == POISON),
    "evidence": (Evidence, "shown", lambda _, linked, __: linked.story.head == POISON),
    "comparing ahead": (Planner, "prefetch_question", of_result),
    "comparison": (Planner, "question", of_result),
    "planning": (Planner, "plan", of_result),
    "commit": (Ledger, "commit", in_content),
}
PARKS = [step for step in STEPS if step != "comparing ahead"]


@pytest.fixture
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    where, name, is_poisoned = STEPS[request.param]
    monkeypatch.setattr(where, name, poison(request.param, getattr(where, name), is_poisoned))
    return str(request.param)


@pytest.mark.parametrize("step", PARKS, indirect=True)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_step_that_fails_for_one_trace_fails_that_trace_alone(
    step: str, concurrency: int, scripted: ModelServer, tmp_path: Path
) -> None:
    traces = [lesson(word, at, word) for at, word in enumerate(WORDS)]
    traces.insert(2, lesson(POISON, 10, "poison"))
    for attempt in (1, 2):
        report = synced(tmp_path, traces, concurrency=concurrency, max_attempts=2)
        assert dict(report.states) == {"learned": len(WORDS), "failed": 1}
        assert [(one.trace_id, one.attempts) for one in report.failures] == [(POISON, attempt)]
        assert f"poisoned {step}" in report.failures[0].reason
    scripted.clear()
    report = synced(tmp_path, traces, max_attempts=2)
    assert "given up" in report.failures[0].reason
    assert scripted.requests == []
    with open_data_dir(tmp_path) as store:
        assert {e.content for e in store.iterate("kaizen", type="guideline")} == {
            f"Remember {word}." for word in WORDS
        }


@pytest.mark.parametrize("step", ["comparing ahead"], indirect=True)
def test_what_fails_ahead_of_its_turn_fails_nobody(step: str, scripted: ModelServer, tmp_path: Path) -> None:
    traces = [*(lesson(word, at, word) for at, word in enumerate(WORDS)), lesson(POISON, 10, "poison")]
    assert dict(synced(tmp_path, traces).states) == {"learned": len(traces)}


@pytest.mark.parametrize("step", PARKS, indirect=True)
def test_a_parked_trace_is_learned_from_once_it_is_mended(
    step: str, scripted: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = [lesson(POISON, 0, "poison"), lesson("alpha", 1, "alpha")]
    synced(tmp_path, traces, max_attempts=1)
    monkeypatch.undo()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", scripted.base_url)
        patch.setenv("OPENAI_API_KEY", "scripted")
        with open_data_dir(tmp_path) as store:
            assert retry_failed(store, "kaizen") == [POISON]
        assert dict(+synced(tmp_path, traces, max_attempts=1).states) == {"learned": 2}


def test_an_annotation_that_cannot_be_read_keeps_no_trace_from_being_learned(
    scripted: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("poisoned annotation")

    monkeypatch.setattr(ListedSource, "annotations", broken)
    assert dict(synced(tmp_path, lessons(3)).states) == {"learned": 3}
    assert dict(synced(tmp_path, lessons(3)).states) == {"learned": 3}


# the order


def test_failed_traces_are_tried_again_oldest_first(scripted: ModelServer, tmp_path: Path) -> None:
    traces = [lesson(f"t{9 - number}", number, f"n{number}") for number in range(6)]
    scripted.fail(Fault(kind="nonsense"), times=None)
    assert synced(tmp_path, traces, concurrency=1).states["failed"] == 6
    scripted.heal()
    scripted.clear()
    report = synced(tmp_path, traces, concurrency=1)
    assert (report.reading, report.states["learned"]) == ("recent", 6)
    asked = [str(r.body["messages"][1]) for r in scripted.requests if r.schema_name == "kaizen_tips"]
    assert [f"LESSON-n{number}" in text for number, text in enumerate(asked)] == [True] * 6


@pytest.mark.parametrize("lost", range(1, 5))
def test_a_store_that_comes_back_within_a_run_gets_no_story_before_an_earlier_one(
    lost: int, scripted: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, done = Ledger.commit, []

    def gone_once(self: Ledger, changes: Any, **named: Any) -> bool:
        if named["reason"].startswith("trace "):
            done.append(named["reason"])
            if len(done) == lost:
                for _ in range(6):
                    assert generated.acquire(timeout=10), "the later ones are ready to be committed"
                raise UnavailableError("the database restarts")
        return commit(self, changes, **named)

    generated = threading.Semaphore(0)
    monkeypatch.setattr(Ledger, "commit", gone_once)

    def generate(*arguments: Any) -> Any:
        made = generate_tips(*arguments)
        generated.release()
        return made

    monkeypatch.setattr(generation, "generate_tips", generate)
    with pytest.raises(UnavailableError, match="restarts"):
        synced(tmp_path, lessons(6), concurrency=4)
    assert list(stored(tmp_path)) == [f"t{number:02}" for number in range(lost - 1)]
    assert dict(synced(tmp_path, lessons(6)).states) == {"learned": 6}


def test_a_state_that_cannot_be_committed_keeps_no_other_from_it(
    scripted: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traces that nothing can be learned from are committed together, else one by one."""
    commit = Ledger.commit
    monkeypatch.setattr(
        Ledger,
        "commit",
        poison("state", commit, lambda _, changes: any(POISON in change.id for change in changes)),
    )
    failing = [lesson(trace_id, at, "x") for at, trace_id in enumerate(["a", POISON, "b"])]
    monkeypatch.setattr(
        prepare, "build_trajectory", poison("trajectory", prepare.build_trajectory, lambda _: True)
    )
    report = synced(tmp_path, failing)
    assert dict(report.states) == {"failed": 2, "deferred": 1}
    assert set(stored(tmp_path)) == {"a", "b"}
