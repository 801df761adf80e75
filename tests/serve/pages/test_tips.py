"""The list of tips and the page of one: found, filtered, decided on, changed, undone."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any

from kaizen.store import open_store
from kaizen.sync import find_runs
from kaizen.tips import GUIDELINE, StoredTip
from tests.support.paging import looking, settings_in
from tests.support.serving import serving
from tests.support.stored_tips import changes_of, stored_tip, tip_source

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient

    from kaizen.store import Store, StoreSettings


def listed(client: TestClient, **query: str) -> list[str]:
    """The ids of the tips that the list shows, in order."""
    text = client.get("/ns/kaizen/tips", params=query, headers={"HX-Target": "results"}).text
    assert "<html" not in text
    return re.findall(r'class="what"><a href="[^"]*/tips/([^"]+)"', text)


def tips_store(tmp_path: Path) -> tuple[StoreSettings, list[StoredTip]]:
    effect = {"verdict": "helps", "gain": 0.5, "low": 0.2, "high": 0.8}
    tips = [
        stored_tip("often", "Read the order first.", "t1", "t2", "t3", tools={"get_order": "1"}),
        stored_tip("once", "Send the invoice in cents.", "t4", tools={"send_invoice": "1"}),
        stored_tip("waits", "Call the bank.", "t5", status="quarantined", category="strategy"),
        stored_tip("measured", "Lock the invoice.", "t6", category="recovery"),
    ]
    from kaizen.tips.effect import wording_revision

    tips[3] = tips[3].with_metadata(effect={**effect, "revision": wording_revision(tips[3])})
    return settings_in(tmp_path), tips


def test_tips_are_filtered_and_sorted(tmp_path: Path) -> None:
    where, tips = tips_store(tmp_path)
    with open_store(where) as store, looking(store, where) as client:
        store.create_namespace("kaizen")
        for tip in tips:
            store.commit("kaizen", changes_of(tip))
        assert listed(client)[0] == "often"
        assert listed(client, sort="effect")[0] == "measured"
        assert listed(client, sort="newest")[0] == "measured"
        assert listed(client, sort="oldest")[0] == "often"
        assert listed(client, status="quarantined") == ["waits"]
        assert listed(client, verdict="helps") == ["measured"]
        assert listed(client, category="recovery") == ["measured"]
        assert listed(client, tool="send_invoice") == ["once"]
        assert set(listed(client, q="invoice")) == {"once", "measured"}
        assert listed(client, q="invoice", verdict="helps") == ["measured"]
        assert listed(client, stale="yes") == []
        assert listed(client, page="999999") == []
        assert len(listed(client, sort="<script>", page="x")) == 4


def test_tips_older_than_their_tools_are_found(page: TestClient, measured_store: Store) -> None:
    assert listed(page, stale="yes") == []
    assert len(listed(page)) == measured_store.count("kaizen", type=GUIDELINE)


def test_many_tips_are_decided_on_at_once_and_that_is_undone(tmp_path: Path) -> None:
    where, tips = tips_store(tmp_path)
    with open_store(where) as store, looking(store, where) as client:
        store.create_namespace("kaizen")
        store.commit("kaizen", changes_of(*tips))
        form = {"action": "retire", "tip": ["often@1", "once@1"], "back": "?q=order"}
        answer = client.post("/ns/kaizen/tips", data=form)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/ns/kaizen/tips?q=order&done=2"
        assert set(listed(client, status="retired")) == {"often", "once"}
        assert client.post("/ns/kaizen/undo", data={"version": "2", "back": "tips"}).status_code == 303
        assert listed(client, status="retired") == []
        approved = client.post("/ns/kaizen/tips", data={"action": "approve", "tip": ["waits@1"], "back": "?"})
        assert approved.status_code == 303
        assert store.get("kaizen", "waits").metadata["status"] == "active"
        assert client.post("/ns/kaizen/tips", data={"action": "burn", "tip": "once@1"}).status_code == 400
        # Nothing was ticked; one was changed since it was shown.
        nothing = {"action": "retire", "back": "//evil.example"}
        assert client.post("/ns/kaizen/tips", data=nothing).headers["location"] == "/ns/kaizen/tips?"
        stale = {"action": "reject", "tip": ["waits@1"], "back": "?"}
        assert client.post("/ns/kaizen/tips", data=stale).status_code == 409


def test_a_tip_shows_its_evidence_in_its_conversation(page: TestClient, measured_store: Store) -> None:
    tip = most_backed(measured_store)
    text = page.get(f"/ns/kaizen/tips/{tip.id}").text
    assert f"<strong>{tip.support} conversations</strong>" in text
    assert f"<mark>{unescape_free(tip.evidence[-1].quote)}</mark>" in text
    assert "Tool result" in text
    assert "calls <code>" in text
    assert "The failure that it prevents" in text
    assert "[kaizen] Learned from earlier runs" in text
    later = re.findall(r'hx-get="(/ns/kaizen/evidence/[^"]+)"', text)
    assert later
    assert "<mark>" in page.get(unescape(later[0])).text


def most_backed(store: Store) -> StoredTip:
    tips = map(StoredTip.of, store.iterate("kaizen", type=GUIDELINE))
    return max(tips, key=lambda tip: tip.support)


def unescape_free(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))


def test_the_effect_is_a_plot_with_a_table(page: TestClient, measured_store: Store) -> None:
    tip = most_backed(measured_store)
    text = page.get(f"/ns/kaizen/effect/{tip.id}").text
    assert '<svg class="plot"' in text
    # Room is kept for what is loaded later, and for nothing else.
    assert "effect-place" in page.get(f"/ns/kaizen/tips/{tip.id}").text
    waiting = next(measured_store.iterate("kaizen", type=GUIDELINE, where={"status": "quarantined"}))
    unmeasured = page.get(f"/ns/kaizen/tips/{waiting.id}").text
    assert "Not measured yet" in unmeasured
    assert "effect-place" not in unmeasured
    assert re.search(
        r'aria-label="How many more of 100 runs go well with the tip: \+\d+ after \d+ runs', text
    )
    assert re.search(
        r'<th scope="row">Tool calls</th><td class="num">[\d.]+</td><td class="num">[\d.]+</td>', text
    )


def test_a_span_is_linked_where_phoenix_is(tmp_path: Path) -> None:
    where = settings_in(tmp_path)
    with open_store(where) as store:
        store.create_namespace("kaizen")
        store.commit("kaizen", changes_of(stored_tip("one", "Do it.", "t1")))
        with looking(store, where) as client:
            assert (
                'href="http://localhost:6006/redirects/spans/span-t1"'
                in client.get("/ns/kaizen/tips/one").text
            )
        with looking(store, where, phoenix_url="https://phoenix.example.org/") as client:
            text = client.get("/ns/kaizen/tips/one").text
        assert 'href="https://phoenix.example.org/redirects/spans/span-t1"' in text


def edit_form(client: TestClient, **changes: str) -> dict[str, str]:
    form = {
        "content": "Read it twice.",
        "trigger": "Before.",
        "steps": "One.\n\nTwo.",
        "category": "recovery",
    }
    revision = re.search(r'name="revision" value="(\d+)"', client.get("/ns/kaizen/edit/active").text)
    assert revision
    return {**form, "rationale": "", "task_description": "", "revision": revision[1], **changes}


def test_an_edit_is_previewed_saved_compared_and_undone(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, store):
        client.headers.update(ann())
        form = edit_form(client)
        preview = client.post("/ns/kaizen/preview/active", data=form).text
        assert "- Read it twice. When: Before. Steps: (1) One. (2) Two." in preview
        assert store.get("kaizen", "active").revision == 1
        assert client.post("/ns/kaizen/edit/active", data=form).headers["location"].endswith("?done=2")
        entity = store.get("kaizen", "active")
        assert entity.content == "Read it twice."
        assert entity.metadata["implementation_steps"] == ["One.", "Two."]
        text = client.get("/ns/kaizen/tips/active").text
        assert re.search(
            r"Read <del>an</del><ins>it</ins> <del>order with get_order before you cancel it</del>"
            r"<ins>twice</ins>\.",
            text,
        )
        # As it was shown when the form was opened, and not as it is now.
        assert client.post("/ns/kaizen/edit/active", data=form).status_code == 409
        assert client.post("/ns/kaizen/undo", data={"version": "2", "tip": "active"}).status_code == 303
        assert store.get("kaizen", "active").content.startswith("Read an order")
        assert client.post("/ns/kaizen/edit/active", data=edit_form(client, content=" ")).status_code == 400


def ann() -> dict[str, str]:
    from tests.support.serving import bearer

    return bearer("ann")


def test_an_undo_that_gives_up_later_changes_asks_first(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, store):
        client.headers.update(ann())
        client.post("/ns/kaizen/edit/active", data=edit_form(client))
        client.post("/ns/kaizen/edit/active", data=edit_form(client, content="Read it thrice."))
        undo = {"version": "2", "tip": "active", "back": "tips"}
        refused = client.post("/ns/kaizen/undo", data=undo)
        assert refused.status_code == 409
        assert "give up" in refused.text
        assert store.get("kaizen", "active").content == "Read it thrice."
        assert client.post("/ns/kaizen/undo", data={**undo, "force": "yes"}).status_code == 303
        assert store.get("kaizen", "active").content.startswith("Read an order")
        assert client.post("/ns/kaizen/undo", data={"version": "99"}).status_code == 404


def test_a_tip_is_pinned_and_retired(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, store):
        client.headers.update(ann())
        client.post("/ns/kaizen/pin/active", data={"pinned": "yes"})
        assert store.get("kaizen", "active").metadata["is_pinned"] is True
        assert "pinned" in client.get("/ns/kaizen/tips/active").text
        client.post("/ns/kaizen/pin/active", data={"pinned": "no"})
        client.post("/ns/kaizen/retire/active", data={})
        metadata: Any = store.get("kaizen", "active").metadata
        assert "is_pinned" not in metadata
        assert metadata["status"] == "retired"


def test_a_run_shows_what_was_said_and_what_it_was_shown(page: TestClient, measured_store: Store) -> None:
    runs = find_runs(measured_store, "kaizen").runs
    shown = next(run for run in runs if run.shown)
    text = page.get(f"/ns/kaizen/runs/{shown.entity_id}").text
    assert f'href="/ns/kaizen/tips/{shown.shown[0]}"' in text
    assert "Tips that it was given" in text
    assert 'id="m1"' in text
    assert (
        page.get("/ns/kaizen/runs", params={"outcome": "success", "state": "learned"}).text.count("success")
        > 2
    )


def test_counterexamples_and_bounds_of_evidence(tmp_path: Path) -> None:
    where = settings_in(tmp_path)
    tip = stored_tip("one", "Do it.", *[f"t{n}" for n in range(7)]).with_metadata(counterexamples=["t9"])
    tip = tip.with_source(tip_source("t8", verified=False, quote="not there"))
    with open_store(where) as store, looking(store, where) as client:
        store.create_namespace("kaizen")
        store.commit("kaizen", changes_of(tip))
        text = client.get("/ns/kaizen/tips/one").text
        assert "1 conversation broke what it claims and ended well all the same" in text
        assert text.count('class="card evidence"') == 5
        assert "5 of 7 pieces of evidence" in text
        whole = client.get("/ns/kaizen/tips/one", params={"evidence": "all"}).text
        assert whole.count('class="card evidence"') == 7
        assert "The store does not keep this conversation." in text
