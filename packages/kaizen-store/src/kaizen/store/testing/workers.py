"""What other processes do to a store; run as a script, so that they start fast and import no pytest."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from kaizen.store.errors import ConflictError
from kaizen.store.model import Put

if TYPE_CHECKING:
    from kaizen.store.contract import Store

PADDING = "x" * 100_000
GROUP = ("left", "middle", "right")


def start(open_store: Callable[[], Store], job: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that does the job; it prints a line for each commit that was acknowledged to it."""
    return subprocess.Popen(
        # -P: the modules beside this file must not shadow those of the standard library
        [sys.executable, "-P", __file__, pickle.dumps(open_store).hex(), job, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def increment(store: Store, namespace_id: str, name: str, times: str) -> None:
    """Count one entity up under contention, and leave one entity of one's own per round."""
    for number in range(int(times)):
        print(increment_once(store, namespace_id, f"{name}-{number}"), flush=True)  # noqa: T201


def increment_once(store: Store, namespace_id: str, own_id: str) -> int:
    """Add one to the entity `counter` and create `own_id` with it; returns the commit's version."""
    while True:
        counter = store.get_many(namespace_id, ["counter"]).get("counter")
        count = int(counter.content) if counter else 0
        try:
            return store.commit(
                namespace_id,
                [Put(id="counter", type="t", content=str(count + 1)), Put(id=own_id, type="t", content="")],
                expected={"counter": counter.revision if counter else 0},
            ).version
        except ConflictError:
            continue


def commit_for_ever(store: Store, namespace_id: str) -> None:
    """Commits of three entities that always agree, until somebody kills this process."""
    number = store.get_namespace(namespace_id).version
    while True:
        number += 1
        store.commit(
            namespace_id,
            [Put(id=name, type="t", content=str(number), metadata={"padding": PADDING}) for name in GROUP],
        )
        print(number, flush=True)  # noqa: T201


_JOBS: dict[str, Callable[..., None]] = {"increment": increment, "commit_for_ever": commit_for_ever}

if __name__ == "__main__":
    with pickle.loads(bytes.fromhex(sys.argv[1]))() as opened:  # noqa: S301 - written by the parent process
        _JOBS[sys.argv[2]](opened, *sys.argv[3:])
