"""`kaizen entities review`: tips that wait for a person, and what that person decides."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    open_configured_store,
)
from kaizen.cli.output import entity_json, one_line, print_fields, print_json, print_note, printable
from kaizen.tips.tip import REASON_SEPARATOR, StoredTip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.store import Commit, Entity
    from kaizen.tips.review import ReviewDecision

_DECISIONS: dict[str, ReviewDecision] = {"a": "approved", "r": "rejected"}
_TEXTS = ("category", "trigger", "implementation_steps", "rationale", "task_description")


def review(
    namespace: NamespaceArgument,
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
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask about each tip, on a terminal.")
    ] = False,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """List the tips that are quarantined, with the reason and the evidence, or decide on some of them.

    Tips come from traces, which anyone may have written; one that could harm its reader waits here, and no
    agent sees it. All decisions of one command are one commit: `kaizen entities revert` undoes it. Where a
    tip was changed since it was shown, nothing is decided.
    """
    from kaizen.tips.review import decide, quarantined

    decisions, revisions = _decisions(approve or [], reject or [])
    if interactive and (decisions or json or not _is_terminal()):
        raise typer.BadParameter(
            "asks on a terminal, and neither with --approve and --reject nor with --json",
            param_hint="--interactive",
        )
    with open_configured_store(backend, data_dir) as store:
        store.get_namespace(namespace)
        if interactive:
            decisions, revisions = _ask(quarantined(store, namespace))
        commit = (
            decide(store, namespace, decisions, revisions=revisions, reason=reason or "")
            if decisions
            else None
        )
        waiting = list(quarantined(store, namespace))
    if json:
        print_json(_as_json(namespace, waiting, decisions, commit))
    elif commit is not None:
        _print_decided(namespace, decisions, commit)
    elif interactive:
        print_note("Nothing was decided.")
    else:
        _print_waiting(namespace, waiting)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _decisions(
    approve: Iterable[str], reject: Iterable[str]
) -> tuple[dict[str, ReviewDecision], dict[str, int]]:
    decisions: dict[str, ReviewDecision] = {}
    revisions: dict[str, int] = {}
    given: list[tuple[str, ReviewDecision]] = [(each, "approved") for each in approve]
    given += [(each, "rejected") for each in reject]
    for text, decision in given:
        tip_id, at, revision = text.rpartition("@")
        if at and revision.isdecimal():
            revisions[tip_id] = int(revision)
        else:
            tip_id = text
        if decisions.setdefault(tip_id, decision) != decision:
            raise typer.BadParameter(f"{tip_id} is to be approved and rejected", param_hint="--reject")
    return decisions, revisions


def _ask(waiting: Iterable[Entity]) -> tuple[dict[str, ReviewDecision], dict[str, int]]:
    """What the person says of each tip; nothing is done before the last answer."""
    decisions: dict[str, ReviewDecision] = {}
    revisions: dict[str, int] = {}
    for entity in waiting:
        _print_tip(entity)
        answer = typer.prompt("[a]pprove, [r]eject, [s]kip or [q]uit", default="s").strip().lower()[:1]
        typer.echo("")
        if answer == "q":
            break
        if answer in _DECISIONS:
            decisions[entity.id] = _DECISIONS[answer]
            revisions[entity.id] = entity.revision
    return decisions, revisions


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
        typer.echo("")
    if waiting:
        print_note(
            f"{len(waiting)} {'waits' if len(waiting) == 1 else 'wait'} for a decision: "
            f"kaizen entities review {namespace} --approve ID, --reject ID, or --interactive"
        )
    else:
        print_note("No tip is quarantined.")


def _reasons(entity: Entity) -> list[str]:
    return (StoredTip.of(entity).quarantine_reason or "not said").split(REASON_SEPARATOR)


def _print_tip(entity: Entity) -> None:
    typer.echo(f"{one_line(entity.id)}@{entity.revision}")
    typer.echo(printable(entity.content))
    tip = StoredTip.of(entity)
    fields: dict[str, Any] = {"quarantined because": _reasons(entity)}
    fields |= {name: getattr(tip, name) for name in _TEXTS}
    for source in tip.evidence:
        found = "" if source.verified else " (not in the trace)"
        fields.setdefault("evidence", []).extend(
            (f"{source.quote or '(no quote)'}{found}", source.url or f"trace {source.trace_id}")
        )
    print_fields(fields)


def _print_decided(namespace: str, decisions: dict[str, ReviewDecision], commit: Commit) -> None:
    for tip_id, decision in decisions.items():
        typer.echo(f"{decision.capitalize()}: {one_line(tip_id)}")
    print_note(f"To undo it: kaizen entities revert {namespace} --commit {commit.id}")
