"""`kaizen entities history` and `revert`: what happened to entities, and undoing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    open_configured_store,
)
from kaizen.cli.output import entity_json, one_line, print_json, print_note, printable
from kaizen.store import NotFoundError, apply_revert, plan_revert

if TYPE_CHECKING:
    from kaizen.store import Applied, Commit, Entity, Store

_ENTITIES_NAMED = 5
_EXCERPT = 70
_BEFORE_DIFFERENCE = 20


def history(
    namespace: NamespaceArgument,
    entity_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Id of an entity; without it, all commits.", show_default=False),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Only commits of this run, such as a sync.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many commits.")] = 20,
    after: Annotated[
        int | None,
        typer.Option("--after", min=0, help="Show those that follow this version; 0: from the first on."),
    ] = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show the newest commits of a namespace, newest last: who changed what, when and why.

    With an ID, those that touched this entity, each with what it was before and after. Any of them can be
    undone by its id, or all of a run by that: `kaizen entities revert`.
    """
    with open_configured_store(backend, data_dir) as store:
        newest = store.get_namespace(namespace).version
        if entity_id is not None:
            found = [c for c in _of_entity(store, namespace, entity_id) if run in (None, c.run_id)]
            if after is None and run is None:
                after = found[-limit - 1].version if len(found) > limit else 0
            found = [c for c in found if c.version > (after or 0)]
        else:
            if after is None and run is None:
                after = max(0, newest - limit)
            found = store.commits(namespace, run_id=run, after=after or 0, limit=limit + 1)
    commits = found[:limit]
    cursor = commits[-1].version if len(found) > limit else None
    if json:
        shown = [_commit_json(commit, whole=entity_id is not None) for commit in commits]
        value = {"namespace": namespace, "version": newest, "entity_id": entity_id}
        print_json({**value, "commits": shown, "cursor": cursor})
        return
    for commit in commits:
        _print_commit(commit, whole=entity_id is not None)
    if not commits:
        print_note("No commits here.")
    elif cursor is not None:
        print_note(f"For more: --after {cursor}")
    elif after:
        print_note("For earlier ones: --limit N, or --after 0 from the first one on")


def _of_entity(store: Store, namespace: str, entity_id: str) -> list[Commit]:
    found = store.history(namespace, entity_id)
    if not found:
        raise NotFoundError(
            f"no commit in namespace {namespace!r} ever touched an entity {entity_id!r}",
            namespace_id=namespace,
            entity_id=entity_id,
        )
    return found


def revert(
    namespace: NamespaceArgument,
    commit: Annotated[
        list[str] | None, typer.Option("--commit", help="Id of a commit to undo; may be given several times.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Take out what this run contributed, and keep the rest.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also give up what other commits did to the same entities since.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Undo commits, or what a run contributed, by one new commit, which can be undone like any other.

    With --commit every entity they touched gets the state it had before. Where other commits touched one of
    them since, nothing is undone and they are named, unless `--force` is given.

    With --run the evidence that a sync found is taken out, and the tips that nothing else backs; what others
    contributed stays. The next sync reads the traces of that run again.
    """
    if bool(commit) == bool(run):
        raise typer.BadParameter("give either --commit, once or more, or --run", param_hint="--commit")
    actor = "kaizen entities revert"
    with open_configured_store(backend, data_dir) as store:
        if run:
            from kaizen.sync import undo_run

            undone = undo_run(store, namespace, run, dry_run=dry_run, actor=actor, reason=reason or "")
            done, changes, given_up = undone.commit, undone.changes, tuple[str, ...]()
            kept, what = undone.kept, f"run {one_line(run)}"
        else:
            plan = plan_revert(store, namespace, commit_ids=commit or (), force=force)
            done = None if dry_run else apply_revert(store, namespace, plan, actor=actor, reason=reason or "")
            changes, given_up, kept, what = plan.changes, plan.given_up, (), one_line(plan.reason)
    if json:
        value = {
            "namespace": namespace,
            "dry_run": dry_run,
            "commit_id": done and done.id,
            "version": done and done.version,
            "changes": [_change_json(applied) for applied in changes],
            "given_up": list(given_up),
            "kept": list(kept),
        }
        print_json(value)
        return
    typer.echo(f"Would undo: {what}" if done is None else f"Undone by commit {done.id}: {what}")
    for applied in changes:
        _print_change(applied)
        if applied.entity_id in given_up:
            typer.echo("      gives up what other commits did to it since")
    for entity_id in kept:
        typer.echo(f"    kept {one_line(entity_id)}, which was changed since")


def _print_commit(commit: Commit, *, whole: bool) -> None:
    when = commit.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    why = ": ".join(filter(None, (one_line(commit.actor), one_line(commit.reason))))
    typer.echo(f"{commit.version}  {when}  {why}".rstrip())
    typer.echo(
        f"    commit {one_line(commit.id)}" + (f", run {one_line(commit.run_id)}" if commit.run_id else "")
    )
    if whole:
        for applied in commit.changes:
            _print_change(applied)
        return
    counts = Counter(_kind(applied) for applied in commit.changes)
    ids = [one_line(applied.entity_id) for applied in commit.changes[:_ENTITIES_NAMED]]
    more = len(commit.changes) - len(ids)
    typer.echo(
        f"    {', '.join(f'{n} {kind}' for kind, n in counts.items())}: {', '.join(ids)}"
        + (f" and {more} more" if more else "")
    )


def _print_change(applied: Applied) -> None:
    typer.echo(f"    {_kind(applied)} {one_line(applied.entity_id)}")
    for name, before, after in _differences(applied.before, applied.after):
        typer.echo(f"      {one_line(name)}: {' -> '.join(_excerpts(before, after))}")


def _kind(applied: Applied) -> str:
    if applied.before is None:
        return "created"
    return "deleted" if applied.after is None else "changed"


def _differences(before: Entity | None, after: Entity | None) -> Iterator[tuple[str, Any, Any]]:
    """The fields that differ; of an entity that came or went only its content."""
    if before is None or after is None:
        yield "content", before and before.content, after and after.content
        return
    for name in ("type", "content"):
        if getattr(before, name) != getattr(after, name):
            yield name, getattr(before, name), getattr(after, name)
    for key in sorted({*before.metadata, *after.metadata}):
        if before.metadata.get(key) != after.metadata.get(key):
            yield f"metadata.{key}", before.metadata.get(key), after.metadata.get(key)


def _excerpts(before: Any, after: Any) -> Iterable[str]:
    """Both values as JSON in a line, without None, long ones cut to where they begin to differ."""
    import json

    texts = [json.dumps(value, ensure_ascii=False) for value in (before, after) if value is not None]
    start = 0
    if len(texts) > 1 and max(map(len, texts)) > _EXCERPT:
        differing = (i for i, (old, new) in enumerate(zip(*texts, strict=False)) if old != new)
        start = max(0, next(differing, min(map(len, texts))) - _BEFORE_DIFFERENCE)
    for text in texts:
        cut = printable(text[start : start + _EXCERPT])
        yield ("…" if start else "") + cut + ("…" if len(text) > start + _EXCERPT else "")


def _commit_json(commit: Commit, *, whole: bool) -> dict[str, Any]:
    changes = [_change_json(applied) for applied in commit.changes]
    if whole:
        for value, applied in zip(changes, commit.changes, strict=True):
            value["before"] = applied.before and entity_json(applied.before)
            value["after"] = applied.after and entity_json(applied.after)
    return {
        "id": commit.id,
        "version": commit.version,
        "at": commit.at.isoformat(),
        "actor": commit.actor,
        "reason": commit.reason,
        "run_id": commit.run_id,
        "changes": changes,
    }


def _change_json(applied: Applied) -> dict[str, Any]:
    return {"entity_id": applied.entity_id, "change": _kind(applied)}
