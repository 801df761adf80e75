"""Workers in a real PostgreSQL: what they learn, what a killed one leaves, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import Fault, ModelServer
from kaizen.store import StoreSettings, open_store
from kaizen.sync.fleet import Database, Schedule, Worker, WorkerOptions, read_status, set_schedule
from kaizen.sync.fleet.accounts import unfinished_jobs
from kaizen.sync.fleet.jobs import FORM, Job
from tests.cli.test_commands import assert_documented
from tests.support.polling import wait_until
from tests.support.slow import SLOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

slow = pytest.mark.skipif(not SLOW, reason="starts workers as processes; set KAIZEN_TEST_SLOW=true")


@pytest.fixture
def replayed(repository: Path) -> Iterator[str]:
    """A server that plays a Phoenix with three projects of 120 traces each."""
    program = repository / "benchmarks/replayed_phoenix.py"
    with subprocess.Popen(
        [sys.executable, str(program), "120", "LLM", "3"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


@pytest.fixture
def environ(
    replayed: str, url: str, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of workers; LiteLLM reads that of this process too."""
    environ = {
        "PHOENIX_URL": replayed,
        "OPENAI_BASE_URL": model_server.base_url,
        "OPENAI_API_KEY": "scripted",
        "KAIZEN_TIPS_MODEL": "openai/gpt-4.1-mini",
        "KAIZEN_BACKEND": url,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@contextmanager
def worker_of(environ: Mapping[str, str], tables: Database) -> Iterator[Worker]:
    """A worker that does nothing by itself: its jobs are given to it."""
    with open_store(StoreSettings.from_url(environ["KAIZEN_BACKEND"])) as store:
        yield Worker(store, tables, WorkerOptions(calls=8, jobs=2), environ)


def job(*projects: str, **given: Any) -> Job:
    return Job(source="phoenix", projects=projects, namespace="{project}", **given)


def drained(worker: Worker, jobs: list[Job]) -> int:
    """Do the jobs and all that follow from them; return how many there were."""
    done = 0
    while jobs:
        jobs = [*jobs[1:], *worker.do(jobs[0])]
        done += 1
    return done


def recorded(url: str) -> dict[str, int]:
    with open_store(StoreSettings.from_url(url)) as store:
        return {one.id: store.count(one.id, type="trajectory") for one in store.list_namespaces()}


def test_a_large_project_is_cut_and_a_small_one_is_synced_at_once(
    environ: dict[str, str], url: str, tables: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.sync.fleet.worker.SLICE", 30)
    # Offline: what is asked of a model is none of this test's business.
    options = {"model": "offline"}
    with worker_of(environ, tables) as worker:
        slices = worker.do(job("replayed-0000", options=options))
        assert [one.traces for one in slices] == [30, 30, 30, 30, 0]
        assert recorded(url)["replayed-0000"] == 0
        assert drained(worker, slices) == 5
    assert recorded(url)["replayed-0000"] == 120
    status = read_status(tables)
    assert_documented("fleet status", status.to_json())
    (project,) = status.projects
    assert (project.traces_today, project.failures) == (120, 0)


def test_a_project_that_cannot_be_synced_does_not_hold_up_the_next(
    environ: dict[str, str], url: str, tables: Database
) -> None:
    since = "2026-01-01T00:01:50+00:00"
    with worker_of(environ, tables) as worker:
        worker.do(job("missing", "replayed-0001", since=since, options={"model": "offline"}))
        missing, found = read_status(tables).projects
        assert "no project 'missing'" in missing.problem
        assert (found.problem, recorded(url)["replayed-0001"]) == ("", 10)
        # It is left alone for a while.
        tables.execute("UPDATE projects SET problem = 'before' WHERE project = 'missing'")
        worker.do(job("missing", options={"model": "offline"}))
    assert read_status(tables).projects[0].problem == "before"


def test_a_project_whose_model_refuses_is_left_alone(
    environ: dict[str, str], tables: Database, model_server: ModelServer
) -> None:
    model_server.fail(Fault(kind="status", status=401), times=None)
    with worker_of(environ, tables) as worker:
        worker.do(job("replayed-0002", since="2026-01-01T00:01:55+00:00"))
    (project,) = read_status(tables).projects
    assert project.failures == 1
    assert "refuses the key" in project.problem
    assert project.retry_at


def test_a_round_looks_at_all_projects_over_one_connection(environ: dict[str, str], tables: Database) -> None:
    set_schedule(tables, Schedule(name="all", namespace="{project}"))
    with worker_of(environ, tables) as worker:
        (looking,) = worker.tick()
        assert list(looking.projects) == ["replayed-0000", "replayed-0001", "replayed-0002"]
        assert worker.tick() == []


def test_a_stopped_worker_gives_its_slice_back(environ: dict[str, str], tables: Database) -> None:
    with worker_of(environ, tables) as worker:
        worker.stop()
        sliced = job("replayed-0000", since="2026-01-01T00:01:00+00:00", rank=2)
        assert worker.do(sliced) == [sliced]
        assert worker.do(job("replayed-0000")) == []


@slow
def test_workers_that_are_killed_lose_and_double_nothing(
    environ: dict[str, str], url: str, tables: Database, model_server: ModelServer
) -> None:
    model_server.delay_s = 0.1
    set_schedule(tables, Schedule(name="all", namespace="{project}", every_s=5.0))
    workers = [start(environ) for _ in range(2)]
    try:
        wait_until(lambda: sum(recorded(url).values()) > 30, what="traces", timeout_s=60)
        workers[0].kill()
        workers[0].wait()  # while it is a zombie, its claims are taken for those of a process
        asked_then = sum(request.schema_name == "kaizen_tips" for request in model_server.requests)
        unstored = asked_then - sum(recorded(url).values())
        workers.append(start(environ))
        wait_until(lambda: sum(recorded(url).values()) == 360, what="all traces", timeout_s=120)
        wait_until(
            lambda: not any(one.is_slice for one in unfinished_jobs(tables)),
            what="no slice left",
            timeout_s=60,
        )
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)
    assert recorded(url) == {f"replayed-{n:04}": 120 for n in range(3)}
    asked = [
        r.body["messages"][1]["content"] for r in model_server.requests if r.schema_name == "kaizen_tips"
    ]
    # Only what was asked and not stored when the worker was killed is asked again.
    assert len(asked) - len(set(asked)) <= unstored


@slow
def test_a_worker_that_is_told_to_end_finishes_what_is_under_way(
    environ: dict[str, str], url: str, tables: Database, model_server: ModelServer
) -> None:
    model_server.delay_s = 0.5
    set_schedule(tables, Schedule(name="all", namespace="{project}"))
    worker = start(environ)
    wait_until(lambda: sum(recorded(url).values()) > 10, what="traces", timeout_s=90)
    assert [one["version"] for one in read_status(tables).workers]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    asked = sum(request.schema_name == "kaizen_tips" for request in model_server.requests)
    assert sum(recorded(url).values()) == asked
    assert read_status(tables).workers == []


@slow
def test_a_worker_leaves_a_job_of_a_newer_form_to_newer_workers(
    environ: dict[str, str], tables: Database
) -> None:
    newer = {**job("replayed-0000").to_json(), "form": FORM + 1}
    with open_store(StoreSettings.from_url(environ["KAIZEN_BACKEND"])) as store:
        worker = Worker(store, tables, WorkerOptions(jobs=1), environ)
        running = threading.Thread(target=worker.run)
        running.start()
        tables.execute(
            "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('kaizen', 'sync', 0, NULL, 'x', "
            "%(args)s::jsonb, NULL)::procrastinate_job_to_defer_v1])",
            {"args": json.dumps(newer)},
        )
        tried = "SELECT count(*) AS n FROM procrastinate_jobs WHERE attempts > 0 AND status = 'todo'"
        wait_until(lambda: tables.execute(tried)[0]["n"] == 1, what="a try", timeout_s=30)
        worker.stop()
        running.join(30)


# The command's worker, which is taken for gone after three seconds and not thirty.
WORKER = """
import os, signal
from kaizen.store import StoreSettings, open_store
from kaizen.sync.fleet import Database, Worker, WorkerOptions
url = os.environ["KAIZEN_BACKEND"]
with open_store(StoreSettings.from_url(url)) as store:
    worker = Worker(store, Database(url), WorkerOptions(calls=16), os.environ, stalled_after_s=3.0)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()
"""


def start(environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
