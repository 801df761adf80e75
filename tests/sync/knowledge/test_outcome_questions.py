"""Runs of one task that ended differently: a model is asked about each way of failing once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import Fault, ModelServer, Scenarios
from kaizen.store import StoreSettings, open_store
from kaizen.sync import ModelSettings, Sync, SyncSettings, undo_run
from kaizen.sync.generate.condense import estimated_tokens
from kaizen.sync.generate.offline.claims import PastCall
from kaizen.sync.generate.offline.differing import find_differences
from kaizen.sync.knowledge.outcome_questions import EndedStory, OutcomeQuestions, choose_pairs
from kaizen.sync.model import Annotation
from kaizen.sync.run import pipeline
from kaizen.tips.tip import StoredTip
from tests.support.listed import ListedSource, one_call
from tests.sync.knowledge.test_outcome_claims import Later, N, bad, good, run, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.store import Store
    from kaizen.sync import Report
    from kaizen.sync.model import Trace

MODEL = "openai/gpt-4.1-mini"
TIP = {
    "content": "Call `check_fraud` before calling `wire_money`, and stop if the account is blocked.",
    "category": "strategy",
    "rationale": "Only the checked payment went through.",
    "trigger": "An invoice is to be paid.",
    "implementation_steps": ["Call `check_fraud` with the account.", "Call `wire_money`."],
    "task_description": "Paying invoices.",
    "quote": "check_fraud({",
    "finding": 1,
}
PAIR = [*good("s1"), *bad("f1")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        yield store


def answers(server: ModelServer, *tips: dict[str, Any]) -> None:
    """Let the model give these tips for any two runs, and none for one."""
    rules = [{"pattern": "The run that failed:", "answer": tip} for tip in tips]
    server.scenarios = Scenarios.from_json({"comparisons": rules})


def make_sync(source: ListedSource, store: Store, **settings: Any) -> Sync:
    models = ModelSettings(tips_model=MODEL, reconcile_model=MODEL, timeout_s=10, attempts=1)
    return Sync(
        source, store, SyncSettings(namespace_id=N, quiet_s=0.0, include_errors=True, **settings), models
    )


def sync(source: ListedSource, store: Store, **settings: Any) -> Report:
    return make_sync(source, store, **settings).run()


def asked(server: ModelServer) -> list[str]:
    """Return the questions about two runs."""
    found = (one for one in server.requests if one.schema_name == "kaizen_compare")
    return [one.body["messages"][-1]["content"] for one in found]


def tips(store: Store) -> list[StoredTip]:
    return [StoredTip.of(entity) for entity in store.iterate(N, type="guideline")]


def test_a_failed_run_is_compared_once_with_one_of_the_same_task_that_succeeded(
    server: ModelServer, store: Store
) -> None:
    answers(server, TIP)
    source = source_of(*PAIR)
    report = sync(source, store)
    [question] = asked(server)
    assert question.index("The run that succeeded:\n<run>") < question.index("The run that failed:\n<run>")
    assert "finding 1]\n`check_fraud`, called with success in one of the runs only." in question
    assert 'In the run that succeeded: step 4: check_fraud({"account": "account of s1"}).' in question
    assert "In the other: never." in question
    [tip] = tips(store)
    assert (tip.content, tip.status, tip.support) == (TIP["content"], "active", 2)
    assert tip.support_by == {"success": 1, "failure": 1}
    assert tip.metadata["prompt_version"] == "compare-1"
    quotes = {one.trace_id: one.quote for one in tip.evidence}
    assert quotes["s1"] == "check_fraud({"
    assert quotes["f1"] == 'wire_money({"account": "account of f1"})'
    assert all(one.verified for one in tip.evidence)
    assert (report.compared, report.tips["created"], report.model_calls) == (1, 1, 3)
    assert report.states == Counter(learned=2)

    server.clear()
    assert sync(source, store).model_calls == 0
    source.traces |= source_of(*bad("f2")).traces
    source.said["trace", "f2"] = [Annotation(target="trace", name="correctness", label="incorrect")]
    sync(source, store)
    assert asked(server) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param([*good("s1", "s2")], id="none failed"),
        pytest.param([*bad("f1", "f2")], id="none succeeded"),
        pytest.param([(run("s1", "wire_money"), ""), *bad("f1")], id="the outcome of one is unknown"),
        pytest.param([(run("s1", "get_account", "wire_money"), "correct"), *bad("f1")], id="no difference"),
        pytest.param(
            [
                (run("s1", "check_fraud", "wire_money", offered=["check_fraud", "wire_money"]), "correct"),
                *bad("f1"),
            ],
            id="other tools",
        ),
    ],
)
def test_nothing_is_asked_where_nothing_can_be_compared(
    judged: list[tuple[Trace, str]], server: ModelServer, store: Store
) -> None:
    answers(server, TIP)
    assert sync(source_of(*judged), store).compared == 0
    assert asked(server) == []


def test_an_outcome_that_is_known_later_makes_the_question(
    server: ModelServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(server, TIP)
    source = source_of(*good("s1"), *((trace, "") for trace, _ in bad("f1")))
    sync(source, store)
    assert asked(server) == []
    source.said["trace", "f1"] = [Annotation(target="trace", name="correctness", label="incorrect")]
    monkeypatch.setattr(pipeline, "Rejudging", Later)
    sync(source, store)
    assert len(asked(server)) == 1
    [tip] = tips(store)
    assert tip.support == 2


def test_another_way_of_failing_is_another_question(server: ModelServer, store: Store) -> None:
    answers(server)
    other = run("f2", "get_account", "wire_money", "wire_money!", "close_account")
    sync(source_of(*PAIR, (other, "incorrect")), store)
    assert len(asked(server)) == 2
    assert "`close_account`, called in one of the runs only." in "".join(asked(server))


def test_an_outage_loses_no_question(server: ModelServer, store: Store) -> None:
    answers(server, TIP)
    server.fail(Fault(kind="status", status=503, schema="kaizen_compare"), times=None)
    source = source_of(*PAIR)
    report = sync(source, store)
    assert (report.compared, tips(store)) == (0, [])
    assert report.states == Counter(no_lesson=2)
    server.heal()
    server.clear()
    assert sync(source, store).compared == 1
    assert len(server.requests) == 1
    [tip] = tips(store)
    assert tip.support == 2
    server.clear()
    assert sync(source, store).model_calls == 0


def test_an_unusable_answer_is_counted_and_not_asked_for_again(server: ModelServer, store: Store) -> None:
    answers(server, TIP)
    server.fail(Fault(kind="nonsense", schema="kaizen_compare"), times=None)
    source = source_of(*PAIR)
    report = sync(source, store)
    assert report.tips_dropped == {"no usable answer": 1}
    server.heal()
    server.clear()
    assert sync(source, store).model_calls == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("The failed run did not call `check_fraud` before `wire_money`.", "retells the run"),
        ("Fraud check", "says less than the run shows"),
        ("Be careful with invoices.", "says less than the run shows"),
    ],
)
def test_what_retells_or_names_no_call_is_dropped(
    content: str, reason: str, server: ModelServer, store: Store
) -> None:
    answers(server, {**TIP, "content": content, "implementation_steps": []})
    report = sync(source_of(*PAIR), store)
    assert tips(store) == []
    assert report.tips_dropped == {reason: 1}


def test_values_of_either_run_do_not_stay_in_a_tip(server: ModelServer, store: Store) -> None:
    told = "Call `check_fraud` before `wire_money` for jo@firm.example, and not for al@shop.example."
    answers(server, {**TIP, "content": told})

    def paying(trace_id: str, who: str, *tools: str) -> Trace:
        return run(trace_id, *tools, told=[{"role": "user", "content": f"Pay the invoice of {who}."}])

    succeeded = paying("s1", "jo@firm.example", "get_account", "check_fraud", "wire_money")
    failed = paying("f1", "al@shop.example", "get_account", "wire_money")
    sync(source_of((succeeded, "correct"), (failed, "incorrect")), store)
    [tip] = tips(store)
    assert tip.content == (
        "Call `check_fraud` before `wire_money` for <e-mail address>, and not for <e-mail address>."
    )


def test_a_question_has_a_bounded_length(server: ModelServer, store: Store) -> None:
    answers(server)
    long = {"role": "user", "content": "Pay quickly. " * 20_000}
    traces = [run("s1", "check_fraud", "wire_money", told=[long]), run("f1", "wire_money", told=[long])]
    sync(source_of((traces[0], "correct"), (traces[1], "incorrect")), store)
    [question] = asked(server)
    assert 4_000 < estimated_tokens(question) <= 8_100


def test_a_tip_that_is_known_already_gains_what_backs_it(server: ModelServer, store: Store) -> None:
    answers(server, TIP)
    sync(source_of(*PAIR), store)
    # Another way of failing teaches the same.
    sync(source_of(*PAIR, (run("f2", "wire_money", "close_account"), "incorrect")), store)
    [tip] = tips(store)
    assert len(asked(server)) == 2
    assert (tip.support, tip.support_by) == (3, {"success": 1, "failure": 2})


def test_undoing_the_run_takes_the_tip_and_the_question_back(server: ModelServer, store: Store) -> None:
    answers(server, TIP)
    source = source_of(*PAIR)
    before = {entity.id for entity in store.iterate(N)} if store.list_namespaces() else set()
    report = sync(source, store)
    undo_run(store, N, report.run_id)
    assert tips(store) == []
    left = {entity.id for entity in store.iterate(N) if entity.type in ("comparison", "evidence")}
    assert left - before == set()
    server.clear()
    sync(source, store)
    assert len(asked(server)) == 1
    assert [tip.support for tip in tips(store)] == [2]


def test_a_preview_counts_the_questions(server: ModelServer, store: Store) -> None:
    answers(server, TIP)
    preview = make_sync(source_of(*PAIR), store, dry_run=True).preview()
    assert server.requests == []
    assert preview.to_json()["comparisons"] == 1
    assert preview.prompt_tokens > sum(preview.tokens.values())
    sync(source_of(*PAIR), store)
    again = make_sync(source_of(*PAIR, *bad("f2")), store, dry_run=True).preview()
    assert (list(again.tokens), again.compared) == (["f2"], [])


def test_relearning_asks_again_and_changes_nothing(server: ModelServer, store: Store) -> None:
    answers(server, TIP)
    source = source_of(*PAIR)
    sync(source, store)
    server.clear()
    models = ModelSettings(tips_model=MODEL, reconcile_model=MODEL, timeout_s=10, attempts=1)
    settings = SyncSettings(namespace_id=N, quiet_s=0.0, include_errors=True)
    report = Sync(source, store, settings, models, relearn=True).run()
    assert (report.compared, len(asked(server))) == (1, 1)
    [tip] = tips(store)
    assert (tip.content, tip.support) == (TIP["content"], 2)


class KilledError(BaseException):
    """Ends the process, as far as the sync can tell."""


@pytest.mark.parametrize("moment", ["_commit", "_note"])
def test_whoever_is_killed_before_the_answer_is_committed_asks_again_and_loses_nothing(
    moment: str, server: ModelServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(server, TIP)
    source = source_of(*PAIR)

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(OutcomeQuestions, moment, die)
        # Nor does it get to keep how far it came.
        patch.setattr(Sync, "_keep", lambda *_: None)
        with pytest.raises(KilledError):
            sync(source, store)
    assert tips(store) == []
    server.clear()
    assert sync(source, store).compared == 1
    assert len(server.requests) == 1
    assert [tip.support for tip in tips(store)] == [2]
    server.clear()
    sync(source, store)
    assert server.requests == []


def test_of_two_syncs_that_ask_the_same_one_is_taken(
    server: ModelServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(server, TIP)
    source = source_of(*PAIR)
    commit = OutcomeQuestions._commit

    def overtaken(questions: OutcomeQuestions, *answered: Any) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(OutcomeQuestions, "_commit", commit)
            sync(source, store)
        return commit(questions, *answered)

    monkeypatch.setattr(OutcomeQuestions, "_commit", overtaken)
    sync(source, store)
    assert len(asked(server)) == 2
    [tip] = tips(store)
    assert tip.support == 2


def call(tool: str, error: str | None = None, **arguments: Any) -> PastCall:
    return PastCall(tool, arguments, error, {})


@pytest.mark.parametrize(
    ("failed", "succeeded", "keys"),
    [
        ([call("pay")], [call("check"), call("pay")], [("missing", "check", "")]),
        ([call("pay", "too late")], [call("pay")], [("missing", "pay", "too late")]),
        ([call("pay", "in cents")], [call("pay", "in cents"), call("pay")], []),
        ([call("pay"), call("approve")], [call("approve"), call("pay")], [("order", "approve", "pay", "")]),
        ([call("get_b"), call("get_a")], [call("get_a"), call("get_b")], []),
        ([call("pay", to=1)], [call("pay", to=1, note="x")], [("arguments", "pay", '["note"]')]),
        ([call("pay", to=1)], [call("pay", to=2)], []),
        ([call("pay"), call("close")], [call("pay")], [("extra", "close", "")]),
        ([call("pay"), call("get_all")], [call("pay")], []),
    ],
)
def test_runs_differ_in_calls_their_order_and_their_arguments(
    failed: list[PastCall], succeeded: list[PastCall], keys: list[tuple[str, ...]]
) -> None:
    assert [one.key for one in find_differences(failed, succeeded)] == keys


def story(trace_id: str, request: str, *calls: PastCall, is_success: bool = False) -> EndedStory:
    return EndedStory(
        trace_id=trace_id,
        learned_from=(f"{trace_id}:1",),
        start=trace_id,
        is_success=is_success,
        offered=frozenset({"check", "pay"}),
        request=frozenset(request.split()),
        calls=calls,
    )


def test_the_success_whose_request_is_the_most_alike_is_chosen() -> None:
    failed = story("f", "pay invoice 7 of may", call("pay", "no"))
    near = story("s1", "pay invoice 8 of may", call("check"), call("pay"), is_success=True)
    far = story("s2", "pay rent 8 in june", call("check"), call("pay"), is_success=True)
    other = story("s3", "cancel my account please", call("check"), is_success=True)
    assert [(p.failed.trace_id, p.succeeded.trace_id) for p in choose_pairs([far, near, failed, other])] == [
        ("f", "s1")
    ]
    assert choose_pairs([failed, other]) == []


def test_many_failures_of_one_way_are_one_pair_and_are_compared_quickly() -> None:
    many = [story(f"f{n:04}", f"pay invoice {n}", call("pay", "no")) for n in range(500)]
    many += [
        story(f"s{n:04}", f"pay invoice {n}", call("check"), call("pay"), is_success=True) for n in range(500)
    ]
    assert len(choose_pairs(many)) == 1


def test_a_story_that_was_not_asked_for_anything_is_not_compared(store: Store, server: ModelServer) -> None:
    answers(server, TIP)
    silent = one_call("f1", 1, [{"role": "system", "content": "Work."}], "Done.")
    source = source_of(*good("s1"), (silent, "incorrect"))
    assert sync(source, store).compared == 0
