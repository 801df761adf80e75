"""Procrastinate: the queue, its workers, and what is done on time. The one module that imports it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued

from kaizen.sync.fleet.jobs import FORM, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Event

_log = logging.getLogger(__name__)

QUEUE = "kaizen"
# A worker without a sign of life for so long is gone, and its jobs are another's.
STALLED_AFTER_S = 30.0
_HEARTBEAT_S = 5.0
_POLL_S = 2.0
_AGAIN_AFTER_S = 2.0
_SPARE_THREADS = 4  # for what is no job


class NewerJobError(Exception):
    """The job is of a newer form: a newer worker does it."""


class Engine:
    """Does the jobs of a fleet, and on one of its workers every ten seconds what is due.

    `do` is called in a thread for each job, `tick` in another; both return jobs to put into the queue.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        do: Callable[[Job], Iterable[Job]],
        tick: Callable[[], Iterable[Job]],
        stalled_after_s: float = STALLED_AFTER_S,
    ) -> None:
        self._app = app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=1, max_size=4))
        self._stalled_after_s = stalled_after_s
        retry = RetryStrategy(wait=10, retry_exceptions=[NewerJobError])

        @app.task(name="sync", queue=QUEUE, retry=retry)
        async def sync(**given: Any) -> None:
            if given.get("form", 1) > FORM:
                raise NewerJobError
            await self._defer(await asyncio.to_thread(do, Job(**given)))

        # Without a lock: what looks for stalled jobs must not wait for one.
        @app.periodic(cron="* * * * * */10")
        @app.task(name="tick", queue=QUEUE, queueing_lock="tick", priority=100)
        async def ticking(timestamp: int) -> None:
            await self._retry_stalled()
            await self._defer(await asyncio.to_thread(tick))

        self._sync = sync

    def run(self, concurrency: int, stopping: Event) -> None:
        """Do jobs, so many at once, until `stopping` is set; then finish those under way.

        A database that does not answer is waited for.
        """
        asyncio.run(self._run(concurrency, stopping))

    async def _run(self, concurrency: int, stopping: Event) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(concurrency + _SPARE_THREADS))
        while not stopping.is_set():
            try:
                async with self._app.open_async():
                    await self._work(concurrency, stopping)
            except Exception as error:  # noqa: BLE001 - of psycopg, its pool or Procrastinate: all pass by themselves
                _log.warning("the queue does not answer, trying again: %s", error)
            if not stopping.is_set():
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def _work(self, concurrency: int, stopping: Event) -> None:
        worker = asyncio.create_task(
            self._app.run_worker_async(
                queues=[QUEUE],
                concurrency=concurrency,
                install_signal_handlers=False,
                # What became of the work is in tables of our own.
                delete_jobs="always",
                fetch_job_polling_interval=_POLL_S,
                update_heartbeat_interval=min(_HEARTBEAT_S, self._stalled_after_s / 3),
                stalled_worker_timeout=self._stalled_after_s,
            )
        )
        while not worker.done() and not stopping.is_set():
            await asyncio.wait({worker}, timeout=0.2)
        if not worker.done():
            worker.cancel()  # it finishes the jobs under way
        with suppress(asyncio.CancelledError):
            await worker

    async def _retry_stalled(self) -> None:
        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._stalled_after_s):
            _log.warning("job %s has stalled, since its worker is gone; it is done again", job.id)
            await manager.retry_job(job)

    async def _defer(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            # One that waits already does the same.
            with suppress(AlreadyEnqueued):
                await self._sync.configure(queueing_lock=job.key, priority=job.priority).defer_async(
                    **job.to_json()
                )
