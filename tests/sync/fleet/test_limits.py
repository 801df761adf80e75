"""Limits that hold for all workers together, in a real PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from kaizen.sync.fleet import Database, Limits, Schedule, read_status, set_limits, set_schedule
from kaizen.sync.fleet.accounts import note_result
from kaizen.sync.fleet.jobs import Job
from kaizen.sync.fleet.limits import CALLS, DailyBudget, Throttle
from kaizen.sync.fleet.schedules import remove_schedule, take_due

if TYPE_CHECKING:
    from collections.abc import Callable

PER_MINUTE = 6_000.0


def test_workers_together_keep_a_limit_within_five_percent(url: str, tables: Database) -> None:
    set_limits(tables, Limits(calls_per_minute=PER_MINUTE), "phoenix")
    waits: list[float] = []
    workers = [Database(url) for _ in range(4)]
    throttles = [Throttle(worker, CALLS, wait=waits.append) for worker in workers]
    began = tables.execute("SELECT extract(epoch FROM clock_timestamp())::float AS t")[0]["t"]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(100):
            list(threads.map(Throttle.wait, throttles))
    ended = tables.execute("SELECT extract(epoch FROM clock_timestamp())::float AS t")[0]["t"]
    for worker in workers:
        worker.close()
    # What the last caller has to wait says when the 400th call is made: nobody slept meanwhile.
    rate = 60 * 400 / (ended - began + max(waits))
    assert rate == pytest.approx(PER_MINUTE, rel=0.05)


def test_without_a_limit_nothing_is_asked_of_the_database_for_a_while(tables: Database) -> None:
    throttle = Throttle(tables, CALLS, wait=lambda _: pytest.fail("it waited"), clock=lambda: 100.0)
    throttle.wait()
    tables.execute("DROP TABLE buckets")
    throttle.wait()


def test_a_limit_can_be_changed_and_removed(tables: Database) -> None:
    set_limits(tables, Limits(calls_per_minute=60, requests_per_minute=30), "phoenix")
    set_limits(tables, Limits(calls_per_minute=120), "phoenix")
    assert read_status(tables).limits == {"model calls": 120, "requests to phoenix": 30}
    set_limits(tables, Limits(calls_per_minute=0), "phoenix")
    assert read_status(tables).limits == {"requests to phoenix": 30}


def test_no_call_is_made_after_todays_money_is_spent(tables: Database) -> None:
    set_limits(tables, Limits(usd_per_day=2), "phoenix")
    spend = "INSERT INTO work (minute, source, project, namespace, usd) VALUES ({}, 's', 'p', 'n', {})"
    tables.execute(spend.format("now() - interval '2 days'", 50))
    assert DailyBudget(tables).used_up() == ""
    tables.execute(spend.format("now()", 2))
    assert "2 USD" in DailyBudget(tables).used_up()
    set_limits(tables, Limits(usd_per_day=0), "phoenix")
    assert DailyBudget(tables).used_up() == ""


def test_a_schedule_is_made_once_and_its_round_goes_to_one_worker(url: str, tables: Database) -> None:
    assert set_schedule(tables, Schedule(name="all"))
    assert not set_schedule(tables, Schedule(name="all", projects=("a",), every_s=3600.0))
    found: list[Schedule] = []
    with ThreadPoolExecutor(4) as threads:
        for due in threads.map(lambda _: take_due(tables), range(4)):
            found += due
    assert [(one.name, list(one.projects), one.every_s) for one in found] == [("all", ["a"], 3600.0)]
    assert remove_schedule(tables, "all")
    assert not remove_schedule(tables, "all")


def test_tables_are_made_once_however_many_workers_start(url: str) -> None:
    def prepare(_: int) -> None:
        mine = Database(url)
        mine.prepare()
        mine.close()

    together(prepare, 4)
    tables = Database(url)
    assert [row["version"] for row in tables.execute("SELECT version FROM migrations")] == [1]
    tables.close()


def together(work: Callable[[int], None], count: int) -> None:
    ready = threading.Barrier(count)

    def wait_and_work(number: int) -> None:
        ready.wait()
        work(number)

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(wait_and_work, range(count)))


def test_a_project_that_fails_again_is_left_alone_longer(tables: Database) -> None:
    job = Job(source="phoenix", projects=["p"], namespace="n", every_s=60.0)
    for _ in range(2):
        note_result(tables, job, "p", "the model refuses every call")
    (project,) = read_status(tables).projects
    assert (project.failures, project.problem) == (2, "the model refuses every call")
    wait = tables.execute("SELECT extract(epoch FROM retry_at - now())::float AS s FROM projects")[0]["s"]
    assert wait == pytest.approx(120, abs=5)
    note_result(tables, job, "p", "")
    (project,) = read_status(tables).projects
    assert (project.failures, project.problem, project.retry_at) == (0, "", None)
