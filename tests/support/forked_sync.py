"""Run syncs in forked children that a test may kill: `... -m tests.support.forked_sync URL PROJECT BACKEND`.

Reads a line `DATA_DIR` from standard input, forks a child that syncs into it and writes `started PID`;
when the child has ended it writes `ended STATUS`. A fork of a process that has imported litellm once costs
nothing, where a new process costs seconds for each of many kills.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    url, project, backend = sys.argv[1:]
    import json_repair  # noqa: F401 - everything is imported once, before any fork
    import litellm

    import kaizen.sync.llm.schemas
    from kaizen.sync.redact import Redactor
    from tests.support.postgres import is_url
    from tests.support.syncing import MODEL, run_sync

    if is_url(backend):
        import kaizen.store.backends.postgres  # noqa: F401
    Redactor().text("")
    litellm.completion(model=MODEL, messages=[{"role": "user", "content": "hi"}], mock_response="hi")

    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                report = run_sync(url, project, Path(line.strip()), backend=backend, concurrency=2)
                status = 1 if report.states["failed"] else 0
            finally:
                os._exit(status)
        print(f"started {pid}", flush=True)
        _, status = os.waitpid(pid, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
