"""`kaizen tips retire`: tips that agents shall not see any more."""

from __future__ import annotations

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, ReasonOption, opened
from kaizen.cli.tips.changing import TipIdsArgument, find_tips, print_changed


def retire(
    tips: TipIdsArgument,
    reason: ReasonOption = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Take tips out of use: no agent sees them, and no sync learns them anew.

    They stay in the store with their evidence. All of one command are one commit, which can be undone.
    """
    from kaizen.tips import retire_tips

    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        found = find_tips(store, namespace_id, tips)
        commit = retire_tips(store, found, reason=reason or "")
    print_changed("retired", namespace_id, found, commit, json=json)
