"""`kaizen fleet schedule`: say what the fleet syncs how often, and within which limits."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kaizen.cli.options import BackendOption, store_settings
from kaizen.cli.output import print_note
from kaizen.cli.times import parse_duration


def schedule(
    every: Annotated[str, typer.Option("--every", help="Time between two rounds, such as 5m.")] = "5m",
    project: Annotated[
        list[str] | None,
        typer.Option("--project", help="Project to sync; may be given several times.", show_default=False),
    ] = None,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="Every project that the source has in each round.")
    ] = False,
    source: Annotated[str, typer.Option("--source", help="Name of the source of the traces.")] = "phoenix",
    name: Annotated[
        str, typer.Option("--name", help="Name of the schedule; the same name changes it.")
    ] = "default",
    remove: Annotated[bool, typer.Option("--remove", help="Remove the schedule of that name.")] = False,
    include_errors: Annotated[
        bool,
        typer.Option(
            "--include-errors", help="Learn from failed traces too; otherwise they are left for later."
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Model that writes the tips; by default each worker's KAIZEN_TIPS_MODEL.",
            show_default=False,
        ),
    ] = None,
    calls_per_minute: Annotated[
        float | None,
        typer.Option(
            "--calls-per-minute",
            min=0,
            help="Model calls a minute of all workers together; 0: no limit.",
            show_default=False,
        ),
    ] = None,
    usd_per_day: Annotated[
        float | None,
        typer.Option(
            "--usd-per-day",
            min=0,
            help="Dollars a day (UTC) of all workers together; 0: no limit.",
            show_default=False,
        ),
    ] = None,
    requests_per_minute: Annotated[
        float | None,
        typer.Option(
            "--requests-per-minute",
            min=0,
            help="Requests a minute to the source of all workers together; 0: no limit.",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            help="Namespace of the store; {project} stands for the name of the project "
            "[env: KAIZEN_NAMESPACE_ID; default: kaizen]",
        ),
    ] = None,
    backend: BackendOption = None,
) -> None:
    """Say once what the fleet syncs; workers see to it from then on. Running it again changes nothing twice.

    Limits hold for the whole fleet, and stay as they are if they are not given.

    Example: kaizen fleet schedule --every 5m --all-projects --usd-per-day 20
    """
    from kaizen.sync.fleet import Database, Limits, Schedule, remove_schedule, set_limits, set_schedule

    if not remove and bool(project) == all_projects:
        raise typer.BadParameter("give --all-projects, or the projects with --project")
    where = store_settings(backend, None, None)
    database = Database.of_store(where)
    database.prepare()
    if remove:
        print_note(
            f"Schedule '{name}' is removed" if remove_schedule(database, name) else f"No schedule '{name}'"
        )
        return
    options: dict[str, Any] = {"include_errors": include_errors} | ({"model": model} if model else {})
    is_new = set_schedule(
        database,
        Schedule(
            name=name,
            source=source,
            projects=project or (),
            namespace=namespace or where.namespace_id,
            every_s=parse_duration(every),
            options=options,
        ),
    )
    set_limits(
        database,
        Limits(
            calls_per_minute=calls_per_minute,
            usd_per_day=usd_per_day,
            requests_per_minute=requests_per_minute,
        ),
        source,
    )
    print_note(f"Schedule '{name}' is {'made' if is_new else 'as given now'}: every {every}")
