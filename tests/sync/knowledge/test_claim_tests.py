"""Claims are tested on every run that is known, and what a tip is worth follows from that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.store import Store, StoreSettings, open_store
from kaizen.sync import OFFLINE, ModelSettings, Sync, SyncSettings, undo_run
from kaizen.tips.review import retire_tips
from kaizen.tips.tip import StoredTip
from tests.support.listed import ListedSource, one_call

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kaizen.sync import Report
    from kaizen.sync.model import Trace

N = "kaizen"
Called = tuple[str, dict[str, Any], str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        yield store


def trace(trace_id: str, *calls: Called, at: int = 0) -> Trace:
    """A run of these calls, one a turn: tool, arguments, result."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"Do {trace_id}."}]
    for number, (tool, arguments, result) in enumerate(calls):
        function = {"name": tool, "arguments": json.dumps(arguments)}
        messages += [
            {"role": "assistant", "tool_calls": [{"id": f"c{number}", "function": function}]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": result},
        ]
    return one_call(trace_id, at, messages, "Done.")


def learn(store: Store, *traces: Trace) -> Report:
    models = ModelSettings(tips_model=OFFLINE, reconcile_model=OFFLINE)
    settings = SyncSettings(namespace_id=N, quiet_s=0.0, include_errors=True)
    return Sync(ListedSource(traces), store, settings, models).run()


def tips(store: Store) -> dict[str, StoredTip]:
    """The tips by their words, without what no two runs of a test share."""
    return {entity.content: StoredTip.of(entity) for entity in store.iterate(N, type="guideline")}


def the_tip(store: Store) -> StoredTip:
    (tip,) = tips(store).values()
    return tip


def status(store: Store) -> list[str]:
    return [tip.status for tip in tips(store).values()]


NOT_FOUND = "Error: Payment method not found"
USER = ("get_user", {"user_id": "raj_9079"}, '{"payment": "paypal_2417743"}')


def refund(payment: str, result: str = "done") -> Called:
    return "refund", {"order_id": "#W1", "payment": payment}, result


def taken(trace_id: str, *, at: int = 0) -> Trace:
    """A run in which the value of another tool made the difference; the error does not say so."""
    return trace(trace_id, USER, refund("credit_card_1", NOT_FOUND), refund("paypal_2417743"), at=at)


def from_elsewhere(trace_id: str, *, at: int = 0) -> Trace:
    return trace(trace_id, refund("gift_card_77"), at=at)


DRAIN_FIRST = "Error: payments has jobs in progress: call drain_service before a restart"


def drained(trace_id: str, *, at: int = 0) -> Trace:
    restart = ("restart_service", {"name": "payments"})
    return trace(
        trace_id,
        (*restart, DRAIN_FIRST),
        ("drain_service", {"name": "payments"}, "drained"),
        (*restart, "restarted"),
        at=at,
    )


def limited(trace_id: str, limit: int, *, at: int = 0) -> Trace:
    error = f"Error: weight is over the limit of {limit} kg (the catalogue gives grams)"
    calls = [("quote", {"weight": 7200}, error), ("quote", {"weight": 7.2}, "22 EUR")]
    return trace(trace_id, *calls, at=at)


def test_what_one_conversation_shows_is_a_candidate_until_a_second_one_shows_it(store: Store) -> None:
    learn(store, taken("one"))
    assert status(store) == ["candidate"]
    learn(store, taken("two"))
    assert status(store) == ["active"]
    assert the_tip(store).support == 2


def test_a_run_that_kept_to_it_and_succeeded_confirms_it(store: Store) -> None:
    learn(store, taken("one"), trace("two", USER, refund("paypal_2417743"), at=1))
    tip = the_tip(store)
    assert (tip.status, tip.support, tip.confirmed_by) == ("active", 1, ["two"])


def test_a_claim_is_tested_on_runs_from_before_it_was_made(store: Store) -> None:
    learn(store, from_elsewhere("before"))
    learn(store, taken("one"), taken("two", at=1))
    tip = the_tip(store)
    assert (tip.status, tip.counterexamples, tip.support) == ("retired", ["before"], 2)


def test_a_standing_tip_is_tested_on_later_runs_and_undoing_such_a_run_brings_it_back(store: Store) -> None:
    learn(store, taken("one"), taken("two", at=1))
    assert status(store) == ["active"]
    report = learn(store, from_elsewhere("later"))
    assert (the_tip(store).status, the_tip(store).counterexamples) == ("retired", ["later"])
    undo_run(store, N, report.run_id)
    assert (the_tip(store).status, the_tip(store).counterexamples) == ("active", [])


def test_undoing_a_run_takes_back_what_it_broke_from_a_tip_that_others_changed_since(store: Store) -> None:
    learn(store, taken("one"), taken("two", at=1))
    report = learn(store, from_elsewhere("later"))
    learn(store, taken("three"))
    assert the_tip(store).status == "retired"
    undo_run(store, N, report.run_id)
    tip = the_tip(store)
    assert (tip.status, tip.support, tip.counterexamples) == ("active", 3, [])


def test_an_error_that_states_its_rule_is_enough_by_itself(store: Store) -> None:
    learn(store, limited("one", 70))
    assert status(store) == ["active"]


def test_a_counterexample_makes_an_order_that_the_error_states_conditional(store: Store) -> None:
    learn(store, drained("one"))
    assert the_tip(store).content.startswith("Call `drain_service` before calling `restart_service`")
    report = learn(store, trace("idle", ("restart_service", {"name": "checkout"}, "restarted")))
    tip = the_tip(store)
    assert tip.status == "active"
    assert tip.content.startswith("Check before calling `restart_service` whether it would refuse with")
    assert tip.content.endswith("if so, call `drain_service`.")
    undo_run(store, N, report.run_id)
    assert the_tip(store).content.startswith("Call `drain_service` before calling `restart_service`")


def test_a_second_text_widens_the_error_and_both_runs_back_the_tip(store: Store) -> None:
    learn(store, limited("one", 70))
    learn(store, limited("two", 30))
    tip = the_tip(store)
    assert tip.support == 2
    assert tip.signature["error"] == "weight is over the limit of … kg (the catalogue gives grams)"
    assert tip.signature["error"] in tip.content


def test_what_says_less_about_the_same_error_is_covered_by_what_says_more(store: Store) -> None:
    error = "Error: an order must be drained before a restart"
    calls: list[Called] = [("restart", {"name": "a"}, error)]
    learn(store, trace("rule", *calls))
    assert status(store) == ["active"]
    learn(store, trace("fix", *calls, ("drain", {}, "ok"), ("restart", {"name": "a"}, "ok")))
    by_kind = {tip.claim["kind"]: tip for tip in tips(store).values()}
    # The first run did not drain, and was refused: that confirms what the second one shows.
    assert (by_kind["rule"].status, by_kind["before"].status) == ("retired", "active")
    assert by_kind["rule"].covered_by == by_kind["before"].id


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (1, 0, 3, 2), (2, 0, 3, 1), (1, 3, 0, 2)])
def test_runs_in_any_order_end_in_the_same_tips(order: Sequence[int], tmp_path: Path) -> None:
    runs = [taken("one"), from_elsewhere("other"), limited("two", 70), limited("three", 30)]

    def ended(numbers: Sequence[int], name: str) -> list[dict[str, Any]]:
        with open_store(StoreSettings(data_dir=tmp_path / name)) as store:
            for number in numbers:
                learn(store, runs[number])
            kept = ("status", "support", "signature", "claim", "confirmed_by", "counterexamples")
            return sorted(
                (
                    {"content": tip.content, **{name: tip.metadata.get(name) for name in kept}}
                    for tip in tips(store).values()
                ),
                key=str,
            )

    assert ended(order, "permuted") == ended(range(4), "in order")


def test_a_second_sync_of_the_same_runs_changes_nothing(store: Store) -> None:
    runs = [taken("one"), taken("two", at=1), drained("three", at=2), limited("four", 70, at=3)]
    learn(store, *runs)
    before = {entity.id: entity.revision for entity in store.iterate(N, type="guideline")}
    learn(store, *runs)
    assert {entity.id: entity.revision for entity in store.iterate(N, type="guideline")} == before


def test_what_a_person_decided_stays_whatever_runs_show(store: Store) -> None:
    learn(store, taken("one"))
    (entity,) = store.iterate(N, type="guideline")
    retire_tips(store, [entity])
    learn(store, taken("two"), taken("three", at=1))
    tip = the_tip(store)
    assert (tip.status, tip.support) == ("retired", 3)


def test_a_new_tip_of_the_same_lesson_in_other_words_joins_the_known_one(store: Store) -> None:
    learn(store, limited("one", 70))
    (entity,) = store.iterate(N, type="guideline")
    tip = StoredTip.of(entity).with_content(
        "The carrier wants kilograms: divide `weight` by 1000 for `quote`."
    )
    store.commit(N, tip.to_changes())
    learn(store, limited("two", 70))
    assert [(tip.content, tip.support) for tip in tips(store).values()] == [(tip.content, 2)]
