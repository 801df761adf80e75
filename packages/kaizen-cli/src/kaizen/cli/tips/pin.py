"""`kaizen tips pin`: tips that stay whatever is measured of them."""

from __future__ import annotations

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, ReasonOption, opened
from kaizen.cli.tips.changing import TipIdsArgument, find_tips, print_changed


def pin(
    tips: TipIdsArgument,
    reason: ReasonOption = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Pin tips: they are shown to every run that they fit, and no sync takes them out of use.

    A pinned tip is never held out, so that nothing more is learned of its effect. All of one command are one
    commit, which can be undone.
    """
    from kaizen.tips import pin_tips

    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        found = find_tips(store, namespace_id, tips)
        commit = pin_tips(store, found, pinned=True, reason=reason or "")
    print_changed("pinned", namespace_id, found, commit, json=json)
