"""`kaizen entities add`: a tip, or another entity, written by a person."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    NamespaceOption,
    opened,
    parse_where,
)
from kaizen.cli.output import entity_json, print_json
from kaizen.store import Put
from kaizen.tips import CATEGORIES, GUIDELINE, manual_tip

if TYPE_CHECKING:
    from collections.abc import Sequence

ContentOption = Annotated[str, typer.Option("--content", help="The text; - reads it from standard input.")]
CategoryOption = Annotated[
    str | None, typer.Option("--category", help=f"Category of a tip: {', '.join(CATEGORIES)}.")
]
TriggerOption = Annotated[str | None, typer.Option("--trigger", help="When a tip applies.")]
StepOption = Annotated[
    list[str] | None,
    typer.Option("--step", help="A step that carries a tip out; may be given several times, in order."),
]
RationaleOption = Annotated[str | None, typer.Option("--rationale", help="Why a tip helps.")]
TaskOption = Annotated[str | None, typer.Option("--task", help="The kind of task that a tip is for.")]


def add(
    content: ContentOption,
    namespace: NamespaceArgument = None,
    type_: Annotated[str, typer.Option("--type", help="Type of the entity.")] = GUIDELINE,
    category: CategoryOption = None,
    trigger: TriggerOption = None,
    step: StepOption = None,
    rationale: RationaleOption = None,
    task: TaskOption = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help="A further metadata field: name=value.")
    ] = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Add an entity by hand, such as a tip you know to be good."""
    fields = tip_fields(category, trigger, step, rationale, task)
    further = parse_where(metadata or [])
    if further.unequal:
        raise typer.BadParameter("a field is written name=value", param_hint="--metadata")
    fields |= further.equal
    text = text_of(content)
    put = (
        manual_tip(text, **fields)
        if type_ == GUIDELINE
        else Put(type=type_, content=text, metadata={"creation_mode": "manual", **fields})
    )
    with opened(backend, data_dir, namespace, in_namespace) as (store, namespace_id):
        commit = store.commit(namespace_id, [put], actor="kaizen entities add", reason="added by hand")
    entity = commit.changes[0].after
    assert entity is not None
    if json:
        print_json(entity_json(entity))
    else:
        typer.echo(f"Added {'tip' if type_ == GUIDELINE else type_} {entity.id}.")


def text_of(content: str) -> str:
    """Return the text that an option gives, or standard input for `-`; refuse an empty one."""
    text = (sys.stdin.read() if content == "-" else content).strip()
    if not text:
        raise typer.BadParameter("the content is empty", param_hint="--content")
    return text


def tip_fields(
    category: str | None,
    trigger: str | None,
    steps: Sequence[str] | None,
    rationale: str | None,
    task: str | None,
) -> dict[str, Any]:
    """Return the metadata fields of a tip that the options name."""
    if category is not None and category not in CATEGORIES:
        raise typer.BadParameter(
            f"'{category}' is not one of {', '.join(CATEGORIES)}", param_hint="--category"
        )
    named = {
        "category": category,
        "trigger": trigger,
        "implementation_steps": list(steps) if steps else None,
        "rationale": rationale,
        "task_description": task,
    }
    return {name: value for name, value in named.items() if value is not None}
