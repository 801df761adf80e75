"""What the store keeps of an experiment: a record for each trace and each unit that tips were chosen for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from kaizen.store import Put
from kaizen.sync.model import Exposure

if TYPE_CHECKING:
    from kaizen.store import Entity
    from kaizen.sync.model import Outcome

EXPOSURE = "exposure"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    refused_calls: int = 0
    model_calls: int = 0
    tool_calls: int = 0

    def __add__(self, other: CallCounts) -> CallCounts:
        return CallCounts(
            refused_calls=self.refused_calls + other.refused_calls,
            model_calls=self.model_calls + other.model_calls,
            tool_calls=self.tool_calls + other.tool_calls,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMeasures:
    """What a trace shows of how a run went.

    `refused` are the tool and the error template of each refused call, each pair once. `repeated` counts the
    calls of the history that the trace begins with, `own` all others.
    """

    refused: tuple[tuple[str, str], ...] = ()
    own: CallCounts = CallCounts()
    repeated: CallCounts = CallCounts()
    tokens: int = 0
    cost_usd: float | None = None
    duration_s: float = 0.0
    model: str = ""

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> RunMeasures:
        refused = tuple((tool, error) for tool, error in value["refused"])
        own, repeated = CallCounts(**value["own"]), CallCounts(**value["repeated"])
        return cls(**{**value, "refused": refused, "own": own, "repeated": repeated})


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
            # One text: each single value would have to be indexed, and nobody looks for them.
            record = json.dumps(
                {
                    "began_at": self.began_at.astimezone(UTC).isoformat(),
                    "exposure": exposure.to_json(),
                    "measures": asdict(self.measures),
                    "success": self.success,
                },
                separators=(",", ":"),
            )
            entity_id = exposure_id(source, project, exposure.unit, self.trace_id)
            yield Put(id=entity_id, type=EXPOSURE, content="", metadata={"record": record})

    @classmethod
    def of(cls, entity: Entity) -> ExposedTrace:
        """Read one record, which is of one unit."""
        record = json.loads(str(entity.metadata["record"]))
        return cls(
            trace_id=entity.id.rpartition(":")[2],
            began_at=datetime.fromisoformat(record["began_at"]),
            exposures=(Exposure.of_json(record["exposure"]),),
            measures=RunMeasures.of_json(record["measures"]),
            success=record["success"],
        )


def exposure_id(source: str, project: str, unit: str, trace_id: str) -> str:
    """Return `exposure:<hash of source, project and unit>:<trace_id>`."""
    digest = blake2b(repr((source, project, unit)).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{EXPOSURE}:{digest}:{trace_id}"


def annotated_success(outcome: Outcome) -> bool | None:
    """Return whether a run succeeded, if an annotation says so."""
    return outcome.name == "success" if outcome.annotator_kind and outcome.name != "unknown" else None
