"""Define what a tip is, and the evidence that backs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from kaizen.store import Put
from kaizen.tips.checks import GUIDELINE, check_metadata

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.store import Entity

T = TypeVar("T")

QUOTE_MISSING = "its quote is not in the trace"
REASON_SEPARATOR = "; "

SCHEMA_VERSION = 1
"""The form of the metadata; a tip with a greater one was written by a later Kaizen and is not read."""

Category = Literal["strategy", "recovery", "optimization"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

Status = Literal["active", "candidate", "quarantined", "retired"]
"""Agents get active tips only. A candidate waits for a second conversation that shows the same, a quarantined
one for a person; a retired one is kept and not used."""
STATUSES: tuple[Status, ...] = get_args(Status)

_MANUAL = "manual"
# One more than its own evidence makes a candidate active.
_CONFIRMATIONS = 2
_COUNTEREXAMPLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """One lesson as the model worded it, with the verbatim `quote` that shows it.

    `steps` are the numbers of the messages that show it, from 1, as `Trajectory.all_messages` has them.
    `signature` is the failed call that it prevents: tool and error template. `claim` says in a checkable form
    how to prevent it.
    """

    content: str
    category: Category
    rationale: str
    trigger: str
    implementation_steps: tuple[str, ...]
    task_description: str
    quote: str
    steps: tuple[int, ...] = ()
    signature: Mapping[str, str] = field(default_factory=dict, hash=False)
    claim: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TipSource:
    """One piece of evidence for a tip: where in which trace, and the words that show it.

    `outcome` is how the story ended, by what `judged_by` names. `verified` says that the quote was found in
    the trace, `is_suspect` that the story shows an attempt to steer its reader. `story_id` is the trace that
    is learned from, of several that tell one story. `steps` are the numbers of the messages of that story
    that show it, `tools` the versions of the tools that the tip is about, `models` those that the agent used.
    """

    source: str
    project: str
    trace_id: str
    span_id: str
    quote: str
    outcome: str
    judged_by: str = ""
    url: str
    story_id: str = ""
    verified: bool = True
    steps: tuple[int, ...] = ()
    is_suspect: bool = False
    tools: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> TipSource:
        """Read a source as `to_json` writes it; what a person left out is empty."""
        names = ("source", "project", "trace_id", "span_id", "quote", "url", "judged_by")
        return cls(
            **{name: value.get(name) or "" for name in names},
            story_id=story_of(value),
            outcome=value.get("outcome") or "unknown",
            verified=value.get("verified", True),
            is_suspect=value.get("suspect", False),
            steps=tuple(value.get("steps") or ()),
            models=tuple(value.get("models") or ()),
            tools=value.get("tools") or {},
        )

    @property
    def is_sound(self) -> bool:
        """Whether the quote was found, in a story that does not try to steer its reader."""
        return self.verified and not self.is_suspect

    def to_json(self) -> dict[str, Any]:
        # Not asdict, which takes a hundred times as long: a tip may have thousands of sources.
        values = {name: getattr(self, name) for name in self.__slots__}
        # Lists, as the store gives them back: else what is the same would not compare equal.
        values |= {"steps": list(self.steps), "models": list(self.models), "tools": dict(self.tools)}
        return {("suspect" if name == "is_suspect" else name): value for name, value in values.items()}


class _Field(Generic[T]):
    """A field of the metadata; empty if the tip does not have it."""

    def __init__(self, empty: Callable[[], T]) -> None:
        self._empty = empty

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, tip: StoredTip, owner: type) -> T:
        return tip.metadata.get(self._name) or self._empty()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTip:
    """A tip as the store has it, or will have it. Changing one gives a new value.

    `metadata` is kept whole, fields that Kaizen does not know included. `created_at` is None until the store
    has it.
    """

    id: str
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    # Not compared: a tip that is made anew is the same tip as the stored one.
    created_at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", _completed(self.metadata))

    @classmethod
    def of(cls, entity: Entity) -> StoredTip:
        """Read a tip; one of before, without a status, is active. Raises `InvalidTipError`."""
        check_metadata(entity.id, entity.metadata)
        return cls(
            id=entity.id, content=entity.content, metadata=entity.metadata, created_at=entity.created_at
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
        """Make a tip that a trace taught; it is quarantined if there is a reason."""
        metadata = {
            **{name: getattr(tip, name) for name in ("category", "rationale", "trigger")},
            "implementation_steps": list(tip.implementation_steps),
            "task_description": tip.task_description,
            "creation_mode": "auto-phoenix",
            "status": "quarantined" if quarantine_reason else "active",
            "quarantine_reason": quarantine_reason,
            **({"signature": dict(tip.signature)} if tip.signature else {}),
            **({"claim": dict(tip.claim)} if tip.claim else {}),
            **provenance,
        }
        return cls(id=tip_id, content=tip.content, metadata=metadata).with_source(source)

    category = _Field(str)
    trigger = _Field(str)
    rationale = _Field(str)
    task_description = _Field(str)
    implementation_steps = _Field(list[str])
    quarantine_reason = _Field(str)
    sources = _Field(list[dict[str, Any]])
    """The evidence as stored."""
    support = _Field(int)
    """How many stories back it."""
    merged_into = _Field(str)
    """The id of the tip that it was merged into."""
    merged_from = _Field(list[dict[str, str]])
    """The wordings that were merged into it: `content`, and the `id` of the tip that had it."""
    worded_by = _Field(dict[str, str])
    """The model and prompt that worded a merge."""
    kept_apart = _Field(list[str])
    """The ids of the tips that a model found to be another lesson."""
    contradicts = _Field(list[str])
    contradicted_by = _Field(list[str])
    contradictions = _Field(dict[str, str])
    """Why it contradicts each of its opponents, by id."""
    retired_for = _Field(str)
    """The id of the better backed opponent that it gave way to."""
    signature = _Field(dict[str, str])
    """The failed call that it prevents: `tool`, and the template of its `error`."""
    claim = _Field(dict[str, Any])
    """What it says, in the form in which a sync checks it on runs."""
    confirmed_by = _Field(list[str])
    """Traces of conversations that taught something else, and in which its claim held: a few."""
    counterexamples = _Field(list[str])
    """Traces of conversations that broke its claim and succeeded all the same: a few."""
    covered_by = _Field(str)
    """The id of the active tip that says more about the same failed call."""

    @property
    def status(self) -> Status:
        status: Status = self.metadata["status"]
        return status

    @property
    def quarantine_reasons(self) -> list[str]:
        return self.quarantine_reason.split(REASON_SEPARATOR) if self.quarantine_reason else []

    @property
    def is_active(self) -> bool:
        return self.status == "active"

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that an agent may be shown of it, the content first."""
        others = (*self.implementation_steps, self.trigger, self.rationale, self.task_description)
        return (self.content, *filter(None, others))

    @property
    def evidence(self) -> list[TipSource]:
        return [TipSource.of(source) for source in self.sources]

    @property
    def is_manual(self) -> bool:
        return self.metadata.get("creation_mode") == _MANUAL

    @property
    def is_a_persons(self) -> bool:
        """Whether a person wrote it, or decided on it; then it stays without evidence too."""
        return self.is_manual or bool(self.metadata.get("review"))

    @property
    def is_backed(self) -> bool:
        """Whether evidence or a person backs it; else it is deleted."""
        return bool(self.sources) or self.is_a_persons

    @property
    def opponents(self) -> list[str]:
        """The ids of the tips that it contradicts and that contradict it."""
        return list(dict.fromkeys([*self.contradicts, *self.contradicted_by]))

    def with_metadata(self, **changes: Any) -> StoredTip:
        """Return the tip with these fields; one that is None is taken out."""
        metadata = {**self.metadata, **changes}
        return replace(self, metadata={name: v for name, v in metadata.items() if v is not None})

    def with_content(self, content: str) -> StoredTip:
        return replace(self, content=content)

    def with_source(self, source: TipSource) -> StoredTip:
        """Return the tip backed by this story too; a story counts once, however often it is added.

        Evidence that is unverified, or suspect, adds nothing to what a person or sound evidence says, and
        gives way to it. Sound evidence lifts a quarantine for want of a quote, and no other.
        """
        others = [s for s in self.sources if story_of(s) != (source.story_id or source.trace_id)]
        sound = [s for s in others if s.get("verified") and not s.get("suspect")]
        if not source.is_sound:
            return self if self.is_a_persons or sound else self._with_sources([*others, source.to_json()])
        backed = self._with_sources([*sound, source.to_json()])
        if self.status != "quarantined" or QUOTE_MISSING not in self.quarantine_reason:
            return backed
        reason = without_missing_quote(self.quarantine_reason)
        return backed.with_metadata(status="quarantined" if reason else "active", quarantine_reason=reason)

    def without_story(self, trace_id: str) -> StoredTip:
        """Return the tip without what was learned from that trace."""
        return self._with_sources([s for s in self.sources if story_of(s) != trace_id])

    def with_evidence_of(self, others: Iterable[StoredTip]) -> StoredTip:
        """Return the tip backed by what backs them too: each story counts once, and no evidence is lost."""
        sources = [source for tip in (self, *others) for source in tip.sources]
        return self._with_sources(list({_evidence_key(source): source for source in sources}.values()))

    def with_outcome(self, story_id: str, *, outcome: str, judged_by: str) -> StoredTip:
        """Return the tip whose evidence from that story has that outcome; itself if it has it already."""
        now = {"outcome": outcome, "judged_by": judged_by}
        sources = [{**s, **now} if story_of(s) == story_id else s for s in self.sources]
        return self if sources == self.sources else self._with_sources(sources)

    def with_verdict(self, trace_id: str, verdict: str, *, stories: Collection[str] = ()) -> StoredTip:
        """Return the tip whose claim `holds` in that conversation, is `broken` by it, or is neither.

        `stories` are ids under which the conversation was known before.
        """
        known = {trace_id, *stories}
        confirmed = {i for i in self.confirmed_by if i not in known}
        broken = {i for i in self.counterexamples if i not in known}
        confirmed |= {trace_id} if verdict == "holds" else set()
        broken |= {trace_id} if verdict == "broken" else set()
        # The first by id and not by time, so that the order of runs decides nothing.
        return self.with_metadata(
            confirmed_by=sorted(confirmed)[:_CONFIRMATIONS] or None,
            counterexamples=sorted(broken)[:_COUNTEREXAMPLES] or None,
        )

    def without_evidence(self) -> StoredTip:
        """Return the tip with nothing that backs it."""
        return self.with_metadata(sources=[], support=0)

    def to_put(self) -> Put:
        """Return the change that stores the tip. Raises `InvalidTipError`."""
        check_metadata(self.id, self.metadata)
        return Put(id=self.id, type=GUIDELINE, content=self.content, metadata=self.metadata)

    def _with_sources(self, sources: Sequence[Mapping[str, Any]]) -> StoredTip:
        first = {}
        if sources and not self.is_manual:
            trace_id, span_id = sources[0]["trace_id"], sources[0].get("span_id") or ""
            first = {"source_task_id": trace_id, "source_span_id": span_id}
        support = len(set(map(story_of, sources)))
        return self.with_metadata(sources=list(sources), support=support, **first)


def manual_tip(
    content: str, *, category: str = "strategy", trigger: str | None = None, **metadata: Any
) -> Put:
    """Return the change that adds a tip which a person wrote. Raises `InvalidTipError`."""
    known = {"creation_mode": _MANUAL, "category": category, "trigger": trigger or "", "support": 0}
    completed = _completed({**known, "sources": [], **metadata})
    check_metadata(None, completed)
    return Put(type=GUIDELINE, content=content, metadata=completed)


def story_of(source: Mapping[str, Any]) -> str:
    """Return the story that a piece of evidence as stored counts for."""
    return str(source.get("story_id") or source["trace_id"])


def without_missing_quote(reason: str) -> str:
    """Return the reasons that are left once the quote was found."""
    return REASON_SEPARATOR.join(part for part in reason.split(REASON_SEPARATOR) if part != QUOTE_MISSING)


def _completed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata with what is always written."""
    status = metadata.get("status") or "active"
    return {**metadata, "status": status, "schema_version": SCHEMA_VERSION}


def _evidence_key(source: Mapping[str, Any]) -> tuple[str, str, str]:
    """Tell one piece of evidence from another: the same words of a span count once."""
    return story_of(source), str(source.get("span_id")), str(source.get("quote"))
