"""`kaizen tips unpin`: tips that are measured again."""

from __future__ import annotations

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, ReasonOption, opened
from kaizen.cli.tips.changing import TipIdsArgument, find_tips, print_changed


def unpin(
    tips: TipIdsArgument,
    reason: ReasonOption = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Pin tips no more: their effect is measured again, and what follows from it is done.

    All of one command are one commit, which can be undone.
    """
    from kaizen.tips import pin_tips

    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        found = find_tips(store, namespace_id, tips)
        commit = pin_tips(store, found, pinned=False, reason=reason or "")
    print_changed("unpinned", namespace_id, found, commit, json=json)
