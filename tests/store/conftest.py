"""Stores to test with what works on any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kaizen.store import Store, StoreSettings, open_store


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    """Opens a store of the backend given, each time another one."""
    with ExitStack() as stack:
        made: list[Store] = []

        def make(backend: str) -> Store:
            settings = StoreSettings(
                backend=backend, data_dir=tmp_path / f"store-{len(made)}", embedder="none"
            )
            made.append(stack.enter_context(open_store(settings)))
            return made[-1]

        yield make
