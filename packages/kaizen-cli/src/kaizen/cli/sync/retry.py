"""`kaizen sync retry`: let the next sync try failed traces again."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, opened
from kaizen.cli.output import counted, print_json
from kaizen.cli.sync.status import failed_traces
from kaizen.store import NotFoundError, Put


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
    retried: list[str] = []
    with opened(backend, data_dir, namespace) as (store, namespace_id):
        for entity in failed_traces(store, namespace_id):
            trace_id = str(entity.metadata["trace_id"])
            if trace and trace_id not in trace:
                continue
            metadata = {**entity.metadata, "attempts": 0}
            put = Put(id=entity.id, type=entity.type, content=entity.content, metadata=metadata)
            store.commit(
                namespace_id,
                [put],
                expected={entity.id: entity.revision},
                actor="kaizen sync retry",
                reason=f"trace {trace_id} is tried again",
            )
            retried.append(trace_id)
    if trace and (missing := set(trace) - set(retried)):
        raise NotFoundError(
            f"no failed trace {', '.join(sorted(missing))} in namespace '{namespace_id}'; "
            "`kaizen sync status` lists those there are",
            namespace_id=namespace_id,
            entity_id=min(missing),
        )
    if json:
        print_json({"namespace": namespace_id, "retried": retried})
    else:
        typer.echo(f"The next sync tries {counted(len(retried), 'failed trace')} again.")
