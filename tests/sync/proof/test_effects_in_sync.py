"""Exposures and outcomes as a sync reads them from traces, and the verdicts that it makes by them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.store import Store, StoreSettings, UnavailableError, open_store, read_commits, revert
from kaizen.sync import ModelSettings, Report, Sync, SyncSettings, read_proof, utc_now
from kaizen.sync.knowledge.effects import read_units
from kaizen.sync.model import Annotation, Trace
from kaizen.sync.run import rejudge as rejudging
from kaizen.sync.state.exposures import EXPOSURE
from kaizen.tips import GUIDELINE, StoredTip, manual_tip, recall_document
from kaizen.tips.effect import wording_revision
from tests.support.listed import ListedSource, one_call
from tests.support.traces import result, says, system, user

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.sync.model import Clock

REFUSED = "Error: amount must be in cents"
SIGNATURE = {"tool": "pay", "error": "amount must be in cents"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path, embedder="none")) as store:
        store.create_namespace("kaizen")
        yield store


@pytest.fixture
def tip(store: Store) -> StoredTip:
    put = replace(manual_tip("Give pay the amount in cents.", signature=SIGNATURE), id="tip")
    store.commit("kaizen", [put])
    return stored(store)


def stored(store: Store, tip_id: str = "tip") -> StoredTip:
    return StoredTip.of(store.get("kaizen", tip_id))


def served(store: Store) -> dict[str, Any]:
    """The tip as agents are served it; empty if they are not."""
    tips = json.loads(recall_document(store, "kaizen"))["tips"]
    return next((found for found in tips if found["id"] == "tip"), {})


def sync(
    store: Store, traces: Sequence[Trace] | ListedSource, *, minutes: float = 0, **settings: Any
) -> Report:
    """One sync, so many minutes from now."""
    source = traces if isinstance(traces, ListedSource) else ListedSource(traces)
    models = ModelSettings(tips_model="offline", reconcile_model="offline")
    settings = {"quiet_s": 0, **settings}
    later = timedelta(minutes=minutes)
    return Sync(source, store, SyncSettings(**settings), models, clock=lambda: utc_now() + later).run()


def recalled(tip: StoredTip, unit: str, *, held_out: bool, p: float = 0.5, **more: str) -> dict[str, str]:
    """The attributes that recall leaves on the spans of a run."""
    ref = json.dumps([f"{tip.id}@{wording_revision(tip)}"])
    return {
        "kaizen.recall.unit": unit,
        "kaizen.recall.shown": "[]" if held_out else ref,
        "kaizen.recall.held_out": ref if held_out else "[]",
        "kaizen.recall.p": json.dumps({tip.id: p, "*": 0.02}),
        **more,
    }


def run_of(number: int, *, refused: bool, **attributes: str) -> Trace:
    """A run that pays, and whose call is refused once or not."""
    told = [user(f"Pay bill {number}."), says("", ("c1", "pay", '{"amount": 5}'))]
    if refused:
        told += [result("c1", REFUSED), says("", ("c2", "pay", '{"amount": 500}')), result("c2", "paid")]
    else:
        told += [result("c1", "paid")]
    return one_call(f"trace-{number:03}", number, told, "Paid.", **attributes)


def runs(tip: StoredTip, count: int, *, shown: float, without: float, first: int = 0) -> list[Trace]:
    """Runs of which as many are refused a call as the two rates say."""
    rng = random.Random(first + 1)
    made = []
    for number in range(first, first + count):
        held_out = rng.random() < 0.5
        refused = rng.random() < (without if held_out else shown)
        made.append(run_of(number, refused=refused, **recalled(tip, f"u{number}", held_out=held_out)))
    return made


def test_a_tip_that_prevents_its_failure_is_proven_and_held_out_less(store: Store, tip: StoredTip) -> None:
    report = sync(store, runs(tip, 90, shown=0.05, without=0.7))
    assert report.verdicts == 1
    effect = stored(store).metadata["effect"]
    assert (effect["verdict"], effect["outcome"]) == ("helps", "signature")
    assert 0 < effect["low"] < effect["gain"] < effect["high"]
    assert (served(store)["p"], served(store)["effect"]["low"]) == (0.05, effect["low"])
    # A verdict is made once.
    assert sync(store, runs(tip, 10, shown=0.05, without=0.7, first=90)).verdicts == 0


def test_a_tip_that_harms_is_quarantined_in_a_commit_that_can_be_undone(store: Store, tip: StoredTip) -> None:
    sync(store, runs(tip, 120, shown=0.7, without=0.05))
    harmful = stored(store)
    assert harmful.status == "quarantined"
    assert harmful.quarantine_reason.startswith("harms: signature -")
    assert not served(store)
    [commit] = [one for one in read_commits(store, "kaizen") if one.reason.startswith("harms")]
    assert [change.entity_id for change in commit.changes] == ["tip"]
    revert(store, "kaizen", commit_ids=[commit.id])
    assert (stored(store).status, "effect" in stored(store).metadata) == ("active", False)


def test_a_pinned_tip_is_neither_held_out_nor_quarantined(store: Store, tip: StoredTip) -> None:
    exposed = runs(tip, 120, shown=0.7, without=0.05)
    store.commit("kaizen", tip.with_metadata(is_pinned=True).to_changes())
    sync(store, exposed)
    assert (stored(store).status, stored(store).metadata["effect"]["verdict"]) == ("active", "harms")
    assert "p" not in served(store)


def test_other_words_begin_a_new_trial(store: Store, tip: StoredTip) -> None:
    sync(store, runs(tip, 90, shown=0.05, without=0.7))
    store.commit("kaizen", stored(store).with_content("Pay in cents.").to_changes())
    assert read_proof(store, "kaizen").tips == ()
    assert served(store)["p"] == 0.2
    # The next sync with runs of the experiment takes the verdict on the old words away.
    sync(store, runs(tip, 10, shown=0.05, without=0.7, first=90))
    assert "effect" not in stored(store).metadata


@pytest.mark.parametrize("commits", [1, 7, 40, 61, 62])
def test_a_sync_that_breaks_off_at_any_commit_and_runs_again_loses_and_doubles_no_unit(
    store: Store, tip: StoredTip, commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ListedSource(runs(tip, 60, shown=0.0, without=0.9))
    left = [commits]

    def commit(self: Store, *args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise UnavailableError("the disk is gone")
        return whole(self, *args, **more)

    whole = type(store).commit
    monkeypatch.setattr(type(store), "commit", commit)
    with pytest.raises(UnavailableError):
        sync(store, source)
    monkeypatch.setattr(type(store), "commit", whole)
    # By then nobody takes the first one for alive.
    sync(store, source, minutes=10)
    assert sorted(unit.id for unit in read_units(store, "kaizen")) == sorted(f"u{n}" for n in range(60))
    assert stored(store).metadata["effect"]["verdict"] == "helps"
    assert len([one for one in read_commits(store, "kaizen") if one.reason.startswith("helps")]) == 1


def test_estimates_are_the_same_in_whatever_order_traces_are_read(tmp_path: Path) -> None:
    def estimated(name: str, *parts: Callable[[list[Trace]], list[Trace]]) -> dict[str, Any]:
        with open_store(StoreSettings(data_dir=tmp_path / name, embedder="none")) as store:
            put = replace(manual_tip("Give pay the amount in cents.", signature=SIGNATURE), id="tip")
            store.commit("kaizen", [put]) if store.create_namespace("kaizen", exist_ok=True) else None
            made = runs(stored(store), 60, shown=0.2, without=0.5)
            source = ListedSource([])
            for part in parts:
                source.traces |= {trace.trace_id: trace for trace in part(made)}
                sync(store, source)
                sync(store, source)
            return read_proof(store, "kaizen").to_json()

    whole = estimated("whole", lambda traces: traces)
    assert whole["units"] == 60
    assert estimated("halves", lambda traces: traces[30:], lambda traces: traces[:30]) == whole
    assert estimated("mixed", lambda traces: traces[::-3], lambda traces: traces) == whole


def test_a_run_that_failed_counts_although_nothing_is_learned_from_it(store: Store, tip: StoredTip) -> None:
    traces = [
        run_of(1, refused=True, **recalled(tip, "u1", held_out=True)),
        run_of(2, refused=False, **recalled(tip, "u2", held_out=False)),
    ]
    source = ListedSource(traces)
    for trace, label in zip(traces, ("fail", "success"), strict=True):
        said = Annotation(target="trace", name="correctness", label=label)
        source.said["trace", trace.trace_id].append(said)
    report = sync(store, source)
    assert report.states["skipped"] == 1
    held_out, shown = read_units(store, "kaizen")
    if held_out.id == "u2":
        held_out, shown = shown, held_out
    assert (held_out.success, held_out.recurred, held_out.refused_calls) == (False, {"tip": True}, 1)
    assert (shown.success, shown.recurred, shown.refused_calls) == (True, {"tip": False}, 0)
    assert (held_out.tool_calls, shown.tool_calls) == (2, 1)
    assert shown.tokens == 110


def test_a_late_annotation_is_the_outcome_of_the_unit(
    store: Store, tip: StoredTip, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = run_of(1, refused=False, **recalled(tip, "u1", held_out=False))
    source = ListedSource([trace])
    sync(store, source)
    assert [unit.success for unit in read_units(store, "kaizen")] == [None]
    said = Annotation(target="trace", name="correctness", label="success")
    source.said["trace", trace.trace_id].append(said)

    def late(*args: Any, clock: Clock) -> rejudging.Rejudging:
        return rejudging.Rejudging(*args, clock=lambda: clock() + timedelta(hours=2))

    monkeypatch.setattr("kaizen.sync.run.pipeline.Rejudging", late)
    sync(store, source)
    assert [unit.success for unit in read_units(store, "kaizen")] == [True]


def test_a_session_of_several_traces_counts_once(store: Store, tip: StoredTip) -> None:
    attributes = {"session.id": "s", **recalled(tip, "s", held_out=False)}
    traces = [run_of(1, refused=True, **attributes)]
    traces += [one_call(f"more-{n}", n, [user(f"Hello {n}.")], "Hello.", **attributes) for n in (2, 3)]
    sync(store, traces)
    [unit] = read_units(store, "kaizen")
    assert (unit.refused_calls, unit.recurred, unit.tokens) == (1, {"tip": True}, 330)
    assert [one.tip_id for one in unit.assignments] == ["*", "tip"]
    assert read_proof(store, "kaizen").traces == 3


def test_a_run_that_was_given_no_tip_at_all_says_nothing_of_one_of_them(store: Store, tip: StoredTip) -> None:
    control = {"kaizen.recall.control": "true"}
    sync(store, [run_of(1, refused=True, **recalled(tip, "u1", held_out=True, **control))])
    [unit] = read_units(store, "kaizen")
    assert [(one.tip_id, one.p, one.is_held_out) for one in unit.assignments] == [("*", 0.02, True)]


def test_what_a_loop_repeats_of_its_earlier_calls_counts_once(store: Store, tip: StoredTip) -> None:
    told = [user("Pay."), says("", ("c1", "pay", '{"amount": 5}'))]
    shown = recalled(tip, "u1", held_out=False)
    first = one_call("a1", 1, told[:1], told[1], **shown)
    told += [result("c1", REFUSED), says("", ("c2", "pay", '{"amount": 500}'))]
    second = one_call("a2", 2, told[:3], told[3], **shown)
    third = one_call("a3", 3, [*told, result("c2", "paid")], "Paid.", **shown)
    sync(store, [first, second, third])
    [unit] = read_units(store, "kaizen")
    assert (unit.refused_calls, unit.tool_calls, unit.model_calls) == (1, 2, 3)
    assert unit.recurred == {"tip": True}


def test_runs_whose_spans_do_not_say_what_they_were_given_are_counted(store: Store, tip: StoredTip) -> None:
    told = [system("<kaizen-tips>\n- Pay in cents.\n</kaizen-tips>"), user("Pay.")]
    sync(store, [one_call("given", 1, told, "Paid."), run_of(2, refused=False)])
    proof = read_proof(store, "kaizen")
    assert (proof.unrecorded, proof.units) == (1, 0)
    assert "1 traces hold tips" in proof.problems[0].detail


def test_runs_without_recall_leave_no_record_of_an_experiment(store: Store, tip: StoredTip) -> None:
    sync(store, [run_of(1, refused=True)])
    assert store.count("kaizen", type=EXPOSURE) == 0
    assert "effect" not in stored(store).metadata
    assert store.count("kaizen", type=GUIDELINE) >= 1
