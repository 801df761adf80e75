"""`kaizen sync retry`: let the next sync try failed traces again."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, opened
from kaizen.cli.output import counted, print_json


def retry(
    trace: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TRACE]...", help="Ids of the traces; without one, all that failed."),
    ] = None,
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Let the next sync try failed traces again.

    Those too that failed so often that they were left alone.
    """
    from kaizen.sync import retry_failed

    with opened(backend, data_dir, namespace) as (store, namespace_id):
        retried = retry_failed(store, namespace_id, trace or ())
    if json:
        print_json({"namespace": namespace_id, "retried": retried})
    else:
        typer.echo(f"The next sync tries {counted(len(retried), 'failed trace')} again.")
