"""Which types of entities are shown if nobody names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.cli.output import print_note
from kaizen.tips import GUIDELINE

if TYPE_CHECKING:
    from collections.abc import Collection

    from kaizen.store import Store

# What syncs keep for themselves. As `kaizen.sync.state.records` names them, which takes 40 ms to import.
BOOKKEEPING = ("checkpoint", "claim", "evidence", "exposure", "run", "trajectory")


def shown_types(store: Store, namespace_id: str, type_: str | None, *, all_types: bool = False) -> list[str]:
    """Return the types to show: the one asked for, or those there are without the records of syncs."""
    there = store.count_by_type(namespace_id)
    if type_ is not None:
        _name_types(type_, there)
        return [type_]
    return [each for each in there if all_types or each not in BOOKKEEPING]


def _name_types(type_: str, there: Collection[str]) -> None:
    if type_ not in (*there, GUIDELINE) and there:
        print_note(f"There is no type '{type_}' here; there are: {', '.join(there)}.")
