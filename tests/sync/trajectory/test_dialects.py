"""Every known way to write a model call into a span, from recorded spans and from small hand-made ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync import UnknownShapeError
from kaizen.sync.model import SpanEvent
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.dialects import AGENT_RUNS, DIALECTS
from tests.support.traces import load_traces, span, told, tool, trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kaizen.sync.model import Span, Trace, Trajectory

ASKED_YEAR = (
    "user: Use the tools to find what year it is in the America/New_York timezone "
    "and write the value (single number) to a file"
)
NOW = 'tool: {\n  "timezone": "America/New_York",\n  "datetime": "2025-05-19T'
WROTE = "The current year in the America/New_York timezone is 2025. I have written this value to a file."
POLICY = "system: # Retail agent policy"
GREETING = "assistant: Hi! How can I help you today?"
WEATHER_CALL = 'assistant:  -> get_current_weather({"location": "San Francisco"})'
WEATHER = "The weather in San Francisco is 70 degrees and sunny."

CALLED_TOOL = (
    "assistant: Called Tool: 'get_current_time' with arguments: {'timezone': 'America/New_York'}"
    ' -> get_current_time({"timezone": "America/New_York"})'
)

# How each line of the trajectory begins; the whole line where it is shorter.
SHAPES: dict[str, list[str]] = {
    "01_oi_flat_openai": [
        POLICY,
        GREETING,
        "user: Hi. I need to exchange a Fleece Jacket I bought.",
        "assistant: I can help you with your exchange and address update.",
        "user: My email is yusuf.hernandez8836@example.com.",
        'assistant:  -> find_user_id_by_email({"email": "yusuf.hernandez8836@example.com"})',
        "tool: yusuf_hernandez_6785",
        'assistant:  -> get_user_details({"user_id": "yusuf_hernandez_6785"})',
        'tool: {"user_id": "yusuf_hernandez_6785", "name": {"first_name": "Yusuf",',
        "assistant: Thank you for verifying your email. I will help you with the following:",
        "user: Um, I",
        'assistant:  -> get_order_details({"order_id": "#W2166301"}) -> get_order_details({"order_id":',
    ],
    "02_oi_litellm_no_tool_call_id": [
        POLICY,
        GREETING,
        "user: Hi, I need to check the balance on my gift card,",
        "assistant: I",
        "user: Sure, it",
        'assistant:  -> find_user_id_by_email({"email": "isabella.lopez3271@example.com"})',
        "tool: isabella_lopez_6490",
        'assistant:  -> get_user_details({"user_id": "isabella_lopez_6490"})',
        'tool: {"user_id": "isabella_lopez_6490",',
        'assistant:  -> get_order_details({"order_id": "#W4923227"})',
        'tool: {"order_id": "#W4923227",',
        "assistant: Here",
    ],
    "04_litellm_native_raw": [
        POLICY,
        GREETING,
        "user: Hi, I need some help with an order that was sent to Texas by mistake.",
        "assistant: I",
        "user: I'm sorry, but I don't remember the email address I used.",
        "assistant: No problem! I can look up your account using your first name,",
        "user: Sure! My name is Isabella Johansson, and my zip code is 32286.",
        'assistant:  -> find_user_id_by_name_zip({"first_name": "Isabella", "last_name": "Johansson",',
    ],
    "05_oi_anthropic_blocks": [
        "user: What is the weather like in San Francisco in Fahrenheit?",
        "assistant: Certainly! I can help you get the current weather information for San Francisco",
        'tool: {"weather": "sunny", "temperature": "75"}',
        "assistant: The current weather in San Francisco, CA is **sunny** with a temperature of **75°F**.",
    ],
    "06_oi_anthropic_completions": [
        "user: \n\nHuman: why is the sky blue? respond in five words or less. \n\nAssistant:",
        "assistant:  Light scatters blue.",
    ],
    "07_oi_content_indexed": ["user: Reply with exactly the word: ok", "assistant: ok"],
    "08_oi_reasoning_blocks": [
        "user: Think and use a tool",
        'assistant:  -> Bash({"command": "echo hi"})',
        "assistant: The answer is 42.",
    ],
    # The answer is nothing but reasoning, which no later call is given.
    "09_oi_responses_encrypted": ["user: What is 2 + 2?"],
    "10_oi_gemini_role_model": [
        "system: You are a helpful assistant that can answer questions and help with tasks.",
        "user: What's the weather like?",
        'assistant:  -> get_weather({"location": "San Francisco"})',
        'tool: {"location": "San Francisco", "temperature": 65, "unit": "fahrenheit",',
    ],
    "11_oi_autogen_function_role": [
        "system: You are a helpful assistant that can check the weather.",
        "user: What is the weather in New York?",
        'assistant:  -> get_weather({"city":"New York"})',
        "tool: The weather in New York is 73 degrees and Sunny.",
        "assistant: The weather in New York is currently 73 degrees and sunny.",
    ],
    # A call that was given only what is new: the call that the result answers is in the span before.
    "12_oi_agent_framework": [
        "system: You are a weather assistant. Use the get_weather tool when asked about weather.",
        "tool: The weather in San Francisco is sunny and 72°F",
        "assistant: The weather in San Francisco is sunny with a temperature of 72°F.",
    ],
    "13_oi_bedrock_agent": [
        "system:  You are agent to answer customer questions with help of action groups",
        "user: Find the sum of 10 and 20",
        "assistant: <thinking>\nTo find the sum of 10 and 20, I can use the",
    ],
    "14_oi_langchain_react": [
        "system: Search the web to answer",
        ASKED_YEAR,
        'assistant:  -> get_current_time({"timezone": "America/New_York"})',
        NOW,
        'assistant:  -> write_file({"text": "2025"})',
        "tool: null",
        "assistant: The year in the America/New_York timezone is 2025. I have written this value to a file.",
    ],
    # The framework asks for tools in text, and so did the model see it.
    "15_oi_llamaindex_react_text": [
        "system: You are designed to help with a variety of tasks,",
        ASKED_YEAR,
        "assistant: Thought: I need to get the current time in the America/New_York timezone",
        "user: Observation: meta=None content=[TextContent(type='text',",
        "assistant: Thought: I have the current datetime in the America/New_York timezone,",
    ],
    "16_oi_smolagents": [
        "system: Search the web to answer",
        ASKED_YEAR.replace("Use", "New task:\nUse"),
        CALLED_TOOL,
        NOW,
        'assistant:  -> write_file({"text":"2025"})',
    ],
    "17_oi_openai_agents_generation": [
        "system: Search the web to answer",
        ASKED_YEAR,
        'assistant:  -> get_current_time({"timezone":"America/New_York"})',
        'tool: {"type":"text","text":"{\\n  \\"timezone\\": \\"America/New_York\\",',
        'assistant:  -> write_file({"text":"2025"})',
        "tool: None",
        f"assistant: {WROTE}",
    ],
    "19_gen_ai_prompt_N_legacy": [WEATHER_CALL, f"tool: {WEATHER}", f"assistant: {WEATHER}"],
    "20_gen_ai_input_messages_parts": [WEATHER_CALL, f"tool: {WEATHER}", f"assistant: {WEATHER}"],
    "21_gen_ai_nonstandard_any_agent": [
        "system: Search the web to answer",
        f"{ASKED_YEAR}. Finally, return a list of the steps you have taken.",
        'assistant:  -> get_current_time({"timezone": "America/New_York"})',
    ],
    "22_pydantic_ai_agent": ["user: Say hello.", "assistant: Hello! How can I assist you today?"],
    "24_oi_agno_llm": [
        "user: What's trending on Twitter?",
        'assistant:  -> web_search({"query":"trending on Twitter"})',
        "tool: DNSError: DNSError('error sending request for url",
        "assistant: Here are some of the trending topics on Twitter (now called X) in the United States",
    ],
}

SKIPPED = {
    "03_litellm_native_request": "tool calls are missing: input.value, llm.input_messages.0.message.content,",
    "18_oi_tool_span": "no LLM span: input.mime_type, input.value, llm.system, output.mime_type,",
    "23_traceloop_entity": "no LLM span: gen_ai.operation.name, gen_ai.provider.name, gen_ai.task.id,",
}


def recorded(shared_data: Path, path: str) -> list[Trace]:
    return load_traces(shared_data / "spans" / path)


def assert_begins(trajectory: Trajectory, beginnings: list[str]) -> None:
    lines = told(trajectory.messages)
    assert [line[: len(wanted)] for line, wanted in zip(lines, beginnings, strict=True)] == beginnings


def test_every_recorded_shape_has_an_expectation(shared_data: Path) -> None:
    shapes = {path.stem for path in (shared_data / "spans" / "shapes").glob("*.json")}

    assert shapes == SHAPES.keys() | SKIPPED.keys()
    assert len(shapes) == 24


@pytest.mark.parametrize("shape", SHAPES)
def test_a_recorded_shape_becomes_these_messages(shared_data: Path, shape: str) -> None:
    [one] = recorded(shared_data, f"shapes/{shape}.json")

    assert_begins(build_trajectory(one), SHAPES[shape])


@pytest.mark.parametrize("shape", SKIPPED)
def test_a_recorded_shape_that_tells_too_little_is_skipped_with_its_names(
    shared_data: Path, shape: str
) -> None:
    [one] = recorded(shared_data, f"shapes/{shape}.json")

    with pytest.raises(UnknownShapeError) as caught:
        build_trajectory(one)

    assert str(caught.value).startswith(SKIPPED[shape])


def test_a_tool_use_that_anthropic_gives_twice_is_one_call(shared_data: Path) -> None:
    [one] = recorded(shared_data, "shapes/05_oi_anthropic_blocks.json")

    [calls] = [m.tool_calls for m in build_trajectory(one).messages if m.tool_calls]
    assert [(c.id, c.name) for c in calls] == [("toolu_01KBqpqR73qWGsMaW3vBzEjz", "get_weather")]


@pytest.mark.parametrize("framework", ["AGNO", "GOOGLE", "LANGCHAIN", "OPENAI", "SMOLAGENTS", "TINYAGENT"])
def test_any_agent_runs_are_one_conversation_with_the_results_of_their_tools(
    shared_data: Path, framework: str
) -> None:
    [path] = (shared_data / "spans" / "any_agent_genai").glob(f"{framework}_*.json.gz")
    [one] = load_traces(path)

    trajectory = build_trajectory(one)

    tools = [call.name for message in trajectory.messages for call in message.tool_calls]
    assert tools[:2] == ["get_current_time", "write_file"]
    assert [m.role for m in trajectory.messages[:6]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
    ]
    assert "datetime" in trajectory.messages[3].content
    assert trajectory.side_conversations == ()


@pytest.mark.parametrize("framework", ["langchain", "openai_agents", "smolagents"])
def test_the_same_task_in_three_frameworks_has_the_same_calls_and_results(
    shared_data: Path, framework: str
) -> None:
    [one] = recorded(shared_data, f"any_agent_openinference/{framework}_1.rest.json.gz")

    trajectory = build_trajectory(one)

    calls = [call for message in trajectory.messages for call in message.tool_calls]
    answered = [message.tool_call_id for message in trajectory.messages if message.role == "tool"]
    assert [call.name for call in calls][:2] == ["get_current_time", "write_file"]
    assert json.loads(calls[0].arguments) == {"timezone": "America/New_York"}
    assert answered[:2] == [call.id for call in calls[:2]]
    assert trajectory.side_conversations == ()


def test_a_claude_agents_run_has_the_results_of_its_tools_before_its_last_words(shared_data: Path) -> None:
    runs = {}
    for one in recorded(shared_data, "instrumentors/oi-claude-agent-sdk.rest.json.gz"):
        try:
            trajectory = build_trajectory(one)
        except UnknownShapeError:
            continue
        runs[trajectory.session_id] = told(trajectory.messages)

    assert runs["sess-thinking"] == [
        "user: Think and use a tool",
        'assistant:  -> Bash({"command": "echo hi"})',
        "tool: [error: Abandoned]",
        "assistant: The answer is 42.",
    ]
    assert runs["sess-tool-err"] == [
        "user: read the shadow file",
        'assistant:  -> Bash({"command": "cat /etc/shadow"})',
        'tool: [error: [{"type": "text", "text": "Permission denied: /etc/shadow"}]]',
        "assistant: I could not complete the task due to a tool error.",
    ]
    delegated = runs["05555ce4-068a-4334-a6e3-b5bea2e8cc2e"]
    assert [line.split(":")[0] for line in delegated] == ["user", "assistant", "tool", "assistant"]
    assert "Agent(" in delegated[1]


def test_a_result_that_phoenix_loses_in_its_conversion_is_read_from_the_original(shared_data: Path) -> None:
    first = recorded(shared_data, "instrumentors/oi-pydantic-ai.rest.json.gz")[0]

    assert told(build_trajectory(first).messages) == [
        "user: What's the weather in Paris?",
        'assistant:  -> get_weather({"city":"Paris"})',
        "tool: It's sunny in Paris.",
        "assistant: The weather in Paris is sunny.",
    ]


def vercel(value: Mapping[str, Any]) -> Span:
    made = span(value["spanContext"]["spanId"], "UNKNOWN", name=value["name"], attributes=value["attributes"])
    return replace(made, trace_id=value["spanContext"]["traceId"])


def test_calls_of_the_vercel_ai_sdk_are_read_inside_and_around(shared_data: Path) -> None:
    dump = json.loads((shared_data / "spans" / "vercel_ai_sdk" / "v6_all-spans.json").read_text("utf-8"))
    read = {}
    for one in map(vercel, dump):
        if "embed" in one.name:
            with pytest.raises(UnknownShapeError, match=r"no LLM span: .*ai\.model\.id"):
                build_trajectory(trace(one))
        else:
            read[one.attributes["operation.name"]] = told(build_trajectory(trace(one)).messages)

    sums = [
        "system: You are a helpful assistant.",
        "user: What is 2 + 2?",
        "assistant: 2 + 2 equals 4.",
        "user: And what is 3 + 3?",
        "assistant: 3 + 3 equals 6.",
    ]
    assert len(read) == 8
    assert read["ai.generateText.doGenerate test-generate-text-messages"] == sums
    assert read["ai.generateText test-generate-text-messages"] == sums
    assert read["ai.streamText test-stream-text"][0] == "user: Write a short poem about TypeScript."
    assert read["ai.generateObject test-generate-object"][1].startswith('assistant: {"name":"Scrambled Eggs"')


def test_tools_of_the_vercel_ai_sdk_are_calls_with_results() -> None:
    call = {"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "input": {"city": "Paris"}}
    output = {"type": "json", "value": {"sky": "clear"}}
    history = [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": [call]},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "output": output}]},
    ]
    again = json.dumps([{"toolCallId": "c2", "toolName": "weather", "args": '{"city":"Rome"}'}])
    model = span(
        "a",
        "UNKNOWN",
        parent="outer",
        name="ai.generateText.doGenerate",
        attributes={
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.prompt.messages": json.dumps(history),
            "ai.response.toolCalls": again,
        },
    )
    outer = span("outer", "UNKNOWN", ends=9, attributes={"ai.operationId": "ai.generateText"})
    made = span(
        "t",
        "UNKNOWN",
        at=2,
        parent="outer",
        name="ai.toolCall",
        attributes={
            "ai.operationId": "ai.toolCall",
            "ai.toolCall.name": "weather",
            "ai.toolCall.id": "c2",
            "ai.toolCall.result": '"rain"',
        },
    )

    assert told(build_trajectory(trace(outer, model, made)).messages) == [
        "user: Weather?",
        'assistant:  -> weather({"city": "Paris"})',
        'tool: {"sky": "clear"}',
        'assistant:  -> weather({"city":"Rome"})',
        'tool: "rain"',
    ]


def with_events(*events: tuple[str, Mapping[str, Any]]) -> Trace:
    made = span("a", "LLM")
    return trace(replace(made, events=tuple(SpanEvent(name=name, attributes=a) for name, a in events)))


PARIS_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CONVERSATION = ["system: Be brief.", "user: Weather?", "assistant:  -> weather({})", "tool: sunny"]


def test_the_old_events_of_the_genai_conventions_are_messages() -> None:
    events = with_events(
        ("gen_ai.system.message", {"content": "Be brief."}),
        ("gen_ai.user.message", {"gen_ai.event.content": '{"content": "Weather?"}'}),
        ("gen_ai.assistant.message", {"gen_ai.event.content": json.dumps({"tool_calls": [PARIS_CALL]})}),
        ("gen_ai.tool.message", {"id": "c1", "content": "sunny"}),
        ("gen_ai.choice", {"index": 0, "message": json.dumps({"role": "assistant", "content": "Sunny."})}),
    )

    assert told(build_trajectory(events).messages) == [*CONVERSATION, "assistant: Sunny."]


def test_the_oldest_events_of_the_genai_conventions_are_messages() -> None:
    prompt = [{"role": "user", "content": "Hi"}]
    events = with_events(
        ("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps(prompt)}),
        (
            "gen_ai.content.completion",
            {"gen_ai.completion": json.dumps([{"role": "assistant", "content": "Hello"}])},
        ),
    )

    assert told(build_trajectory(events).messages) == ["user: Hi", "assistant: Hello"]


PARTS = [
    {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {}}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]},
]
GEN_AI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system_instructions": '[{"type": "text", "content": "Be brief."}]',
    "gen_ai.input.messages": json.dumps(PARTS),
    "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}]}]',
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.output_tokens": 3,
    "gen_ai.request.model": "gpt-4o",
}


def test_todays_event_of_the_genai_conventions_holds_both_sides() -> None:
    events = with_events(("gen_ai.client.inference.operation.details", GEN_AI))

    assert told(build_trajectory(events).messages) == [*CONVERSATION, "assistant: Sunny."]


def test_a_server_that_does_not_convert_genai_attributes_gives_the_same_trajectory() -> None:
    trajectory = build_trajectory(trace(span("a", "UNKNOWN", attributes=GEN_AI)))

    assert told(trajectory.messages) == [*CONVERSATION, "assistant: Sunny."]
    assert (trajectory.usage.prompt_tokens, trajectory.usage.completion_tokens) == (7, 3)
    assert trajectory.models == ("gpt-4o",)


def test_images_in_parts_are_placeholders_with_type_and_size() -> None:
    parts = [
        {"type": "text", "content": "What is this?"},
        {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "AAAA" * 10},
        {"type": "uri", "mime_type": "image/png", "uri": "https://example.com/a.png?sig=secret"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}},
        {"type": "hologram"},
    ]
    attributes = {**GEN_AI, "gen_ai.input.messages": json.dumps([{"role": "user", "parts": parts}])}

    _, asked, _ = build_trajectory(trace(span("a", "LLM", attributes=attributes))).messages

    assert asked.content.splitlines() == [
        "What is this?",
        "[image: image/png, about 30 bytes]",
        "[image: https://example.com/a.png]",
        "[image: image/jpeg, about 3 bytes]",
        "[attachment: wav, about 3 bytes]",
        "[part of type hologram]",
    ]


@pytest.mark.parametrize(
    ("prompts", "completions"), [("gen_ai.prompt", "gen_ai.completion"), ("llm.prompts", "llm.completions")]
)
def test_indexed_prompts_are_messages_with_calls_and_results(prompts: str, completions: str) -> None:
    attributes = {
        f"{prompts}.0.role": "user",
        f"{prompts}.0.content": '[{"type": "text", "text": "Weather?"}]',
        f"{prompts}.1.role": "assistant",
        f"{prompts}.1.tool_calls.0.id": "c1",
        f"{prompts}.1.tool_calls.0.name": "weather",
        f"{prompts}.1.tool_calls.0.arguments": "{}",
        f"{prompts}.2.role": "tool",
        f"{prompts}.2.content": "sunny",
        f"{prompts}.2.tool_call_id": "c1",
        f"{completions}.0.content": "Sunny.",
    }

    messages = build_trajectory(trace(span("a", "LLM", attributes=attributes))).messages
    assert told(messages) == [*CONVERSATION[1:], "assistant: Sunny."]


def test_parallel_results_that_flat_keys_lose_are_read_from_the_request() -> None:
    """Anthropic's results of parallel calls are one message; flat keys have room for one result in it."""
    calls = [{"type": "tool_use", "id": f"c{n}", "name": "weather", "input": {"n": n}} for n in (1, 2)]
    results = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": f"result {n}"} for n in (1, 2)]
    request = {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Both?"},
            {"role": "assistant", "content": [{"type": "text", "text": "Looking."}, *calls]},
            {"role": "user", "content": results},
        ],
    }
    base = "llm.input_messages"
    attributes = {
        f"{base}.0.message.role": "user",
        f"{base}.0.message.content": "Both?",
        f"{base}.1.message.role": "assistant",
        f"{base}.1.message.tool_calls.0.tool_call.id": "c1",
        f"{base}.1.message.tool_calls.0.tool_call.function.name": "weather",
        f"{base}.1.message.tool_calls.1.tool_call.id": "c2",
        f"{base}.1.message.tool_calls.1.tool_call.function.name": "weather",
        f"{base}.2.message.role": "user",
        f"{base}.2.message.tool_call_id": "c2",
        f"{base}.2.message.content": "result 2",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "Done.",
        "input.value": json.dumps(request),
    }

    assert told(build_trajectory(trace(span("a", "LLM", attributes=attributes))).messages) == [
        "system: Be brief.",
        "user: Both?",
        'assistant: Looking. -> weather({"n": 1}) -> weather({"n": 2})',
        "tool: result 1",
        "tool: result 2",
        "assistant: Done.",
    ]


def litellm_callback(messages: str, choices: str = "[]") -> Trace:
    raw = {"llm.openai.messages": messages, "llm.openai.choices": choices}
    return trace(
        span("a", "TOOL", ends=9, name="litellm_request", attributes={"llm.request.type": "completion"}),
        span("b", "UNKNOWN", at=1, parent="a", name="raw_gen_ai_request", attributes=raw),
    )


def test_a_conversation_in_a_python_repr_is_read_and_is_no_tool_call() -> None:
    messages = [
        {"role": "user", "content": "It's?"},
        {"role": "assistant", "content": None, "tool_calls": [PARIS_CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    choices = [{"index": 0, "message": {"role": "assistant", "content": "Sunny.", "tool_calls": None}}]

    trajectory = build_trajectory(litellm_callback(repr(messages), repr(choices)))

    assert told(trajectory.messages) == [
        "user: It's?",
        "assistant:  -> weather({})",
        "tool: sunny",
        "assistant: Sunny.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "[{'role': 'user', 'content': open('/etc/passwd').read()}]",
        "[{'role': 'user', 'content': 'cut",
        "[" * 100_000,
        "[{'role': 'user', 'content': '" + "x" * 2_000_000 + "'}]",
    ],
    ids=["call", "call inside", "cut", "deep", "too long"],
)
def test_a_repr_that_is_no_literal_or_too_long_is_not_evaluated(text: str) -> None:
    with pytest.raises(UnknownShapeError, match=r"unknown shape: .*llm\.request\.type"):
        build_trajectory(litellm_callback(text))


def test_a_call_whose_tool_calls_were_lost_is_skipped_and_not_told_without_them() -> None:
    base = "llm.input_messages"
    attributes = {
        f"{base}.0.message.role": "user",
        f"{base}.0.message.content": "Weather?",
        f"{base}.1.message.role": "assistant",
        f"{base}.2.message.role": "tool",
        f"{base}.2.message.content": "sunny",
    }

    with pytest.raises(UnknownShapeError, match=r"tool calls are missing: llm\.input_messages\.0"):
        build_trajectory(trace(span("a", "LLM", attributes=attributes)))


def test_tool_spans_are_paired_by_their_ids_before_anything_else() -> None:
    base = "llm.output_messages.0.message"
    attributes = {
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "Both?",
        f"{base}.role": "assistant",
        f"{base}.tool_calls.0.tool_call.id": "c1",
        f"{base}.tool_calls.0.tool_call.function.name": "weather",
        f"{base}.tool_calls.1.tool_call.id": "c2",
        f"{base}.tool_calls.1.tool_call.function.name": "weather",
    }
    second = tool("t1", "weather", {"n": 1}, "of c2", at=2)
    first = tool("t2", "weather", {"n": 1}, "of c1", at=3)
    named = [
        replace(one, attributes={**one.attributes, "tool.id": call_id})
        for one, call_id in ((second, "c2"), (first, "c1"))
    ]

    messages = build_trajectory(trace(span("a", "LLM", attributes=attributes), *named)).messages

    assert [(m.tool_call_id, m.content) for m in messages[2:]] == [("c1", "of c1"), ("c2", "of c2")]


def test_every_dialect_has_a_name_of_its_own() -> None:
    names = [dialect.name for dialect in DIALECTS]

    assert len(set(names)) == len(names) == 10
    assert len({run.name for run in AGENT_RUNS}) == 3


def test_parts_of_no_known_type_and_results_that_are_no_text_are_told_as_they_are() -> None:
    messages = [
        {"role": "user", "parts": [{"type": ["x"], "text": "odd"}, {"type": "text", "content": "Count."}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "count", "arguments": {}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": 0}]},
    ]
    attributes = {**GEN_AI, "gen_ai.input.messages": json.dumps(messages)}

    assert told(build_trajectory(trace(span("a", "LLM", attributes=attributes))).messages)[1:4] == [
        "user: odd\nCount.",
        "assistant:  -> count({})",
        "tool: 0",
    ]
