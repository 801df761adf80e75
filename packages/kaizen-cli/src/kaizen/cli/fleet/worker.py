"""`kaizen fleet worker`: do the jobs of the fleet on this machine."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.options import BackendOption, NamespaceOption, store_settings
from kaizen.cli.output import print_note
from kaizen.store import open_store

if TYPE_CHECKING:
    from types import FrameType


def worker(
    calls: Annotated[
        int, typer.Option("--calls", min=1, max=256, help="Model calls under way at once on this machine.")
    ] = 32,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, max=8, help="Jobs at once: projects, or parts of a large one.")
    ] = 4,
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
) -> None:
    """Do the jobs of the fleet until a signal: read traces, and store what they teach.

    Start one on each machine, or one for each core. Where Phoenix and the store are, and models with their
    keys, are settings of the environment, as for `kaizen sync`. On SIGTERM or Ctrl-C it finishes and stores
    what is under way, and leaves the rest to the others. A second signal ends it at once; nothing is lost by
    that either.

    Example: kaizen fleet worker --calls 64
    """
    from kaizen.sync.fleet import Database, Worker, WorkerOptions

    where = store_settings(backend, None, namespace)
    database = Database.of_store(where)
    with open_store(where) as store:
        works = Worker(store, database, WorkerOptions(calls=calls, jobs=jobs), os.environ)

        def stop(number: int, _frame: FrameType | None) -> None:
            signal.signal(number, signal.SIG_DFL)
            print_note("Stopping: finishing what is under way. Once more to stop at once.")
            works.stop()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        print_note(f"Working for the fleet in {store.location}")
        works.run()
