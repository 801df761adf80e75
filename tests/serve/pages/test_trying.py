"""Try recall: what the page says is what recall does."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING

from kaizen.recall import Request, Snapshot, offered_tools, read_served_tip, recall_from
from kaizen.tips import served_tips

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from kaizen.store import Store


def test_a_run_is_shown_what_recall_would_write(page: TestClient, measured_store: Store) -> None:
    task = "Refund 12.50 of order W77."
    form = {"task": task, "tools": "refund_order, close_ticket", "instructions": ""}
    text = unescape(page.post("/ns/kaizen/recall", data=form).text)
    served = filter(None, map(read_served_tip, served_tips(measured_store, "kaizen")))
    wanted = Request(task, tools=offered_tools(["refund_order", "close_ticket"]))
    recalled = recall_from(Snapshot(served), wanted, unit="one", holdout_bound=0)
    assert recalled.notes
    assert all(note in text for note in recalled.notes.values())
    assert "it is about the tool" in text
    assert "held out from" in text


def test_why_a_tip_is_not_shown_is_said(page: TestClient) -> None:
    nothing = page.post("/ns/kaizen/recall", data={"task": "zzz"}, headers={"HX-Target": "results"}).text
    assert "No tip is about these tools or fits the words of the task." in nothing
    assert "<html" not in nothing
    by_words = page.post(
        "/ns/kaizen/recall", data={"task": "call drain_node before calling restart_node"}
    ).text
    assert "At the end of the instructions" in by_words
    assert "for the words" in by_words
