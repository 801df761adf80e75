"""`kaizen proof show`: all that was measured of one tip, and how it came to be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.drawing import print_fields, print_table, print_text
from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, opened
from kaizen.cli.output import counted, print_json
from kaizen.store import NotFoundError, find_entity
from kaizen.tips import GUIDELINE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kaizen.sync import MeasuredTip

_WIDTH = 41


def show(
    tip: Annotated[
        str, typer.Argument(metavar="TIP", help="Id of the tip, or the beginning of it that no other has.")
    ],
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show all that was measured of a tip, and how its interval narrowed with the runs.

    Raises an error if no run was to be shown the tip as it is worded now.
    """
    from kaizen.sync import describe_verdict, read_curve, read_proof

    with opened(backend, data_dir, namespace) as (store, namespace_id):
        tip_id = find_entity(store, namespace_id, tip, type=GUIDELINE).id
        tips = read_proof(store, namespace_id).tips
        measured = next((one for one in tips if one.tip.id == tip_id), None)
        if measured is None:
            raise NotFoundError(
                f"tip {tip_id} was in no run's choice yet, as it is worded now", namespace_id=namespace_id
            )
        curve = read_curve(store, namespace_id, measured)
    if json:
        print_json({**measured.to_json(), "curve": curve})
        return
    print_text(measured.tip.content)
    print_fields({"verdict": describe_verdict(measured), "status": measured.tip.status})
    print_text("")
    if rows := _rows(measured):
        print_table(["OUTCOME", "SHOWN", "WITHOUT", "GOOD/WITH", "GOOD/WITHOUT", "DIFFERENCE"], rows)
    else:
        trial = measured.trial
        shown = counted(trial.shown, "run")
        print_text(f"Nothing to compare yet: {shown} with the tip, {trial.held_out:,} without.")
    if curve:
        print_text("")
        print_text(f"{curve[0]['outcome'].replace('_', ' ')}: how many more of 100 runs are good with it")
        for line in _drawn(curve):
            typer.echo(line)


def _rows(measured: MeasuredTip) -> list[list[str]]:
    shares = [
        [
            kind.replace("_", " "),
            f"{one.shown:,}",
            f"{one.held_out:,}",
            f"{one.rate_shown:.1%}",
            f"{one.rate_held_out:.1%}",
            f"{100 * one.gain:+.1f} points [{100 * one.low:.1f}, {100 * one.high:.1f}]",
        ]
        for kind, one in measured.trial.estimates.items()
    ]
    amounts = [
        [
            amount.replace("_", " "),
            f"{one.shown:,}",
            f"{one.held_out:,}",
            f"{one.mean_shown:,.3g}",
            f"{one.mean_held_out:,.3g}",
            f"{one.difference:+,.3g} give or take {one.radius:,.3g}",
        ]
        for amount, one in measured.trial.amounts.items()
    ]
    return shares + amounts


def _drawn(curve: Sequence[dict[str, Any]]) -> list[str]:
    """Draw one line for each interval, with the same scale from -most to +most and 0 in the middle."""
    most = max(0.01, *(max(abs(point["low"]), abs(point["high"])) for point in curve))
    head = f"{'RUNS':>9}  {-100 * most:<+{_WIDTH // 2}.0f}0{100 * most:>+{_WIDTH // 2}.0f}"
    return [head, *(f"{point['units']:>9,}  {_line(point, most)}" for point in curve)]


def _line(point: dict[str, Any], most: float) -> str:
    def column(value: float) -> int:
        return round((value / most + 1) / 2 * (_WIDTH - 1))

    cells = [" "] * _WIDTH
    low, high = column(point["low"]), column(point["high"])
    cells[low : high + 1] = "-" * (high - low + 1)
    cells[_WIDTH // 2] = "|"
    cells[min(_WIDTH - 1, max(0, column(point["gain"])))] = "*"
    return "".join(cells).rstrip()
