"""Gives tips to the calls of the four frameworks, each as soon as the agent imports it.

In few places, and as far out as messages and tools are known, so that a trace holds what was sent. Layers
nest: the outermost gives the tips, and those below leave the call alone.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from kaizen.recall.settings import is_switched_off

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

FRAMEWORKS = ("openai", "litellm", "smolagents")
"""The modules that are watched. The OpenAI Agents SDK calls its models through `openai` or `litellm`."""

_finders: list[object] = []


def enable_recall() -> bool:
    """Give tips to the frameworks that are imported, and to those that will be; return whether it is on.

    `KAIZEN_RECALL_ENABLED=false` wins. Without kaizen-auto there is no import hook: only the frameworks that
    are imported by now are given tips.
    """
    if is_switched_off():
        return False
    try:
        from kaizen.auto.hook import Finder
    except ImportError:
        imported_by_now = [(name, sys.modules[name]) for name in FRAMEWORKS if name in sys.modules]
        for name, module in imported_by_now:
            imported(name, module)
        # `python -m kaizen.recall` is no agent.
        if not imported_by_now and "kaizen.recall" not in sys.orig_argv:
            import logging

            logging.getLogger("kaizen.recall").warning(
                "No tips are given: without kaizen-auto, import the frameworks before kaizen.recall"
            )
        return bool(imported_by_now)
    if not _finders:
        finder = Finder(FRAMEWORKS, imported)
        _finders.append(finder)
        finder.start(imported)
    return True


def imported(name: str, module: ModuleType) -> None:
    """Give tips to the calls of a framework, however often this is called. Never raises."""
    with suppress(Exception):
        from kaizen.recall.frameworks import patches

        patches.apply(name, module)


def patched_frameworks() -> list[str]:
    """Return the frameworks whose calls are given tips in this process."""
    patches = sys.modules.get("kaizen.recall.frameworks.patches")
    return [] if patches is None else [name for name in FRAMEWORKS if name in patches.applied]
