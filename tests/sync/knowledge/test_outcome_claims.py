"""Runs of the same tools that ended differently: a call that all successes made, and no failure, teaches."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.tips import read_runs
from kaizen.store import Delete, Entity, Store, StoreSettings, UnavailableError, open_store
from kaizen.sync import OFFLINE, ModelSettings, Sync, SyncSettings, undo_run
from kaizen.sync.generate.offline.calls import is_read_only
from kaizen.sync.generate.offline.claims import past_calls
from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.knowledge.claim_tests import calls_metadata, stored_calls
from kaizen.sync.knowledge.outcome_claims import compare
from kaizen.sync.model import Annotation
from kaizen.sync.run import rejudge as rejudging
from kaizen.sync.trajectory.tool_definitions import tool_versions
from kaizen.tips.review import retire_tips
from kaizen.tips.tip import StoredTip
from tests.support.listed import ListedSource, one_call
from tests.support.spans import START

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kaizen.sync import Report
    from kaizen.sync.model import Clock, Trace

N = "kaizen"
TOOLS = ("get_account", "check_fraud", "list_rates", "wire_money")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        yield store


def run(
    trace_id: str,
    *tools: str,
    offered: Sequence[str] = TOOLS,
    told: Sequence[dict[str, Any]] = (),
    at: int | None = None,
) -> Trace:
    """A run that calls these tools one a turn, each with success; `!` after its name: it is refused."""
    messages: list[dict[str, Any]] = [*told, {"role": "user", "content": f"Pay the invoice {trace_id}."}]
    for number, tool in enumerate(tools):
        result = "Error: the ledger is closed" if tool.endswith("!") else "fine"
        arguments = json.dumps({"account": f"account of {trace_id}"})
        function = {"name": tool.rstrip("!"), "arguments": arguments}
        messages += [
            {"role": "assistant", "tool_calls": [{"id": f"c{number}", "function": function}]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": result},
        ]
    schemas = {
        f"llm.tools.{n}.tool.json_schema": json.dumps(
            {
                "type": "function",
                "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
            }
        )
        for n, name in enumerate(offered)
    }
    return one_call(trace_id, sum(map(ord, trace_id)) if at is None else at, messages, "Done.", **schemas)


def checked(trace_id: str) -> Trace:
    return run(trace_id, "get_account", "check_fraud", "wire_money")


def unchecked(trace_id: str) -> Trace:
    return run(trace_id, "get_account", "wire_money")


def source_of(*judged: tuple[Trace, str]) -> ListedSource:
    source = ListedSource([trace for trace, _ in judged])
    for trace, label in judged:
        if label:
            source.said["trace", trace.trace_id] = [
                Annotation(target="trace", name="correctness", label=label)
            ]
    return source


def sync(source: ListedSource, store: Store) -> Report:
    models = ModelSettings(tips_model=OFFLINE, reconcile_model=OFFLINE)
    settings = SyncSettings(namespace_id=N, quiet_s=0.0, include_errors=True)
    return Sync(source, store, settings, models).run()


def learn(store: Store, *judged: tuple[Trace, str]) -> Report:
    return sync(source_of(*judged), store)


def tips(store: Store) -> list[StoredTip]:
    return [StoredTip.of(entity) for entity in store.iterate(N, type="guideline")]


def the_tip(store: Store) -> StoredTip:
    (tip,) = tips(store)
    return tip


def good(*trace_ids: str) -> list[tuple[Trace, str]]:
    return [(checked(trace_id), "correct") for trace_id in trace_ids]


def bad(*trace_ids: str) -> list[tuple[Trace, str]]:
    return [(unchecked(trace_id), "incorrect") for trace_id in trace_ids]


ENOUGH = [*good("s1", "s2", "s3", "s4", "s5"), *bad("f1", "f2")]


def test_a_call_that_all_successes_made_and_no_failure_becomes_a_candidate(store: Store) -> None:
    learn(store, *good("s1", "s2"), *bad("f1"))
    tip = the_tip(store)
    order = "Call `check_fraud` before calling `wire_money`"
    assert tip.content == f"{order}: every run that succeeded did, and no run that failed."
    assert (tip.status, tip.support, tip.support_by) == ("candidate", 2, {"success": 2})
    assert tip.confirmed_by == ["f1"]
    assert {(one.trace_id, one.quote) for one in tip.evidence} == {
        (name, f'check_fraud({{"account": "account of {name}"}})') for name in ("s1", "s2")
    }


def test_it_is_active_when_chance_would_rarely_do_so(store: Store) -> None:
    learn(store, *ENOUGH)
    assert (the_tip(store).status, the_tip(store).support) == ("active", 5)


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param([*good("s1", "s2"), (unchecked("f1"), "")], id="no failure is known"),
        pytest.param([(checked("s1"), ""), (checked("s2"), ""), *bad("f1", "f2")], id="no success is known"),
        pytest.param([*good("s1"), *bad("f1", "f2", "f3")], id="one success"),
        pytest.param([*ENOUGH, (unchecked("s6"), "correct")], id="a success did not"),
        pytest.param([*ENOUGH, (checked("f3"), "incorrect")], id="a failure did"),
        pytest.param(
            [*good("s1", "s2"), (run("f1", "get_account", "wire_money", offered=TOOLS[-1:]), "incorrect")],
            id="a failure could not",
        ),
        pytest.param(
            [*good("s1", "s2"), (run("f1", "get_account", "list_rates"), "incorrect")],
            id="a failure was about something else",
        ),
        pytest.param(
            [*good("s1", "s2"), (run("f1", "get_account", "wire_money", *TOOLS[1::2]), "incorrect")],
            id="a failure did it late",
        ),
        pytest.param(
            [(run(i, "get_account", "check_fraud", "list_rates"), "correct") for i in ("s1", "s2")]
            + [(run("f1", "get_account", "list_rates"), "incorrect")],
            id="nothing was changed",
        ),
    ],
)
def test_nothing_is_learned_where(judged: list[tuple[Trace, str]], store: Store) -> None:
    learn(store, *judged)
    assert tips(store) == []


def test_unknown_outcomes_are_no_counterexamples(store: Store) -> None:
    learn(store, *ENOUGH, (unchecked("u1"), ""), (checked("u2"), ""))
    assert the_tip(store).status == "active"


def test_a_call_that_was_refused_was_not_made(store: Store) -> None:
    refused = run("f1", "get_account", "check_fraud!", "wire_money")
    learn(store, *good("s1", "s2"), (refused, "incorrect"))
    assert the_tip(store).claim["tools"] == ["check_fraud"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_runs_in_any_order_end_in_the_same_tips(order: Sequence[int], tmp_path: Path) -> None:
    syncs = [good("s1", "s2", "s3"), bad("f1"), good("s4", "s5"), bad("f2")]

    def ended(numbers: Sequence[int], name: str) -> list[Any]:
        with open_store(StoreSettings(data_dir=tmp_path / name)) as store:
            for number in numbers:
                learn(store, *syncs[number])
            kept = ("status", "support", "support_by", "claim", "confirmed_by", "counterexamples")
            return [(tip.content, {one: tip.metadata.get(one) for one in kept}) for tip in tips(store)]

    found = ended(order, "permuted")
    assert found == ended(range(4), "in order")
    assert [one["status"] for _, one in found] == ["active"]


@pytest.mark.parametrize(
    "against", [(unchecked("s6"), "correct"), (checked("f3"), "incorrect")], ids=["success", "failure"]
)
def test_a_counterexample_retires_it_until_it_is_undone(against: tuple[Trace, str], store: Store) -> None:
    learn(store, *ENOUGH)
    report = learn(store, against)
    tip = the_tip(store)
    assert (tip.status, tip.counterexamples) == ("retired", [against[0].trace_id])
    undo_run(store, N, report.run_id)
    assert (the_tip(store).status, the_tip(store).counterexamples) == ("active", [])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_one_counterexample_keeps_it_from_agents_in_any_order(order: Sequence[int], store: Store) -> None:
    syncs = [ENOUGH[:3], ENOUGH[3:], [(unchecked("s6"), "correct")]]
    for number in order:
        learn(store, *syncs[number])
    assert [tip for tip in tips(store) if tip.status != "retired"] == []


def test_what_a_run_that_broke_off_did_not_compare_the_next_one_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise UnavailableError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr("kaizen.sync.run.pipeline.OutcomeClaims.learn", fail)
        with pytest.raises(UnavailableError, match="the disk is gone"):
            learn(store, *ENOUGH)
    assert tips(store) == []
    learn(store, *ENOUGH)
    assert the_tip(store).status == "active"


def test_a_success_of_an_agent_that_was_shown_the_tip_does_not_back_it(store: Store) -> None:
    learn(store, *ENOUGH)
    told = [{"role": "system", "content": the_tip(store).content}]
    later = round((datetime.now(UTC) - START) / timedelta(minutes=1)) + 60
    shown = run("t1", "get_account", "check_fraud", "wire_money", told=told, at=later)
    learn(store, (shown, "correct"))
    assert the_tip(store).support == 5


def test_a_verdict_that_comes_late_counts_as_one_that_was_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(*((trace, "") for trace, _ in ENOUGH))
    sync(source, store)
    assert tips(store) == []
    source.said.update(source_of(*ENOUGH).said)
    monkeypatch.setattr("kaizen.sync.run.pipeline.Rejudging", Later)
    sync(source, store)
    assert (the_tip(store).status, the_tip(store).support) == ("active", 5)


class Later(rejudging.Rejudging):
    """Asks again as if three hours had passed."""

    def __init__(self, *args: Any, clock: Clock) -> None:
        super().__init__(*args, clock=lambda: clock() + timedelta(hours=3))


def test_a_second_sync_changes_nothing(store: Store) -> None:
    learn(store, *ENOUGH)
    version = store.get_namespace(N).version
    learn(store, *ENOUGH)
    assert store.get_namespace(N).version == version


def test_undoing_the_run_leaves_nothing(store: Store) -> None:
    report = learn(store, *ENOUGH)
    undo_run(store, N, report.run_id)
    assert tips(store) == []
    assert not list(store.iterate(N, type="evidence"))


def test_undoing_some_of_the_successes_takes_their_evidence(store: Store) -> None:
    report = learn(store, *good("s1", "s2", "s3"))
    learn(store, *good("s4", "s5"), *bad("f1", "f2"))
    undo_run(store, N, report.run_id)
    tip = the_tip(store)
    assert (tip.status, tip.support) == ("candidate", 2)


def test_a_tip_that_somebody_deleted_or_retired_stays_away(store: Store) -> None:
    learn(store, *good("s1", "s2"), *bad("f1"))
    (entity,) = store.iterate(N, type="guideline")
    retire_tips(store, [entity])
    learn(store, *good("s3", "s4", "s5"), *bad("f2"))
    assert the_tip(store).status == "retired"
    store.commit(N, [Delete(id=entity.id)], actor="somebody")
    learn(store, *good("s6"))
    assert tips(store) == []


def test_real_runs_teach_nothing_false(shared_data: Path) -> None:
    runs = [run.trajectory for run in read_runs(shared_data) if run.dataset == "tau2_retail"]
    stories = [
        Entity(
            id=trajectory.trace_id,
            namespace_id=N,
            type="trajectory",
            content="",
            metadata={
                "trace_id": trajectory.trace_id,
                "outcome": trajectory.outcome.to_json(),
                "tools": tool_versions(trajectory.tools),
                **calls_metadata(list(map(past_calls, call_logs(trajectory)))),
            },
            created_at=START,
            updated_at=START,
            revision=1,
        )
        for trajectory in runs
    ]
    tools = {call[0] for story in stories for call in itertools.chain(*stored_calls(story))}
    found = [compare(tool, stories) for tool in sorted(tools) if not is_read_only(tool)]
    assert len(found) == 8
    # By chance: three runs that succeeded and two that failed. It takes five to be given to agents.
    assert {(one.tool, claim.tools, len(one.successes)) for one in found for claim in one.claims} == {
        ("modify_pending_order_payment", ("find_user_id_by_email",), 3)
    }
