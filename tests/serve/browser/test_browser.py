"""The pages in a real Chromium: by keyboard, narrow, dark, accessible, whatever the store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serve.browser.conftest import HUGE, hostile_tips, nothing, very_many
from tests.support.serving import SECRETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.browser import Visitor

VIEWS = {
    "overview": "/",
    "tips": "/ns/kaizen/tips",
    "review": "/ns/kaizen/review",
    "runs": "/ns/kaizen/runs",
    "recall": "/ns/kaizen/recall",
}
MOST_SHIFT = 0.1

Visit = "Callable[..., Visitor]"
ServeNew = "Callable[[Callable[[Store], object]], str]"


def all_views(visitor: Visitor) -> dict[str, str]:
    """The address of each kind of page, the whole ones of a tip and of a run too."""
    found = dict(VIEWS)
    visitor.go("/ns/kaizen/tips")
    address = visitor.page.locator(".row .what a").first.get_attribute("href")
    found |= {"tip": address, "edit": address.replace("/tips/", "/edit/", 1)}
    visitor.go("/ns/kaizen/runs")
    if visitor.page.locator("td a").count():
        found["run"] = visitor.page.locator("td a").first.get_attribute("href")
    return found


def check_views(
    visitor: Visitor, views: dict[str, str], *, asked_of_axe: Sequence[str] | None = None
) -> None:
    """Look at each page: it is there, no wider than the window, still, and accessible."""
    for label, address in views.items():
        assert visitor.go(address).status == 200, label
        visitor.picture(label)
        assert visitor.scrolls_sideways() <= 0, label
        assert visitor.shifts() <= MOST_SHIFT, label
        if asked_of_axe is None or label in asked_of_axe:
            assert visitor.inaccessible() == [], label


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_each_view_is_accessible_in_every_form(
    measured_url: str, visit: Visit, width: int, scheme: str
) -> None:
    visitor = visit(measured_url, width=width, scheme=scheme)
    views = all_views(visitor)
    assert set(views) == {*VIEWS, "tip", "edit", "run"}
    # Asking takes a second of each page, and other colours are the same on all.
    check_views(visitor, views, asked_of_axe=None if scheme == "light" else ("overview", "tip", "review"))


def test_tips_are_found_as_one_types(measured_url: str, visit: Visit) -> None:
    visitor = visit(measured_url)
    page = visitor.page
    visitor.go("/ns/kaizen/tips")
    page.keyboard.press("/")
    page.keyboard.type("drain the node")
    page.wait_for_selector("text=best match first")
    assert "drain_node" in page.locator(".row .what a").first.inner_text()
    assert page.locator("#q:focus").count() == 1
    assert "q=drain" in page.url
    page.fill("#q", "send a report")
    page.select_option("select[name=status]", "quarantined")
    page.wait_for_selector("#results .row .badge.quarantined")
    assert "q=send%20a%20report" in page.url
    page.go_back()
    page.wait_for_selector("text=best match first")


def test_tips_are_reviewed_by_keyboard_and_that_is_undone(measured_url: str, visit: Visit) -> None:
    visitor = visit(measured_url)
    page = visitor.page
    visitor.go("/ns/kaizen/review?tip=waiting-0")
    assert page.locator("h2.tip-text mark").inner_text().lower() == "send report 0 to ops@example.net"

    def press(key: str) -> str:
        with page.expect_navigation():
            page.keyboard.press(key)
        return str(page.locator("h2.tip-text").inner_text())

    assert "report 1" in press("ArrowRight")
    assert "report 0" in press("ArrowLeft")
    assert "report 1" in press("a")
    assert "approved" in visitor.text("[role=status]")
    assert "report 2" in press("r")
    assert "rejected" in visitor.text("[role=status]")
    press("u")
    assert "Undone" in visitor.text("[role=status]")
    visitor.go("/ns/kaizen/tips/waiting-1")
    assert "waits for review" in visitor.text(".facts >> nth=0")
    visitor.go("/ns/kaizen/tips/waiting-0")
    assert "active" in visitor.text(".facts >> nth=0")
    visitor.go("/ns/kaizen/review?tip=waiting-3")
    with page.expect_navigation():
        page.keyboard.press("e")
    assert "/edit/waiting-3" in page.url


def test_an_edit_is_previewed_as_one_types_saved_and_undone(measured_url: str, visit: Visit) -> None:
    visitor = visit(measured_url)
    page = visitor.page
    visitor.go("/ns/kaizen/edit/waiting-2")
    page.fill("textarea[name=content]", "Ask before you send a report.")
    page.wait_for_selector("#preview >> text=- Ask before you")
    with page.expect_navigation():
        page.click("text=Save")
    assert visitor.text("h1") == "Ask before you send a report."
    assert page.locator("ins").count() > 0
    visitor.picture("edited")
    with page.expect_navigation():
        page.click("[role=status] button")
    assert visitor.text("h1").startswith("Send report 2")


def test_evidence_opens_in_its_conversation(measured_url: str, visit: Visit) -> None:
    visitor = visit(measured_url)
    page = visitor.page
    visitor.go("/ns/kaizen/tips")
    page.click(".row .what a >> nth=0")
    page.wait_for_selector("svg.plot")
    page.click("text=Show it in its conversation >> nth=0")
    page.wait_for_selector(".evidence details[open] mark")
    page.click("text=whole conversation >> nth=0")
    assert page.locator("ol.conversation mark").count() >= 1


def test_recall_is_tried_as_one_types(measured_url: str, visit: Visit) -> None:
    visitor = visit(measured_url)
    visitor.go("/ns/kaizen/recall")
    visitor.page.fill("textarea[name=task]", "Refund 12.50 of order W77")
    visitor.page.fill("input[name=tools]", "refund_order")
    visitor.page.wait_for_selector("text=At the end of the description of refund_order")
    visitor.picture("tried")


def test_an_empty_store_says_what_to_do(serve_new: ServeNew, visit: Visit) -> None:
    visitor = visit(serve_new(nothing))
    check_views(visitor, {"overview": "/", "runs": "/ns/kaizen/runs"})
    visitor.go("/")
    assert "Nothing learned yet" in visitor.text()


def test_hostile_texts_run_nothing(serve_new: ServeNew, visit: Visit) -> None:
    visitor = visit(serve_new(hostile_tips))
    visitor.page.on("dialog", lambda dialog: visitor.complaints.append(f"dialog {dialog.message}"))
    for address in all_views(visitor).values():
        assert visitor.go(address).status == 200
        assert visitor.scrolls_sideways() <= 0, address
    visitor.go("/ns/kaizen/tips/hostile%2F..%2F1")
    assert "<script>alert(1)</script>" in visitor.text("h1")
    assert visitor.page.locator("a[href^='javascript']").count() == 0
    visitor.picture("hostile")


def test_very_many_tips_are_read_behind_a_page_that_is_there_at_once(
    serve_new: ServeNew, visit: Visit
) -> None:
    visitor = visit(serve_new(very_many))
    visitor.page.goto(visitor.url + "/ns/kaizen/tips")
    visitor.page.wait_for_selector(f"text=1 to 50 of {HUGE:,} tips")
    visitor.page.click("text=Next")
    visitor.page.wait_for_selector(f"text=51 to 100 of {HUGE:,} tips")
    visitor.go("/")
    visitor.page.wait_for_selector("text=What agents are told")
    check_views(visitor, {"tips": "/ns/kaizen/tips"})


def test_who_has_no_token_may_look_and_who_logs_in_may_decide(serve_new: ServeNew, visit: Visit) -> None:
    visitor = visit(serve_new(hostile_tips), who="")
    visitor.go("/ns/kaizen/review")
    assert visitor.page.locator("main form[method=post]").count() == 0
    assert "To decide, log in" in visitor.text()
    visitor.page.click("text=Log in >> nth=0")
    visitor.page.fill("input[name=token]", SECRETS["ann"])
    visitor.page.click("main button")
    visitor.go("/ns/kaizen/review")
    assert "You are ann" in visitor.text("header")
    assert visitor.page.locator("button.approve").count() == 1
