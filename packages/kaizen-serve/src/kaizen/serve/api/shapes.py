"""The shapes of what the API gives. They stand in its description."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, Field

from kaizen.tips import StoredTip, TipSource

if TYPE_CHECKING:
    from kaizen.recall import Candidate
    from kaizen.store import Commit, Entity

Status = Literal["active", "candidate", "quarantined", "retired"]


class Tip(BaseModel):
    """A tip as it is stored. `revision` grows with every change; send it back with a change of yours."""

    id: str
    namespace: str
    revision: int
    status: str
    content: str
    category: str
    trigger: str
    implementation_steps: list[str]
    rationale: str
    task_description: str
    support: int = Field(description="How many conversations back it.")
    support_by: dict[str, int] = Field(description="How many of them, by how they ended.")
    tools: dict[str, str] = Field(description="Versions of the definitions of the tools that it is about.")
    signature: dict[str, str] = Field(description="The failed call that it prevents: tool and error.")
    effect: dict[str, Any] | None = Field(description="What was measured of it, once there is a verdict.")
    is_pinned: bool
    quarantine_reasons: list[str]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, entity: Entity) -> Self:
        tip = StoredTip.of(entity)
        names = ("category", "trigger", "rationale", "task_description", "support", "status")
        effect = entity.metadata.get("effect")
        return cls(
            **{name: getattr(tip, name) for name in names},
            id=entity.id,
            namespace=entity.namespace_id,
            revision=entity.revision,
            content=entity.content,
            implementation_steps=tip.implementation_steps,
            support_by=tip.support_by,
            tools=tip.tools,
            signature=tip.signature,
            effect=dict(effect) if isinstance(effect, dict) else None,
            is_pinned=tip.metadata.get("is_pinned") is True,
            quarantine_reasons=tip.quarantine_reasons,
            created_at=entity.created_at,
            updated_at=entity.updated_at,
        )


class TipPage(BaseModel):
    """Some tips, and the `cursor` to send as `after` for more; null: that was all."""

    tips: list[Tip]
    cursor: str | None


class Hit(BaseModel):
    """A tip that was found, and why: `lexical` for its words, `dense` for its meaning."""

    tip: Tip
    score: float
    lexical: float | None
    dense: float | None


class Hits(BaseModel):
    hits: list[Hit]


class Evidence(BaseModel):
    """One conversation that backs a tip, with the words that show it."""

    id: str
    source: str
    project: str
    trace_id: str
    span_id: str
    quote: str
    verified: bool = Field(description="Whether the quote was found in the trace.")
    is_suspect: bool = Field(description="Whether the conversation tries to steer its reader.")
    outcome: str
    judged_by: str
    url: str
    steps: list[int] = Field(description="The numbers of the messages that show it.")
    models: list[str]
    found_at: datetime

    @classmethod
    def of(cls, entity: Entity) -> Self:
        source = TipSource.of(entity.metadata)
        names = ("source", "project", "trace_id", "span_id", "quote", "verified", "is_suspect", "outcome")
        return cls(
            **{name: getattr(source, name) for name in (*names, "judged_by", "url")},
            id=entity.id,
            steps=list(source.steps),
            models=list(source.models),
            found_at=entity.created_at,
        )


class EvidencePage(BaseModel):
    evidence: list[Evidence]
    cursor: str | None


class Change(BaseModel):
    """What a commit did to an entity. `before` and `after` are its texts; null: it was not there."""

    entity_id: str
    type: str
    before: str | None
    after: str | None


class CommitShape(BaseModel):
    """Changes that happened together: who made them, when, and why. `id` undoes them."""

    id: str
    version: int
    at: datetime
    actor: str
    reason: str
    run_id: str | None
    changes: list[Change]

    @classmethod
    def of(cls, commit: Commit) -> Self:
        changes = []
        for one in commit.changes:
            entity = one.after or one.before
            assert entity is not None
            before, after = (e.content if e else None for e in (one.before, one.after))
            changes.append(Change(entity_id=entity.id, type=entity.type, before=before, after=after))
        names = ("id", "version", "at", "actor", "reason", "run_id")
        return cls(**{name: getattr(commit, name) for name in names}, changes=changes)


class History(BaseModel):
    """The commits that touched a tip, oldest first."""

    commits: list[CommitShape]


class Considered(BaseModel):
    """A tip that fits a run: where it goes, why, and why it is not shown if it is not."""

    id: str
    revision: int
    content: str
    tool: str | None = Field(description="The tool whose description it goes into; null: the instructions.")
    score: float
    words: list[str]
    tokens: int
    rejected: str | None

    @classmethod
    def of(cls, candidate: Candidate, words: list[str]) -> Self:
        return cls(
            id=candidate.tip.id,
            revision=candidate.tip.revision,
            content=candidate.tip.content,
            tool=candidate.tool or None,
            score=round(candidate.score, 4),
            words=words,
            tokens=candidate.tokens,
            rejected=candidate.rejected or None,
        )


class RecalledShape(BaseModel):
    """What a run is shown. `attributes` belong on its spans, so that the sync knows what it was shown."""

    text: str = Field(description="For the end of the instructions: the tips that are in no note.")
    notes: dict[str, str] = Field(description="For the end of the descriptions of tools, by name.")
    full_text: str = Field(description="All tips as one block, for the instructions.")
    shown: list[str] = Field(description="Ids of the tips that are shown.")
    held_out: list[str] = Field(description="Ids of the tips that are held out, to measure what they do.")
    considered: list[Considered]
    snapshot: str
    attributes: dict[str, str]


class Proof(BaseModel):
    """What the experiment shows: the fields of `kaizen proof --json`."""

    headline: str
    problems: list[str]
    units: int
    traces: int
    total: dict[str, Any] | None
    tips: list[dict[str, Any]]


class MeasuredTip(BaseModel):
    """What was measured of a tip, and how its interval narrowed: the fields of `kaizen proof show --json`."""

    measured: dict[str, Any] | None = Field(
        description="Null: no run was to be shown it as it is worded now."
    )
    curve: list[dict[str, Any]]


class Runs(BaseModel):
    """How far syncs have come: the fields of `kaizen sync status --json`."""

    namespace: str
    checkpoints: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    failed: list[dict[str, Any]]


class Undone(BaseModel):
    """What was taken out of the store again."""

    commit: CommitShape | None
    trace_ids: list[str]
    kept: list[str]


class Retried(BaseModel):
    trace_ids: list[str]
