"""`kaizen entities show`: one entity whole, and what backs a tip, down to the span in Phoenix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.drawing import print_fields, print_text
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceOption,
    TypeOption,
    one_word,
    opened,
)
from kaizen.cli.output import entity_json, print_json, print_note
from kaizen.cli.times import local_time
from kaizen.store import find_entity
from kaizen.tips import GUIDELINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.store import Entity
    from kaizen.sync import ChangedTool, SignatureHistory


def show(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAMESPACE] ID", help="Id of the entity, or the beginning of it that no other has."
        ),
    ],
    all_: Annotated[
        bool, typer.Option("--all", help="All evidence of a tip, and not only the newest.")
    ] = False,
    type_: TypeOption = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show one entity whole: a tip with its steps and where it came from.

    The newest evidence comes first, five pieces of it without --all, each with the address of its span in
    Phoenix. A tip that is older than its tools says so.
    """
    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        namespace_id, prefix = one_word(words, namespace_id, in_namespace, "ID")
        entity = find_entity(store, namespace_id, prefix, type=type_)
        changed: Sequence[ChangedTool] = ()
        history: SignatureHistory | None = None
        evidence = _objects(entity.metadata.get("sources"))[::-1]
        if entity.type == GUIDELINE:
            from kaizen.sync import read_signature_history, read_staleness
            from kaizen.tips import newest_evidence, read_tip

            changed = read_staleness(store, namespace_id).changed(entity)
            history = read_signature_history(store, entity)
            if all_ and (tip := read_tip(entity)):
                evidence = [each.source.to_json() for each in newest_evidence(store, namespace_id, tip)]
    if json:
        stale_tools = [tool.to_json() for tool in changed]
        more = {"stale_tools": stale_tools, "signature_history": history.to_json() if history else None}
        print_json({**entity_json(entity), "evidence": evidence, **more})
    else:
        print_entity(entity, evidence, changed, history)


def print_entity(
    entity: Entity,
    evidence: Sequence[Mapping[str, Any]],
    changed: Sequence[ChangedTool],
    history: SignatureHistory | None = None,
) -> None:
    """Print all of it; `changed` are the tools of a tip that are newer than what it was learned under.

    `history` says how often the failed call that it prevents was seen.
    """
    print_text(entity.content, style="bold")
    print_text("")
    metadata: dict[str, Any] = dict(entity.metadata)
    merged = _objects(metadata.get("merged_from"))
    for name in [*(["sources"] if evidence else []), *(["merged_from"] if merged else [])]:
        del metadata[name]
    record = {key: value for key, value in entity_json(entity).items() if key not in ("content", "metadata")}
    record |= {"created_at": local_time(entity.created_at), "updated_at": local_time(entity.updated_at)}
    # Metadata must not pass for what the store itself says.
    fields = {key: value for key, value in metadata.items() if key not in record} | record
    fields["merged from"] = [f"{each.get('id')}: {each.get('content')}" for each in merged]
    fields["tool changed"] = [_changed(tool) for tool in changed]
    fields["failure seen"] = _seen(history) if history else ""
    if entity.type == GUIDELINE and not evidence:
        fields["evidence"] = _without_evidence(metadata)
    print_fields(fields)
    for source in evidence:
        print_text("")
        place = f"trace {source.get('trace_id')} of project {source.get('project')}"
        print_fields({"evidence": place, **source})
    more = entity.metadata.get("support")
    if evidence and isinstance(more, int) and more > len(evidence):
        print_note(f"{len(evidence)} of {more} conversations; for all evidence: --all")


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _seen(history: SignatureHistory) -> str:
    of = f"in {history.seen_in} of {history.conversations} conversations that called the tool"
    if not history.seen_in:
        return of
    last = f"last in trace {history.trace_id} on {local_time(history.last_seen)}"
    return f"{of}, {last}; {history.since} called it since"


def _changed(tool: ChangedTool) -> str:
    newest = tool.newest
    return (
        f"{tool.name}: trace {newest.trace_id} of project {tool.project} was offered another version "
        f"({newest.schema}) on {local_time(newest.at)}; the tip knows {', '.join(tool.learned_under)}"
    )


def _without_evidence(metadata: Mapping[str, Any]) -> str:
    if into := metadata.get("merged_into"):
        return f"it has moved to {into}, which this tip was merged into"
    if metadata.get("creation_mode") == "manual":
        return "none: added by hand, and no trace has shown it since"
    return "none is kept with it"
