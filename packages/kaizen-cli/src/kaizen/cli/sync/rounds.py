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
    from types import FrameType

    from kaizen.store import Store
    from kaizen.sync import Annotator, ModelSettings, PhoenixSettings, Preview, Report, Sync, SyncSettings


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

    def sync(self, where: PhoenixSettings) -> Report:
        """Sync one project, once."""
        from kaizen.sync import PhoenixSource, Sync

        with PhoenixSource(where) as source, SyncProgress(quiet=self._quiet) as progress:
            sync = Sync(
                source,
                self._store,
                self._settings,
                self._models,
                progress=progress.update,
                annotator=self._annotator(where),
            )
            progress.watch(sync.report)
            self._current = sync
            if self._stopping.is_set():
                sync.stop()
            return sync.run()

    def relearn(self, server: PhoenixSettings, projects: Sequence[tuple[str, str]]) -> list[Report]:
        """Learn again from what the store keeps of these projects, by source and name, as one run."""
        reports: list[Report] = []
        for source, project in projects:
            with SyncProgress(quiet=self._quiet) as progress:
                run_id = reports[0].run_id if reports else ""
                sync = self._relearning(server, source, project, progress=progress.update, run_id=run_id)
                progress.watch(sync.report)
                self._current = sync
                if self._stopping.is_set():
                    sync.stop()
                reports.append(sync.run())
        return reports

    def relearn_preview(self, server: PhoenixSettings, source: str, project: str) -> Preview:
        """Say what `relearn` would do."""
        return self._relearning(server, source, project).preview()

    def _relearning(self, server: PhoenixSettings, source: str, project: str, **more: Any) -> Sync:
        from kaizen.sync import PhoenixSource, StoredProject, Sync

        with PhoenixSource(server) as phoenix:
            stored = StoredProject(source, project, phoenix.span_url)
        return Sync(stored, self._store, self._settings, self._models, relearn=True, **more)

    def _annotator(self, where: PhoenixSettings) -> Annotator | None:
        if not self._annotate:
            return None
        from kaizen.sync import PhoenixAnnotator

        return PhoenixAnnotator(where)

    def preview(self, where: PhoenixSettings) -> Preview:
        """Say what a sync of the project would do."""
        from kaizen.sync import PhoenixSource, Sync

        with PhoenixSource(where) as source:
            return Sync(source, self._store, self._settings, self._models).preview()

    def watch(self, sources: Callable[[], list[PhoenixSettings]], every_s: float, *, json: bool) -> None:
        """Print one line a round until a signal; what fails in one round is printed and tried in the next."""
        from kaizen.sync import watch

        def sync_once() -> None:
            for source in sources():
                report = self.sync(source)
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
