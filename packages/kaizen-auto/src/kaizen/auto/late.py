"""Frameworks that were imported, or were being imported, before tracing was switched on."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from kaizen.auto.frameworks import Framework

logger = logging.getLogger("kaizen.auto")

IMPORT_DEADLINE_S = 120.0


def wait_for(module: ModuleType, then: Callable[[], None]) -> None:
    """Call `then` on a thread of its own once another thread has finished importing the module.

    It polls: waiting for the import lock could make a deadlock, and importing could import what failed.
    """

    def poll() -> None:
        deadline = time.monotonic() + IMPORT_DEADLINE_S
        while time.monotonic() < deadline and sys.modules.get(module.__name__) is module:
            if not getattr(module.__spec__, "_initializing", False):
                then()
                return
            time.sleep(0.01)

    threading.Thread(target=poll, name="kaizen-auto-late", daemon=True).start()


def warn_of_kept_functions(framework: Framework, module: ModuleType, before: dict[str, object]) -> None:
    """Warn of modules that hold functions of the framework from before they were replaced."""
    replaced = {
        id(value): name
        for name, value in before.items()
        if callable(value) and not issubclass(type(value), type) and vars(module).get(name) is not value
    }
    if not replaced:
        return
    kept: set[str] = set()
    for name, other in list(sys.modules.items()):
        if name.split(".")[0] == framework.module or type(other).__name__ == "_LazyModule":
            continue
        values = list(getattr(other, "__dict__", {}).values())
        # A process has a hundred thousand of them: no Python code for each.
        if any(map(replaced.__contains__, map(id, values))):
            kept.update(f"{name}.{replaced[id(value)]}" for value in values if id(value) in replaced)
    if kept:
        logger.warning(
            "%s: imported by name before kaizen.auto and therefore not traced: %s. Import kaizen.auto first.",
            framework.name,
            ", ".join(sorted(kept)),
        )
