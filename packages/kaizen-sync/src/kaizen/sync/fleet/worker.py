"""A worker: one process that does the jobs of the fleet, several at once, within the fleet's limits."""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kaizen.store import StoreError, uuid7
from kaizen.sync import ModelSettings, StopFlag, Sync, SyncSettings, __version__
from kaizen.sync.errors import ModelAccessError, ModelUnavailableError, SyncError
from kaizen.sync.fleet.accounts import (
    Account,
    forget_worker,
    left_alone,
    note_result,
    note_worker,
    unfinished_jobs,
)
from kaizen.sync.fleet.engine import Engine
from kaizen.sync.fleet.jobs import SLICE, SMALL, Job, round_jobs, slice_jobs
from kaizen.sync.fleet.limits import CALLS, DailyBudget, Throttle, requests_to
from kaizen.sync.fleet.schedules import take_due
from kaizen.sync.sources.base import ProjectsSource, SharedSource
from kaizen.sync.sources.registry import find_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from kaizen.store import Store
    from kaizen.sync.fleet.database import Database
    from kaizen.sync.fleet.schedules import Schedule
    from kaizen.sync.sources.base import Source
    from kaizen.sync.state.report import Report

_log = logging.getLogger(__name__)

_SEEN_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How much one worker does at once: model `calls` under way in all of its `jobs` together."""

    calls: int = 32
    jobs: int = 4


class Worker:
    """Does jobs until it is stopped. Sources, models and keys are those of its environment `environ`."""

    def __init__(
        self,
        store: Store,
        database: Database,
        options: WorkerOptions,
        environ: Mapping[str, str],
        **engine: Any,
    ) -> None:
        self._store = store
        self._database = database
        self._options = options
        self._environ = environ
        self._stopping = StopFlag()
        self._slots = threading.BoundedSemaphore(options.calls)
        self._calls = Throttle(database, CALLS, wait=self._pause)
        self._budget = DailyBudget(database)
        self._running: set[Sync] = set()
        self._sources: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._id = uuid7()
        self._engine = Engine(database.conninfo, do=self.do, tick=self.tick, **engine)

    def run(self) -> None:
        """Do jobs until `stop` is called; then finish and commit what is paid for, and leave the rest."""
        self._database.prepare()
        threading.Thread(target=self._say_seen, name="kaizen-worker-seen", daemon=True).start()
        try:
            self._engine.run(self._options.jobs, self._stopping)
        finally:
            self._stopping.set()
            with suppress(StoreError):
                forget_worker(self._database, self._id)
            for source in self._sources.values():
                if hasattr(source, "close"):
                    source.close()

    def stop(self) -> None:
        """Take no more jobs and traces; signal handlers may call it."""
        self._stopping.set()
        for sync in list(self._running):
            sync.stop()

    def tick(self) -> list[Job]:
        """Return the jobs of the rounds that are due."""
        jobs = []
        for schedule in take_due(self._database):
            try:
                jobs += self._round(schedule)
            except (SyncError, StoreError) as error:
                _log.warning("schedule '%s' has no round now: %s", schedule.name, error)
        return jobs

    def do(self, job: Job) -> list[Job]:
        """Sync the projects of a job one after the other; return the jobs that follow from it."""
        follow: list[Job] = []
        for project in job.projects:
            if self._stopping.is_set():
                return [*follow, job] if job.rank else follow
            try:
                follow += self._sync(job, project)
            except (SyncError, StoreError) as error:
                self._note(job, project, str(error))
            except Exception as error:  # noqa: BLE001 - one project is isolated from the next
                _log.exception("%s failed", project)
                self._note(job, project, f"internal error: {error!r}")
        return follow

    def _round(self, schedule: Schedule) -> list[Job]:
        projects = schedule.projects or self._source(schedule.source).projects()
        busy = {project for job in unfinished_jobs(self._database) if job.rank for project in job.projects}
        return round_jobs(schedule, projects, busy)

    def _sync(self, job: Job, project: str) -> list[Job]:
        if (project, job.namespace_of(project)) in left_alone(self._database, job.source):
            return []
        account = Account(self._database)
        with ExitStack() as stack:
            source = stack.enter_context(self._project(job.source, project))
            sync = Sync(
                source,
                self._store,
                self._settings(job, project),
                ModelSettings.from_environ(self._environ, model=job.options.get("model")),
                progress=account.update,
                admit=self._admit,
            )
            stack.callback(self._running.discard, sync)
            self._running.add(sync)
            if self._stopping.is_set():
                sync.stop()
            if not job.is_slice:
                slices = sync.cut(size=SLICE, at_most=2 * SLICE if job.rank else SMALL)
                if slices:
                    return slice_jobs(job, project, slices)
            report = sync.run()
        account.flush(report)
        return self._after(job, project, report)

    def _after(self, job: Job, project: str, report: Report) -> list[Job]:
        if report.stopped:
            return [replace(job, projects=[project])] if job.rank else []
        self._note(job, project, report.refusal)
        return []

    def _note(self, job: Job, project: str, problem: str) -> None:
        if problem:
            _log.warning("project '%s': %s", project, problem)
        # If the database is away, the next round finds out what is left.
        with suppress(StoreError):
            note_result(self._database, job, project, problem)

    def _settings(self, job: Job, project: str) -> SyncSettings:
        options = {name: value for name, value in job.options.items() if name != "model"}
        return SyncSettings.from_environ(
            self._environ,
            namespace_id=job.namespace_of(project),
            # One project may use half of the calls, so that one with a slow model leaves room for others.
            concurrency=max(1, self._options.calls // 2),
            **options,
            **job.window,
        )

    def _project(self, name: str, project: str) -> AbstractContextManager[Source]:
        source = self._source(name)
        if isinstance(source, SharedSource):
            return nullcontext(source.for_project(project))
        settings = find_source(name).settings_type.read(self._environ, project=project)
        own: Any = find_source(name)(settings)
        return own if hasattr(own, "__exit__") else nullcontext(own)

    def _source(self, name: str) -> Any:
        """Return the source by which projects are listed, made once; it keeps connections for all of them."""
        with self._lock:
            if name not in self._sources:
                source_type = find_source(name)
                source: Any = source_type(source_type.settings_type.read(self._environ))
                if not isinstance(source, ProjectsSource):
                    raise SyncError(f"source '{name}' cannot list its projects, so a fleet cannot share them")
                if isinstance(source, SharedSource):
                    source.admit_requests(Throttle(self._database, requests_to(name), wait=self._pause).wait)
                self._sources[name] = source
            return self._sources[name]

    @contextmanager
    def _admit(self) -> Iterator[None]:
        """Wait for a free call of the worker's and for the fleet's limit; raise if today's money is spent."""
        if why := self._budget.used_up():
            raise ModelAccessError(why)
        with self._slots:
            self._calls.wait()
            yield

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise ModelUnavailableError("the worker was stopped")

    def _say_seen(self) -> None:
        while not self._stopping.is_set():
            with suppress(StoreError):
                note_worker(
                    self._database,
                    id=self._id,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    version=__version__,
                    jobs=len(self._running),
                )
            self._stopping.wait(_SEEN_EVERY_S)
