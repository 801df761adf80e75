"""Spans are fit for the wire before they are sent, whatever is in them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status, StatusCode

from kaizen.auto.pipeline.export import encode
from kaizen.auto.pipeline.fitting import Limits, fit, replace_surrogates
from tests.auto.dripping import DrippingServer

if TYPE_CHECKING:
    from tests.auto.collector import Collector
    from tests.auto.conftest import RunAgent

FILE = base64.b64encode(bytes(range(256)) * 200).decode()


def span_of(**attributes: Any) -> ReadableSpan:
    return ReadableSpan(
        "span", attributes={name.replace("__", "."): value for name, value in attributes.items()}
    )


def fitted(limits: Limits, **attributes: Any) -> dict[str, Any]:
    return dict(fit(span_of(**attributes), limits).attributes or {})


@pytest.mark.parametrize(
    ("text", "clean"),
    [("a\ud83d", "a\ufffd"), ("\udc00b", "\ufffdb"), ("\ud83d\ude00", "\U0001f600"), ("ü 漢 😀", "ü 漢 😀")],
)
def test_half_characters_are_replaced_and_whole_ones_kept(text: str, clean: str) -> None:
    assert replace_surrogates(text) == clean


def test_half_characters_are_replaced_wherever_text_is() -> None:
    event = Event("exception", {"exception.message": "\ud83d", "exception.type": "Boom"}, timestamp=1)
    span = ReadableSpan(
        "span",
        attributes={"one": "\ud83d", "many": ("a", "\ud83d"), "number": 1},
        events=[event],
        status=Status(StatusCode.ERROR, "\ud83d"),
    )
    clean = fit(span, Limits())
    assert dict(clean.attributes or {}) == {"one": "\ufffd", "many": ("a", "\ufffd"), "number": 1}
    assert dict(clean.events[0].attributes or {}) == {"exception.message": "\ufffd", "exception.type": "Boom"}
    assert clean.events[0].timestamp == 1
    assert clean.status.description == "\ufffd"
    assert b"\xef\xbf\xbd" in encode_one(span)


def encode_one(span: ReadableSpan) -> bytes:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import SpanContext

    context = SpanContext(1, 2, is_remote=False)
    whole = ReadableSpan(
        span.name,
        context=context,
        resource=Resource({}),
        attributes=span.attributes,
        events=span.events,
        status=span.status,
        start_time=1,
        end_time=2,
    )
    return bytes(encode([whole], Limits()).SerializeToString())


def test_a_span_that_is_fit_is_not_copied() -> None:
    span = span_of(text="ü" * 50_000, number=1, words=("a", "b"))
    assert fit(span, Limits(base64_length=32_000)) is span


def test_files_and_audio_are_cut_and_what_is_around_them_is_kept() -> None:
    request = {"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": FILE}}]}], "x": "y"}
    attributes = fitted(Limits(base64_length=32_000), input__value=json.dumps(request), short="QUJD")
    said = json.loads(attributes["input.value"])
    assert said["messages"][0]["content"][0]["input_audio"]["data"] == "__REDACTED__"
    assert (said["x"], attributes["short"]) == ("y", "QUJD")
    assert FILE in fitted(Limits(), input__value=json.dumps(request))["input.value"]


def test_images_stay_as_openinference_left_them() -> None:
    image = {"output.images.0.image.url": f"data:image/png;base64,{FILE}"}
    assert fitted(Limits(base64_length=32_000), **image) == image


def test_a_limit_of_length_cuts_texts_and_leaves_json_whole() -> None:
    attributes = fitted(
        Limits(text_length=5),
        text="abcdefgh",
        json=json.dumps({"a": ["0123456789", 1], "b": {"c": "x" * 100}}),
        broken='{"a": "0123',
    )
    assert attributes["text"] == "abcde"
    assert json.loads(attributes["json"]) == {"a": ["01234", 1], "b": {"c": "xxxxx"}}
    assert attributes["broken"] == '{"a":'


def test_a_limit_of_count_gives_up_the_messages_first() -> None:
    messages = {f"llm.input_messages.{number}.message.content": "hello" for number in range(5)}
    kept = fitted(
        Limits(attribute_count=3), **messages, output__value="answer", openinference__span__kind="LLM"
    )
    assert list(kept)[:2] == ["openinference.span.kind", "output.value"]
    assert len(kept) == 3


AGENT = """
import logging
logging.basicConfig(level=logging.WARNING)
import kaizen.auto
import openai
client = openai.OpenAI(default_headers={"x-how": HOW})
ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
print(client.chat.completions.create(**ask).choices[0].message.content.encode("utf-8", "replace"))
print(len(list(client.chat.completions.create(**ask, stream=True))))
"""


@pytest.mark.parametrize("how", ["surrogate", ""])
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "60"},
        {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "60", "OTEL_ATTRIBUTE_COUNT_LIMIT": "20"},
    ],
)
def test_a_call_is_told_quietly_with_its_answer(
    how: str, limits: dict[str, str], run_agent: RunAgent, collector: Collector
) -> None:
    source = AGENT.replace("HOW", repr(how))
    with DrippingServer() as server:
        settings = {"OPENAI_BASE_URL": server.base_url, **limits}
        without = run_agent(source, enabled=False, **settings)
        ended = run_agent(source, **settings)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, without.stdout, "")
    answer = "The answer is forty-two." + ("\ufffd" if how else "")
    contents = [span.attributes["llm.output_messages.0.message.content"] for span in collector.spans]
    assert contents == [answer, answer]
    whole, streamed = (span.attributes for span in collector.spans)
    for attributes in (whole, streamed):
        if "OTEL_ATTRIBUTE_COUNT_LIMIT" not in limits:
            assert answer in json.dumps(json.loads(attributes["output.value"]), ensure_ascii=False)
        assert json.loads(attributes["input.value"])["model"] == "gpt-4o-mini"


def test_audio_leaves_the_agent_whole_and_the_process_cut(run_agent: RunAgent, collector: Collector) -> None:
    source = f"""
import kaizen.auto
import openai
audio = {{"type": "input_audio", "input_audio": {{"data": {FILE!r}, "format": "wav"}}}}
data = "data:application/pdf;base64," + {FILE!r}
file = {{"type": "file", "file": {{"filename": "a.pdf", "file_data": data}}}}
content = [audio, file, {{"type": "text", "text": "hello"}}]
openai.OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=[{{"role": "user", "content": content}}]
)
"""
    with DrippingServer() as server:
        ended = run_agent(source, OPENAI_BASE_URL=server.base_url)
        ((_, body),) = server.bodies
    assert (ended.returncode, ended.stderr) == (0, "")
    assert body.count(FILE.encode()) == 2
    (span,) = collector.spans
    assert "hello" in span.attributes["input.value"]
    assert not any(FILE[:1000] in str(value) for value in span.attributes.values())
