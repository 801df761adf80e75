"""`kaizen tips edit`: other words for a tip."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.entities.add import (
    CategoryOption,
    RationaleOption,
    StepOption,
    TaskOption,
    TriggerOption,
    text_of,
    tip_fields,
)
from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, opened
from kaizen.cli.output import entity_json, print_json, print_note
from kaizen.store import find_entity
from kaizen.tips import GUIDELINE


def edit(
    tip: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the tip, or the beginning of it that no other has.")
    ],
    content: Annotated[
        str | None, typer.Option("--content", help="What it says; - reads it from standard input.")
    ] = None,
    category: CategoryOption = None,
    trigger: TriggerOption = None,
    step: StepOption = None,
    rationale: RationaleOption = None,
    task: TaskOption = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")] = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Change what a tip says; its evidence stays, and its history has what it said before.

    What is not named stays as it is; --step replaces all steps. A sync keeps the words of a person.

    Example: kaizen tips edit 019a1b2c --trigger "Before an order is cancelled."
    """
    from kaizen.tips.review import edit_tip

    fields = tip_fields(category, trigger, step, rationale, task)
    if content is None and not fields:
        raise typer.BadParameter(
            "say what to change: --content, --trigger, --step, ...", param_hint="--content"
        )
    text = None if content is None else text_of(content)
    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        entity = find_entity(store, namespace_id, tip, type=GUIDELINE)
        commit = edit_tip(store, entity, content=text, fields=fields, reason=reason or "")
    after = commit.changes[0].after
    assert after is not None
    if json:
        print_json(entity_json(after))
    else:
        typer.echo(f"Changed tip {after.id}.")
        print_note(f"To undo it: kaizen entities revert {namespace_id} --commit {commit.id}")
