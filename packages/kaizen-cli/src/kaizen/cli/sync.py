"""`kaizen sync`: read traces back and turn them into tips."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceOption,
    ProjectOption,
    UrlOption,
    store_settings,
)
from kaizen.cli.output import one_line, print_json, print_note, print_table
from kaizen.store import open_store

if TYPE_CHECKING:
    from types import FrameType

    from kaizen.sync.pipeline import Sync
    from kaizen.sync.report import Report

app = typer.Typer(help="Turn traces into tips.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _sync() -> None:
    """Turn traces into tips."""


@app.command()
def phoenix(
    project: ProjectOption = None,
    url: UrlOption = None,
    namespace: NamespaceOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, help="Process at most this many new traces, oldest first.", show_default=False
        ),
    ] = None,
    include_errors: Annotated[
        bool,
        typer.Option(
            "--include-errors", help="Learn from failed traces too; otherwise they are left for later."
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Model that writes the tips, by its LiteLLM name [env: KAIZEN_TIPS_MODEL]"
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
    if any trace failed; failed traces are tried again by the next sync.

    Example: kaizen sync phoenix --project test-agent --include-errors
    """
    from kaizen.cli.progress import SyncProgress
    from kaizen.sync.phoenix import PhoenixSource
    from kaizen.sync.pipeline import Sync
    from kaizen.sync.settings import ModelSettings, PhoenixSettings, SyncSettings

    where = store_settings(backend, data_dir, namespace)
    settings = SyncSettings(
        namespace_id=where.namespace_id, include_errors=include_errors, limit=limit, concurrency=concurrency
    )
    models = ModelSettings.from_environ(os.environ, model=model)
    phoenix_settings = PhoenixSettings.from_environ(os.environ, url=url, project=project)
    with (
        PhoenixSource(phoenix_settings) as source,
        open_store(where) as store,
        SyncProgress(quiet=json) as progress,
    ):
        sync = Sync(source, store, settings, models, progress=progress.update)
        _stop_on_signals(sync)
        report = sync.run()
    if json:
        print_json(report.to_json())
    else:
        print_report(report)
    if report.states["failed"] or report.stopped:
        raise typer.Exit(1)


def _stop_on_signals(sync: Sync) -> None:
    """The first signal ends the sync in order, the second at once; nothing is lost by either."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        print_note("Stopping: finishing what is under way. Once more to stop at once.")
        sync.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def print_report(report: Report) -> None:
    """Show a report to a person: states that add up, reasons, tips, failures."""
    reasons: dict[str, list[str]] = {}
    for (state, reason), count in sorted(report.reasons.items()):
        if state != "failed":
            reasons.setdefault(state, []).append(f"{count} {reason}")
    print_table(
        ["STATE", "TRACES", "THIS RUN", "REASONS"],
        [
            [
                state,
                str(report.states[state]),
                str(report.processed[state]),
                ", ".join(reasons.get(state, [])),
            ]
            for state in report.to_json()["states"]
        ]
        + [["all", str(report.traces), str(report.processed.total()), ""]],
    )
    tips = report.tips
    typer.echo(
        f"\nTips: {tips['created']} new, {tips['duplicates']} seen before, {tips['merged']} merged, "
        f"{tips['removed']} removed, {tips['quarantined']} quarantined. Model calls: {report.model_calls} "
        f"({report.prompt_tokens + report.completion_tokens:,} tokens). {report.duration_s:.1f} s."
    )
    if report.redacted:
        typer.echo(f"Secrets redacted: {report.redacted.total()}.")
    for failure in report.failures[:10]:
        typer.echo(
            f"failed: trace {failure.trace_id} (attempt {failure.attempts}): {one_line(failure.reason)}",
            err=True,
        )
    if len(report.failures) > 10:
        typer.echo(f"failed: {len(report.failures) - 10} more; --json lists all", err=True)
    if report.stopped:
        typer.echo("Stopped before the end; run it again to go on.", err=True)
    elif report.states["failed"]:
        typer.echo("The next sync tries failed traces again.", err=True)
    elif not report.traces:
        print_note(
            f"Project '{one_line(report.project)}' has no traces yet: run an agent with "
            f"KAIZEN_AUTO_ENABLED=true and KAIZEN_TRACING_PROJECT={one_line(report.project)}"
        )
    elif sys.stdout.isatty():
        typer.echo(f"Look at the tips: kaizen entities list {report.namespace_id} --type guideline", err=True)
