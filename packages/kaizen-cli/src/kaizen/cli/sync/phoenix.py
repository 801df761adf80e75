"""`kaizen sync phoenix`: read traces of Phoenix and turn them into tips."""

from __future__ import annotations

import os
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
from kaizen.cli.output import print_json
from kaizen.cli.sync.report import print_preview, print_report, print_totals
from kaizen.cli.sync.rounds import Rounds
from kaizen.cli.times import parse_duration, parse_time
from kaizen.store import open_store

if TYPE_CHECKING:
    from kaizen.sync import PhoenixSettings


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
        bool, typer.Option("--all-projects", help="Every project that the server has, one after another.")
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
    if any trace failed, the model refused or was unavailable, or the run was stopped; the next sync tries
    again.

    Example: kaizen sync phoenix --project test-agent --include-errors
    """
    from kaizen.sync import ModelSettings, PhoenixSettings, SyncSettings, check_price, check_watch

    every_s = parse_duration(watch) if watch else None
    if every_s is not None:
        check_watch(every_s, dry_run=dry_run)
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
    # Before anything is opened: without a price there is no limit to keep.
    check_price(settings, models)
    server = PhoenixSettings.from_environ(os.environ, url=url)
    annotate = annotate and not dry_run
    with open_store(where) as store:
        rounds = Rounds(store, settings, models, quiet=json, annotate=annotate)
        if every_s is not None:
            # With --all-projects, each round asks which projects there are.
            rounds.watch(lambda: _sources(server, project, all_projects), every_s, json=json)
            return
        sources = _sources(server, project, all_projects)
        if dry_run:
            _preview(rounds, sources, json=json)
            return
        has_several = all_projects or len(sources) > 1
        reports = []
        for source in sources:
            reports.append(rounds.sync(source))
            if not json:
                print_report(reports[-1], named=has_several)
    if json:
        documents = [report.to_json() for report in reports]
        print_json({"projects": documents} if has_several else documents[0])
    elif has_several:
        print_totals(reports)
    if any(report.is_failure for report in reports):
        raise typer.Exit(1)


def _preview(rounds: Rounds, sources: list[PhoenixSettings], *, json: bool) -> None:
    previews = [rounds.preview(source) for source in sources]
    if json:
        print_json({"previews": [preview.to_json() for preview in previews]})
        return
    for preview in previews:
        print_preview(preview, named=len(previews) > 1)


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
