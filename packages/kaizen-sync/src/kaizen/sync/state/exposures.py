"""What the store keeps of an experiment: a record for each trace and each unit that tips were chosen for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from kaizen.store import Put
from kaizen.sync.proof.values import ALL_TIPS

if TYPE_CHECKING:
    from kaizen.store import Entity
    from kaizen.sync.model import Exposure, Outcome

EXPOSURE = "exposure"

# No filter names a key with a dot: an index would cost the sync more than the record.
_RECORD = "exposure.record"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class CallCounts(NamedTuple):
    refused_calls: int = 0
    model_calls: int = 0
    tool_calls: int = 0


_NO_CALLS = CallCounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMeasures:
    """What a trace shows of how a run went.

    `refused` are the tool and the error template of each refused call, each pair once. `repeated` counts the
    calls of the history that the trace begins with, `own` all others.
    """

    refused: tuple[tuple[str, str], ...] = ()
    own: CallCounts = _NO_CALLS
    repeated: CallCounts = _NO_CALLS
    tokens: int = 0
    cost_usd: float | None = None
    duration_s: float = 0.0
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedTrace:
    """A trace of units that tips were chosen for. `success` is by annotations; None if there is none yet."""

    trace_id: str
    began_at: datetime
    exposures: tuple[Exposure, ...]
    measures: RunMeasures
    success: bool | None = None

    def to_puts(self, source: str, project: str) -> Iterator[Put]:
        """Yield a record for each unit. Those of a unit are side by side in order of their ids."""
        for exposure in self.exposures:
            entity_id = exposure_id(source, project, exposure.unit, self.trace_id)
            yield self._record(exposure).to_put(entity_id)

    def _record(self, exposure: Exposure) -> ExposureRecord:
        measures, p = self.measures, exposure.p
        shown, held_out = (
            [(ref, p[tip_id]) for ref in refs if (tip_id := ref.rpartition("@")[0]) in p]
            for refs in (exposure.shown, exposure.held_out)
        )
        return ExposureRecord(
            began_us=(self.began_at - _EPOCH) // _MICROSECOND,
            unit=exposure.unit,
            success=self.success,
            is_control=exposure.is_control,
            snapshot=exposure.snapshot,
            control_share=p.get(ALL_TIPS),
            shown=[ref for ref, _ in shown],
            held_out=[ref for ref, _ in held_out],
            p=[share for _, share in (*shown, *held_out)],
            refused=measures.refused,
            own=measures.own,
            repeated=measures.repeated,
            tokens=measures.tokens,
            cost_usd=measures.cost_usd,
            duration_s=measures.duration_s,
            model=measures.model,
        )


class ExposureRecord(NamedTuple):
    """What is stored of a trace and a unit: a list in this order, since a report reads a hundred thousand.

    Of each tip that was shown, then of each that was held out, `p` has the probability: those without one
    prove nothing and are left out. `own` and `repeated` are `CallCounts`.
    """

    began_us: int
    unit: str
    success: bool | None
    is_control: bool
    snapshot: str
    control_share: float | None
    shown: Sequence[str]
    held_out: Sequence[str]
    p: Sequence[float]
    refused: Sequence[Sequence[str]]
    own: Sequence[int]
    repeated: Sequence[int]
    tokens: int
    cost_usd: float | None
    duration_s: float
    model: str

    @classmethod
    def of(cls, entity: Entity) -> ExposureRecord:
        return cls(*entity.metadata[_RECORD])  # type: ignore[misc]  # what to_put wrote

    @property
    def began_at(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.began_us)

    def to_put(self, entity_id: str) -> Put:
        return Put(id=entity_id, type=EXPOSURE, content="", metadata={_RECORD: list(self)})


def exposure_id(source: str, project: str, unit: str, trace_id: str) -> str:
    """Return `exposure:<hash of source, project and unit>:<trace_id>`."""
    digest = blake2b(repr((source, project, unit)).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{EXPOSURE}:{digest}:{trace_id}"


def annotated_success(outcome: Outcome) -> bool | None:
    """Return whether a run succeeded, if an annotation says so."""
    return outcome.name == "success" if outcome.annotator_kind and outcome.name != "unknown" else None
