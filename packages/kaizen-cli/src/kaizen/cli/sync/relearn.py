"""`kaizen sync relearn`: learn again from what the store keeps."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

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
from kaizen.cli.sync.report import print_preview, print_report
from kaizen.cli.sync.rounds import Rounds
from kaizen.cli.sync.sources import stored_project
from kaizen.cli.times import parse_time
from kaizen.store import open_store


def relearn(
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Only traces that started since: 2026-05-31, or 2h for two hours ago.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Model that writes the tips, by its LiteLLM name; offline: none [env: KAIZEN_TIPS_MODEL]",
        ),
    ] = None,
    url: UrlOption = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=256, help="Model calls under way at once.")
    ] = 8,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be processed and about what it would cost.")
    ] = False,
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Learn again from the traces that the store keeps, and replace what they taught.

    For another model, or after an update that words tips better. Nothing is read from the source. Tips that
    were deleted or rejected stay away; all of it is one run, which `kaizen entities revert --run` undoes.

    Example: kaizen sync relearn --model offline --dry-run
    """
    from kaizen.sync import ModelSettings, SyncSettings, stored_projects

    where = store_settings(backend, data_dir, namespace)
    settings = SyncSettings.from_environ(
        os.environ,
        namespace_id=where.namespace_id,
        include_errors=True,
        concurrency=concurrency,
        since=parse_time(since, datetime.now(UTC)) if since else None,
        dry_run=dry_run,
    )
    models = ModelSettings.from_environ(os.environ, model=model)
    with open_store(where) as store:
        rounds = Rounds(store, settings, models, quiet=json, annotate=False)
        projects = [
            stored_project(*project, url=url) for project in stored_projects(store, where.namespace_id)
        ]
        if dry_run:
            previews = [rounds.relearn_preview(project) for project in projects]
            if json:
                print_json({"previews": [preview.to_json() for preview in previews]})
            else:
                for preview in previews:
                    print_preview(preview, named=len(previews) > 1)
            return
        reports = rounds.relearn(projects)
    if json:
        print_json({"projects": [report.to_json() for report in reports]})
    else:
        for report in reports:
            print_report(report, named=len(reports) > 1)
    if any(report.is_failure for report in reports):
        raise typer.Exit(1)
