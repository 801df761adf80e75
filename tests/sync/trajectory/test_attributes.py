"""Span attributes to chat messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.trajectory.attributes import tool_schemas
from kaizen.sync.trajectory.dialects import read_span
from kaizen.sync.trajectory.json_text import canonical_arguments
from kaizen.sync.trajectory.parts import image_placeholder
from tests.support.traces import says, span, told

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Span

PNG = "data:image/png;base64," + "iVBORw0KGgoAAAAN" * 4


def llm_span(attributes: dict[str, Any]) -> Span:
    return span("s1", "LLM", attributes=attributes)


def given(attributes: dict[str, Any]) -> list[Message]:
    return read_span(llm_span(attributes)).given


def answered(attributes: dict[str, Any]) -> list[Message]:
    return read_span(llm_span(attributes)).answer


def request(**body: Any) -> dict[str, Any]:
    return {"input.mime_type": "application/json", "input.value": json.dumps(body)}


def response(value: Any) -> dict[str, Any]:
    return {"output.mime_type": "application/json", "output.value": json.dumps(value)}


def test_flat_messages_come_in_the_order_of_their_numbers() -> None:
    attributes = {
        "llm.input_messages.10.message.role": "user",
        "llm.input_messages.10.message.content": "last",
        "llm.input_messages.2.message.role": "user",
        "llm.input_messages.2.message.content": "second",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "first",
    }

    assert told(given(attributes)) == ["system: first", "user: second", "user: last"]
    assert {message.span_id for message in given(attributes)} == {"s1"}


def test_flat_messages_are_preferred_to_the_raw_request() -> None:
    attributes = {
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "flat",
        **request(messages=[{"role": "user", "content": "raw"}]),
    }

    assert told(given(attributes)) == ["user: flat"]


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("developer", "system"),
        ("model", "assistant"),
        ("ai", "assistant"),
        ("human", "user"),
        ("function", "tool"),
        ("tool", "tool"),
    ],
)
def test_roles_of_other_providers_become_those_of_openai(role: str, expected: str) -> None:
    attributes = {"llm.input_messages.0.message.role": role, "llm.input_messages.0.message.content": "x"}

    assert [message.role for message in given(attributes)] == [expected]


def test_content_parts_are_joined_in_order_and_images_become_placeholders() -> None:
    base = "llm.input_messages.0.message"
    attributes = {
        f"{base}.role": "user",
        f"{base}.contents.1.message_content.type": "image",
        f"{base}.contents.1.message_content.image.image.url": PNG,
        f"{base}.contents.0.message_content.type": "text",
        f"{base}.contents.0.message_content.text": "What is this?",
        f"{base}.contents.2.message_content.type": "text",
        f"{base}.contents.2.message_content.text": "Be brief.",
    }

    assert told(given(attributes)) == [
        "user: What is this?\n[image: image/png, about 48 bytes]\nBe brief.",
    ]


def test_an_image_in_a_raw_request_is_a_placeholder_too() -> None:
    content = [
        {"type": "text", "text": "And this?"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "input_image", "image_url": PNG},
    ]

    [message] = given(request(messages=[{"role": "user", "content": content}]))

    placeholder = "[image: image/png, about 48 bytes]"
    assert message.content == f"And this?\n{placeholder}\n{placeholder}"


@pytest.mark.parametrize(
    ("url", "placeholder"),
    [
        ("https://example.com/dog.jpg", "[image: https://example.com/dog.jpg]"),
        ("https://example.com/dog.jpg?sig=abc&exp=1", "[image: https://example.com/dog.jpg]"),
        ("data:image/jpeg;base64,AAAA", "[image: image/jpeg, about 3 bytes]"),
        ("data:,hello", "[image: unknown type, about 3 bytes]"),
        ("__REDACTED__", "[image: __REDACTED__]"),
    ],
)
def test_a_placeholder_tells_type_and_size_but_no_bytes_and_no_signature(url: str, placeholder: str) -> None:
    assert image_placeholder(url) == placeholder


def test_the_placeholder_of_a_link_without_end_is_short() -> None:
    assert len(image_placeholder("https://example.com/" + "a" * 10_000)) < 250


def test_a_text_given_both_as_content_and_as_part_is_told_once() -> None:
    base = "llm.output_messages.0.message"
    attributes = {
        f"{base}.role": "assistant",
        f"{base}.content": "It is sunny.",
        f"{base}.contents.0.message_content.type": "text",
        f"{base}.contents.0.message_content.text": "It is sunny.",
    }

    assert told(answered(attributes)) == ["assistant: It is sunny."]


def test_reasoning_is_no_part_of_the_answer() -> None:
    base = "llm.output_messages"
    attributes = {
        f"{base}.0.message.role": "assistant",
        f"{base}.0.message.contents.0.message_content.type": "reasoning",
        f"{base}.0.message.contents.0.message_content.text": "Let me think.",
        f"{base}.0.message.contents.0.message_content.encrypted_content": "gAAAA_opaque",
        f"{base}.1.message.role": "assistant",
        f"{base}.1.message.tool_calls.0.tool_call.id": "call_1",
        f"{base}.1.message.tool_calls.0.tool_call.function.name": "look",
        f"{base}.1.message.tool_calls.0.tool_call.function.arguments": "{}",
    }

    assert told(answered(attributes)) == ["assistant:  -> look({})"]


def test_parallel_tool_calls_stay_in_order() -> None:
    base = "llm.output_messages.0.message"
    attributes = {f"{base}.role": "assistant", f"{base}.content": "Both."}
    for number in (10, 2, 0):
        call = f"{base}.tool_calls.{number}.tool_call"
        attributes |= {
            f"{call}.id": f"call_{number}",
            f"{call}.function.name": "look",
            f"{call}.function.arguments": json.dumps({"n": number}),
        }

    [message] = answered(attributes)

    assert [(call.id, call.arguments) for call in message.tool_calls] == [
        ("call_0", '{"n": 0}'),
        ("call_2", '{"n": 2}'),
        ("call_10", '{"n": 10}'),
    ]


def test_items_of_one_answer_are_one_message() -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "id": "fc1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "id": "fc2", "name": "find", "arguments": "{}"},
    ]

    [message] = answered(response({"object": "response", "output": output}))

    assert told([message]) == ["assistant: I look. -> look({}) -> find({})"]
    assert [call.id for call in message.tool_calls] == ["c1", "c2"]


def test_a_streamed_answer_of_openai_agents_is_read_from_its_output_value() -> None:
    value = [
        {
            "object": "response",
            "output": [{"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"n": 1}'}],
        }
    ]

    assert told(answered(response(value))) == ['assistant:  -> look({"n": 1})']


def test_a_responses_request_is_read_with_its_instructions_and_items() -> None:
    items = [
        {"role": "user", "content": "Look."},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "seen"},
    ]

    messages = given(request(model="gpt-4o", instructions="Be brief.", input=items))

    assert told(messages) == ["system: Be brief.", "user: Look.", "assistant:  -> look({})", "tool: seen"]
    assert messages[-1].tool_call_id == "c1"


def test_a_responses_request_may_be_one_text() -> None:
    assert told(given(request(model="gpt-4o", input="Hello"))) == ["user: Hello"]


def test_an_input_value_of_items_alone_is_read() -> None:
    value = json.dumps([{"role": "user", "content": "Hello"}])

    assert told(given({"input.value": value})) == ["user: Hello"]


def test_a_chat_completion_is_read_from_the_raw_response() -> None:
    value = {"choices": [{"message": says("Yes.", ("c1", "look", "{}"))}, {"message": says("No.")}]}

    assert told(answered(response(value))) == ["assistant: Yes. -> look({})"]


def test_plain_text_output_is_the_answer_and_unknown_json_is_none() -> None:
    assert told(answered({"output.value": "Just text.", "output.mime_type": "text/plain"})) == [
        "assistant: Just text."
    ]
    assert answered(response({"id": "x", "model": "gpt-4o"})) == []
    assert answered({"output.value": "   "}) == []
    assert answered({}) == []


@pytest.mark.parametrize("role", ["user", "unknown", "AI", "system", None])
def test_an_output_is_the_assistants_whatever_its_role_is_called(role: str | None) -> None:
    attributes = {"llm.output_messages.0.message.content": "an answer"}
    if role:
        attributes["llm.output_messages.0.message.role"] = role

    assert told(answered(attributes)) == ["assistant: an answer"]


def test_the_old_function_call_keys_are_a_tool_call() -> None:
    base = "llm.output_messages.0.message"
    attributes = {
        f"{base}.role": "assistant",
        f"{base}.function_call_name": "look",
        f"{base}.function_call_arguments_json": '{"n": 1}',
    }

    assert told(answered(attributes)) == ['assistant:  -> look({"n": 1})']


SMOLAGENTS_CALLS = [
    {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": {"city": "Köln", "n": None}},
    },
    {"id": "call_2", "type": "function", "function": {"name": "run", "arguments": "print('it\\'s')\n"}},
]


def smolagents(role: str, text: str) -> list[Message]:
    base = "llm.input_messages.0.message"
    return given(
        {
            f"{base}.role": role,
            f"{base}.contents.0.message_content.type": "text",
            f"{base}.contents.0.message_content.text": text,
        }
    )


def test_calls_that_smolagents_writes_as_text_are_tool_calls() -> None:
    [message] = smolagents("tool-call", f"Calling tools:\n{SMOLAGENTS_CALLS!r}")

    assert (message.role, message.content) == ("assistant", "")
    assert [(call.id, call.name, call.arguments) for call in message.tool_calls] == [
        ("call_1", "look", '{"city": "Köln", "n": null}'),
        ("call_2", "run", "print('it\\'s')\n"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Calling tools:\n[{'id': 'c1', 'function': {'name': 'f', 'arguments': <object at 0x7f>}}]",
        "Calling tools:\n[{'id': 'c1', 'function': {'name': 'f', 'argume",
        "Calling tools:\n" + "[" * 100_000,
        "Calling tools:\n" + "1+" * 50_000 + "1",
        "Calling tools:\n{'not': 'a list'}",
        "no list at all",
    ],
    ids=["object", "cut", "deep", "long", "dict", "none"],
)
def test_calls_of_smolagents_that_cannot_be_read_stay_as_text(text: str) -> None:
    [message] = smolagents("tool-call", text)

    assert (message.role, message.content, message.tool_calls) == ("assistant", text, ())


def test_what_smolagents_observed_is_the_tools_result() -> None:
    [message] = smolagents("tool-response", "Observation:\nParis: 21C, sunny")

    assert (message.role, message.content) == ("tool", "Paris: 21C, sunny")


def test_neighbouring_assistant_messages_are_one() -> None:
    base = "llm.input_messages"
    attributes = {
        f"{base}.0.message.role": "assistant",
        f"{base}.0.message.content": "I look.",
        f"{base}.1.message.role": "tool-call",
        f"{base}.1.message.content": f"Calling tools:\n{SMOLAGENTS_CALLS[:1]!r}",
        f"{base}.2.message.role": "assistant",
        f"{base}.3.message.role": "user",
        f"{base}.3.message.content": "Well?",
        f"{base}.4.message.role": "assistant",
    }

    assert told(given(attributes)) == [
        'assistant: I look. -> look({"city": "Köln", "n": null})',
        "user: Well?",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": [1, 2]}', '{"b":[1,2],"a":1}'),
        ('{"city": "K\\u00f6ln"}', '{"city":"Köln"}'),
        (" not json ", "not json"),
    ],
)
def test_reserialised_arguments_compare_equal(one: str, other: str) -> None:
    assert canonical_arguments(one) == canonical_arguments(other)


def test_other_arguments_do_not_compare_equal() -> None:
    assert canonical_arguments('{"a": 1}') != canonical_arguments('{"a": "1"}')


def test_tool_schemas_come_in_order_and_other_keys_are_left() -> None:
    attributes = {
        "llm.tools.10.tool.json_schema": '{"name": "last"}',
        "llm.tools.2.tool.json_schema": {"name": "second"},
        "llm.tools.x.tool.json_schema": "{}",
        "llm.tools.json_schema": "{}",
        "llm.tools.0.tool.name": "first",
    }

    assert tool_schemas(llm_span(attributes)) == ['{"name": "second"}', '{"name": "last"}']


@pytest.mark.parametrize(
    "value",
    [
        "[" * 100_000,
        '{"messages": ' * 900 + "[]" + "}" * 900,
        "[" * 900 + "]" * 900,
        '{"messages": [1, null, {}, {"role": 7}, {"role": "user", "content": {"x": 1}}, [[]]]}',
        '{"choices": [null, {}]}',
        '{"choices": [{"message": null}]}',
        '{"output": [{"type": "function_call"}, {"type": "message"}]}',
        '{"messages": [{"role": "assistant", "tool_calls": [1, {"function": "f"}, {"function": {}}]}]}',
        '{"input": {"model": 1}, "model": 1}',
        "{",
        "null",
        "",
    ],
)
def test_values_of_any_shape_are_read_or_left_but_never_fatal(value: str) -> None:
    attributes = {"input.value": value, "output.value": value, "output.mime_type": "application/json"}

    assert isinstance(given(attributes), list)
    assert isinstance(answered(attributes), list)


@pytest.mark.parametrize("value", [1, 1.5, True, None, ["a", {"b": 1}], {"type": "x"}])
def test_attributes_of_any_type_are_read_as_text(value: Any) -> None:
    base = "llm.input_messages.0.message"
    attributes = {
        f"{base}.role": "user",
        f"{base}.content": value,
        f"{base}.contents.0.message_content.text": value,
        f"{base}.contents.1.message_content.image.image.url": value,
        f"{base}.tool_calls.0.tool_call.function.arguments": value,
        f"{base}.tool_calls.{'9' * 5000}.tool_call.id": value,
        f"llm.input_messages.{'9' * 5000}.message.role": "user",
    }

    [message] = given(attributes)

    assert isinstance(message.content, str)
    assert all(isinstance(call.arguments, str) for call in message.tool_calls)
