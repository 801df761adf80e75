"""What every test of recall gets: no poller of another test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.recall.snapshots import polling

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_pollers() -> Iterator[None]:
    yield
    for poller in polling._pollers.values():
        poller.stop()
    polling._pollers.clear()
