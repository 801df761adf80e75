"""What kind of JSON a value is, and which module reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kaizen.sync.sources.files import chats, openinference, otlp
from kaizen.sync.sources.files.following import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.sync.model import Span
    from kaizen.sync.sources.files.following import Place

UNKNOWN = "values that are neither spans nor conversations"
# The Collector writes these into files of their own, or between traces.
_OTHER_SIGNALS = ("resourceLogs", "resourceMetrics", "resourceProfiles")
_LISTS = ("data", "spans", "traces", "conversations")


class TraceReader:
    """Reads OTLP, what Phoenix and OpenInference export, and chats."""

    def wants(self, first: Any) -> bool:
        return True

    def reads_whole(self, first: Any) -> bool:
        """Return whether a file is one conversation, a message a line."""
        return chats.is_message(first)

    def read(self, values: Sequence[Any], place: Place) -> list[Span]:
        if chats.is_message(values[0]):
            messages = [value for value in values if isinstance(value, Mapping)]
            return chats.read_chat(messages, place, name=f"file:{place.path}")
        return list(_spans(values[0], place))


def _spans(value: Any, place: Place) -> Iterator[Span]:
    if isinstance(value, Mapping):
        yield from _of_object(value, place)
    elif chats.is_chat(value):
        yield from chats.read_chat(value, place)
    elif isinstance(value, list):
        for item in value:
            yield from _spans(item, place)
    else:
        raise UnreadableError(UNKNOWN)


def _of_object(value: Mapping[str, Any], place: Place) -> Iterator[Span]:
    if otlp.holds_spans(value):
        yield from otlp.read_spans(value)
    elif openinference.is_span(value):
        yield openinference.read_span(value)
    elif chats.is_chat(value):
        yield from chats.read_chat(value, place)
    elif held := next((value[name] for name in _LISTS if isinstance(value.get(name), list)), None):
        for item in held:
            yield from _spans(item, place)
    elif not any(name in value for name in _OTHER_SIGNALS):
        raise UnreadableError(UNKNOWN)
