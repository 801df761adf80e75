"""What every `kaizen sync SOURCE` has in common: its options, and how its projects are synced."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceOption,
    store_settings,
)
from kaizen.cli.output import print_json
from kaizen.cli.sync.report import print_preview, print_report, print_totals
from kaizen.cli.sync.rounds import Rounds
from kaizen.cli.times import parse_duration, parse_time
from kaizen.store import open_store

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from kaizen.cli.sync.rounds import Opener
    from kaizen.sync import SyncSettings
    from kaizen.sync.sources import SourceType


@dataclass(frozen=True, slots=True, kw_only=True)
class Projects:
    """The projects that a command syncs.

    `choose` returns what opens each, and is asked anew in each round of --watch. `are_several`
    says that there is a report of each, even if there is just one.
    """

    choose: Callable[[], Sequence[Opener]]
    are_several: bool = False
    annotate: bool = False


def choose_projects(
    source_type: SourceType,
    settings: Any,
    projects: Sequence[str] | None,
    *,
    all_projects: bool,
    annotate: bool,
) -> Projects:
    """Return the projects that are named, all that the source has, or the one of the settings."""

    def choose() -> list[Opener]:
        names = projects or [settings.project]
        if all_projects:
            with open_source(source_type, settings) as source:
                names = sorted(source.projects())
        return [
            partial(open_source, source_type, settings.model_copy(update={"project": name}))
            for name in dict.fromkeys(names)
        ]

    return Projects(choose=choose, are_several=all_projects, annotate=annotate)


def add_sync_options(choose: Callable[..., Projects]) -> Callable[..., None]:
    """Return the command that takes the options of `choose` and those of every sync, and syncs its choice."""

    def command(**given: Any) -> None:
        shared = {name: given.pop(name) for name in common}
        _sync(choose(**given), shared)

    common = inspect.signature(_sync_options, eval_str=True).parameters
    own = inspect.signature(choose, eval_str=True).parameters
    # Typer reads both: the signature for the order and the defaults, the annotations for the options.
    command.__signature__ = inspect.Signature([*own.values(), *common.values()])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*own.values(), *common.values())}
    command.__doc__ = choose.__doc__
    return command


def open_source(source_type: SourceType, settings: Any) -> AbstractContextManager[Any]:
    """Build a source, to be closed by whoever reads it if it can be closed."""
    source: Any = source_type(settings)
    return source if hasattr(source, "__exit__") else nullcontext(source)


def _sync_options(
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
    """Hold the options of every sync: only the signature is used."""


def _sync(projects: Projects, given: Mapping[str, Any]) -> None:
    """Sync the projects as the options of every sync say, once or again and again."""
    from kaizen.sync import ModelSettings, check_price, check_watch

    json, dry_run = given["json"], given["dry_run"]
    every_s = parse_duration(given["watch"]) if given["watch"] else None
    if every_s is not None:
        check_watch(every_s, dry_run=dry_run)
    where = store_settings(given["backend"], given["data_dir"], given["namespace"])
    settings = _sync_settings(given, where.namespace_id)
    models = ModelSettings.from_environ(os.environ, model=given["model"])
    # Before anything is opened: without a price there is no limit to keep.
    check_price(settings, models)
    with open_store(where) as store:
        annotate = projects.annotate and not dry_run
        rounds = Rounds(store, settings, models, quiet=json, annotate=annotate)
        if every_s is not None:
            rounds.watch(projects.choose, every_s, json=json)
        elif dry_run:
            _preview(rounds, projects, json=json)
        else:
            _sync_once(rounds, projects, json=json)


def _sync_settings(given: Mapping[str, Any], namespace_id: str) -> SyncSettings:
    from kaizen.sync import SyncSettings

    now = datetime.now(UTC)
    same = ("include_errors", "limit", "concurrency", "max_attempts", "full", "dry_run", "max_cost_usd")
    return SyncSettings.from_environ(
        os.environ,
        namespace_id=namespace_id,
        quiet_s=parse_duration(given["settle"]),
        max_wait_s=parse_duration(given["max_wait"]),
        since=parse_time(given["since"], now) if given["since"] else None,
        until=parse_time(given["until"], now) if given["until"] else None,
        **{name: given[name] for name in same},
    )


def _sync_once(rounds: Rounds, projects: Projects, *, json: bool) -> None:
    openers = projects.choose()
    has_several = projects.are_several or len(openers) > 1
    reports = []
    for opener in openers:
        reports.append(rounds.sync(opener))
        if not json:
            print_report(reports[-1], named=has_several)
    if json:
        documents = [report.to_json() for report in reports]
        print_json({"projects": documents} if has_several else documents[0])
    elif has_several:
        print_totals(reports)
    if any(report.is_failure for report in reports):
        raise typer.Exit(1)


def _preview(rounds: Rounds, projects: Projects, *, json: bool) -> None:
    previews = [rounds.preview(opener) for opener in projects.choose()]
    if json:
        print_json({"previews": [preview.to_json() for preview in previews]})
        return
    for preview in previews:
        print_preview(preview, named=len(previews) > 1)
