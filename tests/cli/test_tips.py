"""`kaizen tips`: the short way to list, show, search, add, edit, retire, review and export tips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaizen.cli.entities.types import BOOKKEEPING
from kaizen.store import Put, Store, StoreSettings, open_store
from kaizen.sync.state import records
from kaizen.sync.state.exposures import EXPOSURE
from kaizen.tips.evidence import EVIDENCE
from kaizen.tips.tip import StoredTip
from tests.cli.test_commands import assert_documented
from tests.support.command import kaizen
from tests.support.stored_tips import changes_of, evidence_by_tip, stored_tip, tip_source

N = "kaizen"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    with open_store(StoreSettings(data_dir=tmp_path / "data", embedder="none")) as store:
        store.create_namespace(N)
        yield store


def put(store: Store, entity_id: str, content: str = "", type_: str = "guideline", **metadata: Any) -> None:
    content = content or f"Tip {entity_id}."
    store.commit(N, [Put(id=entity_id, type=type_, content=content, metadata=metadata)])


def listed(*arguments: str) -> list[str]:
    return [entity["id"] for entity in kaizen(*arguments, "--json").json["entities"]]


# Listing


def test_tips_alone_lists_them_with_the_options_of_list(store: Store) -> None:
    put(store, "a", status="active")
    put(store, "b", status="retired")
    put(store, "n", type_="note")
    assert listed("tips") == listed("tips", "list") == ["a", "b"]
    assert listed("tips", "--where", "status!=retired") == ["a"]
    assert kaizen("tips").stdout == kaizen("entities", "list", N, "--type", "guideline").stdout
    assert "Commands:" in kaizen("tips", "--help").stdout


def test_what_syncs_keep_for_themselves_is_shown_only_when_asked_for(store: Store) -> None:
    types = ("guideline", "note", *BOOKKEEPING)
    for number, type_ in enumerate(types):
        put(store, f"{number}", "order", type_)
    assert listed("entities", "list") == ["0", "1"]
    assert listed("entities", "list", "--type", "trajectory") == [f"{2 + BOOKKEEPING.index('trajectory')}"]
    assert listed("entities", "list", "--all-types") == [f"{number}" for number in range(len(types))]
    hits = kaizen("entities", "search", "order", "--json").json["hits"]
    assert {hit["entity"]["type"] for hit in hits} == {"guideline", "note"}
    assert len(kaizen("entities", "search", "order", "--all-types", "--json").json["hits"]) == len(types)
    ours = {records.CHECKPOINT, records.CLAIM, EVIDENCE, EXPOSURE, records.RUN, records.TRAJECTORY}
    assert set(BOOKKEEPING) == ours


def test_an_unknown_type_names_those_there_are(store: Store) -> None:
    put(store, "a")
    put(store, "n", type_="note")
    ended = kaizen("entities", "list", "--type", "nota")
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert ended.stderr == "There is no type 'nota' here; there are: guideline, note.\n"


def test_a_filter_that_matches_nothing_says_so(store: Store) -> None:
    put(store, "a", status="active")
    for where in ("status=gone", "status!=active"):
        assert kaizen("tips", "--where", where).stderr == "None of the 1 tips here matches --where.\n"
    assert "cannot have two values" in kaizen("tips", "--where", "a=1", "--where", "a=2").error
    assert "path!=value" in kaizen("tips", "--where", "!=x").error


def test_long_tips_are_cut_in_lists_and_whole_in_show(store: Store) -> None:
    put(store, "a", "word " * 200 + "end")
    row = kaizen("tips").stdout.splitlines()[1]
    assert row.endswith("…")
    assert len(row) < 300
    assert kaizen("tips", "show", "a").stdout.splitlines()[0].endswith(" end")


# Namespaces and ids


def test_the_namespace_may_be_left_out_or_named_in_two_ways(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_namespace("team")
    assert kaizen("tips", "add", "Ask first.", "-n", "team").exit_code == 0
    (tip_id,) = listed("entities", "list", "team")
    assert listed("tips", "--namespace", "team") == [tip_id]
    assert listed("entities", "list", "team", "--namespace", "team") == [tip_id]
    assert listed("tips") == []
    shown = kaizen("entities", "show", "team", tip_id).stdout
    assert shown == kaizen("entities", "show", tip_id, "-n", "team").stdout
    assert "given twice" in kaizen("entities", "list", "team", "-n", N).error
    monkeypatch.setenv("KAIZEN_NAMESPACE_ID", "team")
    assert listed("tips") == [tip_id]
    assert kaizen("tips", "show", tip_id).stdout == shown
    assert kaizen("entities", "history").stdout == kaizen("entities", "history", "team").stdout
    assert kaizen("entities", "delete", tip_id).stdout == "Deleted 1 entity.\n"


def test_an_id_may_be_cut_to_a_beginning_that_no_other_has(store: Store) -> None:
    put(store, "abc")
    put(store, "abd")
    put(store, "abx", type_="note")
    assert kaizen("tips", "show", "abc").stdout == kaizen("entities", "show", N, "abc").stdout
    assert kaizen("entities", "show", "abx").exit_code == 0
    ended = kaizen("tips", "show", "ab", "--json")
    assert "several ids begin with 'ab': abc, abd;" in ended.error
    assert ended.json["error"]["type"] == "InvalidInputError"
    assert "tip 'abx' does not exist" in kaizen("tips", "show", "abx").error
    assert kaizen("entities", "delete", N, "abx", "abc").stdout == "Deleted 2 entities.\n"
    assert kaizen("entities", "history", N, "abd").stdout.count("created abd") == 1


def test_a_query_needs_no_quotes_after_tips_search(store: Store) -> None:
    put(store, "a", "Cancel an order.")
    said = kaizen("tips", "search", "cancel", "order", "--json").json
    assert (said["query"], [hit["entity"]["id"] for hit in said["hits"]]) == ("cancel order", ["a"])
    assert "give one QUERY in quotes" in kaizen("entities", "search", N, "cancel", "order").error


# Writing


def test_a_tip_is_added_with_all_that_a_tip_has(store: Store) -> None:
    added = kaizen(
        *("tips", "add", "Read an order first.", "--category", "recovery", "--trigger", "Before a cancel."),
        *("--step", "Call get_order.", "--step", "Then cancel.", "--rationale", "It may be sent."),
        *("--task", "Cancelling orders.", "--json"),
    ).json
    assert_documented("tips add", added)
    tip = StoredTip.of(store.get(N, added["id"]))
    assert tip.is_manual
    assert tip.texts == (
        "Read an order first.",
        *("Call get_order.", "Then cancel.", "Before a cancel.", "It may be sent.", "Cancelling orders."),
    )
    assert kaizen("tips", "add", "-", stdin="From a pipe.\n").stdout.startswith("Added tip ")


def test_an_edited_tip_keeps_its_evidence_and_counts_as_a_persons(store: Store) -> None:
    source = {"trace_id": "t", "span_id": "s", "quote": "q"}
    put(store, "abc", "Old.", status="active", trigger="Old.", sources=[source], support=1)
    edited = kaizen("tips", "edit", "ab", "--content", "New.", "--step", "One.", "--json").json
    assert_documented("tips edit", edited)
    tip = StoredTip.of(store.get(N, "abc"))
    assert (tip.content, tip.trigger) == ("New.", "Old.")
    assert evidence_by_tip(store) == {"abc": ["t"]}
    assert tip.metadata["implementation_steps"] == ["One."]
    assert tip.metadata["review"]["decision"] == "edited"
    commit = store.commits(N)[-1]
    assert (commit.actor, commit.reason) == ("kaizen tips edit", "edited by hand")
    assert "say what to change" in kaizen("tips", "edit", "ab").error
    assert kaizen("entities", "revert", "--commit", commit.id).exit_code == 0
    assert store.get(N, "abc").content == "Old."


def test_retired_tips_stay_and_are_not_learned_anew(store: Store) -> None:
    for tip_id in "abc":
        put(store, tip_id, status="active")
    ended = kaizen("tips", "retire", "a", "b", "--reason", "of no use", "--json")
    assert_documented("tips retire", ended.json)
    assert ended.json["retired"] == ["a", "b"]
    assert [store.get(N, tip_id).metadata["status"] for tip_id in "abc"] == ["retired", "retired", "active"]
    assert store.get(N, "a").metadata["review"]["decision"] == "rejected"
    assert store.commits(N)[-1].reason == "of no use"
    assert "tip 'x' does not exist" in kaizen("tips", "retire", "c", "x").error
    assert store.get(N, "c").metadata["status"] == "active"


def test_tips_are_exported_as_markdown_and_reviewed(store: Store) -> None:
    put(store, "a", "Ask first.", status="active")
    put(store, "b", "Use sudo.", status="quarantined", quarantine_reason="why")
    exported = kaizen("tips", "export")
    assert "- Ask first." in exported.stdout
    assert "sudo" not in exported.stdout
    assert "jsonl" not in kaizen("tips", "export", "--help").stdout
    assert kaizen("tips", "review").stdout.startswith("b@1\nUse sudo.\n")
    assert kaizen("tips", "review", "--approve", "b").stdout == "Approved: b\n"


# Evidence


def backed(store: Store, tip_id: str, *traces: str) -> None:
    """Put a tip that these traces back, one commit each."""
    store.commit(N, changes_of(stored_tip(tip_id, "Read all pages.", traces[0])))
    for trace in traces[1:]:
        store.commit(N, changes_of(StoredTip.of(store.get(N, tip_id)).with_source(tip_source(trace))))


def test_the_newest_evidence_is_shown_first_and_all_of_it_when_asked_for(store: Store) -> None:
    traces = [f"t{number}" for number in range(8)]
    backed(store, "abc", *traces)
    shown = kaizen("tips", "show", "ab", "--json").json
    assert [each["trace_id"] for each in shown["evidence"]] == ["t7", "t6", "t5", "t4", "t3"]
    assert_documented("entities show", shown)
    everything = kaizen("tips", "show", "ab", "--all", "--json").json
    assert [each["trace_id"] for each in everything["evidence"]] == traces[::-1]
    cut = kaizen("tips", "show", "ab")
    assert "trace t3 of project p" in cut.stdout
    assert "trace t2 of project p" not in cut.stdout
    assert "5 of 8 conversations; for all evidence: --all" in cut.stderr
    whole = kaizen("tips", "show", "ab", "--all")
    assert "trace t0 of project p" in whole.stdout
    assert "--all" not in whole.stderr


def test_a_tip_of_before_shows_its_evidence_too(store: Store) -> None:
    sources = [tip_source(f"t{number}").to_json() for number in range(8)]
    put(store, "abc", sources=sources, support=8, schema_version=1)
    shown = kaizen("tips", "show", "ab", "--all", "--json").json
    assert [each["trace_id"] for each in shown["evidence"]] == [f"t{number}" for number in range(8)][::-1]


def test_a_tip_is_deleted_with_its_evidence_and_comes_back_with_it(store: Store) -> None:
    backed(store, "abc", "t0", "t1")
    backed(store, "other", "t0")
    assert kaizen("entities", "delete", "abc", "--namespace", N).stdout == "Deleted 1 entity.\n"
    assert evidence_by_tip(store) == {"other": ["t0"]}
    assert kaizen("entities", "revert", N, "--commit", store.commits(N)[-1].id).exit_code == 0
    assert evidence_by_tip(store) == {"abc": ["t0", "t1"], "other": ["t0"]}


def test_a_tip_that_is_merged_in_from_elsewhere_counts_the_evidence_of_both(store: Store) -> None:
    backed(store, "abc", "t0", "t1", "t2")
    assert kaizen("entities", "export", N, "--output", "out").exit_code == 0
    backed(store, "there", "t9")
    tip = StoredTip.of(store.get(N, "abc"))
    store.commit(N, changes_of(tip.with_source(tip_source("t3")).with_source(tip_source("t4"))))
    assert kaizen("entities", "import", "out", "--merge", "--namespace", N).exit_code == 0
    assert evidence_by_tip(store) == {"abc": ["t0", "t1", "t2", "t3", "t4"], "there": ["t9"]}


def test_a_change_that_is_taken_back_by_force_leaves_the_evidence_found_since(store: Store) -> None:
    backed(store, "abc", "t0", "t1", "t2")
    second = store.commits(N)[1]
    refused = kaizen("entities", "revert", N, "--commit", second.id)
    assert "other commits changed 'abc'" in refused.error
    assert kaizen("entities", "revert", N, "--commit", second.id, "--force").exit_code == 0
    assert evidence_by_tip(store) == {"abc": ["t0", "t2"]}
