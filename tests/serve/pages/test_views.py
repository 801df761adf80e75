"""Each page is shown, whatever the store holds, and follows the rules that the policy of the server makes."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from kaizen.store import StoreSettings, open_store
from tests.support.paging import looking, settings_in
from tests.support.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.testclient import TestClient

    from kaizen.store import Store

VIEWS = ("/", "/ns/kaizen/tips", "/ns/kaizen/review", "/ns/kaizen/runs", "/ns/kaizen/recall", "/login")


class Forbidden(HTMLParser):
    """Find what the policy of the server does not let run, and addresses of other servers than Phoenix."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("style", "iframe", "object", "base") or (tag == "script" and "src" not in values):
            self.found.append(tag)
        for name, value in values.items():
            if (
                name == "style"
                or name.startswith("on")
                or (
                    name in ("src", "href", "action")
                    and not re.match(r"[/#]|http://localhost:6006/", value or "")
                )
            ):
                self.found.append(f"{tag} {name}={value}")


def crawled(client: TestClient, starts: Iterable[str], *, limit: int = 150) -> dict[str, str]:
    """Follow the links of pages and what they load later; return the text of each page by its address."""
    found: dict[str, str] = {}
    waiting = list(starts)
    while waiting and len(found) < limit:
        address = waiting.pop(0)
        if address in found or "/static/" in address:
            continue
        response = client.get(address)
        assert response.status_code == 200, (address, response.text[:500])
        found[address] = response.text
        linked = re.findall(r'(?:href|hx-get)="([^"]*)"', response.text)
        waiting += [url for url in map(unescape, linked) if url.startswith("/") and not url.startswith("//")]
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_an_empty_store_says_what_to_do(view: str, tmp_path: Path) -> None:
    where = settings_in(tmp_path)
    with open_store(where) as store, looking(store, where) as client:
        response = client.get(view)
    assert response.status_code == 200
    assert response.text.count("<h1") == 1
    if view == "/":
        assert "import kaizen.auto" in response.text
        assert "kaizen sync phoenix" in response.text
        assert "kaizen demo" in response.text


def test_every_link_of_every_page_leads_somewhere(page: TestClient) -> None:
    pages = crawled(page, VIEWS)
    kinds = {re.sub(r"^/ns/kaizen/?|[/?].*", "", address) for address in pages}
    assert {"tips", "review", "runs", "recall", "edit", "effect", "evidence"} <= kinds
    assert {address: found for address, text in pages.items() if (found := Forbidden(text).found)} == {}


def test_pages_lie_below_the_base_path(measured_store: Store, measured: StoreSettings) -> None:
    with looking(measured_store, measured, base_path="/kaizen") as client:
        pages = crawled(client, ["/kaizen/"], limit=12)
        loaded = re.findall(r'(?:src|href)="([^"]*/static/[^"]*)"', pages["/kaizen/"])
        answers = [client.get(url) for url in loaded]
    assert all(address.startswith("/kaizen/") for address in pages)
    assert len(pages) == 12
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["cache-control"] for answer in answers} == {"public, max-age=31536000, immutable"}


def test_hostile_texts_are_shown_as_text(hostile: TestClient) -> None:
    pages = crawled(hostile, ["/", "/ns/kaizen/tips", "/ns/kaizen/review", "/ns/kaizen/runs"])
    assert sum("alert(1)" in text for text in pages.values()) >= 5
    for address, text in pages.items():
        assert Forbidden(text).found == [], address
        # What a form sends back must be as it was.
        seen = re.sub(r"<textarea.*?</textarea>|<(?!meta|img)[^>]*>", "", text, flags=re.DOTALL)
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u200b\U000e0041]", seen), address
        assert len(text) < 400_000, address
    whole = "".join(pages.values())
    assert 'title="right-to-left override">U+202E</span>gnp.exe' in whole
    assert ">U+001B</span>[31mred" in whole
    assert "{{ 7*7 }}" in whole


def test_an_error_is_a_page_that_says_what_is_wrong(page: TestClient) -> None:
    missing = page.get("/ns/kaizen/tips/nobody")
    assert missing.status_code == 404
    assert "nobody" in missing.text
    assert page.get("/ns/nowhere/tips").status_code == 404
    assert page.get("/ns/kaizen/runs/evidence:1").status_code == 404
    refused = page.get("/", headers={"Host": "evil.example"})
    assert refused.status_code == 421
    assert "<h1>" in refused.text


def test_whoever_may_only_read_is_shown_no_button(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, _):
        for view in ("/ns/kaizen/tips", "/ns/kaizen/tips/active", "/ns/kaizen/review"):
            text = client.get(view).text
            assert "Log in" in text
            assert "<button" not in re.sub(r'<form class="search.*?</form>', "", text, flags=re.DOTALL)
        assert client.post("/ns/kaizen/retire/active").status_code in (401, 403)
        assert client.post("/ns/kaizen/undo", data={"version": "1"}).status_code in (401, 403)


def test_a_form_needs_the_word_of_its_page(tmp_path: Path) -> None:
    from tests.support.serving import SECRETS

    with serving(tmp_path) as (client, store):
        logged_in = client.post(
            "/login", data={"token": SECRETS["ann"]}, headers={"Origin": str(client.base_url)}
        )
        assert logged_in.status_code == 303
        assert client.post("/ns/kaizen/retire/active").status_code == 403
        csrf = re.search(r'name="csrf" value="(\w+)"', client.get("/ns/kaizen/tips/active").text)
        assert csrf
        assert client.post("/ns/kaizen/retire/active", data={"csrf": csrf[1]}).status_code == 303
        assert store.get("kaizen", "active").metadata["status"] == "retired"
        assert store.history("kaizen", "active")[-1].actor == "kaizen serve: ann"


def test_the_start_page_alone_says_why_a_tip_exists_and_whether_it_helps(page: TestClient) -> None:
    text = unescape(re.sub(r"<[^>]+>", "", page.get("/").text))
    assert re.search(r"Why it exists\s+\d+ conversations showed it, the last one with", text)
    assert re.search(
        r"Does it help\?\s+(Helps|Not known yet)\s+With it \d+% of \d+ runs? made the mistake", text
    )
    assert "Kaizen's tips" in text
    assert "demo-office" in text
