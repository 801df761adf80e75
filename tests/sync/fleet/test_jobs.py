"""Which jobs there are, and in which order workers take them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kaizen.sync.fleet.jobs import Job, retry_after_s, round_jobs, slice_jobs
from kaizen.sync.fleet.schedules import Schedule
from kaizen.sync.slices import Slice, cut_slices

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULE = Schedule(name="all", namespace="team-{project}", options={"include_errors": True})


def at(*seconds: int) -> list[datetime]:
    return [START + timedelta(seconds=each) for each in seconds]


def job(project: str = "p") -> Job:
    return Job(source="phoenix", projects=[project], namespace="n")


def test_slices_hold_all_traces_once_and_have_no_outer_bound() -> None:
    slices = cut_slices(at(*range(250)), 100)
    assert [part.traces for part in slices] == [100, 100, 50]
    assert slices[0].since is None
    assert slices[-1].until is None
    assert [part.until for part in slices[:-1]] == [part.since for part in slices[1:]] == at(100, 200)


def test_traces_of_one_moment_are_in_one_slice() -> None:
    slices = cut_slices(at(0, 1, 1, 1, 2), 2)
    assert slices == [Slice(None, at(2)[0], 4), Slice(at(2)[0], None, 1)]


def test_traces_may_be_listed_in_any_order() -> None:
    assert cut_slices(at(3, 0, 2, 1), 2) == cut_slices(at(0, 1, 2, 3), 2)
    assert cut_slices([], 2) == []


def test_small_projects_share_a_job_and_busy_ones_are_left_out() -> None:
    jobs = round_jobs(SCHEDULE, [f"p{n:02}" for n in range(25)], busy={"p03"})
    assert [len(one.projects) for one in jobs] == [10, 10, 4]
    assert "p03" not in {project for one in jobs for project in one.projects}
    assert {one.namespace_of("x") for one in jobs} == {"team-x"}


def test_no_project_waits_for_the_second_slice_of_another() -> None:
    def slices(count: int) -> list[Slice]:
        return cut_slices(at(*range(100 * count)), 100)

    queue = [*slice_jobs(job("large"), "large", slices(5)), *slice_jobs(job("small"), "small", slices(2))]
    taken = sorted(queue, key=lambda one: -one.priority)  # stable, as the queue is by id
    assert [one.projects[0] for one in taken[:4]] == ["large", "small", "large", "small"]
    assert round_jobs(SCHEDULE, ["new"], ())[0].priority > taken[0].priority


def test_a_project_of_several_slices_is_looked_at_once_more_when_they_are_done() -> None:
    *sliced, last = slice_jobs(job(), "p", cut_slices(at(*range(300)), 100))
    assert all(one.is_slice for one in sliced)
    assert not last.is_slice
    assert last.priority < min(one.priority for one in sliced)


def test_a_single_slice_is_a_job_that_syncs_the_whole_project() -> None:
    (only,) = slice_jobs(job(), "p", cut_slices(at(*range(60)), 100))
    assert not only.is_slice
    assert (only.rank, only.traces) == (1, 60)


def test_jobs_that_would_do_the_same_have_the_same_key() -> None:
    slices = slice_jobs(job(), "p", cut_slices(at(*range(300)), 100))
    assert len({one.key for one in slices}) == len(slices)
    assert slices[0].key == slice_jobs(job(), "p", cut_slices(at(*range(300)), 100))[0].key


def test_a_job_survives_json_and_what_a_newer_form_adds() -> None:
    (only, *_) = slice_jobs(job(), "p", cut_slices(at(*range(300)), 100))
    assert Job.of_json({**only.to_json(), "new": 1}) == only
    assert only.window["until"] == at(100)[0]


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0), (1, 300), (2, 600), (3, 1200), (50, 3600)])
def test_a_project_that_fails_is_left_alone_twice_as_long_each_time(failures: int, seconds: float) -> None:
    assert retry_after_s(failures, 300.0) == seconds
