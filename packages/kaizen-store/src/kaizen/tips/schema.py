"""The metadata fields that a tip may have. Imports pydantic, so that only kaizen.tips.checks imports this."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from kaizen.tips.tip import SCHEMA_VERSION, Status


class _Fields(BaseModel):
    # Values are as JSON has them; nothing is converted, so that what passes can be used as it is.
    model_config = ConfigDict(strict=True)


class SourceFields(_Fields):
    """One piece of evidence, of a tip or an entity of its own."""

    trace_id: str
    span_id: str | None = None
    source: str | None = None
    project: str | None = None
    quote: str | None = None
    outcome: str | None = None
    judged_by: str | None = None
    url: str | None = None
    story_id: str | None = None
    verified: bool = True
    steps: list[int] | None = None
    suspect: bool = False
    tools: dict[str, str] | None = None
    models: list[str] | None = None


class EvidenceFields(SourceFields):
    """One piece of evidence as an entity."""

    tip_id: str
    kind: str | None = None


class MergedFields(_Fields):
    """A tip that was merged into this one."""

    id: str
    content: str


class TipMetadata(_Fields):
    """All fields that Kaizen reads."""

    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    status: Status | None = None
    category: str | None = None
    trigger: str | None = None
    rationale: str | None = None
    task_description: str | None = None
    implementation_steps: list[str] | None = None
    creation_mode: str | None = None
    quarantine_reason: str | None = None
    review: dict[str, Any] | None = None
    sources: list[SourceFields] | None = None
    support: Annotated[int, Field(ge=0)] | None = None
    support_by: dict[str, Annotated[int, Field(ge=0)]] | None = None
    tools: dict[str, str] | None = None
    source_task_id: str | None = None
    source_span_id: str | None = None
    merged_from: list[MergedFields] | None = None
    merged_into: str | None = None
    worded_by: dict[str, str] | None = None
    kept_apart: list[str] | None = None
    contradicts: list[str] | None = None
    contradicted_by: list[str] | None = None
    contradictions: dict[str, str] | None = None
    retired_for: str | None = None
    signature: dict[str, str] | None = None
    claim: dict[str, Any] | None = None
    confirmed_by: list[str] | None = None
    counterexamples: list[str] | None = None
    refused_since: str | None = None
    refused_until: str | None = None
    broken_until: str | None = None
    covered_by: str | None = None
