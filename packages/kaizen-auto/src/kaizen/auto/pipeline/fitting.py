"""Makes finished spans fit for the wire: text that can be encoded, no files in it, within the limits set.

Runs on the thread that sends, and not where the agent runs. The limits are those of OpenTelemetry's
variables, which its SDK would apply with a log line for each attribute, cutting JSON in the middle.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from kaizen.auto.pipeline.spans import copy_span

if TYPE_CHECKING:
    from collections.abc import Mapping

# What OpenInference writes in place of an image.
REDACTED = "__REDACTED__"
# Starts where a run starts, or each of its characters would be tried.
BASE64 = r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{%d,}={0,2}"
IMAGE = ".image"
# What is kept first and what is given up first where there are more attributes than allowed.
MOST, LEAST = "openinference.", ("llm.input_messages.", "llm.tools.")


class Limits(NamedTuple):
    """How much of a span is sent; 0 is no limit, lengths are in characters.

    `base64_length` is the longest base64 that stays: files, audio and images are longer.
    """

    base64_length: int = 0
    text_length: int = 0
    attribute_count: int = 0


def fit(span: ReadableSpan, limits: Limits) -> ReadableSpan:
    """Return the span as it can be sent; itself if nothing has to change."""
    attributes = span.attributes or {}
    fitting = _fit_attributes(attributes, limits)
    events = [_fit_event(event, limits) for event in span.events]
    said = span.status.description
    status = span.status
    if said is not None and (clean := replace_surrogates(said)) is not said:
        status = Status(span.status.status_code, clean)
    if fitting is attributes and status is span.status and all(map(_is_same, events, span.events)):
        return span
    return copy_span(span, attributes=fitting, events=events, status=status)


def replace_surrogates(text: str) -> str:
    """Join pairs of surrogates and replace single ones, which UTF-8 cannot express."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _is_same(event: Event, other: Event) -> bool:
    return event is other


def _fit_event(event: Event, limits: Limits) -> Event:
    attributes = event.attributes or {}
    fitting = _fit_attributes(attributes, limits._replace(attribute_count=0))
    return event if fitting is attributes else Event(event.name, fitting, event.timestamp)


def _fit_attributes(attributes: Mapping[str, Any], limits: Limits) -> Mapping[str, Any]:
    changed = {
        name: fitting
        for name, value in attributes.items()
        if (fitting := _fit_value(value, _limits_of(name, limits))) is not value
    }
    result = {**attributes, **changed} if changed else attributes
    if limits.attribute_count and len(result) > limits.attribute_count:
        kept = sorted(result, key=_rank)[: limits.attribute_count]
        result = {name: result[name] for name in kept}
    return result


def _limits_of(name: str, limits: Limits) -> Limits:
    # OpenInference has cut or kept images itself.
    return limits._replace(base64_length=0) if IMAGE in name else limits


def _rank(name: str) -> int:
    return 0 if name.startswith(MOST) else 2 if name.startswith(LEAST) else 1


def _fit_value(value: Any, limits: Limits) -> Any:
    if isinstance(value, str):
        return _fit_text(value, limits)
    if isinstance(value, tuple | list) and any(isinstance(item, str) for item in value):
        fitting = tuple(_fit_value(item, limits) for item in value)
        return value if all(one is other for one, other in zip(fitting, value, strict=True)) else fitting
    return value


def _fit_text(text: str, limits: Limits) -> str:
    text = replace_surrogates(text)
    if limits.base64_length and len(text) > limits.base64_length:
        replaced, count = re.subn(BASE64 % (limits.base64_length + 1), REDACTED, text)
        text = replaced if count else text
    if limits.text_length and len(text) > limits.text_length:
        return _shorten(text, limits.text_length)
    return text


def _shorten(text: str, length: int) -> str:
    """Cut a text, or each text in it where it is JSON, so that it stays JSON."""
    if text.startswith(("{", "[")):
        try:
            return json.dumps(_shorten_texts(json.loads(text), length), ensure_ascii=False)
        except (ValueError, RecursionError):
            pass
    return text[:length]


def _shorten_texts(value: Any, length: int) -> Any:
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, list):
        return [_shorten_texts(item, length) for item in value]
    if isinstance(value, dict):
        return {name: _shorten_texts(item, length) for name, item in value.items()}
    return value
