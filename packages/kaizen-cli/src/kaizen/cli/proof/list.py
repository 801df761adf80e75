"""`kaizen proof list`, or only `kaizen proof`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.drawing import print_table, print_text, short_ids
from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, opened
from kaizen.cli.output import counted, print_json, print_note

if TYPE_CHECKING:
    from kaizen.sync import MeasuredTip

ACTOR = "kaizen proof"


def list_effects(
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Act on new verdicts now, as the next sync would: each is one commit."),
    ] = False,
    adjusted: Annotated[
        bool, typer.Option("--adjusted", help="Take the model and the month of runs into account.")
    ] = False,
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show what each tip does, measured by the runs that were not shown it.

    POINTS is how many more runs of a hundred go well with the tip, with the interval that holds it. What
    harms comes first. docs/explanation/proof.md says how to read it.
    """
    from kaizen.sync import make_verdicts, read_proof

    with opened(backend, data_dir, namespace) as (store, namespace_id):
        made = make_verdicts(store, namespace_id, actor=ACTOR) if apply else []
        proof = read_proof(store, namespace_id, is_adjusted=adjusted)
    if json:
        print_json({"namespace": namespace_id, "commit_ids": [one.id for one in made], **proof.to_json()})
        return
    print_text(proof.headline)
    if proof.tips:
        print_text("")
        headers = [
            "ID",
            "VERDICT",
            "CHOSEN",
            "SHOWN",
            "WITHOUT",
            "OUTCOME",
            "GOOD/WITH",
            "GOOD/WITHOUT",
            "POINTS",
            "TIP",
        ]
        print_table(headers, _rows(proof.tips))
    for problem in proof.problems:
        print_note(f"Note: {problem}.")
    if apply:
        print_note(f"Made {counted(len(made), 'new verdict')}.")


def _rows(tips: tuple[MeasuredTip, ...]) -> list[list[str]]:
    ids = short_ids([measured.tip.id for measured in tips])
    return [[tip_id, *_cells(measured)] for tip_id, measured in zip(ids, tips, strict=True)]


def _cells(measured: MeasuredTip) -> list[str]:
    trial, verdict, estimate = measured.trial, measured.verdict, measured.main
    more = f" ({verdict.more_units:,} more)" if verdict.more_units is not None else ""
    if verdict.least_units is not None:
        more = f" (at least {verdict.least_units:,} more)"
    counts = [f"{count:,}" for count in (trial.chosen, trial.shown, trial.held_out)]
    told = ["", "", "", ""]
    if estimate:
        told = [
            estimate.outcome.replace("_", " "),
            f"{estimate.rate_shown:.0%}",
            f"{estimate.rate_held_out:.0%}",
            f"{100 * estimate.gain:+.0f} [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]",
        ]
    return [f"{verdict.name}{more}", *counts, *told, measured.tip.content]
