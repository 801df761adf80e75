"""Syncs of one or more projects, once or again and again, that end in order on a signal."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from kaizen.cli.output import print_error, print_json_line, print_note
from kaizen.cli.sync.progress import SyncProgress
from kaizen.cli.sync.report import print_line
from kaizen.sync import StopFlag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

    from kaizen.store import Store
    from kaizen.sync import (
        Annotator,
        ModelSettings,
        Preview,
        Report,
        StoredProject,
        Sync,
        SyncSettings,
    )
    from kaizen.sync.sources import Source

    Opener = Callable[[], AbstractContextManager[Source]]


class Rounds:
    """Syncs of one or more projects, once or again and again, that end in order on a signal."""

    def __init__(
        self,
        store: Store,
        settings: SyncSettings,
        models: ModelSettings,
        *,
        quiet: bool,
        annotate: bool,
    ) -> None:
        self._store = store
        self._settings = settings
        self._models = models
        self._quiet = quiet
        self._annotate = annotate
        self._current: Sync | None = None
        self._stopping = StopFlag()
        # The first signal ends the sync in order, the second at once; nothing is lost by either.
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)

    def sync(self, open_project: Opener) -> Report:
        """Sync one project, once."""
        from kaizen.sync import Sync

        with open_project() as source, SyncProgress(quiet=self._quiet) as progress:
            sync = Sync(
                source,
                self._store,
                self._settings,
                self._models,
                progress=progress.update,
                annotator=self._annotator(source),
            )
            progress.watch(sync.report)
            self._current = sync
            if self._stopping.is_set():
                sync.stop()
            return sync.run()

    def relearn(self, projects: Sequence[StoredProject]) -> list[Report]:
        """Learn again from what the store keeps of these projects, as one run."""
        reports: list[Report] = []
        for project in projects:
            with SyncProgress(quiet=self._quiet) as progress:
                run_id = reports[0].run_id if reports else ""
                sync = self._relearning(project, progress=progress.update, run_id=run_id)
                progress.watch(sync.report)
                self._current = sync
                if self._stopping.is_set():
                    sync.stop()
                reports.append(sync.run())
        return reports

    def relearn_preview(self, project: StoredProject) -> Preview:
        """Say what `relearn` would do."""
        return self._relearning(project).preview()

    def _relearning(self, project: StoredProject, **more: Any) -> Sync:
        from kaizen.sync import Sync

        return Sync(project, self._store, self._settings, self._models, relearn=True, **more)

    def _annotator(self, source: Source) -> Annotator | None:
        from kaizen.sync.sources import AnnotatingSource

        return source.annotator() if self._annotate and isinstance(source, AnnotatingSource) else None

    def preview(self, open_project: Opener) -> Preview:
        """Say what a sync of the project would do."""
        from kaizen.sync import Sync

        with open_project() as source:
            return Sync(source, self._store, self._settings, self._models).preview()

    def watch(self, choose: Callable[[], Sequence[Opener]], every_s: float, *, json: bool) -> None:
        """Print one line a round until a signal; what fails in one round is printed and tried in the next."""
        from kaizen.sync import watch

        def sync_once() -> None:
            for open_project in choose():
                report = self.sync(open_project)
                if json:
                    print_json_line(report.to_json())
                else:
                    print_line(report)

        # One line a round is progress enough, and it goes into logs.
        self._quiet = True
        report_error = partial(print_error, as_json=False)
        watch(sync_once, every_s, stopping=self._stopping, report_error=report_error)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        print_note("Stopping: finishing what is under way. Once more to stop at once.")
        self._stopping.set()
        if self._current is not None:
            self._current.stop()
