"""One logical call, one LLM span: layers that trace the same call are collapsed into the outermost."""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import StatusCode

from kaizen.auto.pipeline.forking import call_in_child
from kaizen.auto.pipeline.spans import UNFINISHED, copy_span, is_openinference, kind_of, scope_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Span

MODEL_CALLS = ("LLM", "EMBEDDING")
# Spans that never end (a stream nobody reads, a smolagents run that raised) must not pile up.
MAX_OPEN = 10_000
# What an inner layer may know better than the outer one that is kept.
SUMMED = ("llm.token_count.", "llm.cost.")
FILLED = (
    "llm.model_name",
    "llm.provider",
    "llm.system",
    "llm.invocation_parameters",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.tools.",
    "llm.finish_reason",
    "embedding.",
)
# What a layer below knows better if kaizen.recall gave the call tips between the two layers.
GIVEN = ("llm.input_messages.", "llm.tools.")
OUTPUT = ("output.", "llm.output_messages.", "embedding.embeddings.")


class Node:
    """Hold one span while it or its parent is open, and the spans below it that wait for its end."""

    __slots__ = ("ended", "held", "is_given_tips", "kind", "parent", "resource", "scope", "span")

    def __init__(
        self, span: ReadableSpan, parent: Node | None = None, resource: Resource | None = None
    ) -> None:
        self.span = span
        self.resource = resource
        self.scope = scope_of(span)
        self.parent = parent
        self.kind: str | None = None
        self.ended = False
        self.is_given_tips = False
        self.held: list[Node] = []

    def current_kind(self) -> str | None:
        return self.kind if self.ended else kind_of(self.span)


class CollapseProcessor(SpanProcessor):
    """Hand spans on to the next processor, without the LLM spans that repeat their parent.

    A span repeats its parent when both are model calls of the same kind and were made by different
    OpenInference instrumentors. It is held until the parent has ended: the parent may set its kind late, and
    takes over what only the inner layer knew.
    """

    def __init__(self, following: SpanProcessor, *, enabled: bool) -> None:
        self._following = following
        self._enabled = enabled
        self._open: OrderedDict[int, Node] = OrderedDict()
        self._lock = threading.RLock()
        call_in_child(self._after_fork)

    def _after_fork(self) -> None:
        # The parent ends what it began; another thread may have held the lock.
        self._lock = threading.RLock()
        self._open = OrderedDict()

    @property
    def open_count(self) -> int:
        """Return the number of spans that have started and not ended."""
        return len(self._open)

    def on_start(
        self, span: Span, parent_context: Context | None = None, *, resource: Resource | None = None
    ) -> None:
        """Take note of a span; `resource` is the one that it will have when it ends, if that is another."""
        if span.context is not None:
            # The agent's own code is running: no error of ours may reach it.
            with suppress(Exception):
                recall = sys.modules.get("kaizen.recall.context")
                attributes = recall.current_attributes() if recall is not None else {}
                if attributes:
                    span.set_attributes(attributes)
                self._opened(span, resource, is_given_tips=bool(attributes))

    def on_end(self, span: ReadableSpan) -> None:
        with suppress(Exception):
            if span.context is not None:
                self._ended(span)
            else:
                self._following.on_end(span)

    def end_open(self) -> int:
        """Hand on every open span as it is, marked as unfinished, the inner ones first; return how many.

        The spans themselves stay open: to end them would make the agent's threads, which may still use
        them, log complaints.
        """
        with self._lock:
            nodes = list(reversed(self._open.values()))
        end_time = time.time_ns()
        for node in nodes:
            with suppress(Exception):
                attributes = {**(node.span.attributes or {}), UNFINISHED: True}
                self._ended(
                    copy_span(node.span, attributes=attributes, resource=node.resource, end_time=end_time)
                )
        return len(nodes)

    def _opened(self, span: Span, resource: Resource | None, *, is_given_tips: bool) -> None:
        released: list[Node] = []
        assert span.context is not None
        with self._lock:
            around = self._open.get(span.parent.span_id) if span.parent is not None else None
            node = Node(span, around if self._enabled else None, resource)
            node.is_given_tips = is_given_tips
            self._open[span.context.span_id] = node
            if len(self._open) > MAX_OPEN:
                released = self._open.popitem(last=False)[1].held
        self._emit(released)

    def _ended(self, span: ReadableSpan) -> None:
        assert span.context is not None
        with self._lock:
            node = self._open.pop(span.context.span_id, None)
            ready = [Node(span)] if node is None else self._close(node, span)
        self._emit(ready)

    def release(self) -> None:
        """Hand on everything held: the process ends, and the parents will not."""
        with self._lock:
            held = [node for parent in self._open.values() for node in parent.held]
            for parent in self._open.values():
                parent.held = []
        self._emit(held)

    def shutdown(self) -> None:
        self.release()
        self._following.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._following.force_flush(timeout_millis)

    def _close(self, node: Node, span: ReadableSpan) -> list[Node]:
        """Return what may go out now that this span has ended; it may be dropped, or held by its parent."""
        node.span, node.kind, node.ended = span, kind_of(span), True
        repeats = [child for child in node.held if _repeats(child, node)]
        others = [child for child in node.held if child not in repeats]
        for child in repeats:
            others += [_moved(below, span) for below in child.held]
        if repeats:
            node.span = _completed(span, [child.span for child in repeats])
            given = [child.span for child in repeats if child.is_given_tips and not node.is_given_tips]
            if given:
                node.span = copy_span(node.span, attributes=_with_given(node.span, given[-1]))
        node.held = []
        parent = node.parent
        node.parent = None
        if parent is None or not _may_repeat(node, parent):
            if (
                parent is not None
                and not parent.ended
                and parent.parent
                and _may_repeat(parent, parent.parent)
            ):
                # The parent may be dropped, and this span then moves to what is above it.
                parent.held.append(node)
                return others
            return [*others, node]
        if parent.ended:
            return others if _repeats(node, parent) else [*others, node]
        node.held = others
        parent.held.append(node)
        return []

    def _emit(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self._emit(node.held)
            self._following.on_end(node.span)


def _may_repeat(node: Node, parent: Node) -> bool:
    kind, above = node.current_kind(), parent.current_kind()
    return (
        node.scope != parent.scope
        and is_openinference(node.span)
        and is_openinference(parent.span)
        and (kind in MODEL_CALLS or (kind is None and not node.ended))
        and above in (kind, None)
    )


def _repeats(node: Node, parent: Node) -> bool:
    return parent.kind is not None and _may_repeat(node, parent)


def _with_given(span: ReadableSpan, below: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of the span with what the layer below was given, which tips were added to."""
    known = {name: value for name, value in (below.attributes or {}).items() if name.startswith(GIVEN)}
    groups = tuple(group for group in GIVEN if any(name.startswith(group) for name in known))
    own = {name: value for name, value in (span.attributes or {}).items() if not name.startswith(groups)}
    return {**own, **known}


def _moved(node: Node, parent: ReadableSpan) -> Node:
    node.span = copy_span(node.span, parent=parent.context)
    return node


def _completed(span: ReadableSpan, repeats: list[ReadableSpan]) -> ReadableSpan:
    """Return the span with what the layers below knew: attributes, and how the last call below ended.

    That counts where the span knows no better: one that is OK and has an answer was retried.
    """
    attributes, last = _merged(span, repeats), repeats[-1]
    has_answer = any(name.startswith(OUTPUT) for name in span.attributes or ())
    is_answered = has_answer and span.status.status_code is StatusCode.OK
    if is_answered or _is_error(span) or not _is_error(last):
        return copy_span(span, attributes=attributes)
    exceptions = [event for event in last.events if event.name == "exception"]
    return copy_span(span, attributes=attributes, status=last.status, events=[*span.events, *exceptions])


def _is_error(span: ReadableSpan) -> bool:
    return span.status.status_code is StatusCode.ERROR


def _merged(span: ReadableSpan, repeats: list[ReadableSpan]) -> dict[str, Any]:
    """Return the attributes of the span, completed by what only the layers below knew.

    Tokens and cost of several calls below are added up, unless the span counted on its own: then only what
    it did not count is taken, from the last call. The rest is taken from the last call that knew it.
    """
    own = dict(span.attributes or {})
    counted = {group for group in SUMMED if any(name.startswith(group) for name in own)}
    merged = dict(own)
    for repeated in reversed(repeats):
        for name, value in (repeated.attributes or {}).items():
            group = next((prefix for prefix in (*SUMMED, *FILLED) if name.startswith(prefix)), None)
            if group in SUMMED:
                if name in merged and group not in counted:
                    merged[name] += value  # type: ignore[operator]
                else:
                    merged.setdefault(name, value)
            elif group is not None and not any(key.startswith(group) for key in own):
                merged.setdefault(name, value)
    return merged
