"""`kaizen entities history`: what happened to entities, when, and by whom."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.drawing import print_text
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceOption,
    opened,
    split_namespace,
)
from kaizen.cli.output import entity_json, one_line, print_json, print_note, printable
from kaizen.cli.times import local_time
from kaizen.store import NotFoundError, find_entity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kaizen.store import Applied, Commit, Entity, Store

_ENTITIES_NAMED = 5
_EXCERPT = 70
_BEFORE_DIFFERENCE = 20


def history(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAMESPACE] [ID]",
            help="Id of an entity, or the beginning of it that no other has; without it, all commits.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Only commits of this run, such as a sync.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many commits.")] = 20,
    after: Annotated[
        int | None,
        typer.Option("--after", min=0, help="Show those that follow this version; 0: from the first on."),
    ] = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show the newest commits of a namespace, newest last: who changed what, when and why.

    With an ID, those that touched this entity, each with what it was before and after. Any of them can be
    undone by its id, or all commits of a run by the id of the run: `kaizen entities revert`. The first word
    is the namespace if there is one of that name.
    """
    with opened(backend, data_dir, in_namespace) as (store, namespace):
        if words and in_namespace is None:
            namespace, words = split_namespace(store, words, namespace)
        newest = store.get_namespace(namespace).version
        entity_id = _entity_id(store, namespace, words) if words else None
        if entity_id is not None:
            found = [c for c in _of_entity(store, namespace, entity_id) if run in (None, c.run_id)]
            if after is None and run is None:
                after = found[-limit - 1].version if len(found) > limit else 0
            found = [c for c in found if c.version > (after or 0)]
        else:
            if after is None and run is None:
                # The newest ones, which a store cannot be asked for from the end.
                after = max(0, newest - limit)
            # One more than is shown says whether there are more.
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


def _entity_id(store: Store, namespace: str, words: Sequence[str]) -> str:
    """Return the id meant; that of a deleted entity must be written whole."""
    if len(words) > 1:
        raise typer.BadParameter(f"give one ID, not {', '.join(words)}; the namespace goes before it")
    try:
        return find_entity(store, namespace, words[0]).id
    except NotFoundError:
        return words[0]


def _of_entity(store: Store, namespace: str, entity_id: str) -> list[Commit]:
    found = store.history(namespace, entity_id)
    if not found:
        raise NotFoundError(
            f"no commit in namespace {namespace!r} ever touched an entity {entity_id!r}",
            namespace_id=namespace,
            entity_id=entity_id,
        )
    return found


def _print_commit(commit: Commit, *, whole: bool) -> None:
    why = ": ".join(filter(None, (one_line(commit.actor), one_line(commit.reason))))
    print_text(
        f"{commit.version}  {local_time(commit.at)}  {why}".rstrip(), indent=len(f"{commit.version}  ")
    )
    run = f", run {one_line(commit.run_id)}" if commit.run_id else ""
    print_text(f"    commit {one_line(commit.id)}{run}", indent=4)
    if whole:
        for applied in commit.changes:
            print_change(applied)
        return
    counts = Counter(kind_of_change(applied) for applied in commit.changes)
    ids = [one_line(applied.entity_id) for applied in commit.changes[:_ENTITIES_NAMED]]
    more = len(commit.changes) - len(ids)
    named = ", ".join(ids) + (f" and {more} more" if more else "")
    print_text(f"    {', '.join(f'{n} {kind}' for kind, n in counts.items())}: {named}", indent=4)


def print_change(applied: Applied) -> None:
    """Print what a commit did to one entity, with the fields that differ."""
    print_text(f"    {kind_of_change(applied)} {one_line(applied.entity_id)}", indent=4)
    for name, before, after in _differences(applied.before, applied.after):
        print_text(f"      {one_line(name)}: {' -> '.join(_excerpts(before, after))}", indent=6)


def kind_of_change(applied: Applied) -> str:
    """Return `created`, `changed` or `deleted`."""
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
    changes = [change_json(applied) for applied in commit.changes]
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


def change_json(applied: Applied) -> dict[str, Any]:
    """Return a change as `--json` shows it."""
    return {"entity_id": applied.entity_id, "change": kind_of_change(applied)}
