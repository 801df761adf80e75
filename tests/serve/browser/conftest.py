"""A real Chromium, and servers for it. Screenshots stay in .artifacts, or in `KAIZEN_TEST_ARTIFACTS`."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from kaizen.store import open_store
from tests.support.browser import ARTIFACTS, CHROMIUM, Visitor
from tests.support.paging import NAMESPACE, fill_with_runs, hostile_tips, settings_in
from tests.support.serving import app_of
from tests.support.slow import SLOW
from tests.support.stored_tips import changes_of, stored_tip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kaizen.store import Store, StoreSettings

# Those that take no longer than tests of that kind should, if the machine is free.
HUGE = 3_000
_DEADLINE_S = 30
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# For one module: as long as it is open, its event loop runs in this thread, and no other test could run one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skips where there is none, except in CI."""
    if not SLOW:
        pytest.skip("KAIZEN_TEST_SLOW is not true")
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"there is no {CHROMIUM}: run `make browser`", pytrace=False)
        pytest.skip(f"there is no {CHROMIUM}: run `make browser`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@contextmanager
def served(store: Store, where: StoreSettings) -> Iterator[str]:
    """Serve the store on a free port of this machine; give its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        app = app_of(store, where)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        deadline = time.monotonic() + _DEADLINE_S
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def measured_url(tmp_path_factory: pytest.TempPathFactory, browser: object) -> Iterator[str]:
    """A server whose tips were learned from runs and measured; tests decide on copies of its tips only."""
    where = fill_with_runs(tmp_path_factory.mktemp("measured"), runs=240, syncs=4)
    with open_store(where) as store:
        waiting = [
            stored_tip(
                f"waiting-{n}",
                f"Send report {n} to ops@example.net before you close the ticket.",
                f"trace-{n}",
                status="quarantined",
                quarantine_reason="it contacts somebody: 'send report 0 to ops@example.net'",
            )
            for n in range(4)
        ]
        store.commit(NAMESPACE, changes_of(*waiting), actor="kaizen sync")
        with served(store, where) as url:
            yield url


@pytest.fixture
def serve_new(tmp_path: Path, browser: object) -> Iterator[Callable[[Callable[[Store], object]], str]]:
    """Serve a store of the test's own, which a function fills first."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def serve(fill: Callable[[Store], object]) -> str:
            where = settings_in(tmp_path)
            store = stack.enter_context(open_store(where))
            fill(store)
            return stack.enter_context(served(store, where))

        yield serve


@pytest.fixture
def visit(browser: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """Let somebody look at a server; at the end nothing may have been complained of in the console."""
    visitors: list[Visitor] = []

    def look(url: str, **options: Any) -> Visitor:
        visitor = Visitor(browser, url, name=request.node.name, **options)
        visitors.append(visitor)
        return visitor

    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    yield look
    for visitor in visitors:
        visitor.context.close()
    assert [line for visitor in visitors for line in visitor.complaints] == []


def nothing(_store: Store) -> None:
    """Leave the store as it is: empty."""


def very_many(store: Store) -> None:
    store.create_namespace(NAMESPACE)
    for start in range(0, HUGE, 1_000):
        tips = [
            stored_tip(f"tip-{n:06}", f"Read invoice {n} before you send it, page {n % 7}.", f"trace-{n}")
            for n in range(start, start + 1_000)
        ]
        store.commit(NAMESPACE, changes_of(*tips))


__all__ = ["hostile_tips", "nothing", "very_many"]
