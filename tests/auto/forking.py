"""Run as a script: imports what is slow to import, then forks one process for each agent it is asked for.

A request is a line of JSON on stdin, the answer a line on stdout with how the agent ended.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any


def serve(answers: int) -> dict[str, Any]:
    """Fork for each request; returns in the child, with its request."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return json.loads(line)  # type: ignore[no-any-return]
        os.write(answers, f"{child}\n".encode())
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(answers, f"{ended}\n".encode())
    os._exit(0)


def become(
    agent: str, environment: dict[str, str], output: str, errors: str, fresh: list[str], teardown: bool
) -> None:
    """Make this process what Python would be that was just started with the agent.

    The top-level modules in `fresh` are forgotten, so that the agent's import of them executes them; what is
    below them stays, which is most of their time.
    """
    for descriptor, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(os.path.dirname(agent))
    sys.argv[:] = [agent]
    sys.path[0] = os.path.dirname(agent)
    forget(fresh)
    if not teardown:
        atexit.register(leave)


def forget(names: list[str]) -> None:
    """Have these modules executed anew, with the submodules bound to them that imports would have bound."""
    bound = {name: {} for name in names}
    for name, module in sys.modules.items():
        parent, _, child = name.rpartition(".")
        if parent in bound:
            bound[parent][child] = module

    def create_module(loader: SourceFileLoader, spec: ModuleSpec) -> ModuleType | None:
        if spec.name not in bound:
            return None
        module = ModuleType(spec.name)
        vars(module).update(bound[spec.name])
        return module

    SourceFileLoader.create_module = create_module  # type: ignore[method-assign]
    for name in names:
        sys.modules.pop(name, None)


def leave() -> None:
    """The last thing at exit: end without taking apart the modules that were there before the fork."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)
    for name in sys.argv[1:]:
        # Versions differ in what they have.
        with suppress(ModuleNotFoundError):
            __import__(name)
    # Otherwise each child's first collection touches, and so copies, all the memory of this process.
    gc.freeze()
    request = serve(answers)
    os.close(answers)
    become(**request)
    with open(sys.argv[0], encoding="utf-8") as file:
        code = compile(file.read(), sys.argv[0], "exec")
    __file__ = sys.argv[0]
    status = 1
    try:
        exec(code)
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
        raise
