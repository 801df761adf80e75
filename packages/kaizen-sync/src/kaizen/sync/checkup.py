"""Look for what is wrong, without asking any server: settings, the last syncs, the experiment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kaizen.sync.knowledge.effects import Proof
    from kaizen.sync.status import SyncStatus

_PHOENIX_READING = {"spans": "reads every span to find the new ones: update Phoenix to 13.15 or newer"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `advice` says what to do if it is not `ok`."""

    name: str
    status: Literal["ok", "note", "fail"]
    detail: str
    advice: str = ""


def check_proof(proof: Proof) -> Iterator[Check]:
    """Check whether the effect of tips can be measured."""
    for problem in proof.problems:
        yield Check("proof", "note", problem.detail, problem.advice)
    if not proof.problems:
        yield Check("proof", "ok", proof.headline)


def check_syncs(status: SyncStatus) -> Iterator[Check]:
    """Check how the last sync of each project ended, and whether traces failed."""
    last = {(run.get("source"), run["project"]): run for run in status.runs}
    for run in last.values():
        project = run["project"]
        if run["state"] == "broke off":
            yield Check(
                "sync", "fail", f"the last sync of '{project}' broke off", "run it again: nothing is lost"
            )
        elif run.get("refusal"):
            yield Check("sync", "fail", f"the last sync of '{project}': {run['refusal']}", "kaizen doctor")
        elif run.get("stopped"):
            yield Check("sync", "note", f"the last sync of '{project}' was stopped", "run it again")
        elif advice := _PHOENIX_READING.get(str(run.get("reading"))):
            yield Check("sync", "note", f"the last sync of '{project}' {advice}")
    if failed := status.failed:
        traces = f"{len(failed)} trace{'' if len(failed) == 1 else 's'}"
        yield Check(
            "traces", "fail", f"{traces} failed; the last one: {failed[-1].reason}", "kaizen sync retry"
        )


def problems_of(checks: Iterable[Check]) -> list[Check]:
    """Return what is not well, failures first."""
    found = (check for check in checks if check.status != "ok")
    return sorted(found, key=lambda check: check.status != "fail")
