"""Reading Phoenix: a real one, and one that is ill."""

from __future__ import annotations

import re
import secrets
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from kaizen.sync import PhoenixSettings, PhoenixSource, ProjectNotFoundError, SourceError
from kaizen.sync.llm.retry import retry_after_s
from kaizen.sync.sources.phoenix import source as reading
from kaizen.sync.sources.phoenix.client import PhoenixClient
from tests.support.ill_phoenix import PROJECTS, VERSION, Answer, IllPhoenix, Request, page
from tests.support.polling import wait_until
from tests.support.spans import START, llm_span, make_span, post_spans, send_spans
from tests.support.syncing import make_sync, open_data_dir

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.phoenix_server import PhoenixServer


def source(url: str, project: str = "p", **settings: Any) -> PhoenixSource:
    return PhoenixSource(PhoenixSettings(base_url=url, project=project, **settings))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each wait between two attempts would have been; none is waited for."""
    waited: list[float] = []
    monkeypatch.setattr(PhoenixClient, "_sleep", lambda _, seconds: waited.append(seconds))
    return waited


def new_trace(*, spans: int = 2, start: datetime = START) -> list[dict[str, Any]]:
    """A root and its model calls; every span with the text `call <number>`."""
    trace_id, root_id = secrets.token_hex(16), secrets.token_hex(8)
    root = make_span(
        name="agent", kind="AGENT", trace_id=trace_id, span_id=root_id, start=start, duration_s=spans + 1.0
    )
    calls = [
        llm_span(
            [{"role": "user", "content": f"call {number}"}],
            "done",
            trace_id=trace_id,
            parent_id=root_id,
            start=start + timedelta(seconds=number),
        )
        for number in range(1, spans)
    ]
    return [root, *calls]


def trace_id_of(spans: list[dict[str, Any]]) -> str:
    return str(spans[0]["context"]["trace_id"])


# a real Phoenix


@pytest.mark.parametrize(
    "name",
    [
        "with/slash",
        "a/b/../c",
        "with space",
        'quo\'te and "double"',
        "100%",
        "%2F",
        "Grüße 東京 🎉",
        "a?b=c&d#e",
        "UHJvamVjdDox",
        "1",
    ],
)
def test_a_project_of_any_name_is_read(phoenix: PhoenixServer, project: str, name: str) -> None:
    # the bare names are shared by all test processes, and may hold spans of an earlier run
    name = name if name in ("UHJvamVjdDox", "1") else f"{name} {project}"
    spans = new_trace()
    post_spans(phoenix.url, name, spans)

    def indexed() -> set[str]:
        with source(phoenix.url, name) as one:
            return {trace.trace_id for trace in one.index()} & {trace_id_of(spans)}

    assert wait_until(indexed, what="the trace in the index")
    with source(phoenix.url, name) as one:
        wanted = [trace for trace in one.index() if trace.trace_id == trace_id_of(spans)]
        [trace] = one.fetch(wanted)
    assert {span.span_id for span in trace.spans} == {span["context"]["span_id"] for span in spans}


def test_a_project_without_traces_has_an_empty_index(phoenix: PhoenixServer, project: str) -> None:
    httpx.post(f"{phoenix.url}/v1/projects", json={"name": project}, trust_env=False).raise_for_status()

    with source(phoenix.url, project) as one:
        assert list(one.index()) == []
        assert list(one.fetch([])) == []


def test_a_project_that_does_not_exist_is_named_with_those_that_do(
    phoenix: PhoenixServer, project: str
) -> None:
    send_spans(phoenix.url, project, new_trace())

    with source(phoenix.url, f"{project}-missing") as one, pytest.raises(ProjectNotFoundError) as caught:
        list(one.index())

    assert caught.value.project == f"{project}-missing"
    assert project in caught.value.available
    assert f"'{project}-missing'" in str(caught.value)
    assert "--project" in str(caught.value)


def test_the_index_tells_every_trace_once_oldest_first(
    phoenix: PhoenixServer, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = [new_trace(start=START + timedelta(hours=hour)) for hour in (3, 1, 4, 0, 2)]
    send_spans(phoenix.url, project, [span for spans in traces for span in spans])
    monkeypatch.setattr(reading, "_INDEX_PAGE", 2)

    with source(phoenix.url, project) as one:
        found = [trace.trace_id for trace in one.index()]
        assert one.requests == 1 + 3, "the project, and three pages of two traces"

    assert found == [trace_id_of(traces[n]) for n in (3, 1, 4, 0, 2)]


def test_a_trace_cut_by_the_page_limit_is_read_whole(
    phoenix: PhoenixServer, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = new_trace(spans=8), new_trace(spans=2, start=START + timedelta(seconds=3))
    send_spans(phoenix.url, project, [*long, *short])
    monkeypatch.setattr(reading, "_SPANS_AT_FIRST", 3)
    monkeypatch.setattr(reading, "_SPANS_PER_FETCH", 3)
    monkeypatch.setattr(reading, "_INDEX_PAGE", 1)

    with source(phoenix.url, project) as one:
        index = list(one.index())
        before = one.requests
        traces = list(one.fetch(index))
        assert one.requests - before == 4, "ten spans in pages of three"

    assert [trace.trace_id for trace in traces] == [trace_id_of(long), trace_id_of(short)]
    assert [len(trace.spans) for trace in traces] == [8, 2]
    assert [len(trace.spans) for trace in index] == [8, 2]
    starts = [span.start_time for span in traces[0].spans]
    assert starts == sorted(starts)


@pytest.mark.parametrize(("limit", "value"), [("_TRACES_PER_FETCH", 2), ("_SPANS_AT_FIRST", 4)])
def test_traces_are_fetched_in_batches_and_in_the_order_asked_for(
    phoenix: PhoenixServer, project: str, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    traces = [new_trace(start=START + timedelta(hours=hour)) for hour in range(5)]
    send_spans(phoenix.url, project, [span for spans in traces for span in spans])
    monkeypatch.setattr(reading, limit, value)
    # Else the size of the second batch depends on whether the first has been answered by then.
    monkeypatch.setattr(reading.PhoenixSource, "_adapt", lambda *_: None)

    with source(phoenix.url, project) as one:
        index = list(one.index())[::-1]
        before = one.requests
        fetched = list(one.fetch(index))
        assert one.requests - before == 3

    assert [trace.trace_id for trace in fetched] == [trace_id_of(spans) for spans in reversed(traces)]


def test_index_and_fetch_agree_on_the_digest(phoenix: PhoenixServer, project: str) -> None:
    odd = new_trace(start=datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=UTC))
    send_spans(phoenix.url, project, [*new_trace(), *odd])

    with source(phoenix.url, project) as one:
        index = list(one.index())
        assert [trace.digest for trace in index] == [trace.digest for trace in one.fetch(index)]


def test_a_span_that_is_sent_twice_is_read_once_in_its_first_version(
    phoenix: PhoenixServer, project: str
) -> None:
    spans = new_trace()
    send_spans(phoenix.url, project, spans)
    with source(phoenix.url, project) as one:
        [before] = one.index()
    changed = {**spans[1], "name": "second version"}
    marker = new_trace(start=START + timedelta(hours=1))
    httpx.post(
        f"{phoenix.url}/v1/projects/{project}/spans", json={"data": [changed]}, trust_env=False, timeout=30
    )
    send_spans(phoenix.url, project, marker)

    with source(phoenix.url, project) as one:
        after = next(trace for trace in one.index() if trace.trace_id == trace_id_of(spans))
        [trace] = one.fetch([after])

    assert after.digest == before.digest == trace.digest
    assert [span.name for span in trace.spans] == ["agent", "ChatCompletion"]


def test_a_late_span_changes_the_digest_of_its_trace_and_of_no_other(
    phoenix: PhoenixServer, project: str
) -> None:
    old, other = new_trace(), new_trace(start=START + timedelta(hours=1))
    send_spans(phoenix.url, project, [*old, *other])
    with source(phoenix.url, project) as one:
        before = {trace.trace_id: trace.digest for trace in one.index()}
    late = llm_span(
        [{"role": "user", "content": "late"}],
        "done",
        trace_id=trace_id_of(old),
        parent_id=old[0]["context"]["span_id"],
        start=START + timedelta(seconds=5),
    )
    send_spans(phoenix.url, project, [late])

    with source(phoenix.url, project) as one:
        after = {trace.trace_id: trace.digest for trace in one.index()}

    assert after[trace_id_of(old)] != before[trace_id_of(old)]
    assert after[trace_id_of(other)] == before[trace_id_of(other)]


def test_a_trace_that_was_deleted_meanwhile_is_left_out(phoenix: PhoenixServer, project: str) -> None:
    gone, kept = new_trace(), new_trace(start=START + timedelta(hours=1))
    send_spans(phoenix.url, project, [*gone, *kept])

    with source(phoenix.url, project) as one:
        index = list(one.index())
        httpx.delete(
            f"{phoenix.url}/v1/traces/{trace_id_of(gone)}", trust_env=False, timeout=30
        ).raise_for_status()
        read = {trace.trace_id: len(trace.spans) for trace in one.fetch(index)}
        assert read == {trace_id_of(gone): 0, trace_id_of(kept): 2}
        assert [trace.trace_id for trace in one.index()] == [trace_id_of(kept)]


NOTHING = page()
SPAN = make_span(trace_id="a" * 32)
TRACE = {"trace_id": "a" * 32, "start_time": START.isoformat(), "spans": []}
WANTED = reading.IndexedTrace(trace_id="a" * 32, start_time=START, spans=())


def test_a_trace_counts_as_deleted_only_when_two_answers_lack_it() -> None:
    with IllPhoenix(PROJECTS, NOTHING, page(SPAN)) as server, source(server.url) as one:
        assert [len(trace.spans) for trace in one.fetch([WANTED])] == [1]
    with IllPhoenix(PROJECTS, NOTHING, NOTHING) as server, source(server.url) as one:
        assert [trace.spans for trace in one.fetch([WANTED])] == [()]
        assert one.requests == 3


def test_only_the_traces_that_an_answer_lacks_are_asked_for_again() -> None:
    other = reading.IndexedTrace(trace_id="b" * 32, start_time=START, spans=())
    with IllPhoenix(PROJECTS, page(SPAN), NOTHING) as server, source(server.url) as one:
        assert [len(trace.spans) for trace in one.fetch([WANTED, other])] == [1, 0]
        assert [request.query["trace_id"] for request in server.requests[1:]] == ["b" * 32] * 2


def test_a_project_counts_as_empty_only_when_two_answers_say_so() -> None:
    row = {**SPAN, "id": "U3Bhbjox"}
    with IllPhoenix(PROJECTS, NOTHING, page(row)) as server, source(server.url) as one:
        assert one.probe()
    with IllPhoenix(PROJECTS, NOTHING, page(TRACE)) as server, source(server.url) as one:
        assert [trace.trace_id for trace in one.index()] == ["a" * 32]
    with IllPhoenix(PROJECTS, NOTHING, NOTHING) as server, source(server.url) as one:
        assert list(one.index()) == []


def test_an_index_ends_at_an_empty_page_only_when_two_answers_say_so() -> None:
    second = {**TRACE, "trace_id": "b" * 32}
    answers = (PROJECTS, page(TRACE, cursor="next"), NOTHING, page(second))
    with IllPhoenix(*answers) as server, source(server.url) as one:
        assert [trace.trace_id for trace in one.index()] == ["a" * 32, "b" * 32]


def test_traces_that_phoenix_cannot_list_are_found_by_their_spans(waits: list[float]) -> None:
    failed = Answer(status=500, body="Internal Server Error", content_type="text/plain")
    older, newer = {**SPAN, "id": "U3Bhbjox"}, make_span(trace_id="b" * 32, start=START + timedelta(hours=1))

    def answer(request: Request) -> Answer:
        if request.path.endswith("/projects"):
            return PROJECTS
        if request.path.endswith("/traces"):
            return failed if "cursor" in request.query else page(TRACE, cursor="next")
        return page({**newer, "id": "U3Bhbjoy"}, older)

    with IllPhoenix(answer) as server, source(server.url) as one:
        found = [(trace.trace_id, trace.start_time) for trace in one.index()]

    assert found == [("a" * 32, START), ("b" * 32, START + timedelta(hours=1))]


def test_spans_that_arrived_after_the_index_are_in(phoenix: PhoenixServer, project: str) -> None:
    spans = new_trace(spans=3)
    send_spans(phoenix.url, project, spans[:2])

    with source(phoenix.url, project) as one:
        index = list(one.index())
        send_spans(phoenix.url, project, spans[2:])
        [trace] = one.fetch(index)

    assert len(trace.spans) == 3
    assert trace.digest != index[0].digest


def test_what_a_span_says_is_read_as_it_was_sent(phoenix: PhoenixServer, project: str) -> None:
    error = {
        "name": "exception",
        "timestamp": START.isoformat(),
        "attributes": {"exception.type": "ValueError", "exception.message": "Köln 🎉"},
    }
    span = make_span(
        name="step / 1",
        kind="TOOL",
        status="ERROR",
        status_message="it broke",
        attributes={"tool.name": "look", "input.value": '{"a": "\\u00e9"}', "llm.token_count.prompt": 3},
        events=[error],
    )
    send_spans(phoenix.url, project, [span])

    with source(phoenix.url, project) as one:
        [trace] = one.fetch(list(one.index()))

    [read] = trace.spans
    assert (read.name, read.kind, read.status, read.status_message) == (
        "step / 1",
        "TOOL",
        "ERROR",
        "it broke",
    )
    assert read.parent_id is None
    assert (read.start_time, read.end_time) == (START, START + timedelta(seconds=1))
    assert read.attributes["input.value"] == '{"a": "\\u00e9"}'
    assert read.attributes["llm.token_count.prompt"] == 3
    [event] = read.events
    assert event.attributes["exception.message"] == "Köln 🎉"


def test_a_ping_tells_the_version_in_one_request(phoenix: PhoenixServer) -> None:
    with source(phoenix.url) as one:
        assert one.ping().split(".")[0].isdigit()
        assert one.requests == 1


def test_all_projects_are_listed_over_pages(phoenix: PhoenixServer, project: str) -> None:
    send_spans(phoenix.url, project, new_trace())

    with source(phoenix.url) as one:
        assert project in one.projects()


def test_a_link_leads_to_the_span(phoenix: PhoenixServer, project: str) -> None:
    spans = new_trace()
    send_spans(phoenix.url, project, spans)
    span_id = spans[1]["context"]["span_id"]

    with source(phoenix.url, project) as one:
        links = [one.span_url(trace_id_of(spans), span_id), one.span_url(trace_id_of(spans), "")]

    for link in links:
        answer = httpx.get(link, trust_env=False, follow_redirects=True, timeout=30)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
    # Any path answers with the UI's page: what it does with this one is in its program.
    scripts = re.findall(r'src="([^"]+\.js)"', answer.text)
    program = "".join(httpx.get(phoenix.url + path, trust_env=False, timeout=30).text for path in scripts)
    assert [urlsplit(link).path for link in links] == [
        f"/redirects/spans/{span_id}",
        f"/redirects/traces/{trace_id_of(spans)}",
    ]
    assert "/redirects/spans/:span_otel_id" in program
    assert "/redirects/traces/:trace_otel_id" in program


def test_a_local_server_is_not_asked_through_a_proxy(
    phoenix: PhoenixServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")

    for host in ("127.0.0.1", "localhost"):
        with source(phoenix.url.replace("127.0.0.1", host)) as one:
            assert one.ping()


# one that is ill


def test_a_server_elsewhere_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with IllPhoenix(PROJECTS) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with source("http://phoenix.invalid:6006") as one:
            assert one.projects() == ["p"]

    assert proxy.requests[0].path == "http://phoenix.invalid:6006/v1/projects"


def test_key_and_headers_go_along_with_every_request() -> None:
    environ = {"PHOENIX_API_KEY": "key-1", "PHOENIX_CLIENT_HEADERS": "x-team=ops%20one"}
    with IllPhoenix(PROJECTS, page()) as server:
        settings = PhoenixSettings.from_environ(environ, url=f"{server.url}/base/", project="p")
        with PhoenixSource(settings) as one:
            assert list(one.index()) == []

    for request in server.requests:
        assert request.headers["authorization"] == "Bearer key-1"
        assert request.headers["x-team"] == "ops one"
        assert request.path.startswith("/base/v1/projects")


def test_a_server_that_is_down_is_said_to_be_down(waits: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with (
        source(url) as one,
        pytest.raises(SourceError, match=f"cannot reach Phoenix at {url} .*phoenix serve"),
    ):
        one.ping()
    assert len(waits) == 3


def test_a_host_that_does_not_exist_is_said_so(waits: list[float]) -> None:
    with (
        source("http://phoenix.invalid:6006", timeout_s=5) as one,
        pytest.raises(SourceError, match=r"cannot reach Phoenix at http://phoenix\.invalid:6006"),
    ):
        one.ping()


@pytest.mark.parametrize("url", ["http://exa%mple:6006", "http://" + "a" * 300 + ":6006"])
def test_a_host_that_cannot_exist_is_no_stack_trace(waits: list[float], url: str) -> None:
    with source(url, timeout_s=5) as one, pytest.raises(SourceError):
        one.ping()


def test_a_silent_server_is_given_up_after_its_time(waits: list[float]) -> None:
    with IllPhoenix(Answer(fault="hang")) as server, source(server.url, timeout_s=0.2) as one:
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"did not answer within 0\.2 s .*KAIZEN_PHOENIX_TIMEOUT"):
            one.ping()
        assert time.monotonic() - started < 10
        assert one.requests == 4


@pytest.mark.parametrize("fault", ["drip", "drip body"])
def test_a_server_that_drips_is_given_up_after_its_time(waits: list[float], fault: Any) -> None:
    body = {"data": ["x" * 10_000]}
    with IllPhoenix(Answer(body=body, fault=fault)) as server, source(server.url, timeout_s=0.3) as one:
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"did not answer within 0\.3 s"):
            one.ping()
        assert time.monotonic() - started < 10
        assert one.requests == 4


@pytest.mark.parametrize("fault", ["drip", "drip body", "hang"])
def test_a_server_that_does_not_answer_holds_up_no_stop(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaizen.sync.sources.http._GRACE_S", 0.3)
    ill = Answer(body={"data": ["x" * 10_000]}, fault=fault)
    with IllPhoenix(ill) as server, source(server.url, timeout_s=600) as one:
        threading.Timer(0.2, one.stop).start()
        started = time.monotonic()
        with pytest.raises(SourceError, match="did not answer after the stop"):
            one.ping()
        assert time.monotonic() - started < 30
        assert one.requests == 1


def test_a_stop_ends_the_wait_for_another_attempt() -> None:
    ill = Answer(status=429, body="busy", content_type="text/plain", headers={"Retry-After": "600"})
    with IllPhoenix(ill) as server, source(server.url) as one:
        threading.Timer(0.2, one.stop).start()
        started = time.monotonic()
        with pytest.raises(SourceError, match="answered 429"):
            one.ping()
        assert time.monotonic() - started < 20


def test_a_server_that_answers_is_read_on_after_a_stop() -> None:
    with IllPhoenix(PROJECTS) as server, source(server.url) as one:
        one.stop()
        assert one.projects() == ["p"]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "look at the server's log"),
        (401, "PHOENIX_API_KEY"),
        (403, "PHOENIX_API_KEY"),
        (404, "--url"),
        (422, "kaizen doctor"),
    ],
)
def test_a_refusal_is_told_with_advice_and_not_asked_again(
    waits: list[float], status: int, advice: str
) -> None:
    answer = Answer(status=status, body="Invalid\n token", content_type="text/plain")
    with IllPhoenix(answer) as server, source(server.url) as one:
        with pytest.raises(SourceError, match=rf"answered {status} \(Invalid token\)") as caught:
            one.ping()
        assert (one.requests, waits) == (1, [])

    assert advice in str(caught.value)
    assert server.url in str(caught.value)


def test_a_refusal_in_json_is_told_in_short(waits: list[float]) -> None:
    answer = Answer(status=422, body={"detail": [{"loc": ["query", "limit"], "msg": "x" * 5_000}]})
    with IllPhoenix(answer) as server, source(server.url) as one, pytest.raises(SourceError) as caught:
        one.ping()

    assert "limit" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_but_said(waits: list[float], status: int) -> None:
    answer = Answer(status=status, body="", headers={"Location": "https://phoenix.example/v1/projects"})
    with IllPhoenix(answer) as server, source(server.url) as one:
        with pytest.raises(SourceError, match=f"answered {status} .*https://phoenix.example"):
            one.ping()
        assert one.requests == 1


def test_what_phoenix_says_is_redacted_before_it_is_printed(waits: list[float]) -> None:
    secret = "glpat-" + "aB3dE6gH9jK2mN5pQ8sT"
    location = {"Location": f"https://ann:{secret}@phoenix.example/login?token={secret}"}
    for answer in (
        Answer(status=400, body=f"token {secret} is wrong"),
        Answer(status=302, body="", headers=location),
    ):
        with IllPhoenix(answer) as server, source(server.url) as one, pytest.raises(SourceError) as caught:
            one.ping()
        assert "[redacted: " in str(caught.value)
        assert secret not in str(caught.value)


NO_PAGE = [
    (Answer(body="<html>Phoenix</html>", content_type="text/html; charset=utf-8"), "text/html"),
    (Answer(body='{"data": [', content_type="application/json"), "broken JSON"),
    (Answer(body="[" * 100_000, content_type="application/json"), "broken JSON"),
    (Answer(body="", content_type="application/json"), "broken JSON"),
    (Answer(body=[1, 2]), "list"),
    (Answer(body=None), "NoneType"),
    (Answer(body={"items": []}), "no page of data"),
    (Answer(body={"data": {"a": 1}}), "no page of data"),
    (Answer(body={"data": [{"name": "p"}]}), "projects without id or name"),
    (Answer(body={"data": ["p"]}), "projects without id or name"),
    (Answer(body={"data": [{"id": 1, "name": ["p"]}]}), "projects without id or name"),
]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_asked_again(waits: list[float], status: int) -> None:
    ill = Answer(status=status, body="busy", content_type="text/plain")
    with IllPhoenix(ill, ill, PROJECTS) as server, source(server.url) as one:
        assert one.projects() == ["p"]
        assert one.requests == 3

    assert 0.2 <= waits[0] <= 0.4 <= waits[1] <= 0.6


@pytest.mark.parametrize("number", range(6), ids=[what for _, what in NO_PAGE[:6]])
def test_one_answer_that_is_not_phoenix_is_asked_for_once_more(waits: list[float], number: int) -> None:
    answer, _ = NO_PAGE[number]
    with IllPhoenix(answer, PROJECTS) as server, source(server.url) as one:
        assert one.projects() == ["p"]
        assert one.requests == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_failure_that_stays_is_told_after_four_attempts(waits: list[float], status: int) -> None:
    ill = Answer(status=status, body="busy", content_type="text/plain")
    with IllPhoenix(ill) as server, source(server.url) as one:
        with pytest.raises(SourceError, match=rf"answered {status} \(busy\): .*again"):
            one.ping()
        assert one.requests == 4


@pytest.mark.parametrize(("asked", "waited"), [("0", 0), ("7", 7), ("86400", 30), ("soon", None)])
def test_retry_after_is_waited_for_within_reason(
    waits: list[float], asked: str, waited: float | None
) -> None:
    ill = Answer(status=429, body="slow down", content_type="text/plain", headers={"Retry-After": asked})
    with IllPhoenix(ill, PROJECTS) as server, source(server.url) as one:
        assert one.projects() == ["p"]

    assert waits == [waited] if waited is not None else 0.2 <= waits[0] <= 0.4


@pytest.mark.parametrize("fault", ["cut", "drop"])
def test_a_connection_that_breaks_is_made_again(waits: list[float], fault: Any) -> None:
    broken = Answer(body={"data": [], "next_cursor": None}, fault=fault)
    with IllPhoenix(broken, broken, PROJECTS) as server, source(server.url) as one:
        assert one.projects() == ["p"]
        assert one.requests == 3


def test_a_connection_that_always_breaks_is_told(waits: list[float]) -> None:
    with IllPhoenix(Answer(body={"data": []}, fault="cut")) as server, source(server.url) as one:
        with pytest.raises(SourceError, match="cannot reach Phoenix"):
            one.ping()
        assert one.requests == 4


@pytest.mark.parametrize(("answer", "what"), NO_PAGE, ids=[what for _, what in NO_PAGE])
def test_what_is_no_answer_of_phoenix_is_asked_for_once_more_and_then_said(
    waits: list[float], answer: Answer, what: str
) -> None:
    with IllPhoenix(answer) as server, source(server.url) as one:
        with pytest.raises(SourceError, match=f"answered with .*{what}") as caught:
            one.projects()
        # A list of something else is nothing that another attempt would mend.
        assert (one.requests, len(waits)) == ((1, 0) if what.startswith("projects") else (2, 1))

    assert f"(this one: {VERSION})" in str(caught.value)
    assert "--url" in str(caught.value)


def cursors(request: Request) -> Answer:
    return page({"id": "1", "name": "p"}, cursor=str(int(request.query.get("cursor", "0")) + 1))


ENDLESS = {
    "same cursor": [page({"id": "1", "name": "p"}, cursor="A")],
    "two cursors": [
        lambda request: page(
            {"id": request.query.get("cursor", "0"), "name": "p"},
            cursor="B" if request.query.get("cursor") == "A" else "A",
        )
    ],
    "same page": [cursors],
    "empty pages": [lambda request: page(cursor=request.query.get("cursor", "") + "x")],
}


@pytest.mark.parametrize("answers", ENDLESS.values(), ids=ENDLESS)
def test_pages_that_never_end_are_noticed(waits: list[float], answers: list[Any]) -> None:
    with IllPhoenix(*answers) as server, source(server.url) as one:
        with pytest.raises(SourceError, match="pages without end"):
            one.projects()
        assert one.requests <= 4


@pytest.mark.parametrize(
    "trace",
    [
        None,
        "trace",
        {},
        {"trace_id": "t", "start_time": "yesterday", "spans": []},
        {"trace_id": "t", "start_time": None, "spans": []},
        {"trace_id": "t", "start_time": START.isoformat(), "spans": None},
        {"trace_id": "t", "start_time": START.isoformat(), "spans": [{"span_id": "s"}]},
        {
            "trace_id": "t",
            "start_time": START.isoformat(),
            "spans": [{"span_id": "s", "parent_id": None, "end_time": None}],
        },
    ],
)
def test_a_record_that_is_not_understood_is_an_error_and_never_skipped(trace: Any) -> None:
    with (
        IllPhoenix(PROJECTS, page(trace)) as server,
        source(server.url) as one,
        pytest.raises(SourceError, match=r"gave a record that Kaizen does not understand .*kaizen doctor"),
    ):
        list(one.index())


def test_traces_listed_before_the_server_went_down_are_told_and_then_the_error(waits: list[float]) -> None:
    traces = [{"trace_id": name, "start_time": START.isoformat(), "spans": []} for name in "ab"]
    down = Answer(status=503, body="down", content_type="text/plain")
    found: list[str] = []
    with (
        IllPhoenix(PROJECTS, page(*traces, cursor="next"), down) as server,
        source(server.url) as one,
        pytest.raises(SourceError, match="answered 503"),
    ):
        found.extend(trace.trace_id for trace in one.index())

    assert found == ["a", "b"]


def test_a_span_of_another_trace_is_not_taken_for_one_of_this() -> None:
    stranger = make_span(trace_id="f" * 32)
    with IllPhoenix(PROJECTS, page(stranger)) as server, source(server.url) as one:
        wanted = reading.IndexedTrace(trace_id="a" * 32, start_time=START, spans=())
        assert [trace.spans for trace in one.fetch([wanted])] == [()]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("1.5", 1.5),
        ("-3", 0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        (format_datetime(START + timedelta(seconds=9), usegmt=True), 9),
        (format_datetime(START - timedelta(days=9), usegmt=True), 0),
        ("Thu, 32 Jan 2026 99:00:00 GMT", None),
        ("Thu, 01 Jan 999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_a_number_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, START.timestamp) == seconds


def test_a_closed_source_can_be_used_again() -> None:
    with IllPhoenix(PROJECTS) as server:
        one = source(server.url)
        with one:
            assert one.projects() == ["p"]
        assert one.projects() == ["p"]
        one.close()
        one.close()


def test_a_server_that_cannot_be_asked_for_single_traces_is_refused() -> None:
    old = Answer(body=PROJECTS.body, headers={"x-phoenix-server-version": "13.8.1"})
    with (
        IllPhoenix(old) as server,
        source(server.url) as one,
        pytest.raises(SourceError, match=r"of version 13\.8\.1.*needs 13\.9 or newer"),
    ):
        one.probe()


def test_answers_are_made_as_large_as_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    big = make_span(trace_id="a" * 32, attributes={"input.value": "x" * 100_000})
    with IllPhoenix(PROJECTS, page(big)) as server, source(server.url) as one:
        wanted = reading.IndexedTrace(trace_id="a" * 32, start_time=START, spans=())
        for _ in range(3):
            assert len(list(one.fetch([wanted]))) == 1
        limits = [int(request.query["limit"]) for request in server.requests[1:]]

    assert limits[0] == 100
    assert limits[1] == limits[2] == 6_000_000 // (6_000_000 // limits[2])
    assert 4_000_000 < limits[2] * 100_000 < 8_000_000


def test_no_more_than_two_requests_are_under_way() -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def slow(request: Request) -> Answer:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return page()

    with IllPhoenix(PROJECTS, slow) as server, source(server.url) as one:
        wanted = [
            reading.IndexedTrace(trace_id=f"{number:032x}", start_time=START, spans=())
            for number in range(60)
        ]
        assert len(list(one.fetch(iter(wanted)))) == 60

    assert most == 2


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with (
        source("https://127.0.0.1:9", ca_file=str(file)) as one,
        pytest.raises(SourceError, match=r"ca\.pem.* cannot be read .*KAIZEN_PHOENIX_CA"),
    ):
        one.ping()


def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(tmp_path: Path, waits: list[float]) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    with IllPhoenix(PROJECTS) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.encrypt(context)
        url = server.url.replace("http:", "https:")
        with source(url) as one, pytest.raises(SourceError, match="KAIZEN_PHOENIX_CA"):
            one.ping()
        settings = PhoenixSettings.from_environ({"KAIZEN_PHOENIX_CA": str(certificate)}, url=url)
        with PhoenixSource(settings) as one:
            assert one.ping() == VERSION


# Annotations


def said_of(target: str, number: int) -> dict[str, Any]:
    result = {"label": None, "score": 1, "explanation": f"n{number}"}
    return {f"{target}_id": f"i{number}", "name": "correctness", "annotator_kind": "HUMAN", "result": result}


@pytest.mark.parametrize("target", ["trace", "session", "span"])
def test_annotations_are_asked_for_a_hundred_at_a_time_and_read_over_pages(target: Any) -> None:
    pages = (
        page(said_of(target, 1), said_of(target, 2), cursor="next"),
        page(said_of(target, 1)),
        page(said_of(target, 250)),
    )
    with IllPhoenix(PROJECTS, *pages) as server, source(server.url) as one:
        found = one.annotations(target, [f"i{number}" for number in range(150)])
        assert one.requests == 4

    assert {key: len(value) for key, value in found.items()} == {"i1": 2, "i2": 1, "i250": 1}
    annotation = found["i2"][0]
    assert (annotation.target, annotation.label, annotation.score) == (target, "", 1.0)
    assert {request.path for request in server.requests[1:]} == {
        f"/v1/projects/UHJvamVjdDox/{target}_annotations"
    }


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404, body="None of the supplied trace_ids exist", content_type="text/plain"),
        Answer(body="<html></html>", content_type="text/html"),
    ],
)
def test_traces_that_are_gone_and_servers_that_know_no_annotations_say_nothing(answer: Answer) -> None:
    with IllPhoenix(PROJECTS, answer) as server, source(server.url) as one:
        assert one.annotations("trace", ["a", "b"]) == {}


def test_a_refusal_to_tell_annotations_is_no_silence() -> None:
    refused = Answer(status=401, body="Invalid token", content_type="text/plain")
    with (
        IllPhoenix(PROJECTS, refused) as server,
        source(server.url) as one,
        pytest.raises(SourceError, match="answered 401"),
    ):
        one.annotations("trace", ["a"])


@pytest.mark.parametrize("fault", ["drip", "drip body", "hang"])
def test_a_sync_is_not_held_up_by_a_server_that_does_not_answer(
    fault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.sync.sources.http._GRACE_S", 0.3)
    ill = Answer(body={"data": ["x" * 10_000]}, fault=fault)
    with (
        IllPhoenix(PROJECTS, ill) as server,
        source(server.url, timeout_s=600) as one,
        open_data_dir(tmp_path) as store,
    ):
        sync = make_sync(one, store)
        threading.Timer(0.5, sync.stop).start()
        started = time.monotonic()
        with pytest.raises(SourceError, match="did not answer after the stop"):
            sync.run()
        assert time.monotonic() - started < 60
