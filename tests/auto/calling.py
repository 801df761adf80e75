"""Run as a script: makes every call of a table, and prints what the agent saw of each.

The table is the JSON file that TABLE names, `{name: [source, how, is_async]}`. Each source is the body of a
function; it makes its call and says what it reads to `saw`. `setup` is executed first. Names of calls that
had a span open after they had returned go into the file `open.json`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import sys
import textwrap
import traceback
import urllib.request
import warnings
from typing import TYPE_CHECKING, Any

import kaizen.auto

if TYPE_CHECKING:
    from collections.abc import Coroutine


def describe(value: Any) -> Any:
    """What of a value can be compared between two runs."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if hasattr(value, "model_dump"):
        return [
            value.__class__.__name__,
            json.loads(json.dumps(value.model_dump(warnings=False), default=str)),
        ]
    return value.__class__.__name__


def ask_server(path: str) -> Any:
    with urllib.request.urlopen(os.environ["OPENAI_BASE_URL"] + path, timeout=30) as answer:
        return json.loads(answer.read())


def make_call(source: str, scope: dict[str, Any], seen: list[Any], *, is_async: bool) -> None:
    def saw(*values: object) -> None:
        seen.extend(describe(value) for value in values)

    scope = {**scope, "saw": saw, "go": lambda: ask_server("/go"), "gate": lambda: ask_server("/gate")}
    exec(f"{'async ' if is_async else ''}def body():\n{textwrap.indent(source, '    ')}", scope)
    try:
        asyncio.run(complaining(scope["body"](), seen)) if is_async else scope["body"]()
    except BaseException as exc:
        seen.append(["raised", type(exc).__name__, re.sub("time taken=.*", "", str(exc))[:200]])
        # The frames of the traceback would keep what the call abandoned.
        traceback.clear_frames(exc.__traceback__)


async def complaining(call: Coroutine[Any, Any, None], seen: list[Any]) -> None:
    """Await a call, and note what the event loop complains of.

    It closes abandoned generators in no order, and complains of some now and then: that is left out.
    """

    def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "asyncgen" not in context:
            seen.append(["complaint", str(context["message"]), repr(context.get("exception"))])

    asyncio.get_running_loop().set_exception_handler(complain)
    await call


def count_open_spans() -> int:
    return kaizen.auto.status().spans.open


def main() -> None:
    # Nothing of ours may show up in the log of an agent that has one, nor among its warnings.
    logging.basicConfig(level=logging.WARNING)
    warnings.simplefilter("always", RuntimeWarning)
    with open(os.environ["TABLE"], encoding="utf-8") as file:
        table = json.load(file)
    scope: dict[str, Any] = {}
    exec(table.pop("setup"), scope)
    seen: dict[str, list[Any]] = {}
    left_open: list[str] = []
    # Nothing may depend on when garbage is collected; what is there by now is left out to save time.
    gc.disable()
    gc.freeze()
    for name, (source, how, is_async) in table.items():
        seen[name] = []
        scope["how"] = {"x-how": how}
        before = count_open_spans()
        with kaizen.auto.agent_run(name):
            make_call(source, scope, seen[name], is_async=is_async)
        if count_open_spans() > before:
            left_open.append(name)
        gc.collect()
    gc.enable()
    with open("open.json", "w", encoding="utf-8") as file:
        json.dump(left_open, file)
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
