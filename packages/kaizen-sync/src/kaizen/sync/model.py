"""The values that flow from a source to the store: spans, traces, trajectories, tips."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

OutcomeName = Literal["success", "failure", "unknown"]

Clock = Callable[[], datetime]
"""Gives the time in UTC."""


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One operation of a trace. `attributes` are flat, with dotted keys; times are aware."""

    span_id: str
    trace_id: str
    parent_id: str | None
    name: str
    kind: str
    status: str
    status_message: str
    start_time: datetime
    end_time: datetime
    attributes: Mapping[str, Any]
    events: tuple[SpanEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """How far a source has come: the sync keeps it, compares it, and gives it back, and reads nothing in it.

    `token` is anything by which the source finds that place again. `row` numbers the newest row in a source
    that numbers them: of a few new rows among many, only these are asked for. `start_time` is about that of
    the newest trace.
    """

    token: str
    row: int | None = None
    start_time: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedSpan:
    """What the index of a source tells of a span: enough for a digest, no attributes."""

    span_id: str
    parent_id: str | None
    end_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedTrace:
    """A trace as the index of a source lists it, with all spans that have arrived so far."""

    trace_id: str
    start_time: datetime
    spans: tuple[IndexedSpan, ...]

    @classmethod
    def of(cls, trace: Trace) -> IndexedTrace:
        """Return how an index lists a trace that is known whole."""
        spans = tuple(
            IndexedSpan(span_id=span.span_id, parent_id=span.parent_id, end_time=span.end_time)
            for span in trace.spans
        )
        return cls(trace_id=trace.trace_id, start_time=trace.start_time, spans=spans)

    @property
    def digest(self) -> str:
        return span_digest(self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All spans that share a trace id, in order of their start."""

    trace_id: str
    spans: tuple[Span, ...]

    @property
    def digest(self) -> str:
        return span_digest(self.spans)

    @property
    def start_time(self) -> datetime:
        return min(span.start_time for span in self.spans)


def is_settled(trace: IndexedTrace | Trace, now: datetime, *, quiet_s: float, max_wait_s: float) -> bool:
    """Whether no more spans are to be expected.

    Its root has ended and nothing has for `quiet_s` seconds; or nothing has for `max_wait_s`, root or no
    root: a run that raises may never export its root. A clock that is ahead by more says nothing.
    """
    newest = max((span.end_time for span in trace.spans), default=trace.start_time)
    # Negative where the clock of the agent is ahead.
    age_s = (now - newest).total_seconds()
    if any(span.parent_id is None for span in trace.spans):
        return age_s >= quiet_s or age_s < -max_wait_s
    return abs(age_s) >= max_wait_s


def span_digest(spans: tuple[IndexedSpan, ...] | tuple[Span, ...]) -> str:
    """A digest of span ids and end times: the same for the same spans, whatever their order."""
    lines = sorted(f"{span.span_id} {span.end_time.astimezone(UTC).isoformat()}" for span in spans)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call the model asked for. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in OpenAI's chat format, and the span it was read from."""

    role: str
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""
    span_id: str = ""

    def to_json(self) -> dict[str, Any]:
        """The message as OpenAI's chat API writes it, plus `span_id`."""
        value: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            value["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        more = {"tool_call_id": self.tool_call_id, "name": self.name, "span_id": self.span_id}
        return value | {key: text for key, text in more.items() if text}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Message:
        """The message that `to_json` gave."""
        return cls(
            role=value["role"],
            content=value["content"],
            tool_calls=tuple(
                ToolCall(
                    id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"]
                )
                for call in value.get("tool_calls") or ()
            ),
            tool_call_id=value.get("tool_call_id", ""),
            name=value.get("name", ""),
            span_id=value.get("span_id", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error: its kind, in words of ours; what it says, in its own; and the line to quote.

    It `is_sure` if the form of the result says so, and not its words alone.
    """

    kind: str
    message: str
    line: str
    is_sure: bool = True

    @property
    def is_passing(self) -> bool:
        """Return whether the same call may succeed a little later."""
        return self.kind in ("rate limit", "timeout", "unavailable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a trajectory ended, as far as is known, and who says so.

    `annotator_kind` is HUMAN, CODE or LLM where an annotation says so, and empty where the spans do.
    """

    name: OutcomeName = "unknown"
    judged_by: str = ""
    detail: str = ""
    annotator_kind: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that the agent's own model calls used, each call counted once."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation beside the main one, such as a sub-agent's; `name` is its agent's, if known."""

    name: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Which tips recall chose for a unit, a session or else a run: each was shown, or held out.

    Tips are written `id@revision`. `p` is the probability of being held out, by the id of the tip; `*` stands
    for all of them, which a unit that `is_control` is given none of.
    """

    unit: str
    shown: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    p: Mapping[str, float] = field(default_factory=dict)
    snapshot: str = ""
    is_control: bool = False

    @property
    def shown_ids(self) -> frozenset[str]:
        """The ids of the tips that were shown, in whichever revision."""
        return frozenset(ref.rpartition("@")[0] or ref for ref in self.shown)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "shown": list(self.shown), "held_out": list(self.held_out)}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Exposure:
        """The exposure that `to_json` gave."""
        return cls(**{**value, "shown": tuple(value["shown"]), "held_out": tuple(value["held_out"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """The ordered messages of one trace.

    `errors` are those that no message tells: failed model calls, steps that raised. `tools` are the
    JSON schemas that the model was offered. `response_ids` are those of the answers in it, and
    `previous_response_id` is that of another trace's answer which it goes on from, each as far as known.
    `has_unrecorded_tips` says that the run was given tips of Kaizen, and `exposures` lack which.
    """

    trace_id: str
    messages: tuple[Message, ...]
    side_conversations: tuple[Conversation, ...] = ()
    errors: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    outcome: Outcome = field(default_factory=Outcome)
    usage: Usage = field(default_factory=Usage)
    session_id: str = ""
    models: tuple[str, ...] = ()
    response_ids: tuple[str, ...] = ()
    previous_response_id: str = ""
    exposures: tuple[Exposure, ...] = ()
    has_unrecorded_tips: bool = False

    def all_messages(self) -> tuple[Message, ...]:
        """Main and side conversations, one after the other."""
        return self.messages + tuple(m for side in self.side_conversations for m in side.messages)


Target = Literal["trace", "session", "span"]


TARGETS: tuple[Target, ...] = get_args(Target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What somebody said of a trace, of its session, or of a span in it.

    `annotator_kind` is Phoenix's: HUMAN, CODE or LLM. `is_root` says that a span has no parent.
    """

    target: Target
    name: str
    label: str = ""
    score: float | None = None
    annotator_kind: str = "HUMAN"
    explanation: str = ""
    is_root: bool = True

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


OWN_NAME = "kaizen"
"""The name of the annotations that Kaizen itself writes. They say nothing of how a run ended."""

ANY_NAME = "*"
_NAMES = "outcome success correctness task_success task_completion resolution feedback user_feedback"
_SUCCESS = "success correct pass passed good yes true resolved complete completed positive thumbs_up 👍"
_FAILURE = "failure fail failed incorrect wrong bad no false unresolved incomplete negative thumbs_down 👎"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRules:
    """Which annotations count, and what they mean.

    `names` are compared without case, and with `-` and spaces as `_`; `*` stands for every name. So are
    labels, which decide before scores. A score of at least `success_score` is a success and one of at most
    `failure_score` a failure; one between says nothing, nor does one above 1 unless `success_score` is.
    An annotation of a span below the root speaks of that span alone, unless `include_inner_spans`.
    """

    names: tuple[str, ...] = tuple(_NAMES.split())
    success_labels: tuple[str, ...] = tuple(_SUCCESS.split())
    failure_labels: tuple[str, ...] = tuple(_FAILURE.split())
    success_score: float = 0.7
    failure_score: float = 0.3
    include_inner_spans: bool = False
