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


def closed(trace_id: str, *reasons: str, at: int, codes: str = "FIXED, MOVED") -> Trace:
    """A run that closes a ticket, with one reason after the other until one is accepted."""
    *refused, accepted = reasons
    error = f"Error: reason must be one of {codes}"
    return trace(
        trace_id,
        *(("close", {"reason": reason}, error) for reason in refused),
        ("close", {"reason": accepted}, '{"closed": true}'),
        at=at,
    )


def test_a_rule_that_changed_replaces_the_stale_tip_at_the_next_sync_and_undoing_it_brings_it_back(
    store: Store,
) -> None:
    old = [closed(f"old{n}", "it works", "FIXED", at=n) for n in range(3)]
    learn(store, *old)
    [before] = [tip.content for tip in tips(store).values() if tip.is_active]
    assert before.startswith("Pass one of FIXED, MOVED as `reason`")
    # Agents followed the tip, were refused, and found the new code.
    new = [closed(f"new{n}", "FIXED", "DONE", at=9 + n, codes="DONE, VOID") for n in range(2)]
    report = learn(store, *new)
    [after] = [tip.content for tip in tips(store).values() if tip.is_active]
    assert after.startswith("Pass one of DONE, VOID as `reason`")
    undo_run(store, N, report.run_id)
    assert [tip.content for tip in tips(store).values() if tip.is_active] == [before]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (3, 0, 4, 2, 1)])
def test_a_changed_rule_ends_in_the_same_tips_in_any_order(order: Sequence[int], store: Store) -> None:
    runs = [closed(f"old{n}", "it works", "FIXED", at=n) for n in range(3)]
    runs += [closed(f"new{n}", "FIXED", "DONE", at=9 + n, codes="DONE, VOID") for n in range(2)]
    for number in order:
        learn(store, runs[number])
    [active] = [tip for tip in tips(store).values() if tip.is_active]
    assert active.content.startswith("Pass one of DONE, VOID as `reason`")


def test_one_run_does_not_make_a_new_rule_of_what_older_runs_broke(store: Store) -> None:
    learn(store, *(closed(f"old{n}", "FIXED", at=n) for n in range(3)))
    learn(store, closed("new", "FIXED", "DONE", at=9, codes="DONE, VOID"))
    assert not any(
        tip.content.startswith("Pass one of DONE") and tip.is_active for tip in tips(store).values()
    )


def labelled(trace_id: str, before: str, after: str, *, at: int = 0) -> Trace:
    error = "Error: label must begin with the code of its team"
    return trace(trace_id, ("label", {"label": before}, error), ("label", {"label": after}, "{}"), at=at)


def test_a_counterexample_leaves_the_rule_that_the_error_states(store: Store) -> None:
    learn(store, labelled("one", "pump", "A-pump"))
    assert the_tip(store).content.startswith("Write `label` with `A-` in front when calling `label`")
    report = learn(store, labelled("two", "valve", "B-valve", at=1))
    [active] = [tip for tip in map(StoredTip.of, store.iterate(N, type="guideline")) if tip.is_active]
    rule = "label must begin with the code of its team"
    assert active.content == f'Check `label` against the rule of `label` before calling it: "{rule}".'
    undo_run(store, N, report.run_id)
    assert the_tip(store).content.startswith("Write `label` with `A-` in front when calling `label`")


def test_a_run_that_gave_up_breaks_nothing(store: Store) -> None:
    said = "Sorry, coupons are written without spaces."

    def redeemed(*coupons: str, trace_id: str, at: int) -> Trace:
        results = dict.fromkeys(coupons, said) | {"SPRING10": '{"redeemed": 1}'}
        calls = [("redeem", {"coupon": coupon}, results[coupon]) for coupon in coupons]
        return trace(trace_id, *calls, at=at)

    learn(store, redeemed("SPRING 10", "SPRING10", trace_id="one", at=0))
    learn(store, redeemed("SUMMER 20", trace_id="gave up", at=1))
    assert (the_tip(store).status, the_tip(store).counterexamples) == ("active", [])


def test_agents_get_the_five_best_backed_tips_of_a_tool(store: Store) -> None:
    def limited_to(field: str, trace_id: str, at: int) -> Trace:
        error = f"Error: `{field}` must be in capital letters"
        calls = [("order", {field: "abcde"}, error), ("order", {field: "ABCDE"}, "{}")]
        return trace(trace_id, *calls, at=at)

    fields = ("colour", "size", "shape", "style", "cloth", "brand", "maker")
    learn(store, *(limited_to(field, field, number) for number, field in enumerate(fields)))
    learn(store, *(limited_to(field, f"{field} again", 20) for field in fields[2:]))
    statuses = {tip.claim["arguments"][0]: tip.status for tip in tips(store).values()}
    assert statuses == {f: "active" if f in fields[2:] else "candidate" for f in fields}


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
