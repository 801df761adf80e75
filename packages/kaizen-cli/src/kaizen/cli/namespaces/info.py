"""`kaizen namespaces info`: what a namespace holds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kaizen.cli.drawing import print_fields
from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceArgument, opened
from kaizen.cli.output import print_json
from kaizen.cli.times import local_time
from kaizen.tips import STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.store import Store

# Those that Kaizen writes.
_STATES = ("unknown", "learned", "no_lesson", "deferred", "skipped", "failed")


def info(
    namespace: NamespaceArgument = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a namespace holds: entities by type, tips by status, traces by state."""
    with opened(backend, data_dir, namespace) as (store, namespace_id):
        found = store.get_namespace(namespace_id)
        value = {
            "id": found.id,
            "location": store.location,
            "created_at": found.created_at.isoformat(),
            "version": found.version,
            "entities": store.count_by_type(namespace_id),
            "tips": _values(store, namespace_id, "guideline", "status", STATUSES),
            "traces": _values(store, namespace_id, "trajectory", "state", _STATES),
        }
    if json:
        print_json(value)
    else:
        value["created_at"] = local_time(found.created_at)
        print_fields(
            {
                name: ", ".join(f"{n} {key}" for key, n in part.items()) if isinstance(part, dict) else part
                for name, part in value.items()
            }
        )


def _values(store: Store, namespace: str, type_: str, field: str, known: Sequence[str]) -> dict[str, int]:
    """Entities of a type by a field of their metadata, likewise; without it they count as `known[0]`."""
    counts = {value: store.count(namespace, type=type_, where={field: value}) for value in known}
    # Counting is quick; only values that Kaizen does not write need a look at each entity.
    if sum(counts.values()) != store.count(namespace, type=type_):
        found = store.iterate(namespace, type=type_)
        counts = Counter(str(entity.metadata.get(field) or known[0]) for entity in found)
    return _sorted(counts)


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in sorted(counts.items()) if n}
