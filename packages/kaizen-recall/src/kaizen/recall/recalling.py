"""Recall by hand: ask for the tips of one run."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from kaizen.recall.choosing import Budget, Request
from kaizen.recall.context import current_unit, is_off
from kaizen.recall.recalled import NOTHING, Recalled, recall_from
from kaizen.recall.settings import is_switched_off, read_settings
from kaizen.recall.snapshots.polling import current_poller
from kaizen.recall.tools import offered_tools

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.recall.model import Snapshot

_log = logging.getLogger("kaizen.recall")


def recall(
    task: str, tools: Iterable[Any] | None = None, *, instructions: str = "", unit: str = ""
) -> Recalled:
    """Return the tips for a run. Never raises, and never waits for the network.

    The first call of a process waits up to `KAIZEN_RECALL_TIMEOUT` (0.3 s) for the first snapshot, but not
    in an asyncio event loop: use `arecall` there.

    Args:
        task: What the user asks for.
        tools: The tools that the agent has: names, definitions, or objects with a `name`.
        instructions: The system prompt.
        unit: What is randomised, where tips are held out: a session or run; by default that of the trace.
    """
    try:
        if is_switched_off() or is_off():
            return NOTHING
        snapshot = current_poller().snapshot(wait=not _in_event_loop())
        return _recall(snapshot, task, tools, instructions, unit)
    except Exception as error:  # noqa: BLE001 - the agent goes on without tips, whatever happens here
        _log.debug("Recall failed: %r", error)
        return NOTHING


async def arecall(
    task: str, tools: Iterable[Any] | None = None, *, instructions: str = "", unit: str = ""
) -> Recalled:
    """Return the tips for a run, as `recall` does; the event loop runs on while it waits."""
    try:
        if is_switched_off() or is_off():
            return NOTHING
        # Not above: it takes longer to import than all else here.
        import asyncio

        poller = current_poller()
        while poller.is_awaited():
            await asyncio.sleep(0.005)
        return _recall(poller.snapshot(wait=False), task, tools, instructions, unit)
    except Exception as error:  # noqa: BLE001 - likewise
        _log.debug("Recall failed: %r", error)
        return NOTHING


def _recall(
    snapshot: Snapshot | None, task: str, tools: Iterable[Any] | None, instructions: str, unit: str
) -> Recalled:
    if snapshot is None:
        return NOTHING
    settings = read_settings()
    return recall_from(
        snapshot,
        Request(task, instructions, None if tools is None else offered_tools(tools)),
        unit=unit or current_unit(f"{instructions}\n{task}"),
        budget=Budget(tokens=settings.max_tokens),
        holdout_bound=settings.holdout,
    )


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None
