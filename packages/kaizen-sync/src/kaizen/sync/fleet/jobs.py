"""What jobs are: plain values, how a round is put into jobs, and in which order workers take them. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from kaizen.sync.fleet.schedules import Schedule
    from kaizen.sync.slices import Slice

# Of the form of jobs: a worker leaves a job of a newer form to newer workers.
FORM = 1

PROJECTS_A_JOB = 10
# No more traces than this are small: whoever finds them works on them at once.
SMALL = 25
SLICE = 100

# Of two jobs the one of higher priority is taken first.
_LOOKING = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Sync some projects of one source, or with `since` or `until` one slice of one project.

    `rank` says the how manieth slice of its project it is, and `traces` about how many there are in it.
    """

    source: str
    projects: Sequence[str]
    namespace: str
    options: Mapping[str, Any] = field(default_factory=dict)
    every_s: float = 300.0
    since: str | None = None
    until: str | None = None
    rank: int = 0
    traces: int = 0
    form: int = FORM

    @property
    def is_slice(self) -> bool:
        return self.since is not None or self.until is not None

    @property
    def key(self) -> str:
        """What a job with the same key would do again, so that only one of them waits."""
        where = f"{self.source}/{self.namespace}/{'/'.join(self.projects)}"
        return f"{where}@{self.since or ''}/{self.until or ''}" if self.is_slice else where

    @property
    def priority(self) -> int:
        """The first slices of all projects come before any second one, so that none waits for a large one."""
        return -self.rank if self.rank else _LOOKING

    @property
    def window(self) -> dict[str, datetime | None]:
        return {
            "since": datetime.fromisoformat(self.since) if self.since else None,
            "until": datetime.fromisoformat(self.until) if self.until else None,
        }

    def namespace_of(self, project: str) -> str:
        return self.namespace.replace("{project}", project)

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Job:
        """Read a job, leaving out what a newer form has besides."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "projects": list(self.projects), "options": dict(self.options)}


def round_jobs(schedule: Schedule, projects: Iterable[str], busy: Collection[str]) -> list[Job]:
    """Return the jobs that look at all projects but those that are `busy`, several small ones in each."""
    free = [project for project in sorted(set(projects)) if project not in busy]
    return [
        Job(
            source=schedule.source,
            projects=free[first : first + PROJECTS_A_JOB],
            namespace=schedule.namespace,
            options=schedule.options,
            every_s=schedule.every_s,
        )
        for first in range(0, len(free), PROJECTS_A_JOB)
    ]


def slice_jobs(job: Job, project: str, slices: Sequence[Slice]) -> list[Job]:
    """Return the jobs for the slices of a large project, and one more that looks at it when they are done."""
    whole = replace(job, projects=[project], rank=len(slices) + 1)
    sliced = [
        replace(whole, since=_text(part.since), until=_text(part.until), rank=rank, traces=part.traces)
        for rank, part in enumerate(slices, 1)
    ]
    return [*sliced, whole] if len(sliced) > 1 else sliced


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def retry_after_s(failures: int, every_s: float) -> float:
    """Return how long to leave a project alone that failed so often in a row: twice as long each time."""
    return float(min(every_s * 2 ** min(failures - 1, 10), 3600.0)) if failures else 0.0
