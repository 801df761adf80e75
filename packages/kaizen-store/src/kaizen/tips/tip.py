"""What a tip is, and the evidence that backs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from kaizen.store import Put

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.store import Entity

GUIDELINE = "guideline"
QUOTE_MISSING = "its quote is not in the trace"
REASON_SEPARATOR = "; "

Category = Literal["strategy", "recovery", "optimization"]
CATEGORIES: tuple[Category, ...] = get_args(Category)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """One lesson as the model worded it, with the verbatim `quote` that shows it.

    `steps` are the numbers of the messages that show it, from 1, as `Trajectory.all_messages` has them.
    """

    content: str
    category: Category
    rationale: str
    trigger: str
    implementation_steps: tuple[str, ...]
    task_description: str
    quote: str
    steps: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TipSource:
    """One piece of evidence for a tip: where in which trace, and the words that show it.

    `outcome` is how the story ended, by what `judged_by` names. `verified` says that the quote was found in
    the trace, `is_suspect` that the story shows an attempt to steer its reader. `story_id` is the trace that
    is learned from, of several that tell one story; where it is empty, the trace itself. `steps` are the
    numbers of the messages of that story that show it, `tools` the versions of the tools that the tip is
    about, `models` those that the agent used.
    """

    source: str
    project: str
    trace_id: str
    span_id: str
    quote: str
    outcome: str
    url: str
    story_id: str = ""
    verified: bool = True
    steps: tuple[int, ...] = ()
    is_suspect: bool = False
    tools: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    judged_by: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "project": self.project,
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "quote": self.quote,
            "outcome": self.outcome,
            "judged_by": self.judged_by,
            "url": self.url,
            "story_id": self.story_id,
            "verified": self.verified,
            "steps": list(self.steps),
            "suspect": self.is_suspect,
            "tools": dict(self.tools),
            "models": list(self.models),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTip:
    """A tip as the store has it, or will have it. Changing one gives a new value.

    `created_at` is None until the store has it.
    """

    id: str
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def of(cls, entity: Entity) -> StoredTip:
        return cls(
            id=entity.id,
            content=entity.content,
            metadata=dict(entity.metadata),
            created_at=entity.created_at,
        )

    @classmethod
    def create(
        cls,
        tip_id: str,
        tip: Tip,
        source: TipSource,
        *,
        quarantine_reason: str,
        provenance: Mapping[str, Any],
    ) -> StoredTip:
        metadata = {
            "category": tip.category,
            "rationale": tip.rationale,
            "trigger": tip.trigger,
            "implementation_steps": list(tip.implementation_steps),
            "task_description": tip.task_description,
            "creation_mode": "auto-phoenix",
            "status": "quarantined" if quarantine_reason else "active",
            "quarantine_reason": quarantine_reason,
            **provenance,
        }
        return cls(id=tip_id, content=tip.content, metadata=metadata).with_source(source)

    @property
    def sources(self) -> list[dict[str, Any]]:
        return list(self.metadata.get("sources") or ())

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that an agent may be shown of it."""
        steps = self.metadata.get("implementation_steps") or ()
        others = (self.metadata.get(name) for name in ("trigger", "rationale", "task_description"))
        return (self.content, *(str(text) for text in (*steps, *others) if text))

    @property
    def status(self) -> str:
        return str(self.metadata.get("status") or "active")

    @property
    def trigger(self) -> str:
        return str(self.metadata.get("trigger") or "")

    @property
    def quarantine_reason(self) -> str:
        return str(self.metadata.get("quarantine_reason") or "")

    @property
    def is_manual(self) -> bool:
        return self.metadata.get("creation_mode") == "manual"

    @property
    def is_kept(self) -> bool:
        """Whether it stays without evidence too: a person wrote it, or decided on it."""
        return self.is_manual or bool(self.metadata.get("review"))

    @property
    def stays(self) -> bool:
        """Whether something backs it; else it is deleted."""
        return bool(self.sources) or self.is_kept

    def with_source(self, source: TipSource) -> StoredTip:
        """The tip backed by this story too; a story counts once, however often it is added.

        Evidence that is unverified, or suspect, adds nothing to what a person or sound evidence says, and
        gives way to it. Sound evidence lifts a quarantine for want of a quote, and no other.
        """
        others = [s for s in self.sources if story_of(s) != (source.story_id or source.trace_id)]
        sound = [s for s in others if s.get("verified") and not s.get("suspect")]
        if not source.verified or source.is_suspect:
            return self if self.is_kept or sound else self._with_sources([*others, source.to_json()])
        backed = self._with_sources([*sound, source.to_json()])
        if self.status != "quarantined" or QUOTE_MISSING not in self.quarantine_reason:
            return backed
        reason = without_missing_quote(self.quarantine_reason)
        status = "quarantined" if reason else "active"
        return replace(backed, metadata={**backed.metadata, "status": status, "quarantine_reason": reason})

    def without_story(self, trace_id: str) -> StoredTip:
        """The tip without what was learned from that trace."""
        return self._with_sources([s for s in self.sources if story_of(s) != trace_id])

    def united_with(self, others: Iterable[StoredTip]) -> StoredTip:
        """The tip backed by what backs them too: each story counts once, and no evidence is lost."""
        sources = [source for tip in (self, *others) for source in tip.sources]
        return self._with_sources(list({_evidence_of(source): source for source in sources}.values()))

    def judged(self, story_id: str, *, outcome: str, judged_by: str) -> StoredTip:
        """The tip whose evidence from that story says that outcome; itself where it does already."""
        now = {"outcome": outcome, "judged_by": judged_by}
        sources = [{**s, **now} if story_of(s) == story_id else s for s in self.sources]
        return self if sources == self.sources else self._with_sources(sources)

    def _with_sources(self, sources: list[dict[str, Any]]) -> StoredTip:
        metadata = {
            **self.metadata,
            "sources": sources,
            "support": len(set(map(story_of, sources))),
        }
        if sources and not self.is_manual:
            metadata["source_task_id"] = sources[0]["trace_id"]
            metadata["source_span_id"] = sources[0]["span_id"]
        return replace(self, metadata=metadata)

    def to_put(self) -> Put:
        return Put(id=self.id, type=GUIDELINE, content=self.content, metadata=self.metadata)


def story_of(source: Mapping[str, Any]) -> str:
    """What a piece of evidence counts as; people's has no story."""
    return str(source.get("story_id") or source["trace_id"])


def _evidence_of(source: Mapping[str, Any]) -> tuple[str, str, str]:
    """What tells one piece of evidence from another: the same words of a span count once."""
    return story_of(source), str(source.get("span_id")), str(source.get("quote"))


def without_missing_quote(reason: str) -> str:
    """The reasons that are left once the quote was found."""
    return REASON_SEPARATOR.join(part for part in reason.split(REASON_SEPARATOR) if part != QUOTE_MISSING)
