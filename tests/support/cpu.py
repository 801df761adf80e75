"""A bound on the CPU time that a piece of code may take."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def cpu_time(*, below_s: float) -> Iterator[None]:
    """Fail when the block takes more CPU time of this process than that."""
    started = time.process_time()
    yield
    took = time.process_time() - started
    assert took < below_s, f"took {took:.1f} s of CPU time, not less than {below_s:g} s"
