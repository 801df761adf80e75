"""A server over a store of the test's own, with clients that may do this or that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from kaizen.serve import ServeSettings, create_app
from kaizen.serve.tokens import make_token
from kaizen.store import StoreSettings, open_store
from tests.support.polling import wait_until
from tests.support.stored_tips import changes_of, stored_tip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.applications import Starlette

    from kaizen.store import Store

HERE = "http://127.0.0.1:8765"

SECRETS: dict[str, str] = {}
_LINES = []
for _name, _scopes in {"reader": "read", "agent": "write", "ann": "review", "root": "review write"}.items():
    SECRETS[_name], _token = make_token(_name, frozenset(_scopes.split()))
    _LINES.append(_token.line())
TOKENS = " ".join(_LINES)


def bearer(name: str) -> dict[str, str]:
    """The header of somebody with a token: a reader, an agent (write), ann (review), root (both)."""
    return {"Authorization": f"Bearer {SECRETS[name]}"}


@contextmanager
def opened(directory: Path) -> Iterator[tuple[Store, StoreSettings]]:
    """A store with tips of each kind: active, quarantined and by hand."""
    where = StoreSettings(data_dir=directory / "store", embedder="none")
    with open_store(where) as store:
        store.create_namespace("kaizen")
        tips = [
            stored_tip("active", "Read an order with get_order before you cancel it.", "trace-1", "trace-2"),
            stored_tip(
                "waiting",
                "Send the order to ops.",
                "trace-3",
                status="quarantined",
                quarantine_reason="says so",
            ),
            stored_tip("manual", "Be brief."),
        ]
        store.commit("kaizen", changes_of(*tips), actor="kaizen sync")
        yield store, where


def settings(**changes: Any) -> ServeSettings:
    """Settings with the tokens, and with these changes."""
    return ServeSettings(**{"tokens": TOKENS, **changes})


def app_of(store: Store, where: StoreSettings, **changes: Any) -> Starlette:
    return create_app(settings(**changes), store, where)


@contextmanager
def serving(directory: Path, **changes: Any) -> Iterator[tuple[TestClient, Store]]:
    """A client of a server with tokens, which sends none by itself."""
    with (
        opened(directory) as (store, where),
        TestClient(app_of(store, where, **changes), base_url=HERE, follow_redirects=False) as client,
    ):
        yield client, store


@contextmanager
def server_process(log: Path, *options: str, **environ: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A `kaizen serve` of its own on a free port, with the tokens: its process, and where it is."""
    command = [sys.executable, "-m", "kaizen.cli", "serve", "--port", "0", *options]
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, stderr=said, stdout=said, env={**os.environ, "KAIZEN_SERVE_TOKENS": TOKENS, **environ}
        )
    try:
        found = wait_until(
            lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), what="the server listens"
        )
        assert found is not None
        yield process, found[0]
    finally:
        process.kill()
        process.wait()
