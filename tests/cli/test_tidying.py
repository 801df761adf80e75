"""Keeping a namespace tidy: consolidating it, tips that went stale, and where a tip came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import Scenarios
from kaizen.store import Put, StoreSettings, open_store
from kaizen.sync.trajectory.tool_definitions import tool_versions
from scripts.reference import JSON_KEYS
from tests.cli.test_commands import paths
from tests.support.command import kaizen
from tests.support.listed import ListedSource, one_call
from tests.support.stored_tips import stored_tip
from tests.support.syncing import make_sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.store import Store
    from kaizen.tips.tip import StoredTip

READ_ALL = "Read every page of search_orders until a page comes back empty."
READ_PAGES = "Read all pages of search_orders until a page comes back empty, since the list is cut."
TOOL = '{"name": "find", "parameters": {"properties": {"%s": {"type": "string"}}}}'


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    with open_store(StoreSettings(data_dir=tmp_path, embedder="none")) as store:
        store.create_namespace("kaizen")
        yield store


@pytest.fixture
def scripted(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """The scripted model, as the one that decides which tips are one lesson."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    monkeypatch.setenv("KAIZEN_CONFLICT_RESOLUTION_MODEL", "openai/gpt-4.1-mini")
    return model_server


def put(store: Store, *tips: StoredTip) -> None:
    store.commit("kaizen", [change for tip in tips for change in tip.to_changes()])


def listed(*options: str) -> list[str]:
    ended = kaizen("entities", "list", "kaizen", "--json", *options)
    return [entity["id"] for entity in ended.json["entities"]]


def show(tip_id: str) -> str:
    """What a person is shown, with runs of spaces as one."""
    ended = kaizen("entities", "show", "kaizen", tip_id)
    assert ended.exit_code == 0, ended
    return "\n".join(" ".join(line.split()) for line in ended.stdout.splitlines())


# consolidate


def test_consolidating_is_planned_then_done_then_undone(store: Store) -> None:
    put(store, stored_tip("t1", READ_ALL, "a"), stored_tip("t2", READ_ALL, "b", "c"))

    planned = kaizen("entities", "consolidate", "kaizen", "--model", "offline")
    assert planned.exit_code == 0, planned
    assert "1 of 2 active tips would be left" in planned.stdout
    assert "kaizen entities consolidate kaizen --apply" in planned.stderr
    assert listed("--where", "status=active") == ["t1", "t2"]

    done = kaizen("entities", "consolidate", "kaizen", "--model", "offline", "--apply")
    assert done.stdout.splitlines()[:3] == ["t2  support 3", f"    {READ_ALL}", f"    <- t1  {READ_ALL}"]
    assert "1 of 2 active tips is left" in done.stdout
    assert listed("--where", "status=active") == ["t2"]

    again = kaizen("entities", "consolidate", "kaizen", "--model", "offline", "--apply", "--json").json
    assert (again["merges"], again["commit_id"]) == ([], None)

    undo = done.stderr.split("To undo it: kaizen ")[1].split()
    assert kaizen(*undo).exit_code == 0
    assert listed("--where", "status=active") == ["t1", "t2"]


def test_the_model_and_its_cost_are_shown(store: Store, scripted: ModelServer) -> None:
    group = {"members": [1, 2], "content": "Read all pages of search_orders.", "trigger": ""}
    scripted.scenarios = Scenarios.from_json({"groups": [{"pattern": "TIPS:", "answer": group}]})
    put(store, stored_tip("t1", READ_ALL, "a"), stored_tip("t2", READ_PAGES, "b"))

    planned = kaizen("entities", "consolidate", "kaizen")
    assert "1 cluster for openai/gpt-4.1-mini, which may keep some apart: about " in planned.stderr
    assert scripted.requests == []
    document = kaizen("entities", "consolidate", "kaizen", "--apply", "--json").json

    assert paths(document) <= JSON_KEYS["entities consolidate"].keys()
    assert document["model"]["questions"] == len(scripted.requests) == 1
    assert document["model"]["cost_usd"] > 0
    (merge,) = document["merges"]
    assert merge["worded_by"] == {"model": "openai/gpt-4.1-mini", "prompt_version": "consolidate-1"}
    assert document["tokens"]["after"] < document["tokens"]["before"]


@pytest.mark.parametrize("options", [["--apply"], []])
def test_a_namespace_that_there_is_not_is_an_error(options: list[str], store: Store) -> None:
    assert "nowhere" in kaizen("entities", "consolidate", "nowhere", "--model", "offline", *options).error


# stale tips


def test_only_stale_tips_are_listed_and_show_says_which_tool_changed(
    store: Store, scripted: ModelServer
) -> None:
    def lesson(number: int, word: str, parameter: str) -> Any:
        tool = {"llm.tools.0.tool.json_schema": TOOL % parameter}
        return one_call(
            f"t{number}", number, [{"role": "user", "content": f"LESSON-{word} {number}"}], "-", **tool
        )

    traces = [lesson(0, "alpha", "city"), lesson(1, "beta", "city"), lesson(2, "gamma", "town")]
    make_sync(ListedSource(traces), store).run()  # type: ignore[arg-type]  # it is a source
    put(store, stored_tip("manual", READ_ALL))
    stale = [
        e.id
        for e in store.iterate("kaizen", type="guideline")
        if e.content in ("Remember alpha.", "Remember beta.")
    ]

    assert listed("--stale") == stale
    assert listed("--stale", "--limit", "1") == stale[:1]
    assert listed("--stale", "--limit", "1", "--after", stale[0]) == stale[1:]
    assert listed("--stale", "--all") == stale
    shown = show(stale[0])
    assert "tool changed find: trace t2 of project stories was offered another version" in shown
    (tool,) = kaizen("entities", "show", "kaizen", stale[0], "--json").json["stale_tools"]
    assert tool["learned_under"] == [tool_versions([TOOL % "city"])["find"]]
    assert {f"stale_tools[].{key}" for key in tool} <= JSON_KEYS["entities show"].keys()
    assert (
        "No tip is older than its tools."
        in kaizen("entities", "list", "kaizen", "--stale", "--where", "status=x").stderr
    )
    assert kaizen("entities", "list", "kaizen", "--stale", "--type", "trajectory").exit_code == 2


# where a tip came from


def test_every_kind_of_tip_says_where_it_came_from(store: Store) -> None:
    put(
        store,
        stored_tip("t1", READ_ALL, "a", "b"),
        stored_tip("t2", READ_ALL.lower(), "c"),
        stored_tip("manual", "Be kind."),
    )
    imported = {"creation_mode": "imported", "sources": [{"trace_id": "x"}, "no evidence", 7]}
    store.commit("kaizen", [Put(id="i1", type="guideline", content="Imported.", metadata=imported)])
    store.commit("kaizen", [Put(id="i2", type="guideline", content="Bare.")])
    assert kaizen("entities", "consolidate", "kaizen", "--model", "offline", "--apply").exit_code == 0

    merged = show("t1")
    for trace_id in "abc":
        assert f"evidence trace {trace_id} of project p" in merged
        assert f"url http://localhost:6006/redirects/spans/span-{trace_id}" in merged
    assert f"merged from t2: {READ_ALL.lower()}" in merged
    assert "evidence it has moved to t1, which this tip was merged into" in show("t2")
    assert "evidence none: added by hand" in show("manual")
    assert "evidence trace x of project None" in show("i1")
    assert "evidence none is kept with it" in show("i2")
