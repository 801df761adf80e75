"""`kaizen sync`: read traces back and turn them into tips."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceOption,
    UrlOption,
    store_settings,
)
from kaizen.cli.output import print_json, print_note
from kaizen.cli.sync.report import print_line, print_preview, print_report
from kaizen.cli.sync.status import retry, status
from kaizen.cli.times import parse_duration, parse_time
from kaizen.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from kaizen.store import Store
    from kaizen.sync import ModelSettings, PhoenixSettings, Preview, Report, Sync, SyncSettings
    from kaizen.sync.sources.base import Annotator

app = typer.Typer(help="Turn traces into tips.", no_args_is_help=True, rich_markup_mode=None)
app.command()(status)
app.command()(retry)


@app.callback()
def _sync() -> None:
    """Turn traces into tips."""


@app.command()
def phoenix(
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            help="Phoenix project; may be given several times "
            "[env: KAIZEN_TRACING_PROJECT; default: kaizen-agent]",
            show_default=False,
        ),
    ] = None,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="Every project that the server has.")
    ] = False,
    url: UrlOption = None,
    namespace: NamespaceOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "--max-traces",
            min=1,
            help="Process at most this many new traces, oldest first.",
            show_default=False,
        ),
    ] = None,
    include_errors: Annotated[
        bool,
        typer.Option(
            "--include-errors", help="Learn from failed traces too; otherwise they are left for later."
        ),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Only traces that started since: 2026-05-31, or 2h for two hours ago.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only traces that started before.", show_default=False)
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Look at every trace of the project, not only at what is new.")
    ] = False,
    settle: Annotated[
        str, typer.Option("--settle", help="How long a trace must have been quiet after its root has ended.")
    ] = "30s",
    max_wait: Annotated[
        str, typer.Option("--max-wait", help="How long a trace without a root is waited for.")
    ] = "10m",
    max_attempts: Annotated[
        int,
        typer.Option("--max-attempts", min=1, help="Failures after which a trace is left alone."),
    ] = 5,
    max_cost_usd: Annotated[
        float | None,
        typer.Option(
            "--max-cost-usd",
            min=0,
            help="Stop when the model calls of the run cost that much.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be processed and about what it would cost.")
    ] = False,
    annotate: Annotated[
        bool,
        typer.Option(
            "--annotate",
            help="Write into Phoenix what became of each trace.",
        ),
    ] = False,
    watch: Annotated[
        str | None,
        typer.Option("--watch", help="Go on, one round every so often, such as 5m.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Model that writes the tips, by its LiteLLM name; offline: none [env: KAIZEN_TIPS_MODEL]",
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=256, help="Model calls under way at once.")
    ] = 8,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Read the traces of a Phoenix project and store what they teach.

    Run it as often as you like: a trace is processed once, and again only if it has grown. The exit code is 1
    if any trace failed, the model refused, or the run was stopped; failed traces are tried again by the next
    sync.

    Example: kaizen sync phoenix --project test-agent --include-errors
    """
    from kaizen.sync import ModelSettings, PhoenixSettings, SyncSettings, check_price, check_watch

    where = store_settings(backend, data_dir, namespace)
    now = datetime.now(UTC)
    settings = SyncSettings.from_environ(
        os.environ,
        namespace_id=where.namespace_id,
        include_errors=include_errors,
        limit=limit,
        concurrency=concurrency,
        quiet_s=parse_duration(settle),
        max_wait_s=parse_duration(max_wait),
        max_attempts=max_attempts,
        since=parse_time(since, now) if since else None,
        until=parse_time(until, now) if until else None,
        full=full,
        dry_run=dry_run,
        max_cost_usd=max_cost_usd,
    )
    models = ModelSettings.from_environ(os.environ, model=model)
    check_price(settings, models)
    every_s = parse_duration(watch) if watch else None
    if every_s is not None:
        check_watch(every_s, dry_run=dry_run)
    server = PhoenixSettings.from_environ(os.environ, url=url)
    annotate = annotate and not dry_run
    with open_store(where) as store:
        rounds = _Rounds(store, settings, models, quiet=json, annotate=annotate)
        if every_s is not None:
            rounds.watch(lambda: _sources(server, project, all_projects), every_s, json=json)
            return
        sources = _sources(server, project, all_projects)
        if dry_run:
            previews = [rounds.preview(source) for source in sources]
            for preview in previews if not json else ():
                print_preview(preview)
            if json:
                print_json({"previews": [preview.to_json() for preview in previews]})
            return
        reports = [rounds.sync(source) for source in sources]
    if json:
        documents = [report.to_json() for report in reports]
        print_json(documents[0] if len(reports) == 1 and not all_projects else {"projects": documents})
    else:
        for report in reports:
            print_report(report)
    if any(report.is_failure for report in reports):
        raise typer.Exit(1)


class _Rounds:
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
        self._stopping = threading.Event()
        # The first signal ends the sync in order, the second at once; nothing is lost by either.
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)

    def sync(self, where: PhoenixSettings) -> Report:
        from kaizen.cli.sync.progress import SyncProgress
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
            self._current = sync
            if self._stopping.is_set():
                sync.stop()
            return sync.run()

    def _annotator(self, where: PhoenixSettings) -> Annotator | None:
        if not self._annotate:
            return None
        from kaizen.sync import PhoenixAnnotator

        return PhoenixAnnotator(where)

    def preview(self, where: PhoenixSettings) -> Preview:
        from kaizen.sync import PhoenixSource, Sync

        with PhoenixSource(where) as source:
            return Sync(source, self._store, self._settings, self._models).preview()

    def watch(self, sources: Callable[[], list[PhoenixSettings]], every_s: float, *, json: bool) -> None:
        """Print one line a round until a signal; what fails in one round is tried in the next."""
        from kaizen.cli.output import print_error, print_json_line
        from kaizen.sync import watch

        def sync_once() -> None:
            for source in sources():
                report = self.sync(source)
                if json:
                    print_json_line(report.to_json())
                else:
                    print_line(report)

        self._quiet = True
        report_error = partial(print_error, as_json=False)
        watch(sync_once, every_s, stopping=self._stopping, report_error=report_error)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        print_note("Stopping: finishing what is under way. Once more to stop at once.")
        self._stopping.set()
        if self._current is not None:
            self._current.stop()


def _sources(
    server: PhoenixSettings, projects: list[str] | None, all_projects: bool
) -> list[PhoenixSettings]:
    if all_projects:
        from kaizen.sync import PhoenixSource

        with PhoenixSource(server) as source:
            projects = sorted(source.projects())
    return [
        server.model_copy(update={"project": name}) for name in dict.fromkeys(projects or [server.project])
    ]
