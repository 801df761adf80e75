"""`kaizen sync`: read traces back and turn them into tips."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime
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
from kaizen.sync.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from kaizen.store import Store
    from kaizen.sync.run.pipeline import Sync
    from kaizen.sync.run.preview import Preview
    from kaizen.sync.settings import ModelSettings, PhoenixSettings, SyncSettings
    from kaizen.sync.sources.base import Annotator
    from kaizen.sync.state.report import Report

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
    from kaizen.sync.outcome_settings import OutcomeSettings
    from kaizen.sync.redact import Redaction
    from kaizen.sync.settings import ModelSettings, PhoenixSettings, SyncSettings

    where = store_settings(backend, data_dir, namespace)
    now = datetime.now(UTC)
    outcomes = OutcomeSettings.from_environ(os.environ)
    settings = SyncSettings(
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
        redaction=Redaction.from_environ(os.environ),
        outcome_rules=outcomes.rules,
        outcome_wait_s=outcomes.wait_s,
    )
    models = ModelSettings.from_environ(os.environ, model=model)
    _check_price(models, settings)
    server = PhoenixSettings.from_environ(os.environ, url=url)
    annotate = annotate and not dry_run
    with open_store(where) as store:
        rounds = _Rounds(store, settings, models, quiet=json, annotate=annotate)
        if watch:
            rounds.watch(lambda: _sources(server, project, all_projects), parse_duration(watch), json=json)
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
        from kaizen.sync.run.pipeline import Sync
        from kaizen.sync.sources.phoenix.source import PhoenixSource

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
        from kaizen.sync.sources.phoenix.annotate import PhoenixAnnotator

        return PhoenixAnnotator(where)

    def preview(self, where: PhoenixSettings) -> Preview:
        from kaizen.sync.run.pipeline import Sync
        from kaizen.sync.sources.phoenix.source import PhoenixSource

        with PhoenixSource(where) as source:
            return Sync(source, self._store, self._settings, self._models).preview()

    def watch(self, sources: Callable[[], list[PhoenixSettings]], every_s: float, *, json: bool) -> None:
        """One line a round until a signal; what goes wrong in one round is said and tried in the next."""
        from kaizen.cli.output import print_error, print_json_line
        from kaizen.sync.errors import SyncError

        self._quiet = True
        while not self._stopping.is_set():
            try:
                for source in sources():
                    report = self.sync(source)
                    if json:
                        print_json_line(report.to_json())
                    else:
                        print_line(report)
            except SyncError as error:
                print_error(error, as_json=False)
            self._stopping.wait(every_s)

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
        from kaizen.sync.sources.phoenix.source import PhoenixSource

        with PhoenixSource(server) as source:
            projects = sorted(source.projects())
    return [replace(server, project=name) for name in dict.fromkeys(projects or [server.project])]


def _check_price(models: ModelSettings, settings: SyncSettings) -> None:
    """A budget can be kept only where the price is known."""
    if settings.max_cost_usd is None:
        return
    from kaizen.sync.llm.client import Model
    from kaizen.sync.model import Usage

    for name in dict.fromkeys((models.tips_model, models.reconcile_model)):
        if Model(name, models).price_usd(Usage(prompt_tokens=1)) is None:
            raise SettingsError(
                f"the price of model '{name}' is not known, so --max-cost-usd cannot be kept; "
                "use --max-traces instead"
            )
