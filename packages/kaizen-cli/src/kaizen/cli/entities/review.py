"""`kaizen entities review`: tips that wait for a person, and what that person decides."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.drawing import print_fields, print_text
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    NamespaceOption,
    ReasonOption,
    opened,
)
from kaizen.cli.output import counted, entity_json, one_line, print_json, print_note, print_undo
from kaizen.store import find_entity
from kaizen.tips import StoredTip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.store import Commit, Entity, Store
    from kaizen.tips import ReviewDecision

_DECISIONS: dict[str, ReviewDecision] = {"a": "approved", "r": "rejected"}
_TEXTS = ("category", "trigger", "implementation_steps", "rationale", "task_description")


def review(
    namespace: NamespaceArgument = None,
    approve: Annotated[
        list[str] | None,
        typer.Option(
            "--approve",
            metavar="ID",
            help="Let agents see this tip; may be given several times. ID@REVISION: only as it was shown.",
        ),
    ] = None,
    reject: Annotated[
        list[str] | None,
        typer.Option(
            "--reject",
            metavar="ID",
            help="Retire this tip, so that no sync learns it anew; may be given several times.",
        ),
    ] = None,
    reason: ReasonOption = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask about each tip, on a terminal.")
    ] = False,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """List the tips that are quarantined, with the reason and the evidence, or decide on some of them.

    Tips come from traces, which anyone may have written; one that could harm its reader waits here, and no
    agent sees it. All decisions of one command are one commit: `kaizen entities revert` undoes it. Where a
    tip was changed since it was shown, nothing is decided.
    """
    from kaizen.tips import decide, quarantined

    given = _given(approve or [], reject or [])
    if interactive and (given or json or not _is_terminal()):
        raise typer.BadParameter(
            "asks on a terminal, and neither with --approve and --reject nor with --json",
            param_hint="--interactive",
        )
    with opened(backend, data_dir, namespace, in_namespace) as (store, namespace_id):
        # One that does not exist would look like one in which no tip waits.
        store.get_namespace(namespace_id)
        if interactive:
            decisions, revisions = _ask(quarantined(store, namespace_id))
        else:
            decisions, revisions = _decisions(store, namespace_id, given)
        commit = (
            decide(store, namespace_id, decisions, revisions=revisions, reason=reason or "")
            if decisions
            else None
        )
        waiting = list(quarantined(store, namespace_id))
    if json:
        print_json(_as_json(namespace_id, waiting, decisions, commit))
    elif commit is not None:
        _print_decided(namespace_id, decisions, commit)
    elif interactive:
        print_note("Nothing was decided.")
    else:
        _print_waiting(namespace_id, waiting)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _given(approve: Iterable[str], reject: Iterable[str]) -> list[tuple[str, ReviewDecision]]:
    return [*((text, "approved") for text in approve), *((text, "rejected") for text in reject)]


def _decisions(
    store: Store, namespace_id: str, given: Iterable[tuple[str, ReviewDecision]]
) -> tuple[dict[str, ReviewDecision], dict[str, int]]:
    """Return the decisions by id, and the revisions that were written after an @."""
    decisions: dict[str, ReviewDecision] = {}
    revisions: dict[str, int] = {}
    for text, decision in given:
        prefix, at, revision = text.rpartition("@")
        has_revision = bool(at) and revision.isdecimal()
        tip_id = find_entity(store, namespace_id, prefix if has_revision else text).id
        if has_revision:
            revisions[tip_id] = int(revision)
        if decisions.setdefault(tip_id, decision) != decision:
            raise typer.BadParameter(f"{tip_id} cannot be both approved and rejected", param_hint="--reject")
    return decisions, revisions


def _ask(waiting: Iterable[Entity]) -> tuple[dict[str, ReviewDecision], dict[str, int]]:
    """Ask what the person decides of each tip; nothing is done before the last answer."""
    decisions: dict[str, ReviewDecision] = {}
    revisions: dict[str, int] = {}
    for entity in waiting:
        _print_tip(entity)
        answer = _answer()
        typer.echo("")
        if answer == "q":
            break
        if answer in _DECISIONS:
            decisions[entity.id] = _DECISIONS[answer]
            # What changes while the person thinks is not decided on unseen.
            revisions[entity.id] = entity.revision
    return decisions, revisions


def _answer() -> str:
    while True:
        said = str(typer.prompt("[a]pprove, [r]eject, [s]kip or [q]uit", default="s")).strip().lower()
        for word in ("approve", "reject", "skip", "quit"):
            if said in (word[0], word):
                return word[0]
        typer.echo(f"'{one_line(said)}' is not an answer: write a, r, s or q.")


def _as_json(
    namespace: str, waiting: Iterable[Entity], decisions: dict[str, ReviewDecision], commit: Commit | None
) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "quarantined": [{**entity_json(entity), "reasons": _reasons(entity)} for entity in waiting],
        "approved": [tip_id for tip_id, decision in decisions.items() if decision == "approved"],
        "rejected": [tip_id for tip_id, decision in decisions.items() if decision == "rejected"],
        "commit_id": commit and commit.id,
    }


def _print_waiting(namespace: str, waiting: list[Entity]) -> None:
    for entity in waiting:
        _print_tip(entity)
        print_text("")
    if waiting:
        verb = "waits" if len(waiting) == 1 else "wait"
        print_note(
            f"{counted(len(waiting), 'tip')} {verb} for a decision: "
            f"kaizen entities review {namespace} --approve ID, --reject ID, or --interactive"
        )
    else:
        print_note("No tip is quarantined.")


def _reasons(entity: Entity) -> list[str]:
    return StoredTip.of(entity).quarantine_reasons or ["not said"]


def _print_tip(entity: Entity) -> None:
    print_text(f"{one_line(entity.id)}@{entity.revision}")
    print_text(entity.content, style="bold")
    tip = StoredTip.of(entity)
    fields: dict[str, Any] = {"quarantined because": _reasons(entity)}
    fields |= {name: getattr(tip, name) for name in _TEXTS}
    for source in reversed(tip.evidence):
        found = "" if source.verified else " (not in the trace)"
        fields.setdefault("evidence", []).extend(
            (f"{source.quote or '(no quote)'}{found}", source.url or f"trace {source.trace_id}")
        )
    if tip.support > len(tip.sources):
        fields["evidence"].append(f"and more: kaizen entities show {one_line(entity.id)} --all")
    print_fields(fields)


def _print_decided(namespace: str, decisions: dict[str, ReviewDecision], commit: Commit) -> None:
    for tip_id, decision in decisions.items():
        typer.echo(f"{decision.capitalize()}: {one_line(tip_id)}")
    print_undo(namespace, commit.id)
