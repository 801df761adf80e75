"""Who is let in, and what is refused: hosts, origins, tokens, forms, sizes; and what is never told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from kaizen.serve import ServeSettings
from kaizen.serve.security.callers import COOKIE
from kaizen.serve.security.failures import MOST
from kaizen.serve.tokens import csrf_of, find_token, make_token, parse_tokens
from kaizen.store import InvalidInputError
from tests.support.serving import HERE, SECRETS, TOKENS, bearer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RETIRE = {"tip_ids": ["active"]}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path) as (client, _):
        yield client


def log_in(client: TestClient, name: str) -> str:
    """Let the client send the cookie of somebody from now on; return what its forms must say."""
    answer = client.post("/login", data={"token": SECRETS[name]}, headers={"Origin": HERE})
    assert answer.status_code == 303
    return csrf_of(SECRETS[name])


@pytest.mark.parametrize(
    ("settings", "is_refused"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "192.168.1.2"}, True),
        ({"hosts": "kaizen.example.org"}, True),
        ({"host": "0.0.0.0", "tokens": TOKENS}, False),
    ],
)
def test_what_others_can_reach_needs_tokens(settings: dict[str, str], is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(InvalidInputError, match="kaizen serve token"):
            ServeSettings(**settings)
    else:
        ServeSettings(**settings)


def test_a_token_is_known_by_its_hash_alone() -> None:
    secret, token = make_token("ann", frozenset({"review"}))
    assert secret not in token.line()
    known = parse_tokens(token.line())
    assert find_token(secret, known) == token
    assert find_token(secret + "x", known) is None
    assert token.scopes == {"read", "review"}


@pytest.mark.parametrize("line", ["ann", "ann:read:sha256:abc", f"ann:all:sha256:{'0' * 64}", "a b"])
def test_a_line_of_tokens_that_is_wrong_is_refused_and_not_shown(line: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        ServeSettings(tokens=line)
    assert "KAIZEN_SERVE_TOKENS" in str(caught.value)
    assert "sha256:abc" not in str(caught.value)
    assert "0000" not in str(caught.value)


def test_without_a_token_this_machine_may_read_and_change_nothing(client: TestClient) -> None:
    assert client.get("/v1/tips").status_code == 200
    assert client.post("/v1/tips/retire", json=RETIRE).status_code == 401
    assert client.post("/v1/suggestions", json={"content": "x"}).status_code == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_what_a_proxy_passes_on_is_nobody_of_this_machine(client: TestClient, header: str) -> None:
    assert client.get("/v1/tips", headers={header: "203.0.113.7"}).status_code == 401


def test_where_others_can_reach_it_everybody_needs_a_token(tmp_path: Path) -> None:
    with serving(tmp_path, hosts="kaizen.example.org") as (client, _):
        for path in ("/v1/tips", "/v1/snapshot", "/openapi.json", "/metrics", "/mcp"):
            answer = client.get(path)
            assert (path, answer.status_code) == (path, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        assert client.get("/v1/tips", headers=bearer("reader")).status_code == 200
        named = {"Host": "kaizen.example.org", **bearer("reader")}
        assert client.get("/v1/tips", headers=named).status_code == 200


@pytest.mark.parametrize(
    ("name", "path", "body", "status"),
    [
        ("reader", "/v1/tips/retire", RETIRE, 403),
        ("agent", "/v1/tips/retire", RETIRE, 403),
        ("ann", "/v1/tips/retire", RETIRE, 200),
        ("reader", "/v1/suggestions", {"content": "x"}, 403),
        ("ann", "/v1/suggestions", {"content": "x"}, 403),
        ("agent", "/v1/suggestions", {"content": "x"}, 201),
    ],
)
def test_a_token_may_do_what_its_scopes_say(
    client: TestClient, name: str, path: str, body: dict[str, object], status: int
) -> None:
    assert client.post(path, json=body, headers=bearer(name)).status_code == status


def test_wrong_tokens_are_refused_more_briefly_after_some_and_right_ones_never(client: TestClient) -> None:
    wrong = {"Authorization": "Bearer kaizen_wrong"}
    answers = [client.get("/v1/tips", headers=wrong) for _ in range(MOST + 2)]
    assert {answer.status_code for answer in answers[:MOST]} == {401}
    assert answers[-1].status_code == 429
    assert answers[-1].headers["Retry-After"]
    assert client.get("/v1/tips", headers=bearer("reader")).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8765", "", "[::2]"])
def test_a_host_that_is_not_ours_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/v1/tips", headers={"Host": host}).status_code == 421
    assert client.get("/healthz", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:8765", "LOCALHOST"])
def test_this_machine_has_several_names(client: TestClient, host: str) -> None:
    assert client.get("/v1/tips", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:3000", "http://localhost:8765"]
)
def test_a_page_of_another_site_is_refused(client: TestClient, origin: str) -> None:
    answer = client.post("/mcp", json={}, headers={"Origin": origin, **bearer("root")})
    assert answer.status_code == 421


def test_a_form_needs_our_word_beside_the_cookie(client: TestClient) -> None:
    csrf = log_in(client, "ann")
    assert client.post("/v1/tips/retire", json=RETIRE).status_code == 403
    other = {"X-CSRF-Token": csrf_of(SECRETS["root"])}
    assert client.post("/v1/tips/retire", json=RETIRE, headers=other).status_code == 403
    assert client.post("/v1/tips/retire", json=RETIRE, headers={"X-CSRF-Token": csrf}).status_code == 200
    assert client.post("/logout", content="csrf=wrong", headers=FORM).status_code == 403
    assert client.post("/logout", content=f"csrf={csrf}", headers=FORM).status_code == 303
    assert COOKIE not in client.cookies


def test_a_cookie_is_out_of_reach_of_scripts_and_of_other_sites(client: TestClient) -> None:
    answer = client.post("/login", data={"token": SECRETS["ann"]}, headers={"Origin": HERE})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie


def test_only_our_own_form_logs_in_and_leads_to_our_own_pages(client: TestClient) -> None:
    token = {"token": SECRETS["ann"]}
    assert client.post("/login", data=token).status_code == 403
    assert client.post("/login", data={"token": "x"}, headers={"Origin": HERE}).status_code == 401
    for there in ("//evil.example", "/\\evil.example", "https://evil.example", "/a\nb"):
        answer = client.post("/login", data={**token, "next": there}, headers={"Origin": HERE})
        assert answer.headers["Location"] == "/"
    answer = client.post("/login", data={**token, "next": "/review"}, headers={"Origin": HERE})
    assert answer.headers["Location"] == "/review"


def test_an_old_cookie_is_no_attempt(client: TestClient) -> None:
    client.cookies.set(COOKIE, "kaizen_old")
    for _ in range(MOST + 2):
        assert client.get("/v1/tips").status_code == 200


def test_sizes_are_bounded(client: TestClient) -> None:
    assert client.get(f"/v1/tips/{'x' * 20_000}").status_code == 414
    big = b'"' + b"x" * 2_000_000 + b'"'
    assert client.post("/v1/recall", content=big).status_code == 413

    def drip() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    assert client.post("/v1/recall", content=drip()).status_code == 413
    assert client.post("/v1/recall", json={"task": "x" * 200_000}).status_code == 400


@pytest.mark.parametrize("path", ["/", "/v1/tips", "/nothing", "/v1/nothing", "/healthz"])
def test_every_answer_says_what_a_browser_may_do_with_it(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


def test_the_log_has_no_token_no_query_and_no_id(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kaizen.serve.access")
    client.get("/v1/tips/search?q=my+secret+question", headers=bearer("ann"))
    client.get("/v1/tips/active", headers=bearer("ann"))
    lines = [record.getMessage() for record in caplog.records if record.name == "kaizen.serve.access"]
    assert "ann GET /v1/tips/search 200" in lines[0]
    assert "ann GET /v1/tips/{tip_id:path} 200" in lines[1]
    assert "secret" not in "".join(lines)
    assert "kaizen_" not in "".join(lines)


def test_metrics_count_by_the_pattern_of_a_path(client: TestClient) -> None:
    client.get("/v1/tips/active")
    client.get("/v1/tips/nothing")
    text = client.get("/metrics").text
    assert 'kaizen_serve_requests_total{method="GET",route="/v1/tips/{tip_id:path}",status="200"} 1.0' in text
    assert 'route="/v1/tips/{tip_id:path}",status="404"} 1.0' in text


@pytest.mark.parametrize("path", ["/kaizen/v1/tips", "/v1/tips"])
def test_below_a_base_path_a_proxy_may_take_it_off_or_leave_it(tmp_path: Path, path: str) -> None:
    with serving(tmp_path, base_path="/kaizen") as (client, _):
        assert client.get(path).status_code == 200
        answer = client.post("/login", data={"token": SECRETS["ann"]}, headers={"Origin": HERE})
        assert answer.headers["Location"] == "/kaizen/"
        assert "Path=/kaizen" in answer.headers["Set-Cookie"]
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/kaizen"}]
