"""How runs ended by what was reported of them, such as by the agent itself; the proof reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from kaizen.store import InvalidInputError, Put
from kaizen.sync.redact import Redaction, Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kaizen.store import Commit, Store

OUTCOME = "outcome"
"""The type of entity that keeps what was reported of a unit or a trace."""

_MOST_ID = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST_NOTE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOutcomes:
    """Whether units and traces succeeded, by their ids, as was reported last."""

    units: Mapping[str, bool]
    traces: Mapping[str, bool]

    def __bool__(self) -> bool:
        return bool(self.units or self.traces)

    def success(self, unit: str, trace_ids: Iterable[str]) -> bool | None:
        """Return what was reported of a unit, or else of its traces: it fails if one of them did."""
        if unit in self.units:
            return self.units[unit]
        known = [self.traces[trace_id] for trace_id in trace_ids if trace_id in self.traces]
        return all(known) if known else None


def read_reported(store: Store, namespace_id: str) -> ReportedOutcomes:
    found: dict[str, dict[str, bool]] = {"unit": {}, "trace_id": {}}
    for entity in store.iterate(namespace_id, type=OUTCOME):
        metadata: Mapping[str, Any] = entity.metadata
        for name, known in found.items():
            if isinstance(metadata.get("success"), bool) and isinstance(metadata.get(name), str):
                known[metadata[name]] = metadata["success"]
    return ReportedOutcomes(units=found["unit"], traces=found["trace_id"])


def report_outcome(
    store: Store,
    namespace_id: str,
    *,
    unit: str = "",
    trace_id: str = "",
    success: bool,
    note: str = "",
    actor: str,
    redaction: Redaction | None = None,
) -> Commit:
    """Keep whether a unit (a session or run) or a trace succeeded, in place of what was reported before.

    An annotation of the trace goes before it. Secrets are taken out of the note. Raises `InvalidInputError`.
    """
    name, value = ("unit", unit) if unit else ("trace_id", trace_id)
    if bool(unit) == bool(trace_id) or len(value) > _MOST_ID or _CONTROL.search(value):
        raise InvalidInputError(f"give either a unit or a trace id, of at most {_MOST_ID} characters")
    if len(note) > _MOST_NOTE:
        raise InvalidInputError(f"a note has at most {_MOST_NOTE:,} characters")
    redacted = Redactor(redaction or Redaction()).text(note)
    digest = blake2b(f"{name} {value}".encode(), digest_size=16).hexdigest()
    metadata: dict[str, Any] = {name: value, "success": success, "note": redacted, "reported_by": actor}
    put = Put(id=f"{OUTCOME}:{digest}", type=OUTCOME, content="", metadata=metadata)
    return store.commit(namespace_id, [put], actor=actor, reason=f"outcome of {name} {value} reported")
