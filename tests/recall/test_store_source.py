"""Tips that come from a store on the same machine, and the files that others are given."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kaizen.recall
from kaizen.recall import recall
from kaizen.recall.snapshots import sources
from kaizen.recall.snapshots.document import read_document
from kaizen.store import StoreSettings, open_store
from kaizen.tips import recall_document
from kaizen.tips.effect import wording_revision
from tests.support.command import kaizen as run_kaizen
from tests.support.stored_tips import changes_of, stored_tip, tip_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.store import Store
    from kaizen.tips import StoredTip


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    # Else one run in five goes without a tip.
    monkeypatch.setenv("KAIZEN_RECALL_HOLDOUT", "0")
    settings = StoreSettings(data_dir=tmp_path / "data", embedder="none")
    with open_store(settings) as store:
        store.create_namespace("kaizen")
        yield store


def add(store: Store, *tips: Any) -> None:
    store.commit("kaizen", changes_of(*tips))


def test_active_tips_of_a_store_are_recalled(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, stored_tip("a", "Give refund the amount in cents.", "t1", "t2", trigger="A refund"))
    add(store, stored_tip("b", "Quarantined refund.", "t1").with_metadata(status="quarantined"))
    add(store, stored_tip("c", "Retired refund.", "t1").with_metadata(status="retired"))
    monkeypatch.setenv("KAIZEN_RECALL_FROM", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_RECALL_TIMEOUT", "60")
    assert [tip.id for tip in recall("I want a refund").tips] == ["a"]


def test_the_configured_store_is_the_default(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, stored_tip("a", "Give refund the amount in cents.", "t1"))
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_RECALL_TIMEOUT", "60")
    assert [tip.id for tip in recall("I want a refund").tips] == ["a"]


def test_a_store_is_read_again_only_after_a_commit(store: Store, tmp_path: Path) -> None:
    add(store, stored_tip("a", "One.", "t1"))
    url = f"sqlite:{tmp_path / 'data'}"
    first = sources.fetch(url, "kaizen")
    assert first is not None
    assert sources.fetch(url, "kaizen", etag=first.etag) is None
    add(store, stored_tip("b", "Two.", "t1"))
    again = sources.fetch(url, "kaizen", etag=first.etag)
    assert again is not None
    assert [tip.id for tip in read_document(again.data, "kaizen").tips] == ["a", "b"]


def test_a_store_that_cannot_be_read_is_an_error_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(sources.SourceError, match="does not exist"):
        sources.fetch(str(tmp_path / "nothing"), "kaizen")
    assert not (tmp_path / "nothing").exists()


def test_without_kaizen_store_the_error_says_what_to_do() -> None:
    paths = [str(Path(path).parents[1]) for path in kaizen.recall.__path__]
    code = (
        f"import sys; sys.path[:0] = {paths!r}\n"
        "from kaizen.recall.snapshots.sources import fetch\n"
        "try: fetch('', 'kaizen')\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("the store of this machine cannot be read without kaizen-store: install it")


def test_what_the_store_writes_is_what_recall_reads(store: Store) -> None:
    tool = {"tools": {"pay": "v2"}}
    add(
        store,
        stored_tip("b", "Nobody knows é 日本.", "t1", steps=["one", "two"]),
        stored_tip("a", "In cents.", "t1", "t2", signature={"tool": "pay", "error": "..."}, **tool),
        stored_tip("c", "A person's."),
    )
    written = recall_document(store, "kaizen")
    tips = json.loads(written)["tips"]
    canonical = json.dumps(tips, sort_keys=True, separators=(",", ":"))
    assert json.loads(written)["digest"] == hashlib.sha256(canonical.encode()).hexdigest()
    read = read_document(written.encode(), "kaizen").tips
    # In the order of recall already, so that a reader need not sort.
    assert [tip.id for tip in read] == [tip["id"] for tip in tips] == ["c", "a", "b"]
    a = next(tip for tip in read if tip.id == "a")
    assert (a.tool, dict(a.tools), a.support) == ("pay", {"pay": "v2"}, 2)


def test_a_revision_changes_with_words_and_tools_and_with_nothing_else(store: Store) -> None:
    tip = stored_tip("a", "In cents.", "t1", tools={"pay": "v2"})

    def revision(tip: StoredTip) -> int:
        add(store, tip)
        [served] = json.loads(recall_document(store, "kaizen"))["tips"]
        return int(served["revision"])

    first = revision(tip)
    assert revision(tip.with_source(tip_source("t2"))) == first
    assert revision(tip.with_metadata(effect={"verdict": "helps"})) == first
    others = [
        tip.with_content("In euros."),
        tip.with_metadata(tools={"pay": "v3"}),
        tip.with_metadata(trigger="x"),
    ]
    assert len({first, *map(revision, others)}) == 4


def test_a_tip_is_held_out_often_until_it_is_proven_and_never_if_it_is_pinned(store: Store) -> None:
    tip = stored_tip("a", "In cents.", "t1")
    helps = {"verdict": "helps", "revision": wording_revision(tip)}

    def p(tip: StoredTip) -> float:
        add(store, tip)
        [served] = json.loads(recall_document(store, "kaizen"))["tips"]
        return float(served.get("p", 0))

    assert p(tip) == 0.2
    assert p(tip.with_metadata(effect=helps)) == 0.05
    # Other words prove nothing.
    assert p(tip.with_metadata(effect={**helps, "revision": 1})) == 0.2
    assert p(tip.with_metadata(is_pinned=True)) == 0


def test_a_tip_is_served_with_the_tools_that_it_is_about(store: Store) -> None:
    many = {f"tool_{number}": "v" for number in range(300)}
    add(
        store,
        stored_tip("a", "Call tool_7 first, not tool_77x.", "t1", tools=many, signature={"tool": "tool_9"}),
        stored_tip("b", "Ask first.", "t1", tools=many),
        stored_tip("c", "Ask first, too.", "t1", tools={"pay": "v"}),
    )
    read = read_document(recall_document(store, "kaizen").encode(), "kaizen").tips
    assert {tip.id: sorted(tip.tools) for tip in read} == {"a": ["tool_7", "tool_9"], "b": [], "c": ["pay"]}


def test_the_best_candidate_of_each_tool_is_tried_if_that_is_asked_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay, book = ({"tool": tool, "error": "refused"} for tool in ("pay", "book"))
    tips = [
        stored_tip("once", "Pay once.", "t1", signature=pay),
        stored_tip("twice", "Pay twice.", "t1", "t2", signature=pay),
        stored_tip("book", "Book early.", "t1", signature=book),
        stored_tip("vague", "Be careful.", "t1"),
    ]
    add(store, *(tip.with_metadata(status="candidate") for tip in tips))
    assert json.loads(recall_document(store, "kaizen"))["tips"] == []
    tried = json.loads(recall_document(store, "kaizen", try_candidates=True))["tips"]
    assert {tip["id"]: tip["p"] for tip in tried} == {"twice": 0.5, "book": 0.5}
    monkeypatch.setenv("KAIZEN_RECALL_FROM", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_RECALL_TIMEOUT", "60")
    monkeypatch.setenv("KAIZEN_RECALL_TRY", "true")
    assert [tip.id for tip in recall("Pay", tools=["pay"]).tips] == ["twice"]
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    exported = json.loads(run_kaizen("tips", "export", "--format", "recall").stdout)["tips"]
    assert [tip["id"] for tip in exported] == [tip["id"] for tip in tried]


def test_a_step_that_the_tip_says_already_is_not_served(store: Store) -> None:
    content = "Write `date` like 05JAN26: otherwise it refuses."
    add(store, stored_tip("a", content, "t1", steps=["Write `date` like 05JAN26.", "Then book."]))
    (tip,) = json.loads(recall_document(store, "kaizen"))["tips"]
    assert tip["steps"] == ["Then book."]


def test_odd_metadata_of_others_does_not_stop_the_export(store: Store) -> None:
    add(store, stored_tip("a", "Odd.", "t1", effect=[1], p="much"))
    assert [tip["id"] for tip in json.loads(recall_document(store, "kaizen"))["tips"]] == ["a"]


# The commands


def exported(*arguments: object) -> Any:
    return run_kaizen("tips", "export", *arguments)


@pytest.fixture
def tips(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    add(
        store,
        stored_tip("a", "Give `pay` the amount in cents; see <https://x.example>.", "t1", "t2", "t3"),
        stored_tip(
            "b", "Ask for the booking code.", "t1", "t2", trigger="A flight is changed", steps=["Ask"]
        ),
        stored_tip("c", "Sort by date.", "t1"),
        stored_tip("d", "Never shown.", "t1").with_metadata(status="quarantined"),
    )
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    return store


def test_export_for_recall(tips: Store, tmp_path: Path) -> None:
    said = exported("--format", "recall", "--output", "tips.json")
    assert (said.exit_code, said.stdout.split()[:3]) == (0, ["Exported", "3", "tips"])
    found = read_document((tmp_path / "tips.json").read_bytes(), "kaizen")
    assert [tip.id for tip in found.tips] == ["a", "b", "c"]
    assert [tip["id"] for tip in exported("--format", "recall", "--top", 1).json["tips"]] == ["a"]


def test_kaizen_recall_says_what_would_be_shown_and_why(tips: Store) -> None:
    said = run_kaizen("recall", "my flight changed")
    assert said.exit_code == 0
    assert "3 tips of namespace kaizen from the store of this machine" in said.stdout
    assert re.search(r"^b@\d+  Ask for the booking code\.$", said.stdout, re.MULTILINE)
    assert "in the instructions, for the words flight, chang" in said.stdout
    said = run_kaizen("recall", "my flight changed", "--json", "--explain", "--tool", "pay")
    (first,) = said.json["considered"]
    assert (first["id"], first["words"]) == ("b", ["flight", "chang"])


def test_kaizen_recall_without_tips_fails_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run_kaizen("recall", "x", "--from", tmp_path / "none.json")
    assert said.exit_code == 1
    assert "none.json cannot be read: No such file" in said.stdout


# Files that agents read


def test_a_file_gets_the_block_and_keeps_the_rest(tips: Store, tmp_path: Path) -> None:
    file = tmp_path / "AGENTS.md"
    file.write_text("# Rules\n\nBe kind.\n")
    file.chmod(0o640)
    assert exported("--format", "agents.md", "--into", file).exit_code == 0
    text = file.read_text()
    assert text.startswith("# Rules\n\nBe kind.\n\n<kaizen-tips>\n")
    assert "- Give `pay` the amount in cents; see <https://x.example>.\n" in text
    assert "Never shown" not in text
    assert file.stat().st_mode & 0o777 == 0o640
    assert exported("--format", "agents.md", "--into", file, "--top", 1).exit_code == 0
    assert file.read_text().count("\n- ") == 1


def test_check_says_whether_a_file_is_out_of_date(tips: Store, tmp_path: Path) -> None:
    file = tmp_path / "CLAUDE.md"
    arguments = ("--format", "agents.md", "--into", file)
    assert exported(*arguments, "--check").exit_code == 1
    assert not file.exists()
    assert exported(*arguments).exit_code == 0
    assert exported(*arguments, "--check").exit_code == 0
    add(tips, stored_tip("e", "Another.", "t1"))
    before = file.read_bytes()
    assert exported(*arguments, "--check").exit_code == 1
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("--into", "x"),
        ("--check", "--format", "agents.md"),
        ("--top", "3"),
        ("--max-tokens", "9", "--format", "recall"),
        ("--into", "x", "--output", "y", "--format", "agents.md"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tips: Store, arguments: tuple[str, ...]) -> None:
    assert exported(*arguments).exit_code == 2


def test_a_file_with_broken_marks_is_left_alone(tips: Store, tmp_path: Path) -> None:
    file = tmp_path / "AGENTS.md"
    file.write_text("</kaizen-tips>\n")
    assert "AGENTS.md is not changed" in exported("--format", "agents.md", "--into", file).error
    assert file.read_text() == "</kaizen-tips>\n"
