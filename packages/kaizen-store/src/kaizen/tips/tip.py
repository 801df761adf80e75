"""Define what a tip is, and how evidence changes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from kaizen.store import Delete, Put
from kaizen.tips.checks import GUIDELINE, check_metadata
from kaizen.tips.evidence import UNSOUND, StoredSource, TipSource, count_stories

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.store import Change, Entity
    from kaizen.tips.evidence import StoryKey

T = TypeVar("T")

QUOTE_MISSING = "its quote is not in the trace"
ONLY_STRANGERS = "only text that a stranger may have written shows it"
# Evidence of another run lifts these.
_OF_EVIDENCE = (QUOTE_MISSING, ONLY_STRANGERS)
REASON_SEPARATOR = "; "

SCHEMA_VERSION = 2
"""The form of the metadata; a tip with a greater one was written by a later Kaizen and is not read.

A tip of version 1 holds all its sources; since version 2 each is an entity of its own.
"""

NEWEST = 5
"""How many sources a tip itself shows."""

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
    `as_written` are its texts before values of the run became placeholders, if there were any, and `veto` is
    what a model that was asked whether it is safe has against it.
    `signature` is the failed call that it prevents: tool and error template. `claim` says in a checkable form
    how to prevent it. `prompt_version` is that of the question it answers, if that is not about one run.
    """

    content: str
    category: Category
    rationale: str
    trigger: str
    implementation_steps: tuple[str, ...]
    task_description: str
    quote: str
    steps: tuple[int, ...] = ()
    as_written: tuple[str, ...] = ()
    veto: str = ""
    signature: Mapping[str, str] = field(default_factory=dict, hash=False)
    claim: Mapping[str, Any] = field(default_factory=dict, hash=False)
    prompt_version: str = ""


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
    has it. `unstored` is what changed of its evidence, by id: what to put, or None for what to delete; of a
    tip of before it is all its evidence.
    """

    id: str
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    unstored: Mapping[str, StoredSource | None] = field(default_factory=dict)
    # Not compared: a tip that is made anew is the same tip as the stored one.
    created_at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        metadata = _completed(self.metadata)
        if metadata["schema_version"] < SCHEMA_VERSION:
            unstored = _evidence_of_before(self.id, metadata.get("sources") or ())
            object.__setattr__(self, "unstored", unstored)
            metadata |= {"schema_version": SCHEMA_VERSION, **_summary(unstored.values())}
        object.__setattr__(self, "metadata", metadata)

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
            "creation_mode": f"auto-{source.source}",
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
    """The newest evidence, at most `NEWEST`, the newest last."""
    support = _Field(int)
    """How many stories back it."""
    support_by = _Field(dict[str, int])
    """How many of those have sound evidence, by outcome, and how many are `UNSOUND`."""
    tools = _Field(dict[str, str])
    """The versions of the tools that it is about, as its newest evidence has them."""
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
    refused_since = _Field(str)
    """When the failed call that it prevents was seen first."""
    refused_until = _Field(str)
    """When it was seen last."""
    broken_until = _Field(str)
    """When a call broke its claim and succeeded all the same for the last time."""
    covered_by = _Field(str)
    """The id of the active tip that says more about the same failed call."""

    @property
    def is_of_a_new_rule(self) -> bool:
        """Whether all counterexamples are older than the first refusal: the tool has got its rule since."""
        return bool(self.refused_since) and self.broken_until < self.refused_since

    @property
    def is_of_an_old_rule(self) -> bool:
        """Whether calls broke its claim and succeeded after the last refusal: the tool has another rule."""
        return self.broken_until > self.refused_until

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
        return bool(self.support_by) or self.is_a_persons

    @property
    def evidence_tip_ids(self) -> list[str]:
        """The ids of the tips whose evidence is its own: its own, and those of the tips merged into it."""
        if self.merged_into:
            return []
        return list(dict.fromkeys([self.id, *(merged["id"] for merged in self.merged_from)]))

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

        What the store has of the same story beside the newest evidence must be taken out before. Evidence
        that is unverified, or suspect, adds nothing to what a person or sound evidence says, and gives way to
        it. Sound evidence lifts a quarantine for want of evidence, and no other.
        """
        known = self._evidence_of(source.story)
        others = self._counts(known, {})
        if not source.is_sound and (self.is_a_persons or others.keys() - {UNSOUND}):
            return self
        stored = StoredSource.create(self.id, source)
        sources = [s for s in self.sources if TipSource.of(s).story != source.story]
        unstored = {**self.unstored, stored.id: stored}
        if source.is_sound:
            others.pop(UNSOUND, None)
            sources = [s for s in sources if TipSource.of(s).is_sound]
            unstored = {i: s for i, s in unstored.items() if s is None or s.source.is_sound}
        counts = others + Counter(count_stories({**known, stored.id: stored}.values()))
        backed = replace(self, unstored=unstored)._with_sources([*sources, source.to_json()], counts)
        backed = backed.with_metadata(tools=dict(source.tools)) if source.tools else backed
        return backed._with_quote() if source.is_sound else backed

    def without_story(self, story: StoryKey, stored: Sequence[StoredSource] = ()) -> StoredTip:
        """Return the tip without the evidence of that story, of which the store has `stored`."""
        known = {**self._evidence_of(story), **{each.id: each for each in stored}}
        if not known:
            return self
        unstored = {i: each for i, each in self.unstored.items() if i not in known}
        without = replace(self, unstored={**unstored, **dict.fromkeys(each.id for each in stored)})
        return without._with_sources(
            [s for s in self.sources if TipSource.of(s).story != story],
            self._counts(known, {}),
            gone={each.source.trace_id for each in known.values()},
        )

    def with_outcome(
        self, story: StoryKey, stored: Sequence[StoredSource] = (), *, outcome: str, judged_by: str
    ) -> StoredTip:
        """Return the tip whose evidence from that story, of which the store has `stored`, has that outcome.

        Itself if it has it already.
        """
        before = {each.id: each for each in stored if each.id not in self.unstored}
        before |= {i: each for i, each in self.unstored.items() if each and each.source.story == story}
        after = {
            i: replace(each, source=replace(each.source, outcome=outcome, judged_by=judged_by))
            for i, each in before.items()
        }
        if after == before:
            return self
        now = {"outcome": outcome, "judged_by": judged_by}
        sources = [{**s, **now} if TipSource.of(s).story == story else s for s in self.sources]
        unstored = {**self.unstored, **after}
        return replace(self, unstored=unstored)._with_sources(sources, self._counts(before, after))

    def with_evidence_of(
        self, others: Sequence[StoredTip], support_by: Mapping[str, int] | None = None
    ) -> StoredTip:
        """Return the tip backed by what backs them too; no evidence is lost.

        `support_by` counts the stories behind all of them; by default no two share one.
        """
        tips = [self, *others]
        sources = {_evidence_key(source): source for tip in tips for source in tip.sources}
        unstored = {i: each for tip in tips for i, each in tip.unstored.items()}
        counts = sum((Counter(tip.support_by) for tip in tips), Counter())
        return replace(self, unstored=unstored)._with_sources(
            list(sources.values()), counts if support_by is None else support_by
        )

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

    def with_rule_seen(self, at: str, *, is_refused: bool, is_broken: bool) -> StoredTip:
        """Return the tip after its claim was tested on a conversation that began then."""
        refused = [at, self.refused_since or at, self.refused_until] if is_refused else []
        since, until = (
            (min(refused[:2]), max(refused)) if refused else (self.refused_since, self.refused_until)
        )
        broken_until = max(self.broken_until, at if is_broken else "")
        return self.with_metadata(
            refused_since=since or None, refused_until=until or None, broken_until=broken_until or None
        )

    def without_evidence(self) -> StoredTip:
        """Return the tip with nothing that backs it; evidence that is stored stays so."""
        return replace(self, unstored={}).with_metadata(sources=[], support=0, support_by=None)

    def with_evidence(self, evidence: Sequence[StoredSource]) -> StoredTip:
        """Return the tip whose evidence this is, all there is of it."""
        stories = {each.source.story for each in evidence}
        tip = self._with_sources(
            [s for s in self.sources if TipSource.of(s).story in stories], count_stories(evidence)
        )
        return tip.with_older(each.source for each in evidence)

    def with_older(self, sources: Iterable[TipSource]) -> StoredTip:
        """Return the tip showing some of these sources too, as far as there is room."""
        shown = {source.story for source in self.evidence}
        older = (source.to_json() for source in sources if source.story not in shown)
        room = max(0, NEWEST - len(self.sources))
        return self.with_metadata(sources=[*islice(older, room), *self.sources])

    def known_evidence(self) -> list[StoredSource]:
        """Return what the tip itself knows of its evidence: the newest, and what is not stored yet."""
        newest = (StoredSource.create(self.id, source) for source in self.evidence)
        return [*newest, *filter(None, self.unstored.values())]

    def to_changes(self) -> list[Change]:
        """Return the changes that store the tip with its evidence. Raises `InvalidTipError`."""
        check_metadata(self.id, self.metadata)
        put = Put(id=self.id, type=GUIDELINE, content=self.content, metadata=self.metadata)
        return [put, *(each.to_put() if each else Delete(id=i) for i, each in self.unstored.items())]

    def _with_quote(self) -> StoredTip:
        """Return the tip no more quarantined for want of evidence."""
        if self.status != "quarantined" or not any(one in self.quarantine_reason for one in _OF_EVIDENCE):
            return self
        reason = without_missing_quote(self.quarantine_reason)
        return self.with_metadata(status="quarantined" if reason else "active", quarantine_reason=reason)

    def _evidence_of(self, story: StoryKey) -> dict[str, StoredSource]:
        return {each.id: each for each in self.known_evidence() if each.source.story == story}

    def _counts(self, before: Mapping[str, StoredSource], after: Mapping[str, StoredSource]) -> Counter[str]:
        """Return `support_by` where this evidence of one story is replaced."""
        more, less = count_stories(after.values()), count_stories(before.values())
        return Counter(self.support_by) + Counter(more) - Counter(less)

    def _with_sources(
        self,
        sources: Sequence[Mapping[str, Any]],
        support_by: Mapping[str, int],
        *,
        gone: Collection[str] = (),
    ) -> StoredTip:
        """Return the tip with these newest sources; `gone` are traces that back it no more."""
        first = {}
        task_id = self.metadata.get("source_task_id")
        if sources and not self.is_manual and (not self.sources or not task_id or task_id in gone):
            trace_id, span_id = sources[0]["trace_id"], sources[0].get("span_id") or ""
            first = {"source_task_id": trace_id, "source_span_id": span_id}
        return self.with_metadata(
            sources=list(sources)[-NEWEST:],
            support=sum(support_by.values()),
            support_by=dict(sorted(support_by.items())) or None,
            **first,
        )


def manual_tip(
    content: str, *, category: str = "strategy", trigger: str | None = None, **metadata: Any
) -> Put:
    """Return the change that adds a tip which a person wrote. Raises `InvalidTipError`."""
    known = {"creation_mode": _MANUAL, "category": category, "trigger": trigger or "", "support": 0}
    completed = _completed({**known, "sources": [], **metadata})
    check_metadata(None, completed)
    return Put(type=GUIDELINE, content=content, metadata=completed)


def without_missing_quote(reason: str) -> str:
    """Return the reasons that are left once sound evidence was found."""
    return REASON_SEPARATOR.join(part for part in reason.split(REASON_SEPARATOR) if part not in _OF_EVIDENCE)


def _completed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata with what is always written."""
    # Whoever gives all sources and no version writes as Kaizen did before.
    version = metadata.get("schema_version") or (1 if metadata.get("sources") else SCHEMA_VERSION)
    return {**metadata, "status": metadata.get("status") or "active", "schema_version": version}


def _evidence_of_before(tip_id: str, sources: Iterable[Mapping[str, Any]]) -> dict[str, StoredSource]:
    """Return the sources of a tip of version 1 as they are stored since, by id."""
    found: dict[str, StoredSource] = {}
    stories: Counter[StoryKey] = Counter()
    for source in map(TipSource.of, sources):
        stored = StoredSource.create(tip_id, source, number=stories[source.story])
        stories[source.story] += 1
        found[stored.id] = stored
    return found


def _summary(evidence: Collection[StoredSource]) -> dict[str, Any]:
    """Return what a tip itself says of its evidence; nothing if it has none."""
    if not evidence:
        return {}
    sources = [each.source for each in evidence]
    counts = count_stories(evidence)
    tools = next((source.tools for source in reversed(sources) if source.tools), None)
    return {
        "sources": [source.to_json() for source in sources[-NEWEST:]],
        "support": sum(counts.values()),
        "support_by": counts,
        **({"tools": dict(tools)} if tools else {}),
    }


def _evidence_key(source: Mapping[str, Any]) -> tuple[str, ...]:
    """Tell one piece of evidence from another: the same words of a span count once."""
    return *TipSource.of(source).story, str(source.get("span_id")), str(source.get("quote"))
