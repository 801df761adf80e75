"""A snapshot is held in memory, refreshed in the background, kept on disk, and never waited for."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.recall import arecall, recall
from kaizen.recall.snapshots import sources
from kaizen.recall.snapshots.document import MAX_BYTES
from kaizen.recall.snapshots.polling import current_poller
from tests.support.polling import wait_until
from tests.support.snapshots import SnapshotServer, document, giving, many_tips, serving, tip

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler

PAY = tip("pay-1", content="Give amounts in cents.", tool="pay", tools={"pay": ""})


def use(monkeypatch: pytest.MonkeyPatch, source: object, **variables: object) -> None:
    monkeypatch.setenv("KAIZEN_RECALL_FROM", str(source))
    for name, value in variables.items():
        monkeypatch.setenv(f"KAIZEN_RECALL_{name.upper()}", str(value))


def shown() -> list[str]:
    return [each.id for each in recall("", tools=["pay"]).tips]


def hang(server: SnapshotServer) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda request: (server.closing.wait(60), None)[1]


def test_tips_of_a_server_are_recalled(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]), compress=True)) as server:
        use(monkeypatch, server.url, token="secret", timeout=30)
        assert shown() == ["pay-1"]
    (request,) = server.requests
    assert request["path"] == "/v1/snapshot/kaizen"
    assert request["Authorization"] == "Bearer secret"


def test_a_url_with_a_path_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, f"{server.url}/tips.json?v=1", timeout=30)
        assert shown() == ["pay-1"]
    assert server.requests[0]["path"] == "/tips.json?v=1"


def test_changes_arrive_and_what_is_the_same_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, refresh=0.02, timeout=30)
        assert shown() == ["pay-1"]
        wait_until(lambda: len(server.requests) > 2, what="more requests", timeout_s=30)
        assert server.requests[2]["If-None-Match"] == '"1"'
        server.answer = giving(document([tip("pay-2", tool="pay")]), etag='"2"')
        wait_until(lambda: shown() == ["pay-2"], what="the new snapshot", timeout_s=30)


def test_tips_of_a_file_are_recalled_and_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tips.json"
    path.write_bytes(document([PAY]))
    use(monkeypatch, path, refresh=0.02, timeout=30)
    assert shown() == ["pay-1"]
    snapshot = current_poller().snapshot(wait=False)
    assert current_poller().snapshot(wait=False) is snapshot
    beside = tmp_path / "new"
    beside.write_bytes(document([tip("pay-2", tool="pay")]))
    beside.replace(path)
    wait_until(lambda: shown() == ["pay-2"], what="the new snapshot", timeout_s=30)


@pytest.mark.parametrize("what", ["gone", "garbage", "other namespace", "too much", "500", "empty"])
def test_a_source_that_fails_leaves_the_tips_that_there_are(
    what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, refresh=0.02, timeout=30)
        assert shown() == ["pay-1"]
        server.answer = {
            "gone": lambda request: request.send_error(404),
            "garbage": giving(b"<html>", etag='"2"'),
            "other namespace": giving(document([PAY], namespace="others"), etag='"2"'),
            "too much": giving(b" " * (MAX_BYTES + 1), etag='"2"', compress=True),
            "500": lambda request: request.send_error(500),
            "empty": lambda request: None,
        }[what]
        wait_until(lambda: bool(current_poller().error), what="the failure", timeout_s=30)
        seen = len(server.requests)
        wait_until(lambda: len(server.requests) > seen + 2, what="more attempts", timeout_s=30)
        assert shown() == ["pay-1"]
        assert len([r for r in caplog.records if "cannot be refreshed" in r.message]) == 1


@pytest.mark.parametrize("what", ["hangs", "drips", "refuses"])
def test_the_first_call_waits_for_the_time_out_and_no_other_call_waits(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not server.closing.wait(0.02):
            request.wfile.write(b" ")

    with serving(lambda request: None) as server:
        server.answer = drip if what == "drips" else hang(server)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        url = f"http://127.0.0.1:{port}" if what == "refuses" else server.url
        use(monkeypatch, url)
        started = time.monotonic()
        assert shown() == []
        first = time.monotonic() - started
        assert first < 0.6
        started = time.monotonic()
        assert [shown() for _ in range(50)] == [[]] * 50
        assert time.monotonic() - started < 0.5


def test_a_source_that_grows_is_left_early(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    def grow(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.send_response(200)
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b" " * 1_000_000)
            sent += 1_000_000

    with serving(grow) as server, pytest.raises(sources.SourceError, match="more than 20,000,000 bytes"):
        sources.fetch(f"{server.url}/x", "kaizen")
    assert sent < 60_000_000


def test_a_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        serving(giving(b" " * 100_000_000, compress=True)) as server,
        pytest.raises(sources.SourceError, match="more than"),
    ):
        sources.fetch(f"{server.url}/x", "kaizen")


def test_an_answer_that_is_cut_off_is_refused() -> None:
    def cut(request: BaseHTTPRequestHandler) -> None:
        import gzip

        body = gzip.compress(document(many_tips(50)))
        request.send_response(200)
        request.send_header("Content-Encoding", "gzip")
        request.end_headers()
        request.wfile.write(body[:-20])

    with serving(cut) as server, pytest.raises(sources.SourceError, match="cut off"):
        sources.fetch(f"{server.url}/x", "kaizen")


def test_the_token_goes_nowhere_else() -> None:
    with serving(giving(document([PAY]))) as other:

        def redirect(request: BaseHTTPRequestHandler) -> None:
            request.send_response(302)
            request.send_header("Location", other.url)
            request.end_headers()

        with serving(redirect) as server, pytest.raises(sources.SourceError, match="answers 302"):
            sources.fetch(f"{server.url}/x", "kaizen", token="secret")
        assert other.requests == []


@pytest.mark.parametrize("url", ["http://example.com", "http://10.0.0.1/x", "http://localhost.example.com/x"])
def test_nothing_is_read_without_encryption_from_elsewhere(url: str) -> None:
    with pytest.raises(sources.SourceError, match="not encrypted"):
        sources.fetch(url, "kaizen", token="secret")


def test_an_error_names_no_credentials() -> None:
    with pytest.raises(sources.SourceError) as caught:
        sources.fetch("http://user:password@127.0.0.1:9/x?token=secret", "kaizen")
    assert "password" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_refused_token_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        serving(lambda request: request.send_error(401)) as server,
        pytest.raises(sources.SourceError, match="KAIZEN_RECALL_TOKEN"),
    ):
        sources.fetch(f"{server.url}/x", "kaizen")


# On disk


def copies() -> list[Path]:
    return sorted((Path.home() / ".cache/kaizen/recall").glob("*"))


def new_process() -> None:
    """Forget what is in memory, as a new process would."""
    from kaizen.recall.snapshots import polling

    for poller in polling._pollers.values():
        poller.stop()
    polling._pollers.clear()


def test_the_next_start_has_the_tips_of_a_source_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, timeout=30)
        assert shown() == ["pay-1"]
        wait_until(lambda: bool(copies()), what="the copy", timeout_s=30)
    new_process()
    assert shown() == ["pay-1"]
    assert current_poller().is_from_disk


def test_the_copy_is_for_this_user_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, timeout=30)
        assert shown() == ["pay-1"]
        wait_until(lambda: bool(copies()), what="the copy", timeout_s=30)
    (copy,) = copies()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    copy.chmod(0o644)
    new_process()
    monkeypatch.setenv("KAIZEN_RECALL_TIMEOUT", "0.05")
    # Another time-out is another poller, and the same file.
    assert shown() == []


@pytest.mark.parametrize("variable", ["KAIZEN_NAMESPACE_ID", "KAIZEN_RECALL_TOKEN", "KAIZEN_RECALL_FROM"])
def test_nobody_gets_the_copy_of_another_tenant(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, timeout=30)
        assert shown() == ["pay-1"]
        wait_until(lambda: bool(copies()), what="the copy", timeout_s=30)
    monkeypatch.setenv("KAIZEN_RECALL_TIMEOUT", "0.05")
    monkeypatch.setenv(variable, "http://127.0.0.1:9" if variable.endswith("FROM") else "other")
    assert shown() == []


@pytest.mark.parametrize(
    "data", [b"", b"garbage", b'{"etag": "1"}\n{}', b'{"etag": "1", "saved_at": 1}\n{}', b"[]\n"]
)
def test_a_damaged_copy_is_not_used(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, timeout=30)
        assert shown() == ["pay-1"]
        wait_until(lambda: bool(copies()), what="the copy", timeout_s=30)
        copies()[0].write_bytes(data)
        new_process()
        assert shown() == ["pay-1"]
        assert not current_poller().is_from_disk


def test_a_home_that_cannot_be_written_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, timeout=30)
        assert shown() == ["pay-1"]


# Threads, forks, event loops


def test_many_threads_share_one_poller(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, timeout=30)
        found: list[list[str]] = []
        threads = [threading.Thread(target=lambda: found.append(shown())) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [["pay-1"]] * 20
        assert len(server.requests) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_the_tips_and_refreshes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, refresh=0.02, timeout=30)
        assert shown() == ["pay-1"]
        child = os.fork()
        if not child:
            deadline, code = time.monotonic() + 30, 1
            try:
                while code and shown() and time.monotonic() < deadline:
                    code = 0 if shown() == ["pay-2"] else 1
                    time.sleep(0.01)
            finally:
                os._exit(code)
        server.answer = giving(document([tip("pay-2", tool="pay")]), etag='"2"')
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_event_loop_is_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    async def longest_gap(during: Any) -> float:
        gaps, done = [], False

        async def tick() -> None:
            last = time.perf_counter()
            while not done:
                await asyncio.sleep(0)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        ticking = asyncio.create_task(tick())
        await during()
        done = True
        await ticking
        return max(gaps)

    with serving(lambda request: None) as server:
        server.answer = hang(server)
        use(monkeypatch, server.url)

        async def calls() -> None:
            started = time.monotonic()
            recall("", tools=["pay"])
            assert time.monotonic() - started < 0.1
            await arecall("", tools=["pay"])
            assert time.monotonic() - started < 0.6

        assert asyncio.run(longest_gap(calls)) < 0.1


def test_arecall_waits_for_the_first_tips(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(giving(document([PAY]))) as server:
        use(monkeypatch, server.url, timeout=30)
        recalled = asyncio.run(arecall("", tools=["pay"]))
    assert [each.id for each in recalled.tips] == ["pay-1"]
