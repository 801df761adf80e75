"""One entity for people: its text, its fields, and what backs a tip, down to the span in Phoenix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from kaizen.cli.output import entity_json, print_fields, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.store import Entity
    from kaizen.sync.trajectory.tool_definitions import ChangedTool


def print_entity(entity: Entity, changed: Sequence[ChangedTool]) -> None:
    """Print all of it; `changed` are the tools of a tip that are newer than what it was learned under."""
    typer.echo(printable(entity.content))
    typer.echo("")
    metadata: dict[str, Any] = dict(entity.metadata)
    evidence = _objects(metadata.get("sources"))
    merged = _objects(metadata.get("merged_from"))
    for name in [*(["sources"] if evidence else []), *(["merged_from"] if merged else [])]:
        del metadata[name]
    record = {key: value for key, value in entity_json(entity).items() if key not in ("content", "metadata")}
    print_fields({key: value for key, value in metadata.items() if key not in record} | record)
    for one in merged:
        print_fields({"merged from": f"{one.get('id')}: {one.get('content')}"})
    for tool in changed:
        print_fields({"tool changed": _changed(tool)})
    if entity.type == "guideline" and not evidence:
        print_fields({"evidence": _without_evidence(metadata)})
    for source in evidence:
        typer.echo("")
        print_fields(
            {"evidence": f"trace {source.get('trace_id')} of project {source.get('project')}", **source}
        )


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _changed(tool: ChangedTool) -> str:
    newest = tool.newest
    return (
        f"{tool.name}: trace {newest.trace_id} of project {tool.project} was offered another one "
        f"({newest.schema}) on {newest.at}; the tip knows {', '.join(tool.learned_under)}"
    )


def _without_evidence(metadata: Mapping[str, Any]) -> str:
    if into := metadata.get("merged_into"):
        return f"it has moved to {into}, which this tip was merged into"
    if metadata.get("creation_mode") == "manual":
        return "none: added by hand, and no trace has shown it since"
    return "none is kept with it"
